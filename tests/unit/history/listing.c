/* SPDX-License-Identifier: Apache-2.0 */
#include "history/listing.h"
#include "history/timeline.h"
#include "unit/history/audit_desk.h"
#include "unit/history/reader_desk.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define DAY 20500
#define AT(day) ((day)*US_PER_DAY + US_PER_DAY / 2)
#define ON_DAY(number) .since_us = (number)*US_PER_DAY, .until_us = ((number) + 1) * US_PER_DAY
#define LISTED_MAX 256

/* The numbers of everything that a filter lets through, in order, page by page. */
struct listed {
    int64_t ids[LISTED_MAX];
    unsigned count, pages;
};

static struct listed list(
    struct shelf *shelf, struct delivery_filter filter, unsigned count_max, int64_t deadline_us)
{
    struct timeline_source source;
    struct listed listed = {0};
    struct journal_list list = {.filter = filter, .page.count_max = count_max};
    bool over = false;
    cr_assert(timeline_source_open(&source, shelf->directory, 0) == OK);
    while (!over) {
        struct listing_cursor before = list.page.cursor;
        list.ret_deliveries = calloc(count_max, sizeof list.ret_deliveries[0]);
        cr_assert(listing_read(&source, &list.page, deadline_us, &over) == OK);
        for (unsigned i = 0; i < list.page.ret_count; i++) {
            cr_assert(listed.count < LISTED_MAX);
            listed.ids[listed.count++] = list.ret_deliveries[i].delivery.delivery.id;
        }
        cr_assert(
            over || memcmp(&before, &list.page.cursor, sizeof before) != 0, "a page leads on");
        journal_list_done(&list);
        listed.pages++;
    }
    timeline_source_close(&source);
    return listed;
}

static struct listed list_all(struct shelf *shelf, struct delivery_filter filter)
{
    return list(shelf, filter, 100, INT64_MAX);
}

static void add(struct shelf *shelf, struct shelved draft, enum delivery_state to)
{
    int64_t seq = shelf_append(shelf, draft);
    for (unsigned index = 0; to != DELIVERY_PENDING && index < draft.endpoints; index++)
        cr_assert(shelf_move(shelf, seq, index, DELIVERY_PENDING, to) == OK);
}

/* Three events in each state, for endpoints 1 and 2 each, in turn; then three unrouted ones. */
static struct shelf *filled(void)
{
    static const enum delivery_state states[] = {DELIVERY_PENDING, DELIVERY_SENDING,
        DELIVERY_WAITING, DELIVERY_PARKED, DELIVERY_DEAD, DELIVERY_DELIVERED};
    struct shelf *shelf = shelf_new();
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
            add(shelf,
                (struct shelved){.accepted_us = AT(DAY + round),
                    .account = i % 2 ? "odd" : "even",
                    .amount = round == 2 ? NULL : "1",
                    .currency = round == 0   ? "EUR"
                                : round == 1 ? "USD"
                                             : NULL,
                    .endpoints = 2},
                states[i]);
    for (int round = 0; round < 3; round++)
        add(shelf, (struct shelved){.accepted_us = AT(DAY + 3), .account = "even"},
            DELIVERY_PENDING);
    return shelf;
}

#define S(state) (1u << DELIVERY_##state)

/* What an operator has replayed, of endpoints 1 and 2. */
static void add_replays(struct shelf *shelf, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 2});
        for (unsigned index = 0; index < 2; index++) {
            struct journal_operator_action action = {.event = shelf_id_of(shelf, seq),
                .index = index,
                .from = DELIVERY_DEAD,
                .to = DELIVERY_PENDING,
                .expected_endpoint = index + 1};
            cr_assert(shelf_move(shelf, seq, index, DELIVERY_PENDING, DELIVERY_DEAD) == OK);
            cr_assert(shelf_call(shelf, store_action, &action.request) == OK);
        }
    }
}

