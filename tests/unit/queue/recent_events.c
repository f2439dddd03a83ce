/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/recent_events.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct recent_keys *known;
static struct recent_events *recent;
static struct event_id_generator ids;

static void begin_with(unsigned events_max)
{
    known = recent_keys_new(64);
    recent = recent_events_new(events_max, known);
}

static void begin(void)
{
    begin_with(8);
}

static void end(void)
{
    recent_events_free(recent);
    recent_keys_free(known);
}

static void begin_again_with(unsigned events_max)
{
    end();
    begin_with(events_max);
}

TestSuite(recent, .init = begin, .fini = end);

/* Made for the test's short life: what it points to is never freed before its end. */
static struct queue_entry *entry_of(const char *key, const char *amount, const char *currency)
{
    struct event_parts parts = {.accepted_us = 1700000000000000,
        .partner = SLICE_LITERAL("shop"),
        .account = SLICE_LITERAL("acc_1"),
        .type = SLICE_LITERAL("purchase"),
        .key = slice_from_string(key),
        .amount = slice_from_string(amount),
        .currency = slice_from_string(currency),
        .body = SLICE_LITERAL("{}")};
    static unsigned char random[8];
    random[0]++;
    event_id_make(&ids, parts.accepted_us, 3, random, &parts.id);
    struct queue_entry *entry = calloc(1, sizeof *entry);
    cr_assert_eq(event_new(&parts, NULL, 100, &entry->append.event), OK);
    dedupe_key_of(parts.partner, parts.account, parts.type, parts.key, &entry->append.dedupe_key);
    return entry;
}

static void drop(struct queue_entry *entry)
{
    event_unref(entry->append.event);
    free(entry);
}

static struct queue_entry *enter(
    const char *key, const char *amount, const char *currency, enum recent_finding finding)
{
    struct queue_entry *entry = entry_of(key, amount, currency);
    cr_assert_eq(recent_events_enter(recent, entry), finding);
    return entry;
}

/* Ends a first one and drops it; its id is returned. */
static struct event_id end_first(
    struct queue_entry *first, enum err result, struct list *ret_waiting)
{
    struct event_id id = first->append.event->parts.id;
    recent_events_end(recent, first, result, ret_waiting);
    drop(first);
    return id;
}

static void end_alone(struct queue_entry *first, enum err result)
{
    struct list waiting;
    end_first(first, result, &waiting);
    cr_assert(list_is_empty(&waiting));
}

/* Takes the next waiting entry and checks its answer. */
static void expect_answer(struct list *waiting, enum err result, const struct event_id *id)
{
    struct queue_entry *entry = LIST_TAKE_FIRST(waiting, struct queue_entry, in_list);
    cr_assert_not_null(entry);
    cr_assert_eq(entry->append.request.result, result);
    if (id)
        cr_assert_arr_eq(&entry->append.ret_id, id, sizeof *id);
    drop(entry);
}

Test(recent, those_that_come_while_the_first_is_pending_are_judged_with_its_end)
{
    struct queue_entry *first = enter("k", "1.50", "EUR", RECENT_NEW);
    enter("k", "1.5", "EUR", RECENT_WAITS);
    enter("k", "1.51", "EUR", RECENT_WAITS);
    enter("k", "1.50", "USD", RECENT_WAITS);
    enter("k", "", "", RECENT_WAITS);
    struct list waiting;
    struct event_id id = end_first(first, OK, &waiting);
    expect_answer(&waiting, ERR_EXISTS, &id);
    expect_answer(&waiting, ERR_CONFLICT, &id);
    expect_answer(&waiting, ERR_CONFLICT, &id);
    expect_answer(&waiting, ERR_CONFLICT, &id);
    cr_assert(list_is_empty(&waiting));
}

Test(recent, events_behind_a_durable_one_are_judged_at_once)
{
    static const struct {
        const char *amount, *currency;
        enum recent_finding finding;
    } cases[] = {{"1.50", "EUR", RECENT_DUPLICATE}, {"1.500", "EUR", RECENT_DUPLICATE},
        {"-1.50", "EUR", RECENT_CONFLICT}, {"1.50", "SEK", RECENT_CONFLICT},
        {"", "", RECENT_CONFLICT}};
    struct list waiting;
    struct event_id id = end_first(enter("k", "1.5", "EUR", RECENT_NEW), OK, &waiting);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct queue_entry *second =
            enter("k", cases[i].amount, cases[i].currency, cases[i].finding);
        cr_assert_arr_eq(&second->append.ret_id, &id, sizeof id);
        drop(second);
    }
}

