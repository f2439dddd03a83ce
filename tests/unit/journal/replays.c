/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/replays.h"

#include "journal/replay_rows.h"
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define MANY 300

static struct journal_replay_create create_of(unsigned number)
{
    struct journal_replay_create create = {.request.kind = JOURNAL_REPLAY_CREATE,
        .order = {.action = REPLAY_ACTION_RETRY,
            .filter.states = 1u << DELIVERY_DEAD,
            .rate = 100,
            .share_ppm = REPLAY_SHARE_ALL,
            .total = -1,
            .reason = "the client was down"}};
    create.order.id.bytes[0] = (unsigned char)(number >> 8);
    create.order.id.bytes[1] = (unsigned char)number;
    return create;
}

static struct event_id create(struct shelf *shelf, unsigned number)
{
    struct journal_replay_create create = create_of(number);
    cr_assert_eq(shelf_call(shelf, store_replay_create, &create.request), OK);
    return create.order.id;
}

static enum err change(struct shelf *shelf, struct event_id id, enum replay_state state)
{
    struct journal_replay_change change = {.id = id, .has_state = true, .state = state};
    return shelf_call(shelf, store_replay_change, &change.request);
}

static struct replay read_replay(struct shelf *shelf, struct event_id id)
{
    struct replay replay;
    struct journal_replay_list list = {
        .has_id = true, .id = id, .count_max = 1, .ret_replays = &replay};
    cr_assert_eq(shelf_call(shelf, store_replay_list, &list.request), OK);
    cr_assert_eq(list.ret_count, 1);
    return replay;
}

static struct journal_replay_find find(struct shelf *shelf, struct event_id id, bool from_start)
{
    struct journal_replay_find find = {
        .id = id, .from_start = from_start, .count_max = REPLAY_WINDOW};
    cr_assert_eq(shelf_call(shelf, store_replay_find, &find.request), OK);
    return find;
}

static void begin_look(struct shelf *shelf, struct event_id id, struct replay_cursor cursor,
    unsigned count_max, struct journal_replay_look *ret_look)
{
    *ret_look = (struct journal_replay_look){
        .id = id, .replay = read_replay(shelf, id), .cursor = cursor, .count_max = count_max};
}

static void look(struct shelf *shelf, struct event_id id, struct replay_cursor cursor,
    unsigned count_max, struct journal_replay_look *ret_look)
{
    begin_look(shelf, id, cursor, count_max, ret_look);
    cr_assert_eq(shelf_call(shelf, store_replay_look, &ret_look->request), OK);
}

static struct journal_replay_move move_of(const struct journal_replay_look *look)
{
    struct journal_replay_move move = {.id = look->id,
        .cursor = look->ret_cursor,
        .over = look->ret_over,
        .count = look->ret_count};
    memcpy(move.items, look->ret_items, look->ret_count * sizeof move.items[0]);
    return move;
}

/* Looks and moves until the endpoint has no more. */
static void run(struct shelf *shelf, struct event_id id, struct replay_cursor cursor)
{
    static struct journal_replay_look looked;
    for (bool over = false; !over;) {
        look(shelf, id, cursor, REPLAY_STEP_MAX, &looked);
        struct journal_replay_move move = move_of(&looked);
        cr_assert_eq(shelf_call(shelf, store_replay_move, &move.request), OK);
        cursor = looked.ret_cursor;
        over = looked.ret_over;
    }
}

static int64_t append_dead(struct shelf *shelf)
{
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    cr_assert_eq(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DEAD), OK);
    return seq;
}

static int64_t count_moved(struct shelf *shelf)
{
    return shelf_sql_int(shelf, "SELECT count(*) FROM deliveries WHERE state = 0 AND lane = 2");
}

Test(replays, a_second_order_with_the_same_id_changes_nothing)
{
    struct shelf *shelf = shelf_new();
    struct event_id id = create(shelf, 1);
    cr_assert_eq(change(shelf, id, REPLAY_PAUSED), OK);
    struct journal_replay_create again = create_of(1);
    again.order.rate = 7;
    cr_expect_eq(shelf_call(shelf, store_replay_create, &again.request), OK);
    cr_expect_eq(again.ret_replay.state, REPLAY_PAUSED);
    cr_expect_eq(again.ret_replay.order.rate, 100);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM replays"), 1);
    shelf_free(shelf);
}

