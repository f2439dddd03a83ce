/* SPDX-License-Identifier: Apache-2.0 */
/* Every commit of a shelf compares the board with its table (recount.h): the other tests of the
 * journal cover the ways of a row. Here is what they do not reach. */
#include "unit/journal/recount.h"
#include "unit/journal/shelf.h"

#include "journal/backlog_fill.h"
#include "model/placement.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

static int64_t count_of(
    const struct shelf *shelf, uint64_t endpoint, unsigned kind, enum event_class class)
{
    struct backlog_counts counts;
    backlog_board_read(&shelf->store.backlog, endpoint, &counts);
    return counts.of[kind][class];
}

static int64_t count_all(const struct shelf *shelf, enum backlog_kind kind)
{
    struct backlog_counts counts = {0};
    backlog_board_add_all(&shelf->store.backlog, &counts);
    return backlog_sum(&counts, kind);
}

Test(backlog_board, counts_by_endpoint_state_and_class)
{
    struct shelf *shelf = shelf_new();
    for (unsigned class = 0; class < EVENT_CLASSES; class ++)
        shelf_append(shelf, (struct shelved){.endpoints = 2, .class = (enum event_class) class});
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1, .class = CLASS_OPTIONAL});
    cr_expect(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_WAITING) == OK);
    shelf_append(shelf, (struct shelved){.class = CLASS_IMPORTANT});
    cr_expect(count_of(shelf, 1, BACKLOG_PENDING, CLASS_CRITICAL) == 1);
    cr_expect(count_of(shelf, 1, BACKLOG_PENDING, CLASS_OPTIONAL) == 1);
    cr_expect(count_of(shelf, 1, BACKLOG_WAITING, CLASS_OPTIONAL) == 1);
    cr_expect(count_of(shelf, 2, BACKLOG_PENDING, CLASS_IMPORTANT) == 1);
    cr_expect(count_of(shelf, 0, BACKLOG_PARKED + PARK_UNROUTED, CLASS_IMPORTANT) == 1);
    cr_expect(count_of(shelf, 9, BACKLOG_PENDING, CLASS_CRITICAL) == 0, "an unknown endpoint");
    cr_expect(count_all(shelf, BACKLOG_PENDING) == 6);
    cr_expect(count_all(shelf, BACKLOG_WAITING) == 1);
    shelf_free(shelf);
}

Test(backlog_board, final_deliveries_are_counted_nowhere)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 2});
    cr_expect(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    cr_expect(shelf_move(shelf, seq, 1, DELIVERY_PENDING, DELIVERY_DEAD) == OK);
    cr_expect(count_all(shelf, BACKLOG_PENDING) == 0);
    cr_expect(count_all(shelf, BACKLOG_DEAD) == 1);
    shelf_free(shelf);
}

Test(backlog_board, a_transaction_that_is_rolled_back_changes_nothing)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    struct journal_record outcome = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_first_delivery(seq),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DELIVERED,
        .lane = LANE_FRESH};
    shelf_begin(shelf);
    cr_assert(store_record_outcome(&shelf->store, &outcome.request) == OK);
    cr_expect(count_all(shelf, BACKLOG_PENDING) == 1, "it is not committed");
    cr_assert(store_roll_back(&shelf->store) == OK);
    cr_expect(count_all(shelf, BACKLOG_PENDING) == 1);
    shelf_begin(shelf);
    cr_assert(store_record_outcome(&shelf->store, &outcome.request) == OK);
    shelf_commit(shelf);
    cr_expect(count_all(shelf, BACKLOG_PENDING) == 0);
    shelf_free(shelf);
}

Test(backlog_board, a_restart_counts_the_same)
{
    static const enum delivery_state states[] = {DELIVERY_SENDING, DELIVERY_WAITING,
        DELIVERY_PARKED, DELIVERY_DELIVERED, DELIVERY_DEAD, DELIVERY_WAITING};
    struct shelf *shelf = shelf_new();
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        int64_t seq = shelf_append(shelf,
            (struct shelved){.endpoints = 2, .class = (enum event_class)(i % EVENT_CLASSES)});
        cr_assert(shelf_move(shelf, seq, 1, DELIVERY_PENDING, states[i]) == OK);
    }
    shelf_append(shelf, (struct shelved){0});
    struct event *event = shelf_event(shelf, (struct shelved){.class = CLASS_OPTIONAL});
    (void)shelf_receive(shelf, event, 2, PARK_NONE);
    event_unref(event);
    cr_expect(count_of(shelf, 2, BACKLOG_PENDING, CLASS_OPTIONAL) == 1, "the broker-owned one");
    cr_expect(count_of(shelf, 2, BACKLOG_SENDING, CLASS_CRITICAL) == 1);
    shelf_crash(shelf); /* opening it compares the board with the table */
    cr_expect(count_all(shelf, BACKLOG_PENDING) == 8);
    cr_expect(count_of(shelf, 2, BACKLOG_SENDING, CLASS_CRITICAL) == 0);
    cr_expect(count_of(shelf, 2, BACKLOG_PARKED + PARK_AMBIGUOUS, CLASS_CRITICAL) == 1,
        "it was being sent when the last run ended");
    cr_expect(count_of(shelf, 2, BACKLOG_WAITING, CLASS_IMPORTANT) == 1);
    cr_expect(count_of(shelf, 2, BACKLOG_WAITING, CLASS_OPTIONAL) == 1);
    cr_expect(shelf->store.found.open == 8, "%lld", (long long)shelf->store.found.open);
    shelf_free(shelf);
}