Test(recent, without_money_a_second_one_is_a_duplicate)
{
    end_alone(enter("k", "", "", RECENT_NEW), OK);
    drop(enter("k", "", "", RECENT_DUPLICATE));
}

Test(recent, a_first_that_fails_is_forgotten_and_its_error_is_everyones)
{
    struct queue_entry *first = enter("k", "1", "EUR", RECENT_NEW);
    enter("k", "1", "EUR", RECENT_WAITS);
    struct list waiting;
    struct event_id id = end_first(first, ERR_DISK, &waiting);
    expect_answer(&waiting, ERR_DISK, NULL);
    struct queue_found found;
    cr_assert_not(recent_events_find(recent, &id, &found));
    end_alone(enter("k", "1", "EUR", RECENT_NEW), OK);
}

Test(recent, a_first_that_the_journal_knows_as_a_duplicate_leads_to_the_older_one)
{
    struct queue_entry *first = enter("k", "1", "EUR", RECENT_NEW),
                       *older = entry_of("k", "1", "EUR");
    struct event_id older_id = older->append.event->parts.id;
    enter("k", "1", "EUR", RECENT_WAITS);
    first->append.ret_id = older_id;
    struct list waiting;
    struct event_id id = end_first(first, ERR_EXISTS, &waiting);
    expect_answer(&waiting, ERR_EXISTS, &older_id);
    struct queue_entry *later = enter("k", "1.0", "EUR", RECENT_DUPLICATE);
    cr_assert_arr_eq(&later->append.ret_id, &older_id, sizeof older_id);
    struct queue_found found;
    cr_assert_not(recent_events_find(recent, &id, &found));
    cr_assert_not(recent_events_find(recent, &older_id, &found));
    drop(later);
    drop(older);
}

Test(recent, behind_a_first_that_was_a_conflict_nobody_is_judged_here)
{
    struct queue_entry *first = enter("k", "1", "EUR", RECENT_NEW);
    enter("k", "2", "EUR", RECENT_WAITS);
    struct list waiting;
    end_first(first, ERR_CONFLICT, &waiting);
    expect_answer(&waiting, ERR_MOVED_ON, NULL);
    end_alone(enter("k", "2", "EUR", RECENT_NEW), OK);
}

Test(recent, without_a_key_nothing_is_a_duplicate)
{
    struct queue_entry *first = enter("", "", "", RECENT_NEW),
                       *second = enter("", "", "", RECENT_NEW);
    end_alone(first, OK);
    end_alone(second, OK);
}

Test(recent, an_event_is_found_by_its_id_once_it_is_durable)
{
    static const char long_key[] =
        "a-key-that-is-longer-than-the-space-behind-the-longest-names-allows-it-to-be-"
        "so-that-it-is-left-out-and-the-answer-says-nothing-of-it-0123456789-0123456789-"
        "0123456789-0123456789-0123456789-0123456789-0123456789-0123456789";
    const char *const keys[] = {"k", "", long_key};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        struct queue_entry *first = enter(keys[i], "", "", RECENT_NEW);
        struct event_id id = first->append.event->parts.id;
        struct queue_found found;
        cr_assert_not(recent_events_find(recent, &id, &found));
        end_alone(first, OK);
        cr_assert(recent_events_find(recent, &id, &found));
        cr_assert(slice_equals_string(found.partner, "shop") &&
                  slice_equals_string(found.account, "acc_1") &&
                  slice_equals_string(found.type, "purchase"));
        cr_assert(slice_equals_string(found.key, i == 0 ? "k" : ""));
        cr_assert_eq(found.has_key, i != 1);
        cr_assert_eq(found.accepted_us, 1700000000000000);
    }
}

static bool is_remembered(struct event_id id)
{
    struct queue_found found;
    return recent_events_find(recent, &id, &found);
}

