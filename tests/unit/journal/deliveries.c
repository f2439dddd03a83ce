/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define ENDPOINT 7

static int64_t accept_one(struct desk *desk)
{
    cr_assert(desk_append(desk, (struct draft){0}, ENDPOINT, NULL) == OK);
    return desk_last_delivery(desk);
}

static enum err move(
    struct desk *desk, int64_t delivery, enum delivery_state from, enum delivery_state to)
{
    struct journal_record order = move_of(delivery, from, to);
    return desk_call(desk, &order.request);
}

static enum err park(
    struct desk *desk, int64_t delivery, enum delivery_state from, enum park_reason reason)
{
    struct journal_record order = move_of(delivery, from, DELIVERY_PARKED);
    order.reason = reason;
    return desk_call(desk, &order.request);
}

static enum err wait_until(
    struct desk *desk, int64_t delivery, enum delivery_state from, int64_t due_us)
{
    struct journal_record order = move_of(delivery, from, DELIVERY_WAITING);
    order.due_us = due_us;
    order.wait_us = 400;
    order.failures = 1;
    order.lane = LANE_RETRY;
    return desk_call(desk, &order.request);
}

/* Loads, compares the ids, and frees what was loaded. */
static void expect_loaded(
    struct desk *desk, struct loaded *loaded, const int64_t *ids, unsigned count, bool more)
{
    cr_assert(desk_load(desk, loaded) == OK);
    cr_assert(loaded->load.ret_count == count, "%u instead of %u", loaded->load.ret_count, count);
    for (unsigned i = 0; i < count; i++)
        cr_assert(loaded->deliveries[i].id == ids[i], "at %u", i);
    cr_assert(loaded->load.ret_more == more);
    loaded_done(loaded);
}

Test(record, an_unguarded_delivery_is_recorded_from_pending_and_only_once)
{
    static const enum delivery_state ends[] = {
        DELIVERY_DELIVERED, DELIVERY_WAITING, DELIVERY_DEAD, DELIVERY_PARKED};
    for (size_t i = 0; i < ARRAY_LENGTH(ends); i++) {
        struct desk *desk = desk_new();
        int64_t id = accept_one(desk);
        cr_assert(move(desk, id, DELIVERY_PENDING, ends[i]) == OK);
        cr_assert(move(desk, id, DELIVERY_PENDING, ends[i]) == ERR_MOVED_ON);
        struct loaded loaded;
        loaded_init(&loaded, ENDPOINT);
        expect_loaded(desk, &loaded, (int64_t[]){id}, ends[i] == DELIVERY_WAITING, false);
        cr_assert(move(desk, 99999, DELIVERY_PENDING, ends[i]) == ERR_MOVED_ON,
            "there is no such delivery");
        desk_free(desk);
    }
}

Test(record, a_failed_attempt_is_recorded_with_its_excerpt_and_the_step_of_the_schedule)
{
    struct desk *desk = desk_new();
    int64_t id = accept_one(desk), due_us = clock_wall_us() + 5 * US_PER_SECOND;
    struct journal_record order = move_of(id, DELIVERY_PENDING, DELIVERY_WAITING);
    order.lane = LANE_RETRY;
    order.failures = 1;
    order.due_us = due_us;
    order.has_attempt = true;
    order.attempt = attempt_of(1, 503, OK, "sorry");
    cr_assert(desk_call(desk, &order.request) == OK);
    desk_reopen(desk);
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    cr_assert(desk_load(desk, &loaded) == OK && loaded.load.ret_count == 1);
    const struct delivery *delivery = &loaded.deliveries[0];
    cr_assert(delivery->state == DELIVERY_WAITING && delivery->lane == LANE_RETRY &&
              delivery->due_us == due_us);
    cr_assert(delivery->attempts == 1 && delivery->failures == 1 && delivery->generation == 0);
    cr_assert(
        desk_sql_int(desk, "SELECT count(*) FROM attempts WHERE number = 1 AND http_status = 503"
                           " AND error = 'ok' AND excerpt = CAST('sorry' AS BLOB)") == 1);
    loaded_done(&loaded);
    desk_free(desk);
}

Test(record, a_success_at_the_first_try_costs_no_row_of_its_own)
{
    struct desk *desk = desk_new();
    struct journal_record order = move_of(accept_one(desk), DELIVERY_PENDING, DELIVERY_DELIVERED);
    order.has_attempt = true;
    order.attempt = attempt_of(1, 204, OK, "");
    cr_assert(desk_call(desk, &order.request) == OK);
    cr_assert(desk_sql_int(desk, "SELECT count(*) FROM attempts") == 0);
    cr_assert(desk_sql_int(desk,
                  "SELECT count(*) FROM deliveries WHERE state = 4 AND attempts = 1"
                  " AND http_status = 204 AND duration_us = 1234 AND changed_us > 0") == 1);
    desk_free(desk);
}