Test(listing, lists_what_a_filter_asks_for)
{
    static const struct {
        struct delivery_filter filter;
        unsigned count;
    } cases[] = {
        {{.states = 0}, 39},
        {{.states = S(PENDING)}, 6},
        {{.states = S(SENDING)}, 6},
        {{.states = DELIVERY_STATES_IN_PROGRESS}, 18},
        {{.states = S(PARKED)}, 9},
        {{.states = S(DEAD)}, 6},
        {{.states = S(DELIVERED)}, 6},
        {{.states = S(DISCARDED)}, 0},
        {{.states = S(DELIVERED) | S(PENDING)}, 12},
        {{.states = S(PARKED), .park_reason = PARK_AMBIGUOUS}, 6},
        {{.states = S(PARKED), .park_reason = PARK_UNROUTED}, 3},
        {{.states = S(PARKED), .park_reason = PARK_GONE}, 0},
        {{.park_reason = PARK_UNROUTED}, 3},
        {{.states = S(PARKED), .has_endpoint = true, .endpoint = 0}, 3},
        {{.states = DELIVERY_STATES_IN_PROGRESS, .has_endpoint = true, .endpoint = 2}, 9},
        {{.has_endpoint = true, .endpoint = 2}, 18},
        {{.has_endpoint = true, .endpoint = 9}, 0},
        {{.states = S(DEAD), .has_endpoint = true, .endpoint = 9}, 0},
        {{.account = "odd"}, 18},
        {{.account = "even", .states = DELIVERY_STATES_IN_PROGRESS}, 12},
        {{.account = "nobody", .states = DELIVERY_STATES_IN_PROGRESS}, 0},
        {{ON_DAY(DAY + 1)}, 12},
        {{ON_DAY(DAY + 1), .states = DELIVERY_STATES_IN_PROGRESS}, 6},
        {{ON_DAY(DAY + 9)}, 0},
        {{.has_currency = true, .currency = "EUR"}, 12},
        {{.has_currency = true, .currency = ""}, 15},
        {{.has_currency = true, .currency = "EUR", .states = S(PARKED), .account = "odd"}, 2},
        {{.has_currency = true,
             .currency = "EUR",
             .states = S(DELIVERED),
             .account = "odd",
             .has_endpoint = true,
             .endpoint = 1,
             ON_DAY(DAY)},
            1},
    };
    struct shelf *shelf = filled();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct listed listed = list_all(shelf, cases[i].filter);
        cr_expect_eq(listed.count, cases[i].count, "case %zu: %u", i, listed.count);
        cr_expect_eq(listed.pages, 1, "case %zu", i);
    }
    shelf_free(shelf);
}

static const struct delivery_filter walks[] = {{.states = 0},
    {.states = DELIVERY_STATES_IN_PROGRESS}, {.states = S(PARKED)}, {.states = S(DEAD)},
    {.states = S(DELIVERED)}, {.account = "odd"},
    {.states = S(WAITING), .has_endpoint = true, .endpoint = 2},
    {.states = S(PARKED), .has_endpoint = true, .endpoint = 1}};

Test(listing, pages_lead_on_without_a_gap_and_without_a_repetition)
{
    struct shelf *shelf = filled();
    for (size_t i = 0; i < ARRAY_LENGTH(walks); i++) {
        struct listed whole = list_all(shelf, walks[i]);
        cr_assert(whole.count > 0);
        for (unsigned count_max = 1; count_max < 5; count_max++) {
            struct listed paged = list(shelf, walks[i], count_max, INT64_MAX);
            cr_expect(paged.pages >= whole.count / count_max);
            cr_expect(paged.count == whole.count &&
                          memcmp(paged.ids, whole.ids, whole.count * sizeof whole.ids[0]) == 0,
                "walk %zu in pages of %u", i, count_max);
        }
    }
    shelf_free(shelf);
}

Test(listing, pending_replays_follow_the_other_pending_ones)
{
    struct shelf *shelf = filled();
    add_replays(shelf, 3);
    for (unsigned count_max = 1; count_max < 9; count_max++) {
        const struct delivery_filter pending = {.states = S(PENDING)},
                                     of_one = {.states = S(PENDING) | S(DEAD),
                                         .has_endpoint = true,
                                         .endpoint = 2};
        struct listed listed = list(shelf, pending, count_max, INT64_MAX);
        cr_expect_eq(listed.count, 12);
        for (unsigned i = 0; i < 6; i++)
            cr_expect(listed.ids[i] < listed.ids[6 + i % 6], "page of %u", count_max);
        cr_expect_eq(list(shelf, of_one, count_max, INT64_MAX).count, 9);
    }
    shelf_free(shelf);
}

