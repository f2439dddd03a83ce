/* SPDX-License-Identifier: Apache-2.0 */
#include "history/event_search.h"
#include "history/reading.h"
#include "history/timeline.h"
#include "journal/event_keys.h"
#include "unit/journal/shelf.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define DAY 20500
#define AT(day) ((day)*US_PER_DAY + US_PER_DAY / 2)
#define FOUND_MAX 2048

/* When each event that was found was accepted, in order, page by page. */
struct found {
    int64_t accepted_us[FOUND_MAX];
    unsigned count, pages, deliveries, damaged;
};

static void take_page(struct journal_search *search, struct found *found)
{
    for (unsigned i = 0; i < search->ret_count; i++) {
        const struct found_event *it = &search->ret_events[i];
        cr_assert(found->count < FOUND_MAX);
        found->accepted_us[found->count++] = it->event->parts.accepted_us;
        found->deliveries += it->deliveries_count;
        found->damaged += it->damaged;
    }
    found->pages++;
}

static struct found search_pages(struct shelf **shelves, unsigned shards,
    struct delivery_filter filter, unsigned count_max, int64_t deadline_us)
{
    struct timeline_source sources[2];
    struct journal_search search = {.filter = filter, .count_max = count_max};
    struct found found = {0};
    unsigned shard;
    for (unsigned i = 0; i < shards; i++)
        cr_assert(timeline_source_open(&sources[i], shelves[i]->directory, 0) == OK);
    do {
        struct event_cursor before = search.cursor;
        search.ret_events = calloc(count_max, sizeof search.ret_events[0]);
        cr_assert(event_search_read(sources, shards, &search, deadline_us, &shard) == OK);
        cr_assert(memcmp(&before, &search.cursor, sizeof before) != 0, "a page leads on");
        take_page(&search, &found);
        journal_search_done(&search);
    } while (search.ret_more);
    for (unsigned i = 0; i < shards; i++)
        timeline_source_close(&sources[i]);
    return found;
}

static struct found search_in(struct shelf *shelf, struct delivery_filter filter)
{
    return search_pages(&shelf, 1, filter, 100, INT64_MAX);
}

static void add(struct shelf *shelf, struct shelved draft, enum delivery_state to)
{
    int64_t seq = shelf_append(shelf, draft);
    if (to != DELIVERY_PENDING)
        cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, to) == OK);
}

/* On each of three days: a delivered purchase and a dead one of "odd", a waiting one of "even", and
 * an unrouted one. */
static struct shelf *filled(void)
{
    struct shelf *shelf = shelf_new();
    for (int day = 0; day < 3; day++) {
        char key[4][16];
        for (int i = 0; i < 4; i++)
            snprintf(key[i], sizeof key[i], "order-%d-%d", day, i);
        add(shelf,
            (struct shelved){.accepted_us = AT(DAY + day),
                .key = key[0],
                .account = "odd",
                .amount = "12.50",
                .currency = "EUR",
                .endpoints = 2},
            DELIVERY_DELIVERED);
        add(shelf,
            (struct shelved){.accepted_us = AT(DAY + day) + 1,
                .key = key[1],
                .account = "odd",
                .amount = "1",
                .currency = "USD",
                .endpoints = 1},
            DELIVERY_DEAD);
        add(shelf,
            (struct shelved){
                .accepted_us = AT(DAY + day) + 2, .key = key[2], .account = "even", .endpoints = 1},
            DELIVERY_WAITING);
        add(shelf,
            (struct shelved){.accepted_us = AT(DAY + day) + 3, .key = key[3], .account = "even"},
            DELIVERY_PENDING);
    }
    return shelf;
}

#define S(state) (1u << DELIVERY_##state)

