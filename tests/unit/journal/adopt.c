/* SPDX-License-Identifier: Apache-2.0 */
/* Broker-owned events: across a restart, and until the journal owns them. */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

static int64_t receive(struct shelf *shelf, unsigned endpoints, unsigned partition)
{
    struct event *event = shelf_event(shelf, (struct shelved){.partition = partition});
    int64_t seq = shelf->store.next_seq;
    cr_assert(
        shelf_receive(shelf, event, endpoints, PARK_NONE).ret_received == RECEIVED_BROKER_OWNED);
    event_unref(event);
    return seq;
}

static int64_t count_held(struct shelf *shelf)
{
    return shelf_sql_int(shelf, "SELECT count(*) FROM deliveries WHERE broker_owned = 1");
}

Test(adopt, a_restart_adopts_events_that_had_started_and_leaves_the_others_to_the_broker)
{
    static const struct {
        enum delivery_state moved; /* one of two deliveries */
        int64_t broker_owned, own, parked;
    } cases[] = {
        {DELIVERY_PENDING, 1, 0, 0}, /* it has not moved */
        {DELIVERY_DELIVERED, 0, 1, 0},
        {DELIVERY_SENDING, 0, 1, 1}, /* parked, since its outcome is not known */
        {DELIVERY_WAITING, 0, 2, 0},
        {DELIVERY_PARKED, 0, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shelf *shelf = shelf_new();
        int64_t seq = receive(shelf, 2, 0);
        if (cases[i].moved != DELIVERY_PENDING)
            cr_assert(shelf_move(shelf, seq, 1, DELIVERY_PENDING, cases[i].moved) == OK);
        for (int restart = 0; restart < 2; restart++) {
            shelf_crash(shelf);
            cr_expect_eq(shelf->store.found.broker_owned, cases[i].broker_owned, "case %zu", i);
            cr_expect_eq(shelf->store.found.open, cases[i].own, "case %zu", i);
            cr_expect_eq(count_held(shelf), 2 * cases[i].broker_owned, "case %zu", i);
            cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM deliveries WHERE state = 3"),
                cases[i].parked, "case %zu", i);
        }
        shelf_free(shelf);
    }
}

Test(adopt, a_restart_adopts_more_than_one_step_holds)
{
    enum { COUNT = 600 };
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < COUNT; i++) {
        int64_t seq = receive(shelf, 2, 0);
        if (i % 3 == 0)
            cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    }
    shelf_crash(shelf);
    cr_expect_eq(shelf->store.found.broker_owned, COUNT / 3 * 2);
    cr_expect_eq(shelf->store.found.open, COUNT / 3);
    cr_expect_eq(count_held(shelf), 2 * COUNT / 3 * 2);
    shelf_free(shelf);
}

Test(adopt, a_damaged_row_is_parked_at_the_start)
{
    struct shelf *shelf = shelf_new();
    receive(shelf, 2, 0);
    shelf_sql(shelf, "UPDATE deliveries SET due_us = 1 WHERE id = 17");
    shelf_append(shelf, (struct shelved){.endpoints = 1});
    shelf_sql(shelf, "UPDATE deliveries SET broker_owned = 1 WHERE id = 32");
    shelf_crash(shelf);
    cr_expect(count_held(shelf) == 0 && shelf->store.found.broker_owned == 0);
    cr_expect(
        shelf_sql_int(shelf,
            "SELECT count(*) FROM deliveries WHERE id IN (17, 32) AND state = 3 AND reason = 6") ==
        2);
    cr_expect(
        shelf_sql_int(shelf, "SELECT state FROM deliveries WHERE id = 16") == DELIVERY_PENDING);
    shelf_free(shelf);
}

Test(adopt, is_listed_by_event_with_its_partition)
{
    struct shelf *shelf = shelf_new();
    struct journal_broker_owned held[4];
    for (unsigned i = 0; i < 10; i++)
        receive(shelf, 1 + i % 3, 100 + i);
    struct journal_list_broker_owned list = {.count_max = 4, .ret_events = held};
    unsigned seen = 0;
    do {
        cr_assert(shelf_call(shelf, store_list_broker_owned, &list.request) == OK);
        for (unsigned i = 0; i < list.ret_count; i++, seen++)
            cr_expect(held[i].event == 1 + seen && held[i].partition == 100 + seen);
        list.after_event = list.ret_count ? held[list.ret_count - 1].event : 0;
    } while (list.ret_count == list.count_max);
    cr_expect_eq(seen, 10);

    shelf_sql(
        shelf, "DELETE FROM events WHERE seq = 2; UPDATE events SET id = x'01' WHERE seq = 3");
    list.after_event = 1;
    cr_assert(shelf_call(shelf, store_list_broker_owned, &list.request) == OK);
    cr_expect(list.ret_count == 4 && held[0].event == 2 && held[1].event == 3,
        "nobody else would ask for them");
    shelf_free(shelf);
}

Test(adopt, events_are_adopted_by_number_and_journal_owned_ones_are_passed_over)
{
    struct shelf *shelf = shelf_new();
    int64_t numbers[4] = {receive(shelf, 2, 0), receive(shelf, 1, 0), 777};
    receive(shelf, 1, 0);
    numbers[3] = shelf_append(shelf, (struct shelved){.endpoints = 1});
    struct journal_adopt order = {.count = 4, .events = numbers};
    for (int again = 0; again < 2; again++) {
        cr_expect(shelf_call(shelf, store_adopt, &order.request) == OK);
        cr_expect_eq(count_held(shelf), 1);
    }
    cr_expect(shelf->handed_over == 0);
    cr_expect(shelf_move(shelf, numbers[0], 1, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    shelf_free(shelf);
}

/* Every row of an index and of a list is one that SQLite finds there. */
Test(adopt, the_statements_use_their_indexes)
{
    static const struct {
        const char *query, *index;
    } cases[] = {
        {"SELECT count(*) FROM deliveries WHERE state = 0 AND broker_owned = 0 AND lane <> 2",
            "deliveries_pending"},
        {"SELECT count(*) FROM deliveries WHERE state = 0 AND broker_owned = 0 AND lane = 2",
            "deliveries_replay"},
        {"SELECT count(*) FROM deliveries WHERE state = 2", "deliveries_waiting"},
        {"SELECT count(*) FROM deliveries WHERE broker_owned = 1 AND state = 0",
            "deliveries_broker_owned"},
        {"SELECT id FROM aliases WHERE at_us < 7 ORDER BY at_us LIMIT 2", "aliases_by_time"},
    };
    struct shelf *shelf = shelf_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        sqlite3_stmt *statement = NULL;
        snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", cases[i].query);
        cr_assert(sqlite3_prepare_v2(shelf->store.db, text, -1, &statement, NULL) == SQLITE_OK &&
                  sqlite3_step(statement) == SQLITE_ROW);
        const char *plan = (const char *)sqlite3_column_text(statement, 3);
        cr_expect(strstr(plan, cases[i].index), "%s: %s", cases[i].query, plan);
        sqlite3_finalize(statement);
    }
    shelf_free(shelf);
}