Test(listing, a_page_ends_when_its_time_is_up_and_leads_on)
{
    struct shelf *shelf = filled();
    for (size_t i = 0; i < ARRAY_LENGTH(walks); i++) {
        struct listed whole = list_all(shelf, walks[i]);
        struct listed paged = list(shelf, walks[i], 100, 0);
        cr_expect(paged.count == whole.count &&
                  memcmp(paged.ids, whole.ids, whole.count * sizeof whole.ids[0]) == 0);
        cr_expect(whole.count < 16 || paged.pages > 1, "walk %zu", i);
    }
    shelf_free(shelf);
}

Test(listing, the_history_is_newest_first_and_an_index_oldest_first)
{
    struct shelf *shelf = filled();
    struct listed history = list_all(shelf, (struct delivery_filter){0});
    for (unsigned i = 1; i < history.count; i++)
        cr_expect(history.ids[i] < history.ids[i - 1]);
    struct listed dead = list_all(
        shelf, (struct delivery_filter){.states = S(DEAD), .has_endpoint = true, .endpoint = 1});
    for (unsigned i = 1; i < dead.count; i++)
        cr_expect(dead.ids[i] > dead.ids[i - 1]);
    shelf_free(shelf);
}

Test(listing, a_cursor_of_another_list_is_refused)
{
    static const struct {
        struct delivery_filter filter;
        struct listing_cursor cursor;
    } cases[] = {
        {{.states = DELIVERY_STATES_IN_PROGRESS}, {.place = 1 + DELIVERY_PARKED}},
        {{.states = DELIVERY_STATES_IN_PROGRESS}, {.place = 1 + DELIVERY_STATES, .id = 5}},
        {{.states = DELIVERY_STATES_IN_PROGRESS}, {.place = 99}},
        {{.states = 0}, {.place = 1 + DELIVERY_PENDING}},
        {{.states = 0}, {.place = 1 + DELIVERY_STATES, .id = -1}},
    };
    struct shelf *shelf = filled();
    struct timeline_source source;
    cr_assert(timeline_source_open(&source, shelf->directory, 0) == OK);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct listed_delivery room[4];
        struct journal_list list = {.page = {.cursor = cases[i].cursor, .count_max = 4},
            .filter = cases[i].filter,
            .ret_deliveries = room};
        bool over;
        cr_expect_eq(
            listing_read(&source, &list.page, INT64_MAX, &over), ERR_INVALID, "case %zu", i);
    }
    timeline_source_close(&source);
    shelf_free(shelf);
}

Test(listing, lists_damaged_rows_and_rows_without_their_event)
{
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < 3; i++)
        add(shelf, (struct shelved){.accepted_us = AT(DAY), .endpoints = 1}, DELIVERY_PENDING);
    shelf_sql(shelf,
        "UPDATE deliveries SET attempts = 9 WHERE id = 16; DELETE FROM events WHERE seq = 2");
    struct timeline_source source;
    struct listed_delivery room[4];
    bool over;
    struct journal_list list = {
        .page.count_max = 4, .filter.states = DELIVERY_STATES_IN_PROGRESS, .ret_deliveries = room};
    cr_assert(timeline_source_open(&source, shelf->directory, 0) == OK);
    cr_assert(listing_read(&source, &list.page, INT64_MAX, &over) == OK && over);
    cr_assert_eq(list.page.ret_count, 3);
    cr_expect(room[0].delivery.damaged && room[0].event);
    cr_expect(!room[1].delivery.damaged && !room[1].event);
    cr_expect(!room[2].delivery.damaged && room[2].event && room[2].event->parts.body.len == 0);
    for (unsigned i = 0; i < 3; i++)
        event_unref(room[i].event);
    timeline_source_close(&source);
    shelf_free(shelf);
}

/* Conflicts. */

static void conflict(
    struct shelf *shelf, int64_t first_seq, int64_t day, const char *account, const char *amount)
{
    struct event_id first = shelf_id_of(shelf, first_seq);
    struct event event = {.parts = {.partner = SLICE_LITERAL("p"),
                              .account = slice_from_string(account),
                              .type = SLICE_LITERAL("purchase"),
                              .key = SLICE_LITERAL("k"),
                              .amount = slice_from_string(amount),
                              .currency = SLICE_LITERAL("EUR"),
                              .body = SLICE_LITERAL("{\"a\":1}")}};
    bool is_new;
    shelf_begin(shelf);
    cr_assert(conflict_rows_add(&shelf->store.conflicts, &first, AT(day), &event, &is_new) == OK);
    shelf_commit(shelf);
}