static int pages_looked_at(struct shelf *shelf)
{
    int hits = 0, misses = 0, high;
    sqlite3_db_status(shelf->store.db, SQLITE_DBSTATUS_CACHE_HIT, &hits, &high, 0);
    sqlite3_db_status(shelf->store.db, SQLITE_DBSTATUS_CACHE_MISS, &misses, &high, 0);
    return hits + misses;
}

Test(backlog_board, a_start_reads_the_indexes_and_no_rows)
{
    enum { EVENTS = 150, PAGES = 100 };
    static const enum delivery_state states[] = {
        DELIVERY_PENDING, DELIVERY_WAITING, DELIVERY_PARKED, DELIVERY_DEAD};
    struct shelf *shelf = shelf_new();
    struct backlog_board board;
    for (int i = 0; i < EVENTS; i++) {
        int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 2});
        for (unsigned k = 0; k < 2 && states[(i + k) % 4] != DELIVERY_PENDING; k++)
            cr_assert(shelf_move(shelf, seq, k, DELIVERY_PENDING, states[(i + k) % 4]) == OK);
    }
    backlog_board_init(&board);
    int before = pages_looked_at(shelf);
    cr_assert(backlog_fill(shelf->store.db, &board) == OK);
    int looked = pages_looked_at(shelf) - before;
    cr_expect(looked < PAGES, "%d pages for %d deliveries", looked, 2 * EVENTS);
    backlog_board_done(&board);
    shelf_free(shelf);
}

Test(backlog_board, a_damaged_row_is_counted_where_it_is_parked)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1, .class = CLASS_OPTIONAL});
    shelf_sql(shelf, "UPDATE deliveries SET failures = 7");
    shelf_begin(shelf);
    cr_assert(store_park_damaged(&shelf->store, placement_first_delivery(seq), 1) == OK);
    shelf_commit(shelf);
    cr_expect(count_of(shelf, 1, BACKLOG_PENDING, CLASS_OPTIONAL) == 0);
    cr_expect(count_of(shelf, 1, BACKLOG_PARKED + PARK_DAMAGED, CLASS_OPTIONAL) == 1);
    cr_expect(recount_agrees(&shelf->store));
    shelf_free(shelf);
}

Test(backlog_board, a_recount_notices_a_wrong_number)
{
    struct shelf *shelf = shelf_new();
    shelf_append(shelf, (struct shelved){.endpoints = 1});
    shelf_sql(shelf, "UPDATE deliveries SET state = 2");
    cr_expect(!recount_agrees(&shelf->store));
    shelf_free(shelf);
}

Test(backlog_board, places_of_values_that_do_not_exist_are_nowhere)
{
    cr_expect(
        backlog_place_of(1, (enum delivery_state)99, PARK_NONE, LANE_FRESH, CLASS_CRITICAL).cell ==
        0);
    cr_expect(backlog_place_of(1, DELIVERY_PARKED, (enum park_reason)99, LANE_FRESH, CLASS_CRITICAL)
                  .cell == 0);
    cr_expect(
        backlog_place_of(1, DELIVERY_PENDING, PARK_NONE, LANE_FRESH, (enum event_class)3).cell ==
        0);
    cr_expect(
        backlog_place_of(1, DELIVERY_DISCARDED, PARK_NONE, LANE_FRESH, CLASS_CRITICAL).cell == 0);
    cr_expect(backlog_place_of(1, DELIVERY_PENDING, PARK_NONE, LANE_REPLAY, CLASS_CRITICAL).cell !=
              backlog_place_of(1, DELIVERY_PENDING, PARK_NONE, LANE_FRESH, CLASS_CRITICAL).cell);
}
