/* SPDX-License-Identifier: Apache-2.0 */
/* Events that wait for the broker on a gateway that does not deliver. */
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>

#define NOW_US (clock_wall_us() + 400 * US_PER_DAY)

static struct event *put(struct shelf *shelf, struct shelved draft, enum err expected)
{
    struct event *event = shelf_event(shelf, draft);
    struct journal_append append = {
        .event = event, .to_outbox = true, .endpoints_count = 1, .endpoints = {7}};
    cr_expect_eq(shelf_call(shelf, store_append, &append.request), expected);
    cr_expect(expected || memcmp(&append.ret_id, &event->parts.id, sizeof append.ret_id) == 0);
    cr_expect_eq(shelf->handed_over, 0);
    return event;
}

static void put_some(struct shelf *shelf, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        event_unref(put(shelf, (struct shelved){.key = "k", .amount = "5", .currency = "EUR"}, OK));
}

static struct journal_load_outbox load(struct shelf *shelf, struct journal_outbox_entry *entries,
    unsigned count_max, int64_t after, int64_t bytes_max)
{
    struct journal_load_outbox request = {.after_event = after,
        .count_max = count_max,
        .bytes_max = bytes_max,
        .ret_entries = entries};
    cr_assert(shelf_call(shelf, store_load_outbox, &request.request) == OK);
    return request;
}

static void let_go(struct journal_load_outbox *request)
{
    for (unsigned i = 0; i < request->ret_count; i++)
        event_unref(request->ret_entries[i].event);
}

Test(outbox, an_event_is_kept_without_dedupe_deliveries_and_totals)
{
    struct shelf *shelf = shelf_new();
    put_some(shelf, 3);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM events WHERE deliveries = 0") == 3);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM outbox") == 3);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM bodies") == 3);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM deliveries") == 0);
    cr_expect(
        shelf_sql_int(shelf, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'dedupe_*'") == 0);
    shelf_crash(shelf);
    cr_expect(shelf->store.found.outbox == 3 && shelf->store.found.open == 0 &&
              shelf->store.found.broker_owned == 0);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM totals") == 0);
    cr_expect(shelf_sql_int(shelf, "SELECT value FROM meta WHERE key = 'totals_through'") == 3,
        "not looked for again");
    shelf_free(shelf);
}

Test(outbox, the_same_event_twice_is_there_once)
{
    struct shelf *shelf = shelf_new();
    struct event *event = put(shelf, (struct shelved){0}, OK);
    struct journal_append append = {.event = event, .to_outbox = true};
    cr_expect(shelf_call(shelf, store_append, &append.request) == OK);
    cr_expect(memcmp(&append.ret_id, &event->parts.id, sizeof append.ret_id) == 0);
    cr_expect(
        shelf_sql_int(shelf, "SELECT count(*) FROM outbox") == 1 && shelf->store.outbox.count == 1);
    event_unref(event);
    shelf_free(shelf);
}

Test(outbox, is_loaded_in_order_and_cleared_by_number)
{
    struct shelf *shelf = shelf_new();
    struct journal_outbox_entry entries[4];
    put_some(shelf, 6);
    struct journal_load_outbox page = load(shelf, entries, 4, 0, INT64_MAX);
    cr_assert(page.ret_count == 4 && page.ret_left == 6);
    for (unsigned i = 0; i < 4; i++)
        cr_expect(entries[i].number == 1 + i &&
                  slice_equals_string(entries[i].event->parts.body, "{\"some\":\"body\"}"));
    let_go(&page);
    const int64_t numbers[] = {2, 1, 99, 2};
    struct journal_clear_outbox clear = {.count = 4, .numbers = numbers};
    cr_assert(shelf_call(shelf, store_clear_outbox, &clear.request) == OK);
    page = load(shelf, entries, 4, 0, INT64_MAX);
    cr_expect(page.ret_count == 4 && entries[0].number == 3 && page.ret_left == 4);
    let_go(&page);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM bodies") == 4);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM events") == 4);
    shelf_free(shelf);
}

