/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/history/reader_desk.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct journal_reader *open_reader(struct desk *desk, unsigned shards)
{
    struct journal_reader *reader;
    cr_assert(journal_reader_open(desk->directory, shards, &reader) == OK);
    return reader;
}

static void record(struct desk *desk, int64_t id, enum delivery_state from, enum delivery_state to,
    uint32_t generation, uint32_t number, int http_status, enum err error)
{
    struct journal_record order = move_of(id, from, to);
    order.generation = generation;
    order.failures = to == DELIVERY_WAITING ? 1 : 0;
    order.has_attempt = number > 0;
    order.attempt = attempt_of(number, http_status, error, http_status ? "body" : "");
    cr_assert(desk_call(desk, &order.request) == OK);
}

Test(reader, tells_the_timeline_of_an_event)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 1);
    struct event *event =
        desk_event(desk, (struct draft){.key = "k", .amount = "1.50", .currency = "EUR"});
    struct journal_append append;
    cr_assert(desk_call(desk, &append_init(&append, event, (uint64_t[]){7, 8}, 2)->request) == OK);
    cr_assert(desk_append(desk, (struct draft){.key = "another"}, 7, NULL) == OK);
    int64_t id = ACCOUNT_ENDPOINTS_MAX;
    record(desk, id, DELIVERY_PENDING, DELIVERY_WAITING, 0, 1, 0, ERR_CONNECT);
    record(desk, id, DELIVERY_WAITING, DELIVERY_DELIVERED, 0, 2, 200, OK);
    record(desk, id + 1, DELIVERY_PENDING, DELIVERY_DEAD, 0, 1, 404, OK);

    struct timeline *timeline;
    cr_assert(desk_find(desk, reader, &event->parts.id, &timeline) == OK);
    cr_assert(slice_equal(timeline->event->parts.body, event->parts.body));
    cr_assert(slice_equal(timeline->event->parts.amount, event->parts.amount));
    cr_assert(timeline->deliveries_count == 2 && timeline->attempts_count == 3);
    cr_assert(timeline->deliveries[0].delivery.state == DELIVERY_DELIVERED &&
              timeline->deliveries[0].changed_us > 0);
    cr_assert(
        timeline->deliveries[0].delivery.attempts == 2 && !timeline->deliveries[0].delivery.event);
    cr_assert(timeline->deliveries[1].delivery.state == DELIVERY_DEAD &&
              timeline->deliveries[1].delivery.endpoint == 8);
    static const struct {
        int delivery;
        uint32_t number;
        int http_status;
        enum err error;
    } expected[] = {{0, 1, 0, ERR_CONNECT}, {0, 2, 200, OK}, {1, 1, 404, OK}};
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        const struct timeline_attempt *found = &timeline->attempts[i];
        cr_assert(found->delivery == id + expected[i].delivery &&
                  found->attempt.number == expected[i].number);
        cr_assert(found->attempt.end.http_status == expected[i].http_status);
        cr_assert(
            found->attempt.end.error == expected[i].error && found->attempt.duration_us == 1234);
    }
    cr_assert(timeline->attempts[2].attempt.excerpt_len == 4 &&
              memcmp(timeline->attempts[2].attempt.excerpt, "body", 4) == 0);
    timeline_free(timeline);
    event_unref(event);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(reader, keeps_the_first_success_of_a_delivery_that_was_replayed)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 1);
    struct event_id event;
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, &event) == OK);
    int64_t id = desk_last_delivery(desk);
    record(desk, id, DELIVERY_PENDING, DELIVERY_DELIVERED, 0, 1, 200, OK);
    record(desk, id, DELIVERY_DELIVERED, DELIVERY_PENDING, 0, 0, 0, OK);
    struct journal_record late = move_of(id, DELIVERY_DELIVERED, DELIVERY_PENDING);
    cr_assert(desk_call(desk, &late.request) == ERR_MOVED_ON);
    record(desk, id, DELIVERY_PENDING, DELIVERY_DELIVERED, 1, 2, 201, OK);
    struct timeline *timeline;
    cr_assert(desk_find(desk, reader, &event, &timeline) == OK);
    cr_assert(timeline->attempts_count == 2);
    cr_assert(timeline->attempts[0].attempt.number == 1 &&
              timeline->attempts[0].attempt.end.http_status == 200);
    cr_assert(timeline->attempts[1].attempt.number == 2 &&
              timeline->attempts[1].attempt.end.http_status == 201);
    timeline_free(timeline);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(reader, does_not_find_an_event_that_was_never_accepted)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 1);
    struct timeline *timeline;
    cr_assert(desk_find(desk, reader, &(struct event_id){{1}}, &timeline) == ERR_NOT_FOUND);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(reader, returns_a_timeline_without_an_expired_body_but_none_with_a_damaged_one)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 1);
    struct event_id expired, damaged;
    struct timeline *timeline;
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, &expired) == OK);
    cr_assert(desk_append(desk, (struct draft){.key = "m"}, 7, &damaged) == OK);
    desk_sql(
        desk, "DELETE FROM bodies WHERE seq = 1; UPDATE bodies SET crc = crc + 1 WHERE seq = 2");
    cr_assert(desk_find(desk, reader, &damaged, &timeline) == ERR_DAMAGED);
    cr_assert(desk_find(desk, reader, &expired, &timeline) == OK);
    cr_assert(timeline->event->parts.body.len == 0 &&
              slice_equals_string(timeline->event->parts.key, "k"));
    timeline_free(timeline);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(reader, counts_open_deliveries_of_all_shards_and_finds_the_shard_of_an_id)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 2);
    struct backlog_counts counts = {0};
    struct timeline *timeline;
    cr_assert(
        desk_find(desk, reader, &(struct event_id){.bytes = {[7] = 1}}, &timeline) == ERR_DISK,
        "not there yet");

    struct journal *first = desk->journal;
    cr_assert(desk_try_open(desk, 1) == OK);
    struct event_id event;
    cr_assert(desk_append(desk, (struct draft){.key = "k", .partition = 5}, 7, &event) == OK);
    cr_assert(desk_append(desk, (struct draft){.key = "m", .partition = 5}, 0, NULL) == OK);
    struct journal *second = desk->journal;
    desk->journal = first;
    for (int i = 0; i < 3; i++)
        cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    record(desk, desk_last_delivery(desk), DELIVERY_PENDING, DELIVERY_WAITING, 0, 1, 500, OK);
    record(desk, desk_last_delivery(desk) - ACCOUNT_ENDPOINTS_MAX, DELIVERY_PENDING,
        DELIVERY_DELIVERED, 0, 1, 200, OK);

    cr_assert(desk_find(desk, reader, &event, &timeline) == OK);
    timeline_free(timeline);
    backlog_board_add_all(first->backlog, &counts);
    backlog_board_add_all(second->backlog, &counts);
    cr_assert(backlog_sum(&counts, BACKLOG_PENDING) == 2 &&
              backlog_sum(&counts, BACKLOG_WAITING) == 1 && backlog_parked(&counts) == 1);
    cr_assert(backlog_sum(&counts, BACKLOG_SENDING) == 0);
    struct journal_due_entry entries[] = {{.shard = 0, .endpoint = 7}, {.shard = 1, .endpoint = 7}};
    struct journal_due due;
    cr_assert(desk_due(desk, reader, INT64_MAX, entries, 2, &due) == OK && due.ret_complete);
    cr_expect(entries[0].ret_due_us != INT64_MAX && entries[1].ret_due_us != INT64_MAX,
        "each shard answers for its own");
    journal_stop(second);
    journal_reader_stop(reader);
    desk_free(desk);
}

