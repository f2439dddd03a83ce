/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker delivers: whose it is, and what the dedupe store makes of it. */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

static const struct shelved keyed = {.key = "k", .amount = "5", .currency = "EUR"};

static bool same_id(const struct event_id *a, const struct event_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static int64_t count_in(struct shelf *shelf, const char *table, const char *condition)
{
    char text[160];
    snprintf(text, sizeof text, "SELECT count(*) FROM %s WHERE %s", table, condition);
    return shelf_sql_int(shelf, text);
}

/* As the broker delivers it once more. */
static struct journal_receive again(struct shelf *shelf, struct event *event)
{
    struct journal_receive receive = shelf_receive(shelf, event, 2, PARK_NONE);
    cr_expect(!receive.ret_is_new && receive.request.result == OK);
    return receive;
}

Test(receive, a_new_event_is_broker_owned_and_counted_and_nothing_is_handed_over)
{
    static const char *const keys[] = {"k", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct shelf *shelf = shelf_new();
        struct event *event =
            shelf_event(shelf, (struct shelved){.key = keys[i], .amount = "5", .currency = "EUR"});
        struct journal_receive receive = shelf_receive(shelf, event, 2, PARK_NONE);
        cr_expect(receive.request.result == OK && receive.ret_is_new &&
                  receive.ret_received == RECEIVED_BROKER_OWNED);
        cr_assert(receive.ret_count == 2);
        for (unsigned d = 0; d < 2; d++)
            cr_expect(receive.ret_deliveries[d].delivery == ACCOUNT_ENDPOINTS_MAX + d &&
                      receive.ret_deliveries[d].endpoint == d + 1);
        cr_expect_eq(shelf->handed_over, 0);
        cr_expect_eq(count_in(shelf, "deliveries", "broker_owned = 1 AND state = 0"), 2);
        store_close(&shelf->store, false);
        shelf_open(shelf);
        cr_expect_eq(
            shelf_sql_int(shelf, "SELECT sum(accepted) FROM totals WHERE endpoint > 0"), 2);
        cr_expect_eq(shelf_sql_int(shelf, "SELECT accepted FROM totals WHERE endpoint = -1"), 1,
            "the event, once");
        event_unref(event);
        shelf_free(shelf);
    }
}

Test(receive, a_broker_owned_delivery_is_in_no_load_and_no_backlog_scan)
{
    struct shelf *shelf = shelf_new();
    struct event *event = shelf_event(shelf, keyed);
    shelf_receive(shelf, event, 1, PARK_NONE);
    struct delivery loaded[4];
    struct journal_load load = {.endpoint = 1,
        .due_by_us = INT64_MAX,
        .count_max = 4,
        .bytes_max = 1 << 20,
        .ret_deliveries = loaded};
    struct journal_backlog_scan scan = {.now_us = INT64_MAX};
    cr_assert(shelf_call(shelf, store_load, &load.request) == OK);
    cr_assert(shelf_call(shelf, store_scan_backlog, &scan.request) == OK);
    cr_expect(load.ret_count == 0 && !load.ret_more && scan.ret_count == 0);

    int64_t number = 1;
    struct journal_adopt order = {.count = 1, .events = &number};
    cr_assert(shelf_call(shelf, store_adopt, &order.request) == OK);
    cr_assert(shelf_call(shelf, store_load, &load.request) == OK);
    cr_assert(shelf_call(shelf, store_scan_backlog, &scan.request) == OK);
    cr_assert(load.ret_count == 1 && scan.ret_count == 1);
    cr_expect(scan.ret_backlogs[0].pending == 1 && loaded[0].state == DELIVERY_PENDING);
    free(scan.ret_backlogs);
    event_unref(loaded[0].event);
    event_unref(event);
    shelf_free(shelf);
}

Test(receive, an_event_that_is_received_again_keeps_the_owner_in_its_rows)
{
    static const char *const keys[] = {"k", NULL};
    static const struct {
        enum delivery_state first, second; /* pending: it has not moved */
        enum journal_received received;
        unsigned count;       /* still the broker's and to be sent */
        int64_t broker_owned; /* rows */
    } cases[] = {
        {DELIVERY_PENDING, DELIVERY_PENDING, RECEIVED_BROKER_OWNED, 2, 2},
        {DELIVERY_DELIVERED, DELIVERY_PENDING, RECEIVED_BROKER_OWNED, 1, 1},
        {DELIVERY_SENDING, DELIVERY_PENDING, RECEIVED_BROKER_OWNED, 1, 2},
        {DELIVERY_SENDING, DELIVERY_SENDING, RECEIVED_JOURNAL_OWNED, 0, 2},
        {DELIVERY_DELIVERED, DELIVERY_DELIVERED, RECEIVED_JOURNAL_OWNED, 0, 0},
        {DELIVERY_WAITING, DELIVERY_PENDING, RECEIVED_JOURNAL_OWNED, 0, 0},
        {DELIVERY_PARKED, DELIVERY_PENDING, RECEIVED_JOURNAL_OWNED, 0, 0},
        {DELIVERY_DEAD, DELIVERY_PENDING, RECEIVED_JOURNAL_OWNED, 0, 0},
        {DELIVERY_SENDING, DELIVERY_WAITING, RECEIVED_JOURNAL_OWNED, 0, 0},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        size_t c = i / 2;
        struct shelf *shelf = shelf_new();
        struct event *event = shelf_event(shelf, (struct shelved){.key = keys[i % 2]});
        shelf_receive(shelf, event, 2, PARK_NONE);
        if (cases[c].first != DELIVERY_PENDING)
            cr_assert(shelf_move(shelf, 1, 0, DELIVERY_PENDING, cases[c].first) == OK);
        if (cases[c].second != DELIVERY_PENDING)
            cr_assert(shelf_move(shelf, 1, 1, DELIVERY_PENDING, cases[c].second) == OK);
        struct journal_receive receive = again(shelf, event);
        cr_expect_eq(receive.ret_received, cases[c].received, "case %zu", c);
        cr_expect_eq(receive.ret_count, cases[c].count, "case %zu", c);
        cr_expect_eq(count_in(shelf, "deliveries", "broker_owned = 1"), cases[c].broker_owned,
            "case %zu", c);
        cr_expect_eq(count_in(shelf, "deliveries", "1"), 2, "case %zu", c);
        event_unref(event);
        shelf_free(shelf);
    }
}

Test(receive, an_event_that_was_appended_is_the_journals_own)
{
    struct shelf *shelf = shelf_new();
    struct event *event = shelf_event(shelf, keyed);
    cr_assert(shelf_append_event(shelf, event, 2) == OK && shelf->handed_over == 2);
    struct journal_receive receive = again(shelf, event);
    cr_expect(receive.ret_received == RECEIVED_JOURNAL_OWNED && receive.ret_count == 0);
    event_unref(event);
    shelf_free(shelf);
}

Test(receive, an_append_of_a_broker_owned_event_adopts_it_and_hands_it_over)
{
    static const char *const keys[] = {"k", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct shelf *shelf = shelf_new();
        struct event *event = shelf_event(shelf, (struct shelved){.key = keys[i]});
        shelf_receive(shelf, event, 3, PARK_NONE);
        cr_assert(shelf_move(shelf, 1, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
        cr_assert(shelf_move(shelf, 1, 1, DELIVERY_PENDING, DELIVERY_SENDING) == OK);
        cr_expect(shelf_append_event(shelf, event, 1) == OK);
        cr_expect_eq(shelf->handed_over, 1, "what is being sent is known");
        cr_expect_eq(count_in(shelf, "deliveries", "broker_owned = 1"), 0);
        cr_expect(shelf_append_event(shelf, event, 1) == OK && shelf->handed_over == 0);
        cr_expect(again(shelf, event).ret_received == RECEIVED_JOURNAL_OWNED);
        event_unref(event);
        shelf_free(shelf);
    }
}

Test(receive, an_unrouted_or_parked_event_is_the_journals_own)
{
    static const struct {
        unsigned endpoints;
        enum park_reason park_as, reason;
    } cases[] = {
        {0, PARK_NONE, PARK_UNROUTED},
        {2, PARK_MISMATCH, PARK_MISMATCH},
        {2, PARK_TAKEN_OVER, PARK_TAKEN_OVER},
        {0, PARK_MISMATCH, PARK_MISMATCH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shelf *shelf = shelf_new();
        struct event *event = shelf_event(shelf, keyed);
        struct journal_receive receive =
            shelf_receive(shelf, event, cases[i].endpoints, cases[i].park_as);
        char condition[80];
        cr_expect(receive.ret_is_new && receive.ret_received == RECEIVED_JOURNAL_OWNED &&
                      receive.ret_count == 0,
            "case %zu", i);
        snprintf(condition, sizeof condition, "state = 3 AND broker_owned = 0 AND reason = %d",
            (int)cases[i].reason);
        cr_expect_eq(count_in(shelf, "deliveries", condition),
            cases[i].endpoints ? cases[i].endpoints : 1, "case %zu", i);
        cr_expect(again(shelf, event).ret_received == RECEIVED_JOURNAL_OWNED, "case %zu", i);
        event_unref(event);
        shelf_free(shelf);
    }
}

Test(receive, a_duplicate_becomes_an_alias_of_the_first_one)
{
    struct shelf *shelf = shelf_new();
    struct event *first = shelf_event(shelf, keyed), *second = shelf_event(shelf, keyed);
    cr_assert(shelf_append_event(shelf, first, 1) == OK);
    for (int i = 0; i < 2; i++) {
        struct journal_receive receive = again(shelf, second);
        cr_expect(receive.ret_received == RECEIVED_ALIAS &&
                  same_id(&receive.ret_first, &first->parts.id));
    }
    cr_expect(count_in(shelf, "aliases", "1") == 1 && count_in(shelf, "events", "1") == 1);
    struct event_id found;
    cr_assert(alias_rows_find(&shelf->store.aliases, &second->parts.id, &found) == OK);
    cr_expect(same_id(&found, &first->parts.id));
    cr_expect(alias_rows_find(&shelf->store.aliases, &first->parts.id, &found) == ERR_NOT_FOUND);
    shelf_sql(shelf, "UPDATE aliases SET at_us = at_us + 1");
    cr_expect(alias_rows_find(&shelf->store.aliases, &second->parts.id, &found) == ERR_DAMAGED);
    event_unref(first);
    event_unref(second);
    shelf_free(shelf);
}

Test(receive, a_conflict_is_parked_and_kept_and_the_first_one_stays_the_first)
{
    for (unsigned endpoints = 0; endpoints < 3; endpoints += 2) {
        struct shelf *shelf = shelf_new();
        struct event *first = shelf_event(shelf, keyed);
        struct event *other =
            shelf_event(shelf, (struct shelved){.key = "k", .amount = "6", .currency = "EUR"});
        cr_assert(shelf_append_event(shelf, first, 1) == OK);
        struct journal_receive receive = shelf_receive(shelf, other, endpoints, PARK_NONE);
        cr_expect(receive.ret_received == RECEIVED_CONFLICT && receive.ret_is_new);
        cr_expect(same_id(&receive.ret_first, &first->parts.id));
        cr_expect_eq(count_in(shelf, "deliveries", "state = 3 AND reason = 5 AND broker_owned = 0"),
            endpoints ? endpoints : 1);
        cr_expect_eq(count_in(shelf, "conflicts", "times = 1"), 1);
        cr_expect(again(shelf, other).ret_received == RECEIVED_JOURNAL_OWNED);
        cr_expect_eq(
            count_in(shelf, "conflicts", "times = 1"), 1, "a redelivery is no other conflict");
        cr_expect(shelf_append_event(shelf, other, 1) == ERR_CONFLICT);
        cr_expect(shelf_append_event(shelf, first, 1) == OK);
        shelf_crash(shelf);
        cr_expect(shelf_append_event(shelf, first, 1) == OK);
        event_unref(first);
        event_unref(other);
        shelf_free(shelf);
    }
}

Test(receive, another_event_of_the_same_id_is_refused)
{
    struct shelf *shelf = shelf_new();
    struct event *first = shelf_event(shelf, keyed);
    struct event *other = shelf_event(shelf, (struct shelved){.key = "another"});
    shelf_receive(shelf, first, 1, PARK_NONE);
    other->parts.id = first->parts.id;
    struct journal_receive receive = shelf_receive(shelf, other, 1, PARK_NONE);
    cr_expect(receive.request.result == ERR_UNAVAILABLE && !receive.ret_is_new);
    event_unref(first);
    event_unref(other);
    shelf_free(shelf);
}

Test(receive, an_event_that_the_dedupe_has_forgotten_is_known_by_its_id)
{
    struct shelf *shelf = shelf_new();
    struct event *event = shelf_event(shelf, keyed);
    shelf_receive(shelf, event, 2, PARK_NONE);
    char text[160];
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(shelf->store.db,
                  "SELECT name FROM sqlite_schema WHERE name GLOB 'dedupe_c_*'", -1, &statement,
                  NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW);
    snprintf(text, sizeof text, "DELETE FROM %s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    shelf_sql(shelf, text);
    shelf_crash(shelf);
    struct journal_receive receive = again(shelf, event);
    cr_expect(receive.ret_received == RECEIVED_BROKER_OWNED && receive.ret_count == 2);
    cr_expect(shelf_append_event(shelf, event, 2) == OK && shelf->handed_over == 2);
    event_unref(event);
    shelf_free(shelf);
}

Test(receive, an_event_that_has_expired_from_the_history_is_final)
{
    struct shelf *shelf = shelf_new();
    struct event *event = shelf_event(shelf, keyed);
    shelf_receive(shelf, event, 1, PARK_NONE);
    shelf_sql(shelf, "DELETE FROM events; DELETE FROM bodies; DELETE FROM deliveries");
    cr_expect(again(shelf, event).ret_received == RECEIVED_JOURNAL_OWNED);
    cr_expect(shelf_append_event(shelf, event, 1) == OK && shelf->handed_over == 0);
    event_unref(event);
    shelf_free(shelf);
}

Test(receive, a_damaged_row_makes_the_event_the_journals_own_and_the_others_are_handed_over)
{
    static const char *const damages[] = {
        "due_us = 7", "broker_owned = 1, crc = 0", "endpoint = 99"};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct shelf *shelf = shelf_new();
        struct event *event = shelf_event(shelf, keyed);
        shelf_receive(shelf, event, 2, PARK_NONE);
        char text[96];
        snprintf(text, sizeof text, "UPDATE deliveries SET %s WHERE id = 16", damages[i]);
        shelf_sql(shelf, text);
        struct journal_receive receive = again(shelf, event);
        cr_expect(receive.ret_received == RECEIVED_JOURNAL_OWNED && receive.ret_count == 0 &&
                  shelf->handed_over == 1);
        cr_expect_eq(count_in(shelf, "deliveries",
                         "id = 16 AND state = 3 AND reason = 6 AND broker_owned = 0"),
            1);
        cr_expect_eq(
            count_in(shelf, "deliveries", "id = 17 AND state = 0 AND broker_owned = 0"), 1);
        event_unref(event);
        shelf_free(shelf);
    }
}

Test(receive, a_full_disk_refuses_it_as_it_refuses_an_append)
{
    struct shelf *shelf = shelf_new();
    struct event *event = shelf_event(shelf, keyed);
    shelf->store.reserve.space = SPACE_NONE;
    cr_expect(shelf_receive(shelf, event, 1, PARK_NONE).request.result == ERR_DISK_FULL);
    shelf->store.reserve.space = SPACE_SCARCE;
    cr_expect(shelf_receive(shelf, event, 1, PARK_NONE).request.result == OK, "it is critical");
    event_unref(event);
    shelf_free(shelf);
}
