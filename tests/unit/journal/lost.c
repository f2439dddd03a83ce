/* SPDX-License-Identifier: Apache-2.0 */
/* Events that the broker confirmed: which were received, and which are lost. */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>

static bool known[3];

static struct journal_check_confirmed check(
    struct shelf *shelf, struct event *const events[3], bool judge, int64_t offset)
{
    struct event_id ids[3];
    for (unsigned i = 0; i < 3; i++)
        ids[i] = events[i]->parts.id;
    struct journal_check_confirmed request = {
        .count = 3, .ids = ids, .judge = judge, .next_offset = offset, .ret_known = known};
    cr_assert(shelf_call(shelf, store_check_confirmed, &request.request) == OK);
    return request;
}

static int64_t count_lost(struct shelf *shelf)
{
    struct journal_check_confirmed request = {.next_offset = -1};
    cr_assert(shelf_call(shelf, store_check_confirmed, &request.request) == OK);
    return request.ret_lost;
}

Test(lost, received_events_are_known_by_id_or_as_alias_and_the_others_are_kept_as_lost)
{
    struct shelf *shelf = shelf_new();
    cr_assert_eq(count_lost(shelf), 0); /* the journal is asked from now on */
    const struct shelved keyed = {.key = "k", .amount = "5", .currency = "EUR"};
    struct event *const events[] = {shelf_event(shelf, keyed), shelf_event(shelf, keyed),
        shelf_event(shelf, (struct shelved){.key = "other"})};
    shelf_receive(shelf, events[0], 1, PARK_NONE);
    shelf_receive(shelf, events[1], 1, PARK_NONE);
    check(shelf, events, false, -1);
    cr_expect(known[0] && known[1] && !known[2]);
    cr_expect_eq(count_lost(shelf), 0, "nobody has judged yet");
    check(shelf, events, true, 7);
    shelf_crash(shelf);
    cr_expect_eq(count_lost(shelf), 1);
    cr_expect_eq(check(shelf, events, true, -1).ret_next_offset, 7);
    cr_expect(known[2], "said already");
    cr_expect_eq(count_lost(shelf), 1, "once");
    shelf_receive(shelf, events[2], 1, PARK_NONE);
    cr_expect_eq(count_lost(shelf), 0, "it came after all");
    for (unsigned i = 0; i < 3; i++)
        event_unref(events[i]);
    shelf_free(shelf);
}

Test(lost, events_that_were_confirmed_before_the_first_check_are_not_lost)
{
    struct shelf *shelf = shelf_new();
    struct event *const events[] = {
        shelf_event(shelf, (struct shelved){.key = "a", .accepted_us = 1}),
        shelf_event(shelf, (struct shelved){.key = "b", .accepted_us = 2}),
        shelf_event(shelf, (struct shelved){.key = "c", .accepted_us = 3})};
    check(shelf, events, true, 7);
    cr_expect(known[0] && known[1] && known[2]);
    cr_expect_eq(count_lost(shelf), 0);
    for (unsigned i = 0; i < 3; i++)
        event_unref(events[i]);
    shelf_free(shelf);
}