/* An event that the broker delivers; it must be new, or a duplicate. */
static struct journal_receive receive(struct desk *desk, struct event *event, uint64_t endpoint)
{
    const struct event_parts *parts = &event->parts;
    struct journal_receive receive = {.request.kind = JOURNAL_RECEIVE,
        .event = event,
        .endpoints_count = 1,
        .endpoints = {endpoint}};
    dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &receive.dedupe_key);
    cr_assert(desk_call(desk, &receive.request) == OK);
    return receive;
}

Test(reader, tells_the_first_ones_timeline_by_the_id_of_a_late_duplicate)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 1);
    struct event *first = desk_event(desk, (struct draft){.key = "k"});
    struct event *second = desk_event(desk, (struct draft){.key = "k"});
    struct timeline *timeline;
    cr_assert(receive(desk, first, 7).ret_received == RECEIVED_BROKER_OWNED);
    cr_assert(desk_find(desk, reader, &second->parts.id, &timeline) == ERR_NOT_FOUND);
    cr_assert(receive(desk, second, 7).ret_received == RECEIVED_ALIAS);
    for (int i = 0; i < 2; i++) {
        cr_assert(
            desk_find(desk, reader, i ? &second->parts.id : &first->parts.id, &timeline) == OK);
        cr_expect(timeline->is_of_first == (i == 1) && timeline->deliveries_count == 1 &&
                  timeline->deliveries[0].broker_owned);
        cr_expect(
            memcmp(&timeline->event->parts.id, &first->parts.id, sizeof first->parts.id) == 0);
        timeline_free(timeline);
    }
    struct backlog_counts counts = {0};
    backlog_board_add_all(desk->journal->backlog, &counts);
    cr_assert(backlog_sum(&counts, BACKLOG_PENDING) == 1);
    desk_sql(desk, "DELETE FROM events");
    cr_assert(desk_find(desk, reader, &second->parts.id, &timeline) == ERR_NOT_FOUND,
        "the first one has expired");
    event_unref(first);
    event_unref(second);
    journal_reader_stop(reader);
    desk_free(desk);
}

Test(reader, that_is_open_does_not_keep_the_journal_from_stopping_and_starting)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader = open_reader(desk, 1);
    struct event_id first, second;
    struct timeline *timeline;
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, &first) == OK);
    cr_assert(desk_find(desk, reader, &first, &timeline) == OK);
    timeline_free(timeline);
    desk_reopen(desk);
    cr_assert(desk_append(desk, (struct draft){.key = "m"}, 7, &second) == OK);
    cr_assert(desk_find(desk, reader, &second, &timeline) == OK);
    timeline_free(timeline);
    journal_reader_stop(reader);
    desk_free(desk);
}