Test(record, a_replay_begins_a_new_round_and_an_answer_of_the_old_one_has_moved_on)
{
    struct desk *desk = desk_new();
    int64_t id = accept_one(desk);
    cr_assert(move(desk, id, DELIVERY_PENDING, DELIVERY_DEAD) == OK);
    struct journal_record replay = move_of(id, DELIVERY_DEAD, DELIVERY_PENDING);
    replay.lane = LANE_REPLAY;
    cr_assert(desk_call(desk, &replay.request) == OK);
    cr_assert(move(desk, id, DELIVERY_PENDING, DELIVERY_DELIVERED) == ERR_MOVED_ON);
    struct journal_record order = move_of(id, DELIVERY_PENDING, DELIVERY_DELIVERED);
    order.generation = 1;
    cr_assert(desk_call(desk, &order.request) == OK);
    desk_free(desk);
}

Test(record, a_guarded_delivery_that_was_being_sent_is_parked_as_ambiguous_at_the_next_start)
{
    struct desk *desk = desk_new();
    cr_assert(
        desk_append(desk, (struct draft){.type = "payout", .key = "k"}, ENDPOINT, NULL) == OK);
    int64_t id = desk_last_delivery(desk), finished = accept_one(desk);
    cr_assert(move(desk, id, DELIVERY_PENDING, DELIVERY_SENDING) == OK);
    cr_assert(move(desk, finished, DELIVERY_PENDING, DELIVERY_SENDING) == OK);
    cr_assert(move(desk, finished, DELIVERY_SENDING, DELIVERY_DELIVERED) == OK);
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    expect_loaded(desk, &loaded, NULL, 0, false);
    desk_reopen(desk);
    expect_loaded(desk, &loaded, NULL, 0, false);
    cr_assert(
        desk_sql_int(desk,
            "SELECT count(*) FROM deliveries WHERE state = 3 AND reason = 4 AND changed_us > 0") ==
        1);
    cr_assert(move(desk, id, DELIVERY_SENDING, DELIVERY_DELIVERED) == ERR_MOVED_ON);
    cr_assert(move(desk, id, DELIVERY_PARKED, DELIVERY_DELIVERED) == OK);
    desk_free(desk);
}

Test(record, a_start_keeps_lane_and_failures)
{
    struct desk *desk = desk_new();
    int64_t id = accept_one(desk);
    cr_assert(wait_until(desk, id, DELIVERY_PENDING, 1) == OK);
    cr_assert(move(desk, id, DELIVERY_WAITING, DELIVERY_SENDING) == OK);
    cr_assert(
        desk_sql_int(desk,
            "SELECT count(*) FROM deliveries WHERE state = 1 AND lane = 1 AND failures = 1") == 1);
    desk_free(desk);
}

Test(load, pending_ones_come_by_id_and_waiting_ones_by_due_time)
{
    struct desk *desk = desk_new();
    int64_t ids[6];
    for (int i = 0; i < 6; i++)
        ids[i] = accept_one(desk);
    cr_assert(desk_append(desk, (struct draft){0}, ENDPOINT + 1, NULL) == OK);
    cr_assert(wait_until(desk, ids[0], DELIVERY_PENDING, 3000) == OK);
    cr_assert(wait_until(desk, ids[2], DELIVERY_PENDING, 1000) == OK);
    cr_assert(wait_until(desk, ids[4], DELIVERY_PENDING, 2000) == OK);

    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    expect_loaded(
        desk, &loaded, (int64_t[]){ids[1], ids[3], ids[5], ids[2], ids[4], ids[0]}, 6, false);
    loaded.load.after_pending_id = ids[3];
    loaded.load.due_by_us = 2000;
    expect_loaded(desk, &loaded, (int64_t[]){ids[5], ids[2], ids[4]}, 3, false);
    desk_free(desk);
}

