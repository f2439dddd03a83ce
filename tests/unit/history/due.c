/* SPDX-License-Identifier: Apache-2.0 */
#include "history/due.h"

#include "history/timeline.h"
#include "unit/history/reader_desk.h"

#include <criterion/criterion.h>

#define MINUTE_US (60 * US_PER_SECOND)

static void wait_until(struct desk *desk, int64_t id, int64_t due_us)
{
    struct journal_record record = move_of(id, DELIVERY_PENDING, DELIVERY_WAITING);
    record.due_us = due_us;
    cr_assert(desk_call(desk, &record.request) == OK);
}

Test(due, is_the_acceptance_of_what_is_pending_and_the_due_time_of_what_waits)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader;
    int64_t now_us = clock_wall_us(), long_ago_us = now_us - 60 * MINUTE_US;
    cr_assert(journal_reader_open(desk->directory, 1, &reader) == OK);
    /* 1: pending. 2: waits, and was due a minute ago. 3: waits, and is due in a minute. 4: nothing
     * is open. */
    for (uint64_t endpoint = 1; endpoint <= 4; endpoint++) {
        cr_assert(
            desk_append(desk, (struct draft){.accepted_us = long_ago_us}, endpoint, NULL) == OK);
        if (endpoint == 2 || endpoint == 3)
            wait_until(desk, desk_last_delivery(desk),
                endpoint == 2 ? now_us - MINUTE_US : now_us + MINUTE_US);
    }
    struct journal_record record =
        move_of(desk_last_delivery(desk), DELIVERY_PENDING, DELIVERY_DELIVERED);
    cr_assert(desk_call(desk, &record.request) == OK);
    struct journal_due_entry entries[4] = {
        {.endpoint = 1}, {.endpoint = 2}, {.endpoint = 3}, {.endpoint = 4}};
    struct journal_due due;
    cr_assert(desk_due(desk, reader, now_us, entries, 4, &due) == OK);
    cr_expect(due.ret_complete && due.ret_free_bytes > 0 && due.ret_journal_bytes > 0);
    cr_expect(entries[0].ret_due_us == long_ago_us && !entries[0].ret_waits);
    cr_expect(entries[1].ret_due_us == now_us - MINUTE_US, "however old the event is");
    cr_expect(entries[1].ret_waits);
    cr_expect(entries[2].ret_due_us == INT64_MAX);
    cr_expect(entries[3].ret_due_us == INT64_MAX);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(due, of_what_is_the_brokers_counts_as_well)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader;
    cr_assert(journal_reader_open(desk->directory, 1, &reader) == OK);
    int64_t accepted_us = clock_wall_us() - MINUTE_US;
    struct event *event = desk_event(desk, (struct draft){.accepted_us = accepted_us});
    struct journal_receive receive = {
        .request.kind = JOURNAL_RECEIVE, .event = event, .endpoints_count = 1, .endpoints = {7}};
    cr_assert(desk_call(desk, &receive.request) == OK);
    struct journal_due_entry entries[2] = {{.endpoint = 6}, {.endpoint = 7}};
    struct journal_due due;
    cr_assert(desk_due(desk, reader, clock_wall_us(), entries, 2, &due) == OK);
    cr_expect(entries[0].ret_due_us == INT64_MAX && entries[1].ret_due_us == accepted_us);
    event_unref(event);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(due, of_other_journals_is_known_when_one_cannot_be_read)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader;
    /* There is no file of shard 1. */
    cr_assert(journal_reader_open(desk->directory, 3, &reader) == OK);
    int64_t accepted_us = clock_wall_us() - MINUTE_US;
    cr_assert(desk_append(desk, (struct draft){.accepted_us = accepted_us}, 7, NULL) == OK);
    struct journal_due_entry entries[2] = {
        {.shard = 1, .endpoint = 7}, {.shard = 0, .endpoint = 7}};
    struct journal_due due;
    cr_assert(desk_due(desk, reader, clock_wall_us(), entries, 2, &due) == OK);
    cr_expect(!due.ret_complete && due.ret_unreadable == 2 && due.ret_unreadable_shard == 1);
    cr_expect(due.ret_unreadable_error != OK);
    cr_expect(!entries[0].ret_known && entries[1].ret_known);
    cr_expect(entries[1].ret_due_us == accepted_us);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(due, that_there_was_no_time_for_is_unknown_and_comes_first_in_the_next_answer)
{
    struct desk *desk = desk_new();
    struct timeline_source source = {0};
    cr_assert(desk_append(desk, (struct draft){0}, 2, NULL) == OK);
    cr_assert(timeline_source_open(&source, desk->directory, 0) == OK);
    struct journal_due_entry entries[3] = {{.endpoint = 1, .ret_due_us = INT64_MAX},
        {.endpoint = 2, .ret_due_us = INT64_MAX}, {.endpoint = 3, .ret_due_us = INT64_MAX}};
    struct journal_due due = {.now_us = INT64_MAX - 1, .count = 3, .entries = entries};
    unsigned first = 1;
    cr_assert(due_read(&source, &due, 0, 0, &first) == OK);
    cr_expect(first == 1 && !entries[0].ret_known && !entries[1].ret_known);
    cr_assert(due_read(&source, &due, 0, INT64_MAX, &first) == OK);
    cr_expect(entries[0].ret_known && entries[1].ret_known && entries[2].ret_known);
    cr_expect(entries[1].ret_due_us != INT64_MAX);
    timeline_source_close(&source);
    desk_free(desk);
}
