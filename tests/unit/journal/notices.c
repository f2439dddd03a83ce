/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal itself reports to operators. */
#include "base/cleanup.h"
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct operator_event posted[16];
static unsigned posts;

static void keep(void *context, const struct operator_event *event)
{
    cr_assert_lt(posts, ARRAY_LENGTH(posted));
    posted[posts++] = *event;
}

static struct shelf *shelf_that_reports(void)
{
    struct shelf *shelf = shelf_new();
    posts = 0;
    shelf->operator_events = (struct operator_event_sink){.post = keep};
    shelf_crash(shelf);
    cr_assert_eq(posts, 0);
    return shelf;
}

static void report(struct shelf *shelf)
{
    posts = 0;
    store_report_notices(&shelf->store, clock_mono_us());
}

static void start_sending(struct shelf *shelf, int64_t seq)
{
    struct journal_record start = {.request.kind = JOURNAL_START,
        .delivery = placement_first_delivery(seq),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_SENDING};
    cr_assert(shelf_call(shelf, store_start, &start.request) == OK && start.request.result == OK);
}

Test(notices, payouts_in_doubt_after_a_crash_are_reported_by_account_with_a_sample)
{
    struct shelf *shelf = shelf_that_reports();
    char expected[EVENT_ID_TEXT_BYTES];
    start_sending(shelf, shelf_append(shelf, (struct shelved){.key = "a", .endpoints = 1}));
    start_sending(shelf, shelf_append(shelf, (struct shelved){.key = "b", .endpoints = 1}));
    int64_t other =
        shelf_append(shelf, (struct shelved){.key = "c", .account = "acc_2", .endpoints = 1});
    start_sending(shelf, other);
    const struct event_id id = shelf_id_of(shelf, other);
    event_id_format(&id, expected);
    shelf_crash(shelf);
    cr_assert_eq(posts, 2, "%u", posts);
    for (unsigned i = 0; i < 2; i++) {
        cr_expect_eq(posted[i].kind, OPERATOR_DELIVERY_PARKED);
        cr_expect_str_eq(posted[i].subject, "ambiguous");
        cr_expect_str_eq(posted[i].cause, "interrupted");
        cr_expect_str_eq(posted[i].partner, "p");
        cr_expect(strlen(posted[i].delivery) > 0 && strlen(posted[i].endpoint) > 0);
    }
    cr_expect(posted[0].count == 2 && strcmp(posted[0].account, "acc_1") == 0);
    cr_expect(posted[1].count == 1 && strcmp(posted[1].account, "acc_2") == 0);
    cr_expect_str_eq(posted[1].event, expected);
    posts = 0;
    shelf_crash(shelf);
    cr_expect_eq(posts, 0, "once");
    shelf_free(shelf);
}

Test(notices, what_the_journal_parks_when_it_receives_is_reported_with_its_reason)
{
    static const enum park_reason reasons[] = {PARK_MISMATCH, PARK_TAKEN_OVER};
    struct shelf *shelf = shelf_that_reports();
    for (unsigned i = 0; i < ARRAY_LENGTH(reasons); i++) {
        struct event *event = shelf_event(shelf, (struct shelved){.key = i ? "a" : "b"});
        (void)shelf_receive(shelf, event, 1, reasons[i]);
        report(shelf);
        cr_assert_eq(posts, 1, "%u", posts);
        cr_expect_eq(posted[0].kind, OPERATOR_DELIVERY_PARKED);
        cr_expect_str_eq(posted[0].subject, park_reason_name(reasons[i]));
        event_unref(event);
    }
    shelf_free(shelf);
}

Test(notices, event_of_the_broker_that_is_taken_over_is_reported)
{
    struct shelf *shelf = shelf_that_reports();
    struct event *event = shelf_event(shelf, (struct shelved){.key = "a"});
    (void)shelf_receive(shelf, event, 1, PARK_NONE);
    report(shelf);
    cr_expect_eq(posts, 0);
    (void)shelf_receive(shelf, event, 1, PARK_TAKEN_OVER);
    report(shelf);
    cr_assert_eq(posts, 1);
    cr_expect_str_eq(posted[0].subject, park_reason_name(PARK_TAKEN_OVER));
    cr_expect_str_eq(posted[0].account, "acc_1");
    event_unref(event);
    shelf_free(shelf);
}

Test(notices, conflict_is_reported_when_it_is_committed)
{
    struct shelf *shelf = shelf_that_reports();
    const struct shelved keyed = {.key = "k", .amount = "5", .currency = "EUR", .endpoints = 1};
    struct event *first = shelf_event(shelf, keyed);
    struct event *other =
        shelf_event(shelf, (struct shelved){.key = "k", .amount = "6", .currency = "EUR"});
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&first->parts.id, id);
    cr_assert(shelf_append_event(shelf, first, 1) == OK);
    shelf_begin(shelf);
    store_note_conflict(&shelf->store, &first->parts.id, other, false);
    cr_assert(store_roll_back(&shelf->store) == OK);
    report(shelf);
    cr_expect_eq(posts, 0, "it was rolled back");
    cr_expect(shelf_append_event(shelf, other, 1) == ERR_CONFLICT);
    report(shelf);
    cr_assert_eq(posts, 1);
    cr_expect(posted[0].kind == OPERATOR_EVENT_CONFLICT && posted[0].count == 1);
    cr_expect_str_eq(posted[0].first_event, id);
    cr_expect_str_eq(posted[0].detail, "type purchase, key k");
    event_unref(first);
    event_unref(other);
    shelf_free(shelf);
}

Test(notices, damaged_event_is_reported_without_names)
{
    struct shelf *shelf = shelf_that_reports();
    int64_t seq = shelf_append(shelf, (struct shelved){.key = "a", .endpoints = 1});
    shelf->changed_by_hand = true;
    shelf_sql(shelf, "UPDATE events SET account = 'acc_other'");
    shelf_begin(shelf);
    cr_assert(store_park_damaged(&shelf->store, placement_first_delivery(seq), 1) == OK);
    shelf_commit(shelf);
    report(shelf);
    cr_assert_eq(posts, 1);
    cr_expect_str_eq(posted[0].subject, park_reason_name(PARK_DAMAGED));
    cr_expect_str_eq(posted[0].account, "");
    cr_expect_str_eq(posted[0].event, "");
    shelf_free(shelf);
}