static unsigned list_conflicts(struct shelf *shelf, struct conflict_filter filter,
    unsigned count_max, struct listed_conflict *ret_last)
{
    struct timeline_source source;
    struct journal_list_conflicts list = {.filter = filter, .page.count_max = count_max};
    unsigned count = 0;
    bool over = false;
    cr_assert(timeline_source_open(&source, shelf->directory, 0) == OK);
    while (!over) {
        list.ret_conflicts = calloc(count_max, sizeof list.ret_conflicts[0]);
        cr_assert(listing_read_conflicts(&source, &list.page, 0, &over) == OK);
        count += list.page.ret_count;
        if (list.page.ret_count > 0) {
            *ret_last = list.ret_conflicts[list.page.ret_count - 1];
            ret_last->event = NULL;
        }
        journal_list_conflicts_done(&list);
    }
    timeline_source_close(&source);
    return count;
}

Test(listing, lists_conflicts_by_account_day_and_first_event)
{
    struct shelf *shelf = shelf_new();
    struct listed_conflict last;
    for (int seq = 1; seq <= 3; seq++) {
        add(shelf, (struct shelved){.accepted_us = AT(DAY), .endpoints = 1}, DELIVERY_PENDING);
        conflict(shelf, seq, DAY + seq, seq == 3 ? "b" : "a", "2");
        conflict(shelf, seq, DAY + seq, seq == 3 ? "b" : "a", "3");
        conflict(shelf, seq, DAY + 7, seq == 3 ? "b" : "a", "3");
    }
    struct event_id second = shelf_id_of(shelf, 2);
    for (unsigned count_max = 1; count_max < 8; count_max += 2) {
        cr_expect_eq(list_conflicts(shelf, (struct conflict_filter){0}, count_max, &last), 6);
        cr_expect(
            last.times == 1 && last.body_bytes == 7 && !last.damaged && last.at_us == AT(DAY + 1));
        cr_expect_eq(
            list_conflicts(shelf, (struct conflict_filter){.account = "a"}, count_max, &last), 4);
        cr_expect_eq(
            list_conflicts(shelf, (struct conflict_filter){.partner = "q"}, count_max, &last), 0);
        cr_expect_eq(
            list_conflicts(
                shelf, (struct conflict_filter){.has_day = true, .day = DAY + 3}, count_max, &last),
            2);
        cr_expect_eq(
            list_conflicts(shelf, (struct conflict_filter){.has_first = true, .first = second},
                count_max, &last),
            2);
    }
    cr_expect_eq(
        list_conflicts(shelf, (struct conflict_filter){.has_day = true, .day = DAY + 3}, 1, &last),
        2);
    shelf_sql(shelf, "UPDATE conflicts SET amount = '4' WHERE seq = 1");
    cr_expect_eq(list_conflicts(shelf, (struct conflict_filter){0}, 8, &last), 6);
    cr_expect(last.damaged);
    shelf_free(shelf);
}

static void on_listed(struct request *request, void *receiver)
{
    (void)receiver;
    request->on_done = NULL; /* a mark that it was answered */
}

static enum err ask(struct desk *desk, struct journal_reader *reader, struct journal_list *list)
{
    list->page.request.reply_to = &desk->mailbox;
    list->page.request.on_done = on_listed;
    journal_reader_list(reader, list);
    while (list->page.request.on_done) {
        mailbox_wait(&desk->mailbox, 1000);
        mailbox_work(&desk->mailbox);
    }
    return list->page.request.result;
}

Test(listing, continues_from_shard_to_shard)
{
    struct desk *desk = desk_new();
    struct journal_reader *reader;
    cr_assert(journal_reader_open(desk->directory, 2, &reader) == OK);
    struct journal *first = desk->journal;
    cr_assert(desk_try_open(desk, 1) == OK);
    for (int i = 0; i < 3; i++)
        cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    struct journal *second = desk->journal;
    desk->journal = first;
    for (int i = 0; i < 2; i++)
        cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    for (unsigned count_max = 1; count_max < 7; count_max++) {
        struct journal_list list = {
            .page.count_max = count_max, .filter.states = DELIVERY_STATES_IN_PROGRESS};
        unsigned count = 0;
        do {
            cr_assert(ask(desk, reader, &list) == OK);
            count += list.page.ret_count;
            journal_list_done(&list);
        } while (list.page.ret_more);
        cr_expect_eq(count, 5, "%u in pages of %u", count, count_max);
    }
    struct journal_list beyond = {.page = {.count_max = 1, .cursor.shard = 2}};
    cr_expect_eq(ask(desk, reader, &beyond), ERR_INVALID);
    journal_stop(second);
    journal_reader_stop(reader);
    desk_free(desk);
}