Test(event_search, finds_what_a_filter_asks_for)
{
    static const struct {
        struct delivery_filter filter;
        unsigned count;
    } cases[] = {
        {{.account = ""}, 12},
        {{.account = "odd"}, 6},
        {{.account = "nobody"}, 0},
        {{.partner = "p"}, 12},
        {{.partner = "q"}, 0},
        {{.type = "pur*"}, 12},
        {{.type = "lead"}, 0},
        {{.key = "order-1-2"}, 1},
        {{.key = "order-1-2", .account = "odd"}, 0},
        {{.key = "order-9-9"}, 0},
        {{.states = S(DELIVERED)}, 3},
        {{.states = S(PENDING)}, 3}, /* the second delivery of what has two */
        {{.states = S(DEAD) | S(WAITING)}, 6},
        {{.states = S(PARKED), .park_reason = PARK_UNROUTED}, 3},
        {{.states = S(PARKED), .park_reason = PARK_GONE}, 0},
        {{.has_endpoint = true, .endpoint = 2}, 3},
        {{.has_endpoint = true}, 3},
        {{.has_currency = true, .currency = "EUR"}, 3},
        {{.has_currency = true}, 6},
        {{.amount = "12.5"}, 3},
        {{.amount = "12.51"}, 0},
        {{.since_us = AT(DAY + 1)}, 8},
        {{.since_us = AT(DAY + 1) + 1, .until_us = AT(DAY + 2) + 1}, 4},
        {{.until_us = AT(DAY)}, 0},
        {{.until_us = AT(DAY + 1), .account = "even", .states = S(WAITING)}, 1},
        {{.key = "order-1-2", .since_us = AT(DAY + 2)}, 0},
        {{.key = "order-1-2", .until_us = AT(DAY + 2)}, 1},
    };
    struct shelf *shelf = filled();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct found found = search_in(shelf, cases[i].filter);
        cr_expect_eq(found.count, cases[i].count, "case %zu: %u", i, found.count);
        cr_expect_eq(found.pages, 1, "case %zu", i);
    }
    struct found found = search_in(shelf, (struct delivery_filter){0});
    cr_expect_eq(found.deliveries, 15);
    shelf_free(shelf);
}

static void expect_newest_first(const struct found *found)
{
    for (unsigned i = 1; i < found->count; i++)
        cr_assert(found->accepted_us[i] <= found->accepted_us[i - 1], "%u", i);
}

Test(event_search, the_events_of_all_shards_are_listed_newest_first_in_pages_of_any_size)
{
    struct shelf *shelves[2] = {shelf_new(), shelf_new()};
    for (unsigned i = 0; i < 60; i++) /* 40 in one shard, 20 in the other */
        shelf_append(shelves[i % 3 == 0],
            (struct shelved){
                .accepted_us = AT(DAY) + i, .account = i % 2 ? "odd" : "even", .endpoints = 1});
    static const unsigned sizes[] = {1, 7, 60, 100};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct found found = search_pages(
            shelves, 2, (struct delivery_filter){.account = "odd"}, sizes[i], INT64_MAX);
        cr_expect_eq(found.count, 30);
        expect_newest_first(&found);
        cr_expect(found.pages >= found.count / sizes[i]);
    }
    shelf_free(shelves[0]);
    shelf_free(shelves[1]);
}

Test(event_search, a_page_that_is_out_of_time_leads_on)
{
    struct shelf *shelf = filled();
    struct found found = search_pages(
        &shelf, 1, (struct delivery_filter){.account = "odd", .states = S(DEAD)}, 100, 0);
    cr_expect_eq(found.count, 3);
    expect_newest_first(&found);
    found = search_pages(&shelf, 1, (struct delivery_filter){.key = "order-0-1"}, 100, 0);
    cr_expect_eq(found.count, 1);
    shelf_free(shelf);
}

/* Events of one key in several blocks of the index, with others between them. */
static void add_many(struct shelf *shelf, unsigned count)
{
    struct store *store = &shelf->store;
    shelf_begin(shelf);
    for (unsigned i = 0; i < count; i++) {
        int64_t seq = store->next_seq++;
        char key[32];
        snprintf(key, sizeof key, "key-%lld", (long long)seq);
        struct event *event = shelf_event(shelf,
            (struct shelved){.key = seq % 100 ? key : "again", .accepted_us = AT(DAY) + seq});
        cr_assert(event_rows_add(&store->events, seq, event, 0) == OK);
        cr_assert(event_keys_add(&store->keys, seq, event->parts.key) == OK);
        event_unref(event);
    }
    shelf_commit(shelf);
}