Test(load, says_why_each_one_waits_after_a_restart_as_well)
{
    static const enum wait_cause causes[] = {WAIT_NONE, WAIT_ENDPOINT, WAIT_EVENT, WAIT_OURSELVES};
    struct desk *desk = desk_new();
    for (size_t i = 0; i < ARRAY_LENGTH(causes); i++) {
        struct journal_record order = move_of(accept_one(desk), DELIVERY_PENDING, DELIVERY_WAITING);
        order.due_us = 1000 + (int64_t)i;
        order.wait_cause = causes[i];
        cr_assert(desk_call(desk, &order.request) == OK);
    }
    desk_reopen(desk);
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    cr_assert(desk_load(desk, &loaded) == OK && loaded.load.ret_count == ARRAY_LENGTH(causes));
    for (size_t i = 0; i < ARRAY_LENGTH(causes); i++)
        cr_expect_eq(loaded.deliveries[i].wait_cause, causes[i]);
    loaded_done(&loaded);
    desk_free(desk);
}

Test(load, waiting_ones_continue_behind_the_cursor_and_the_next_due_time_is_returned)
{
    static const int64_t due_us[] = {1000, 2000, 2000, 3000, 4000};
    static const struct {
        int64_t due_by_us, after_due_us;
        int after; /* which one's id; -1: none */
        unsigned from, count;
        int64_t next_due_us;
    } cases[] = {
        {INT64_MAX, 0, -1, 0, 5, INT64_MAX},
        {2500, 0, -1, 0, 3, 3000},
        {2500, 2000, 1, 2, 1, 3000},
        {2500, 2000, 2, 3, 0, 3000},
        {3000, 2000, 2, 3, 1, 4000},
        {INT64_MIN, 0, -1, 0, 0, 1000},
        {INT64_MIN, 2000, 1, 0, 0, 2000},
        {INT64_MIN, 3000, 3, 0, 0, 4000},
        {INT64_MIN, 4000, 4, 0, 0, INT64_MAX},
    };
    struct desk *desk = desk_new();
    int64_t ids[ARRAY_LENGTH(due_us)];
    for (size_t i = 0; i < ARRAY_LENGTH(due_us); i++) {
        ids[i] = accept_one(desk);
        cr_assert(wait_until(desk, ids[i], DELIVERY_PENDING, due_us[i]) == OK);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded;
        loaded_init(&loaded, ENDPOINT);
        loaded.load.due_by_us = cases[i].due_by_us;
        loaded.load.after_waiting_due_us = cases[i].after_due_us;
        loaded.load.after_waiting_id = cases[i].after < 0 ? 0 : ids[cases[i].after];
        expect_loaded(desk, &loaded, ids + cases[i].from, cases[i].count, false);
        cr_assert(loaded.load.ret_next_due_us == cases[i].next_due_us, "case %zu", i);
    }
    desk_free(desk);
}

Test(load, the_answer_says_whether_something_due_was_left)
{
    struct desk *desk = desk_new();
    int64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = accept_one(desk);
    cr_assert(wait_until(desk, ids[3], DELIVERY_PENDING, 1000) == OK);
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    const int64_t expected[] = {ids[0], ids[1], ids[2], ids[3]};
    for (unsigned count = 0; count <= 5; count++) {
        loaded.load.count_max = count;
        expect_loaded(desk, &loaded, expected, count < 4 ? count : 4, count < 4);
    }
    loaded.load.count_max = 3;
    loaded.load.due_by_us = 999;
    expect_loaded(desk, &loaded, expected, 3, false);
    desk_free(desk);
}

Test(load, bodies_are_bounded_by_bytes_and_by_budget)
{
    struct desk *desk = desk_new();
    static const char body[1000] = {'{'};
    for (int i = 0; i < 5; i++)
        cr_assert(desk_append(desk, (struct draft){.body = slice_of(body, sizeof body)}, ENDPOINT,
                      NULL) == OK);
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    loaded.load.bytes_max = 2999;
    cr_assert(desk_load(desk, &loaded) == OK);
    cr_assert(loaded.load.ret_count == 2 && loaded.load.ret_more);
    loaded_done(&loaded);

    loaded.load.bytes_max = INT64_MAX;
    int64_t held = desk->budget.taken_bytes;
    desk->budget.bytes_max = 2 * (held + 3 * (held / 5));
    loaded.load.budget_share_percent = 50;
    cr_assert(desk_load(desk, &loaded) == OK);
    cr_assert(loaded.load.ret_count >= 2 && loaded.load.ret_count <= 3 && loaded.load.ret_more);
    cr_assert(desk->budget.taken_bytes > held);
    loaded_done(&loaded);
    cr_assert(desk->budget.taken_bytes == held);
    desk_free(desk);
}