/* What is the broker's. */

Test(listing, lists_broker_owned_deliveries_once_behind_pending_ones)
{
    struct shelf *shelf = filled();
    for (int i = 0; i < 5; i++) {
        struct event *event =
            shelf_event(shelf, (struct shelved){.account = "held", .accepted_us = AT(DAY + 3)});
        cr_assert(shelf_receive(shelf, event, 2, PARK_NONE).ret_count == 2);
        event_unref(event);
    }
    int64_t first = shelf->store.next_seq - 5;
    cr_assert(shelf_move(shelf, first, 0, DELIVERY_PENDING, DELIVERY_SENDING) == OK);
    static const struct {
        struct delivery_filter filter;
        unsigned count;
    } cases[] = {
        {{.states = S(PENDING)}, 6 + 9},
        {{.states = S(SENDING)}, 6 + 1},
        {{.states = DELIVERY_STATES_IN_PROGRESS}, 18 + 10},
        {{.states = S(PENDING), .has_endpoint = true, .endpoint = 2}, 3 + 5},
        {{.states = DELIVERY_STATES_IN_PROGRESS, .account = "held"}, 10},
        {{.states = S(PENDING), ON_DAY(DAY + 3)}, 9},
        {{.states = S(WAITING)}, 6},
        {{.account = "held"}, 10},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct listed whole = list_all(shelf, cases[i].filter);
        cr_expect_eq(whole.count, cases[i].count, "case %zu: %u", i, whole.count);
        struct listed parts = list(shelf, cases[i].filter, 1, INT64_MAX);
        cr_expect(parts.count == whole.count && memcmp(parts.ids, whole.ids, sizeof whole.ids) == 0,
            "case %zu", i);
    }
    shelf_free(shelf);
}

Test(listing, shows_poison_with_its_bytes_newest_first)
{
    static char body[5 * 1024 * 1024];
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < 5; i++) {
        struct journal_keep_poison keep = {.queue = "q",
            .reason = "why",
            .headers = SLICE_LITERAL("{\"h\":1}"),
            .body = slice_of(body, i < 2 ? sizeof body : i),
            .body_bytes = i < 2 ? sizeof body : i + 1};
        snprintf(keep.message_id, sizeof keep.message_id, "m-%u", i);
        cr_assert(shelf_call(shelf, store_keep_poison, &keep.request) == OK);
    }
    shelf_sql(shelf, "UPDATE poison SET reason = 'other' WHERE message_id = 'm-3'");
    struct timeline_source source;
    struct journal_list_poison list = {.page.count_max = 4};
    unsigned next = 5, pages = 0;
    bool over = false;
    cr_assert(timeline_source_open(&source, shelf->directory, 0) == OK);
    while (!over) {
        list.bytes = 0;
        list.ret_poison = calloc(list.page.count_max, sizeof list.ret_poison[0]);
        cr_assert(listing_read_poison(&source, &list.page, INT64_MAX, &over) == OK);
        for (unsigned i = 0; i < list.page.ret_count; i++) {
            const struct listed_poison *it = &list.ret_poison[i];
            char id[16];
            snprintf(id, sizeof id, "m-%u", --next);
            cr_expect_str_eq(it->message_id, id);
            cr_expect_eq(it->damaged, next == 3);
            cr_expect(
                it->body_len == (next < 2 ? sizeof body : next) && it->body_bytes >= it->body_len);
            cr_expect(it->headers_len == 7 && memcmp(it->bytes, "{\"h\":1}", 7) == 0);
        }
        journal_list_poison_done(&list);
        pages++;
    }
    cr_expect(next == 0 && pages == 3, "%u pages", pages);
    timeline_source_close(&source);
    shelf_free(shelf);
}