Test(recent, the_oldest_durable_one_makes_room_and_pending_ones_stay)
{
    begin_again_with(3);
    struct list waiting;
    struct queue_entry *pending = enter("pending", "", "", RECENT_NEW);
    struct event_id a = end_first(enter("a", "", "", RECENT_NEW), OK, &waiting);
    struct event_id b = end_first(enter("b", "", "", RECENT_NEW), OK, &waiting);
    struct event_id c =
        end_first(enter("c", "", "", RECENT_NEW), OK, &waiting); /* in the place of a */
    cr_assert(!is_remembered(a) && is_remembered(b) && is_remembered(c));
    drop(enter("a", "", "", RECENT_DUPLICATE)); /* its key is known all the same */
    struct queue_entry *second = enter("d", "", "", RECENT_NEW),
                       *third = enter("e", "", "", RECENT_NEW);
    cr_assert(!is_remembered(b) && !is_remembered(c));
    struct queue_entry *unremembered = enter("f", "", "", RECENT_NEW);
    cr_assert_null(unremembered->recent);
    end_alone(unremembered, OK);
    drop(enter("f", "", "", RECENT_DUPLICATE)); /* its key is known all the same */
    enter("pending", "", "", RECENT_WAITS);
    struct event_id id = end_first(pending, OK, &waiting);
    expect_answer(&waiting, ERR_EXISTS, &id);
    end_alone(second, OK);
    end_alone(third, OK);
}

Test(recent, what_another_thread_has_made_durable_is_judged_as_well)
{
    struct recent_events *own = recent, *other;
    other = recent_events_new(8, known);
    struct list waiting;
    struct event_id id = end_first(enter("k", "1.5", "EUR", RECENT_NEW), OK, &waiting);
    recent = other;
    struct queue_entry *again = enter("k", "1.50", "EUR", RECENT_DUPLICATE);
    cr_assert_arr_eq(&again->append.ret_id, &id, sizeof id);
    drop(again);
    drop(enter("k", "2", "EUR", RECENT_CONFLICT));
    drop(enter("k", "1.5", "EUR", RECENT_DUPLICATE));
    recent = own;
    recent_events_free(other);
}

static struct queue_entry *enter_in(
    struct recent_events *where, const char *amount, enum recent_finding finding)
{
    struct queue_entry *entry = entry_of("k", amount, "EUR");
    cr_assert_eq(recent_events_enter(where, entry), finding);
    return entry;
}

Test(recent, what_another_thread_has_in_flight_comes_again_later)
{
    struct recent_events *other;
    other = recent_events_new(8, known);
    struct queue_entry *here = enter("k", "1", "EUR", RECENT_NEW);
    struct queue_entry *same = enter_in(other, "1.0", RECENT_ELSEWHERE);
    struct queue_entry *conflict = enter_in(other, "2", RECENT_ELSEWHERE);
    struct list waiting;
    struct event_id first = end_first(here, OK, &waiting);
    cr_assert_eq(recent_events_enter(other, same), RECENT_DUPLICATE);
    cr_assert_arr_eq(&same->append.ret_id, &first, sizeof first);
    cr_assert_eq(recent_events_enter(other, conflict), RECENT_CONFLICT);
    drop(same);
    drop(conflict);
    recent_events_free(other);
}

Test(recent, what_fails_here_is_new_with_another_thread)
{
    struct recent_events *other;
    other = recent_events_new(8, known);
    struct queue_entry *here = enter("k", "1", "EUR", RECENT_NEW),
                       *there = enter_in(other, "2", RECENT_ELSEWHERE);
    end_alone(here, ERR_DISK);
    cr_assert_eq(recent_events_enter(other, there), RECENT_NEW);
    struct list waiting;
    recent_events_end(other, there, OK, &waiting);
    drop(there);
    drop(enter("k", "2", "EUR", RECENT_DUPLICATE));
    recent_events_free(other);
}

Test(recent, many_come_and_go)
{
    begin_again_with(100);
    char key[16];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "k-%u", i);
        end_alone(enter(key, "1", "EUR", RECENT_NEW), i % 7 ? OK : ERR_DISK);
        if (i % 7)
            drop(enter(key, "1.00", "EUR", RECENT_DUPLICATE));
    }
}