Test(replays, an_order_is_read_as_it_was_written_also_after_a_crash)
{
    struct shelf *shelf = shelf_new();
    struct journal_replay_create create = create_of(1);
    struct replay_order *order = &create.order;
    order->action = REPLAY_ACTION_DISCARD;
    order->force = order->guarded = true;
    order->total = 12345;
    order->share_ppm = 250000;
    order->filter.since_us = 1000000;
    snprintf(order->filter.account, sizeof order->filter.account, "acme");
    cr_assert_eq(shelf_call(shelf, store_replay_create, &create.request), OK);
    shelf_crash(shelf);
    struct replay replay = read_replay(shelf, order->id);
    cr_expect_eq(memcmp(&replay.order.filter, &order->filter, sizeof order->filter), 0);
    cr_expect_eq(replay.order.action, REPLAY_ACTION_DISCARD);
    cr_expect(replay.order.force && replay.order.guarded);
    cr_expect(replay.order.total == 12345 && replay.order.share_ppm == 250000);
    cr_expect_str_eq(replay.order.reason, "the client was down");
    cr_expect_eq(replay.state, REPLAY_RUNNING);
    shelf_free(shelf);
}

Test(replays, only_so_many_may_be_open)
{
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < REPLAYS_OPEN_MAX; i++)
        create(shelf, i);
    struct journal_replay_create more = create_of(REPLAYS_OPEN_MAX);
    cr_expect_eq(shelf_call(shelf, store_replay_create, &more.request), ERR_OVERLOADED);
    cr_assert_eq(change(shelf, create_of(0).order.id, REPLAY_CANCELLED), OK);
    more = create_of(REPLAYS_OPEN_MAX);
    cr_expect_eq(shelf_call(shelf, store_replay_create, &more.request), OK);
    shelf_free(shelf);
}

Test(replays, old_ones_that_have_ended_are_dropped_and_open_ones_are_kept)
{
    struct shelf *shelf = shelf_new();
    struct event_id open = create(shelf, 0);
    for (unsigned i = 1; i <= REPLAYS_KEPT_MAX + 20; i++)
        cr_assert_eq(change(shelf, create(shelf, i), REPLAY_CANCELLED), OK);
    cr_expect_leq(shelf_sql_int(shelf, "SELECT count(*) FROM replays"), REPLAYS_KEPT_MAX + 1);
    cr_expect_geq(shelf_sql_int(shelf, "SELECT count(*) FROM replays"), REPLAYS_KEPT_MAX);
    cr_expect_eq(read_replay(shelf, open).state, REPLAY_RUNNING);
    shelf_free(shelf);
}

Test(replays, the_rate_of_one_that_has_ended_is_not_changed)
{
    struct shelf *shelf = shelf_new();
    struct event_id id = create(shelf, 1);
    struct journal_replay_change faster = {.id = id, .has_rate = true, .rate = 77};
    cr_assert_eq(shelf_call(shelf, store_replay_change, &faster.request), OK);
    cr_assert_eq(change(shelf, id, REPLAY_CANCELLED), OK);
    faster = (struct journal_replay_change){.id = id, .has_rate = true, .rate = 78};
    cr_expect_eq(shelf_call(shelf, store_replay_change, &faster.request), ERR_MOVED_ON);
    cr_expect_eq(read_replay(shelf, id).order.rate, 77);
    shelf_free(shelf);
}