Test(event_search, a_key_is_found_in_all_blocks_of_the_index_and_behind_gaps)
{
    struct shelf *shelf = shelf_new();
    add_many(shelf, EVENT_KEYS_CHUNK + 2000);
    shelf->store.next_seq += 5 * EVENT_KEYS_CHUNK; /* as after a roll-back */
    add_many(shelf, EVENT_KEYS_CHUNK + 700);
    unsigned all =
        (unsigned)shelf_sql_int(shelf, "SELECT count(*) FROM events WHERE key = 'again'");
    static const int64_t deadlines[] = {INT64_MAX, 0};
    for (size_t i = 0; i < ARRAY_LENGTH(deadlines); i++) {
        struct found found =
            search_pages(&shelf, 1, (struct delivery_filter){.key = "again"}, 70, deadlines[i]);
        cr_expect_eq(found.count, all, "%u of %u", found.count, all);
        expect_newest_first(&found);
        found =
            search_pages(&shelf, 1, (struct delivery_filter){.key = "key-17"}, 70, deadlines[i]);
        cr_expect_eq(found.count, 1);
        cr_expect_eq(found.accepted_us[0], AT(DAY) + 17);
    }
    shelf_free(shelf);
}

Test(event_search, a_gap_costs_nothing_however_wide_it_is)
{
    struct shelf *shelf = shelf_new();
    add_many(shelf, 30);
    shelf->store.next_seq += 1LL << 50;
    add_many(shelf, 30);
    struct found found = search_in(shelf, (struct delivery_filter){.key = "key-17"});
    cr_expect_eq(found.count, 1);
    found = search_in(shelf, (struct delivery_filter){.account = "nobody"});
    cr_expect_eq(found.count, 0);
    shelf_free(shelf);
}

Test(event_search, a_damaged_event_is_listed_as_damaged)
{
    struct shelf *shelf = filled();
    shelf_sql(shelf, "UPDATE events SET currency = 'CHF' WHERE seq = 1");
    struct found found = search_in(shelf, (struct delivery_filter){.account = "odd"});
    cr_expect_eq(found.count, 6);
    cr_expect_eq(found.damaged, 1);
    shelf_free(shelf);
}

Test(event_search, a_cursor_of_another_number_of_shards_is_refused)
{
    struct shelf *shelf = filled();
    struct timeline_source source;
    unsigned shard;
    cr_assert(timeline_source_open(&source, shelf->directory, 0) == OK);
    struct journal_search search = {.cursor.shards = 2, .count_max = 10};
    cr_expect(event_search_read(&source, 1, &search, INT64_MAX, &shard) == ERR_INVALID);
    timeline_source_close(&source);
    shelf_free(shelf);
}

Test(event_search, only_the_shard_that_is_named_is_read)
{
    struct shelf *shelves[2] = {filled(), filled()};
    struct timeline_source sources[2];
    unsigned shard;
    for (unsigned i = 0; i < 2; i++)
        cr_assert(timeline_source_open(&sources[i], shelves[i]->directory, 0) == OK);
    struct journal_search search = {.has_shard = true, .shard = 1, .count_max = 100};
    search.ret_events = calloc(search.count_max, sizeof search.ret_events[0]);
    cr_assert(event_search_read(sources, 2, &search, INT64_MAX, &shard) == OK);
    cr_expect_eq(search.ret_count, 12);
    cr_expect_not(search.ret_more);
    journal_search_done(&search);
    for (unsigned i = 0; i < 2; i++) {
        timeline_source_close(&sources[i]);
        shelf_free(shelves[i]);
    }
}
