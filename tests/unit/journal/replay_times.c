/* SPDX-License-Identifier: Apache-2.0 */
/* When a replay moves something, and where its walk over delivered ones begins and ends. */
#include "journal/replay_steps.h"
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>

#define EVENTS 5
#define EVERY_US (5 * 3600 * US_PER_SECOND)

Test(replay_times, delivered_ones_are_read_from_since_to_until)
{
    struct shelf *shelf = shelf_new();
    int64_t first_us = clock_wall_us() - EVENTS * EVERY_US, seqs[EVENTS];
    struct replay replay = {.order = {.force = true,
                                .filter = {.states = 1u << DELIVERY_DELIVERED,
                                    .since_us = first_us + EVERY_US,
                                    .until_us = first_us + 2 * EVERY_US + EVERY_US / 2}}};
    struct replay_cursor cursor;
    for (unsigned i = 0; i < EVENTS; i++)
        seqs[i] = shelf_append(
            shelf, (struct shelved){.accepted_us = first_us + i * EVERY_US, .endpoints = 1});
    shelf_begin(shelf);
    cr_assert_eq(replay_begin_cursor(&shelf->store, &replay, 1, &cursor), OK);
    cr_expect_eq(cursor.id, placement_last_delivery(seqs[0]));
    cr_expect_geq(cursor.key, placement_first_delivery(seqs[2]));
    cr_expect_lt(cursor.key, placement_first_delivery(seqs[3]));
    replay.order.filter.until_us = 0;
    cr_assert_eq(replay_begin_cursor(&shelf->store, &replay, 1, &cursor), OK);
    cr_expect_eq(cursor.key, INT64_MAX);
    shelf_commit(shelf);
    shelf_free(shelf);
}

Test(replay_times, one_that_is_created_as_paused_moves_nothing_before_it_runs)
{
    struct shelf *shelf = shelf_new();
    struct journal_replay_create create = {.paused = true,
        .order = {.filter.states = 1u << DELIVERY_DEAD, .rate = 1, .share_ppm = 1, .reason = "r"}};
    cr_assert_eq(shelf_call(shelf, store_replay_create, &create.request), OK);
    cr_expect_eq(create.ret_replay.state, REPLAY_PAUSED);
    static struct journal_replay_find find = {.from_start = true, .count_max = 1};
    cr_expect_eq(shelf_call(shelf, store_replay_find, &find.request), ERR_MOVED_ON);
    struct journal_replay_change run = {.has_state = true, .state = REPLAY_RUNNING};
    cr_assert_eq(shelf_call(shelf, store_replay_change, &run.request), OK);
    cr_expect_eq(run.ret_replay.state, REPLAY_RUNNING);
    cr_expect_eq(shelf_call(shelf, store_replay_find, &find.request), OK);
    shelf_free(shelf);
}

Test(replay_times, nothing_is_moved_while_the_disk_takes_no_events)
{
    struct shelf *shelf = shelf_new();
    struct journal_replay_create create = {
        .order = {.filter.states = 1u << DELIVERY_DEAD, .rate = 1, .share_ppm = 1, .reason = "r"}};
    static struct journal_replay_move move;
    move = (struct journal_replay_move){.cursor.endpoint = 1, .over = true};
    cr_assert_eq(shelf_call(shelf, store_replay_create, &create.request), OK);
    shelf->store.reserve.space = SPACE_NONE;
    cr_expect_eq(shelf_call(shelf, store_replay_move, &move.request), ERR_DISK_FULL);
    shelf->store.reserve.space = SPACE_SCARCE;
    cr_expect_eq(shelf_call(shelf, store_replay_move, &move.request), OK);
    shelf_free(shelf);
}