Test(replays, a_look_is_bounded_and_continues_behind_its_cursor)
{
    static struct journal_replay_look looked;
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < 5; i++)
        append_dead(shelf);
    struct event_id id = create(shelf, 1);
    struct journal_replay_find found = find(shelf, id, true);
    cr_assert_eq(found.ret_count, 1);
    cr_expect(found.ret_all);
    look(shelf, id, found.ret_cursors[0], 3, &looked);
    cr_expect_eq(looked.ret_count, 3);
    cr_expect_not(looked.ret_over);
    int64_t last = looked.ret_items[2].delivery;
    look(shelf, id, looked.ret_cursor, 3, &looked);
    cr_expect_eq(looked.ret_count, 2);
    cr_expect_gt(looked.ret_items[0].delivery, last);
    cr_expect_eq(count_moved(shelf), 0, "a look moves nothing");
    shelf_free(shelf);
}

Test(replays, a_look_that_is_made_twice_finds_the_same)
{
    static struct journal_replay_look looked;
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < 5; i++)
        append_dead(shelf);
    struct event_id id = create(shelf, 1);
    begin_look(shelf, id, find(shelf, id, true).ret_cursors[0], 3, &looked);
    shelf_begin(shelf);
    cr_assert_eq(store_replay_look(&shelf->store, &looked.request), OK);
    int64_t first = looked.ret_items[0].delivery;
    store_undo_replay_look(&looked.request); /* the transaction is rolled back, and made again */
    cr_expect_eq(looked.ret_count, 0);
    cr_assert_eq(store_replay_look(&shelf->store, &looked.request), OK);
    shelf_commit(shelf);
    cr_expect_eq(looked.ret_count, 3);
    cr_expect_eq(looked.ret_items[0].delivery, first);
    shelf_free(shelf);
}

Test(replays, a_restart_continues_from_the_cursor)
{
    static struct journal_replay_look looked;
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < 6; i++)
        append_dead(shelf);
    struct event_id id = create(shelf, 1);
    look(shelf, id, find(shelf, id, true).ret_cursors[0], 4, &looked);
    struct journal_replay_move move = move_of(&looked);
    cr_assert_eq(shelf_call(shelf, store_replay_move, &move.request), OK);
    cr_expect_eq(move.ret_progress.moved, 4);
    shelf_crash(shelf);
    struct journal_replay_find found = find(shelf, id, true);
    cr_assert_eq(found.ret_count, 1);
    run(shelf, id, found.ret_cursors[0]);
    cr_expect_eq(read_replay(shelf, id).progress.moved, 6);
    cr_expect_eq(count_moved(shelf), 6);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(DISTINCT delivery) FROM operator_actions"), 6);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM operator_actions"), 6);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM replay_cursors"), 0);
    shelf_free(shelf);
}

Test(replays, what_has_changed_since_the_look_is_counted_and_left)
{
    static struct journal_replay_look looked;
    struct shelf *shelf = shelf_new();
    append_dead(shelf);
    int64_t other = append_dead(shelf);
    struct event_id id = create(shelf, 1);
    look(shelf, id, find(shelf, id, true).ret_cursors[0], 4, &looked);
    struct journal_operator_action discard = {.request.kind = JOURNAL_OPERATOR_ACTION,
        .event = shelf_id_of(shelf, other),
        .from = DELIVERY_DEAD,
        .to = DELIVERY_DISCARDED,
        .expected_endpoint = 1};
    cr_assert_eq(shelf_call(shelf, store_action, &discard.request), OK);
    struct journal_replay_move move = move_of(&looked);
    cr_assert_eq(shelf_call(shelf, store_replay_move, &move.request), OK);
    cr_expect_eq(move.ret_progress.moved, 1);
    cr_expect_eq(move.ret_progress.refused[REPLAY_MOVED_ON], 1);
    cr_expect_not(move.items[1].ret_moved);
    shelf_free(shelf);
}

/* Looks as if the replay had been created at the end of all time: no time says what has changed
 * since. So it is when the clock was set back. */
static unsigned look_without_clock(
    struct shelf *shelf, struct event_id id, struct replay_cursor cursor)
{
    static struct journal_replay_look looked;
    begin_look(shelf, id, cursor, REPLAY_STEP_MAX, &looked);
    looked.replay.created_us = INT64_MAX;
    cr_assert_eq(shelf_call(shelf, store_replay_look, &looked.request), OK);
    return looked.ret_count;
}