Test(outbox, only_what_is_in_it_is_cleared)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    struct journal_clear_outbox clear = {.count = 1, .numbers = &seq};
    cr_assert(shelf_call(shelf, store_clear_outbox, &clear.request) == OK);
    cr_expect(
        shelf_sql_int(shelf, "SELECT count(*) FROM events") == 1 && shelf->store.outbox.count == 0);
    shelf_free(shelf);
}

Test(outbox, a_load_ends_where_its_bytes_or_the_budget_end)
{
    struct shelf *shelf = shelf_new();
    struct journal_outbox_entry entries[4];
    put_some(shelf, 4);
    struct journal_load_outbox page = load(shelf, entries, 4, 0, 2 * 15);
    cr_expect_eq(page.ret_count, 2);
    let_go(&page);
    struct byte_budget budget = {.bytes_max = 1};
    page = (struct journal_load_outbox){.count_max = 4,
        .bytes_max = INT64_MAX,
        .budget = &budget,
        .budget_share_percent = 100,
        .ret_entries = entries};
    cr_expect(shelf_call(shelf, store_load_outbox, &page.request) == OK && page.ret_count == 0 &&
              page.ret_left == 4);
    shelf_free(shelf);
}

Test(outbox, a_damaged_event_is_passed_over_and_stays)
{
    static const char *const damages[] = {"UPDATE bodies SET body = x'00' WHERE seq = 2",
        "DELETE FROM bodies WHERE seq = 2", "UPDATE events SET account = 'x' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 2"};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct shelf *shelf = shelf_new();
        struct journal_outbox_entry entries[4];
        put_some(shelf, 3);
        shelf_sql(shelf, damages[i]);
        struct journal_load_outbox page = load(shelf, entries, 2, 0, INT64_MAX);
        cr_expect(
            page.ret_count == 2 && entries[0].number == 1 && entries[1].number == 3, "case %zu", i);
        let_go(&page);
        cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM outbox") == 3);
        shelf_free(shelf);
    }
}

Test(outbox, nothing_of_it_expires)
{
    struct shelf *shelf = shelf_new();
    put_some(shelf, 3);
    shelf_expire(shelf, NOW_US);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM events") == 3);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM bodies") == 3);
    shelf_free(shelf);
}

Test(outbox, a_rolled_back_transaction_leaves_the_count)
{
    struct shelf *shelf = shelf_new();
    put_some(shelf, 2);
    struct event *event = shelf_event(shelf, (struct shelved){0});
    struct journal_append append = {.event = event, .to_outbox = true};
    shelf_begin(shelf);
    cr_assert(store_append(&shelf->store, &append.request) == OK);
    cr_assert(store_roll_back(&shelf->store) == OK);
    cr_expect(shelf->store.outbox.count == 2 && shelf->store.outbox.change == 0);
    event_unref(event);
    shelf_free(shelf);
}

Test(outbox, a_full_disk_refuses)
{
    struct shelf *shelf = shelf_new();
    shelf->store.reserve.space = SPACE_NONE;
    event_unref(put(shelf, (struct shelved){0}, ERR_DISK_FULL));
    shelf_free(shelf);
}

Test(outbox, aliases_expire_with_the_history)
{
    struct shelf *shelf = shelf_new();
    struct event *first = shelf_event(shelf, (struct shelved){.key = "k"});
    cr_assert(shelf_append_event(shelf, first, 1) == OK);
    for (int i = 0; i < 600; i++) {
        struct event *second = shelf_event(shelf, (struct shelved){.key = "k"});
        cr_assert(shelf_receive(shelf, second, 1, PARK_NONE).ret_received == RECEIVED_ALIAS);
        event_unref(second);
    }
    shelf_expire(shelf, clock_wall_us() + 89 * US_PER_DAY);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM aliases") == 600);
    shelf->store.expiry.next_round_us = 0;
    shelf_expire(shelf, clock_wall_us() + 91 * US_PER_DAY);
    cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM aliases") == 0);
    event_unref(first);
    shelf_free(shelf);
}