Test(load, events_come_back_byte_for_byte_after_a_restart)
{
    struct desk *desk = desk_new();
    static char body[EVENT_BYTES_MAX];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)(i * 31 + i / 256);
    const struct event_parts parts = {
        .id = {{1, 2, 3}},
        .accepted_us = clock_wall_us(),
        .has_occurred_at = true,
        .occurred_us = -5,
        .class = CLASS_CRITICAL,
        .guarded = true,
        .partner = SLICE_LITERAL("p"),
        .account = SLICE_LITERAL("a"),
        .type = SLICE_LITERAL("payout"),
        .key = SLICE_LITERAL("k with 'quotes'"),
        .amount = SLICE_LITERAL("-0012.50"),
        .currency = SLICE_LITERAL("EUR"),
        .traceparent = SLICE_LITERAL("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        .body = {body, sizeof body},
    };
    struct event *event;
    cr_assert(event_new(&parts, NULL, 100, &event) == OK);
    struct journal_append append;
    cr_assert(
        desk_call(desk, &append_init(&append, event, (uint64_t[]){ENDPOINT}, 1)->request) == OK);
    event_unref(event);
    desk_reopen(desk);

    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    cr_assert(desk_load(desk, &loaded) == OK && loaded.load.ret_count == 1);
    const struct event *found = loaded.deliveries[0].event;
    cr_assert(memcmp(&found->parts.id, &parts.id, sizeof parts.id) == 0);
    cr_assert(found->parts.accepted_us == parts.accepted_us && found->parts.has_occurred_at);
    cr_assert(found->parts.occurred_us == -5 && found->parts.class == CLASS_CRITICAL &&
              found->parts.guarded);
    cr_assert(slice_equal(found->parts.partner, parts.partner) &&
              slice_equal(found->parts.account, parts.account));
    cr_assert(
        slice_equal(found->parts.type, parts.type) && slice_equal(found->parts.key, parts.key));
    cr_assert(slice_equal(found->parts.amount, parts.amount) &&
              slice_equal(found->parts.currency, parts.currency));
    cr_assert(slice_equal(found->parts.traceparent, parts.traceparent) &&
              slice_equal(found->parts.body, parts.body));
    cr_assert(loaded.deliveries[0].due_us == parts.accepted_us);
    loaded_done(&loaded);
    desk_free(desk);
}

Test(load, damage_parks_its_delivery_and_the_rest_is_served)
{
    static const char *const damages[] = {
        "UPDATE bodies SET body = CAST('x' AS BLOB) WHERE seq = 2",
        "DELETE FROM bodies WHERE seq = 2",
        "UPDATE events SET amount = '1000000' WHERE seq = 2",
        "UPDATE events SET guarded = 1 - guarded WHERE seq = 2",
        "UPDATE events SET id = x'00' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 2",
        "UPDATE deliveries SET lane = 77 WHERE id = 32",
        "UPDATE bodies SET body = (SELECT body FROM bodies WHERE seq = 1), crc = (SELECT crc FROM "
        "bodies WHERE seq = 1)"
        " WHERE seq = 2",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        struct desk *desk = desk_new();
        int64_t ids[3];
        for (int j = 0; j < 3; j++)
            ids[j] = accept_one(desk);
        desk_sql(desk, damages[i]);
        struct loaded loaded;
        loaded_init(&loaded, ENDPOINT);
        int64_t held = desk->budget.taken_bytes;
        expect_loaded(desk, &loaded, (int64_t[]){ids[0], ids[2]}, 2, false);
        cr_assert(desk->budget.taken_bytes == held, "damage %zu", i);
        cr_assert(
            desk_sql_int(desk,
                "SELECT count(*) FROM deliveries WHERE id = 32 AND state = 3 AND reason = 6") == 1,
            "damage %zu", i);
        desk_free(desk);
    }
}

static const struct journal_backlog *backlog_of(
    const struct journal_backlog_scan *scan, uint64_t endpoint)
{
    for (size_t i = 0; i < scan->ret_count; i++)
        if (scan->ret_backlogs[i].endpoint == endpoint)
            return &scan->ret_backlogs[i];
    cr_assert(false, "the backlog scan does not have the endpoint");
    return NULL;
}