Test(replays, events_that_come_later_are_not_touched_whatever_the_clock_says)
{
    struct shelf *shelf = shelf_new();
    append_dead(shelf);
    struct event_id id = create(shelf, 1);
    append_dead(shelf);
    struct replay_cursor cursor = find(shelf, id, true).ret_cursors[0];
    cr_expect_eq(look_without_clock(shelf, id, cursor), 1);
    run(shelf, id, cursor);
    cr_expect_eq(count_moved(shelf), 1);
    shelf_free(shelf);
}

Test(replays, nothing_is_moved_twice_whatever_the_clock_says)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = append_dead(shelf);
    struct event_id id = create(shelf, 1), other = create(shelf, 2);
    struct replay_cursor cursor = find(shelf, id, true).ret_cursors[0];
    cr_expect_eq(look_without_clock(shelf, id, cursor), 1);
    run(shelf, id, cursor);
    cr_assert_eq(count_moved(shelf), 1);
    struct journal_record dies = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, 0),
        .generation = 1,
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DEAD};
    cr_assert_eq(shelf_call(shelf, store_record_outcome, &dies.request), OK);
    cr_expect_eq(look_without_clock(shelf, id, cursor), 0);
    cr_expect_eq(look_without_clock(shelf, other, cursor), 1, "another replay may move it");
    shelf_free(shelf);
}

Test(replays, a_paused_one_moves_nothing)
{
    static struct journal_replay_look looked;
    static const enum replay_state states[] = {REPLAY_PAUSED, REPLAY_CANCELLED};
    for (unsigned i = 0; i < 2; i++) {
        struct shelf *shelf = shelf_new();
        append_dead(shelf);
        struct event_id id = create(shelf, 1);
        look(shelf, id, find(shelf, id, true).ret_cursors[0], 4, &looked);
        cr_assert_eq(change(shelf, id, states[i]), OK);
        struct journal_replay_move move = move_of(&looked);
        cr_expect_eq(shelf_call(shelf, store_replay_move, &move.request), ERR_MOVED_ON);
        cr_expect_eq(count_moved(shelf), 0);
        cr_expect_eq(
            change(shelf, id, REPLAY_RUNNING), states[i] == REPLAY_PAUSED ? OK : ERR_MOVED_ON);
        shelf_free(shelf);
    }
}

Test(replays, a_damaged_row_is_an_error_and_is_left_out_of_lists)
{
    static struct replay replays[4];
    struct shelf *shelf = shelf_new();
    struct event_id id = create(shelf, 1);
    create(shelf, 2);
    shelf_sql(shelf, "UPDATE replays SET rate = rate + 1 WHERE id = (SELECT min(id) FROM replays)");
    cr_expect_eq(change(shelf, id, REPLAY_PAUSED), ERR_DAMAGED);
    struct journal_replay_list list = {.count_max = 4, .ret_replays = replays};
    cr_expect_eq(shelf_call(shelf, store_replay_list, &list.request), OK);
    cr_expect_eq(list.ret_count, 1);
    shelf_free(shelf);
}

Test(replays, an_endpoint_with_many_pending_replays_gets_no_more)
{
    static struct journal_replay_look looked;
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < MANY; i++)
        append_dead(shelf);
    struct event_id id = create(shelf, 1);
    struct replay_cursor cursor = find(shelf, id, true).ret_cursors[0];
    unsigned moved = 0;
    look(shelf, id, cursor, REPLAY_STEP_MAX, &looked);
    while (looked.ret_count > 0) { /* a slow look ends with fewer */
        struct journal_replay_move move = move_of(&looked);
        cr_assert_eq(shelf_call(shelf, store_replay_move, &move.request), OK);
        moved += looked.ret_count;
        cursor = looked.ret_cursor;
        look(shelf, id, cursor, REPLAY_STEP_MAX, &looked);
    }
    cr_expect_eq(moved, REPLAY_LEAD_MAX);
    cr_expect(looked.ret_is_full);
    shelf_free(shelf);
}