Test(scan, a_restart_finds_everything_that_is_open)
{
    struct desk *desk = desk_new();
    int64_t ids[8];
    for (int i = 0; i < 8; i++)
        ids[i] = accept_one(desk);
    cr_assert(wait_until(desk, ids[1], DELIVERY_PENDING, 5000) == OK);
    cr_assert(wait_until(desk, ids[2], DELIVERY_PENDING, 4000) == OK);
    cr_assert(park(desk, ids[3], DELIVERY_PENDING, PARK_DISABLED) == OK);
    cr_assert(park(desk, ids[4], DELIVERY_PENDING, PARK_GONE) == OK);
    cr_assert(park(desk, ids[5], DELIVERY_PENDING, PARK_AMBIGUOUS) == OK);
    cr_assert(move(desk, ids[6], DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    cr_assert(desk_append(desk, (struct draft){0}, ENDPOINT + 1, NULL) == OK);
    cr_assert(desk_append(desk, (struct draft){0}, ENDPOINT + 2, NULL) == OK);
    cr_assert(move(desk, desk_last_delivery(desk), DELIVERY_PENDING, DELIVERY_DEAD) == OK);
    cr_assert(desk_append(desk, (struct draft){0}, 0, NULL) == OK);
    desk_reopen(desk);

    struct journal_backlog_scan scan = {.request.kind = JOURNAL_SCAN_BACKLOG, .now_us = INT64_MAX};
    cr_assert(desk_call(desk, &scan.request) == OK);
    cr_assert(scan.ret_count == 3 && backlog_of(&scan, 0)->unrouted == 1);
    const struct journal_backlog *first = backlog_of(&scan, ENDPOINT),
                                 *second = backlog_of(&scan, ENDPOINT + 1);
    cr_assert(first->pending == 2 && first->waiting == 2 && first->parked_releasable == 2);
    cr_assert(first->waiting_due_us == 4000);
    cr_assert(second->pending == 1 && second->waiting == 0 && second->parked_releasable == 0);
    cr_assert(second->waiting_due_us == INT64_MAX);
    free(scan.ret_backlogs);
    desk_free(desk);
}

Test(scan, a_wait_that_began_under_a_clock_that_was_ahead_begins_again_now)
{
    struct desk *desk = desk_new();
    int64_t early = accept_one(desk), running = accept_one(desk), late = accept_one(desk);
    cr_assert(wait_until(desk, early, DELIVERY_PENDING, 1000) == OK);
    cr_assert(wait_until(desk, running, DELIVERY_PENDING, 2300) == OK); /* since 1900 */
    cr_assert(wait_until(desk, late, DELIVERY_PENDING, 900000) == OK);
    struct journal_backlog_scan scan = {.request.kind = JOURNAL_SCAN_BACKLOG, .now_us = 2000};
    cr_assert(desk_call(desk, &scan.request) == OK && scan.ret_count == 1);
    cr_assert(scan.ret_backlogs[0].waiting == 3 && scan.ret_backlogs[0].waiting_due_us == 1000);
    free(scan.ret_backlogs);
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    loaded.load.due_by_us = 2399;
    cr_assert(desk_load(desk, &loaded) == OK && loaded.load.ret_count == 2);
    cr_assert(loaded.deliveries[0].id == early && loaded.deliveries[1].id == running);
    cr_assert(loaded.load.ret_next_due_us == 2400, "%lld", (long long)loaded.load.ret_next_due_us);
    loaded_done(&loaded);
    desk_free(desk);
}

Test(scan, nothing_open_is_an_empty_answer)
{
    struct desk *desk = desk_new();
    struct journal_backlog_scan scan = {
        .request.kind = JOURNAL_SCAN_BACKLOG, .now_us = INT64_MAX, .ret_count = 99};
    cr_assert(desk_call(desk, &scan.request) == OK);
    cr_assert(scan.ret_count == 0 && !scan.ret_backlogs);
    desk_free(desk);
}

Test(release, parked_ones_of_one_cause_become_pending_in_steps)
{
    struct desk *desk = desk_new();
    int64_t ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = accept_one(desk);
        cr_assert(
            park(desk, ids[i], DELIVERY_PENDING, i < 4 ? PARK_DISABLED : PARK_AMBIGUOUS) == OK);
    }
    struct journal_release release = {.request.kind = JOURNAL_RELEASE,
        .endpoint = ENDPOINT,
        .reason = PARK_DISABLED,
        .count_max = 3};
    struct loaded loaded;
    loaded_init(&loaded, ENDPOINT);
    cr_assert(desk_call(desk, &release.request) == OK && release.ret_count == 3);
    expect_loaded(desk, &loaded, ids, 3, false);
    cr_assert(desk_call(desk, &release.request) == OK && release.ret_count == 1);
    expect_loaded(desk, &loaded, ids, 4, false);
    cr_assert(desk_call(desk, &release.request) == OK && release.ret_count == 0);
    release.endpoint = ENDPOINT + 1;
    cr_assert(desk_call(desk, &release.request) == OK && release.ret_count == 0);
    desk_free(desk);
}
