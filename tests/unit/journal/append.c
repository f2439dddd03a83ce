/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/fixture.h"

#include "runtime/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static bool same_id(const struct event_id *a, const struct event_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

Test(append, a_new_event_is_answered_with_its_id_after_its_delivery_was_handed_over)
{
    struct desk *desk = desk_new();
    struct event *event = desk_event(desk, (struct draft){.key = "k1"});
    struct journal_append append;
    cr_assert(desk_call(desk, &append_init(&append, event, (uint64_t[]){7, 9}, 2)->request) == OK);
    cr_assert(same_id(&append.ret_id, &event->parts.id));
    cr_assert(desk->arrivals_count == 3);
    for (unsigned i = 0; i < 2; i++) {
        const struct delivery *delivery = &desk->arrivals[i].delivery;
        cr_assert(!desk->arrivals[i].answered && delivery->endpoint == (i == 0 ? 7 : 9));
        cr_assert(delivery->id == ACCOUNT_ENDPOINTS_MAX + i);
        cr_assert(delivery->event == event && delivery->state == DELIVERY_PENDING &&
                  delivery->lane == LANE_FRESH);
        cr_assert(delivery->due_us == event->parts.accepted_us && delivery->attempts == 0);
    }
    cr_assert(desk->arrivals[2].answered == &append.request);
    event_unref(event);
    desk_free(desk);
}

Test(append, the_dedupe_judges_the_second_event_of_a_key)
{
    static const struct {
        struct draft first, second;
        enum err expected;
    } cases[] = {
        {{.key = "k"}, {.key = "k"}, ERR_EXISTS},
        {{.key = "k"}, {.key = "other"}, OK},
        {{.key = "k"}, {.key = "k", .type = "lead"}, OK},
        {{0}, {0}, OK},
        {{.key = "k", .amount = "1.10", .currency = "EUR"},
            {.key = "k", .amount = "1.1", .currency = "EUR"}, ERR_EXISTS},
        {{.key = "k", .amount = "1.10", .currency = "EUR"},
            {.key = "k", .amount = "1.11", .currency = "EUR"}, ERR_CONFLICT},
        {{.key = "k", .amount = "1.10", .currency = "EUR"},
            {.key = "k", .amount = "1.10", .currency = "USD"}, ERR_CONFLICT},
        {{.key = "k", .amount = "1.10", .currency = "EUR"}, {.key = "k"}, ERR_CONFLICT},
        {{.key = "k"}, {.key = "k", .amount = "0", .currency = "EUR"}, ERR_CONFLICT},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct desk *desk = desk_new();
        struct event_id first, second;
        cr_assert(desk_append(desk, cases[i].first, 7, &first) == OK);
        enum err result = desk_append(desk, cases[i].second, 7, &second);
        cr_assert(result == cases[i].expected, "case %zu: %s", i, err_name(result));
        cr_assert(same_id(&first, &second) == (result != OK), "case %zu", i);
        cr_assert(desk_sql_int(desk, "SELECT count(*) FROM conflicts") == (result == ERR_CONFLICT),
            "case %zu", i);
        cr_assert(desk_sql_int(desk, "SELECT count(*) FROM deliveries") == (result == OK ? 2 : 1),
            "case %zu", i);
        desk_free(desk);
    }
}

Test(append, a_duplicate_and_a_conflict_are_found_within_one_transaction)
{
    struct desk *desk = desk_new();
    struct event *events[3] = {
        desk_event(desk, (struct draft){.key = "k", .amount = "5", .currency = "EUR"}),
        desk_event(desk, (struct draft){.key = "k", .amount = "5.0", .currency = "EUR"}),
        desk_event(desk, (struct draft){.key = "k", .amount = "6", .currency = "EUR"}),
    };
    struct journal_append appends[3];
    struct request *requests[3];
    for (int i = 0; i < 3; i++)
        requests[i] = &append_init(&appends[i], events[i], (uint64_t[]){7}, 1)->request;
    desk_call_together(desk, requests, 3);
    /* Of the event that holds the disk, and of the three together. */
    cr_assert(metrics_read(METRIC_JOURNAL_COMMITS) == 2);
    cr_assert(appends[0].request.result == OK);
    cr_assert(appends[1].request.result == ERR_EXISTS &&
              same_id(&appends[1].ret_id, &events[0]->parts.id));
    cr_assert(appends[2].request.result == ERR_CONFLICT &&
              same_id(&appends[2].ret_id, &events[0]->parts.id));
    for (int i = 0; i < 3; i++)
        event_unref(events[i]);
    desk_free(desk);
}

Test(append, one_transaction_answers_in_order_of_posting_after_its_handover)
{
    enum { COUNT = 300 };
    struct desk *desk = desk_new();
    static struct journal_append appends[COUNT];
    struct request *requests[COUNT];
    for (int i = 0; i < COUNT; i++)
        requests[i] =
            &append_init(&appends[i], desk_event(desk, (struct draft){0}), (uint64_t[]){7}, 1)
                 ->request;
    desk_call_together(desk, requests, COUNT);
    cr_assert(desk->arrivals_count == 1 + 2 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        cr_assert(!desk->arrivals[1 + i].answered);
        cr_assert(desk->arrivals[1 + i].delivery.event == appends[i].event);
        cr_assert(desk->arrivals[1 + COUNT + i].answered == &appends[i].request);
        event_unref(appends[i].event);
    }
    desk_free(desk);
}

Test(append, more_requests_than_a_transaction_takes_are_all_answered)
{
    enum { COUNT = JOURNAL_BATCH_REQUESTS_MAX + 100 };
    struct desk *desk = desk_new();
    static struct journal_append appends[COUNT];
    struct request *requests[COUNT];
    struct event *event = desk_event(desk, (struct draft){.key = "k"});
    for (int i = 0; i < COUNT; i++)
        requests[i] = &append_init(&appends[i], event, (uint64_t[]){7}, 1)->request;
    desk_call_together(desk, requests, COUNT);
    for (int i = 0; i < COUNT; i++)
        cr_assert(appends[i].request.result == OK && same_id(&appends[i].ret_id, &event->parts.id));
    cr_assert(desk_sql_int(desk, "SELECT count(*) FROM deliveries WHERE endpoint = 7") == 1);
    event_unref(event);
    desk_free(desk);
}

Test(append, a_key_is_known_after_a_restart)
{
    struct desk *desk = desk_new();
    struct event_id first, second;
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, &first) == OK);
    desk_reopen(desk);
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, &second) == ERR_EXISTS);
    cr_assert(same_id(&first, &second));
    desk_free(desk);
}

Test(append, a_key_of_another_day_is_known_in_both_directions)
{
    static const int64_t steps_us[] = {2 * 3600 * US_PER_SECOND, 20 * US_PER_DAY, -2 * US_PER_DAY};
    for (size_t i = 0; i < ARRAY_LENGTH(steps_us); i++) {
        struct desk *desk = desk_new();
        int64_t now_us = clock_wall_us() / US_PER_DAY * US_PER_DAY - US_PER_DAY;
        struct event_id first, second, third;
        cr_assert(desk_append(desk, (struct draft){.key = "k", .accepted_us = now_us - 1}, 7,
                      &first) == OK);
        cr_assert(
            desk_append(desk, (struct draft){.key = "k", .accepted_us = now_us - 1 + steps_us[i]},
                7, &second) == ERR_EXISTS);
        cr_assert(same_id(&first, &second));
        /* The day has a segment of its own, which counts as well. */
        cr_assert(
            desk_append(desk, (struct draft){.key = "m", .accepted_us = now_us - 1 + steps_us[i]},
                7, &first) == OK);
        desk_reopen(desk);
        cr_assert(desk_append(desk, (struct draft){.key = "m", .accepted_us = now_us}, 7, &third) ==
                  ERR_EXISTS);
        cr_assert(same_id(&first, &third));
        desk_free(desk);
    }
}

Test(append, segments_are_named_by_the_day_of_acceptance_and_the_retention_of_the_class)
{
    struct desk *desk = desk_new();
    int64_t now_us = clock_wall_us();
    cr_assert(desk_append(desk, (struct draft){.key = "k", .accepted_us = now_us}, 7, NULL) == OK);
    cr_assert(
        desk_append(desk, (struct draft){.key = "k", .type = "notification", .accepted_us = now_us},
            7, NULL) == OK);
    char text[256];
    snprintf(text, sizeof text,
        "SELECT count(*) FROM sqlite_schema, (SELECT strftime('%%Y%%m%%d', %lld, 'unixepoch') AS "
        "today)"
        " WHERE type = 'table' AND name IN ('dedupe_c_' || today, 'dedupe_o_' || today)",
        (long long)(now_us / US_PER_SECOND));
    cr_assert(desk_sql_int(desk, text) == 2);
    cr_assert(
        desk_sql_int(desk, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'dedupe*'") == 2);
    desk_free(desk);
}

static int64_t count_segments_in(struct desk *desk)
{
    return desk_sql_int(desk,
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dedupe_[co]_*'");
}

Test(append, a_segment_past_its_retention_is_dropped_at_the_next_start)
{
    static const struct {
        const char *type;
        int days;
        bool kept;
    } cases[] = {{"purchase", 90, true}, {"purchase", 91, false}, {"notification", 35, true},
        {"notification", 36, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct desk *desk = desk_new();
        struct draft draft = {.key = "k",
            .type = cases[i].type,
            .accepted_us = clock_wall_us() - cases[i].days * US_PER_DAY};
        struct draft fresh = {
            .key = "f", .type = cases[i].type}; /* else the clock would be in doubt */
        cr_assert(desk_append(desk, draft, 7, NULL) == OK);
        cr_assert(desk_append(desk, fresh, 7, NULL) == OK);
        desk_reopen(desk);
        for (int waits = 0; !cases[i].kept && count_segments_in(desk) > 1; waits++) {
            cr_assert(waits < 2000, "case %zu: the slice is not dropped", i);
            usleep(10000);
        }
        enum err result = desk_append(desk, draft, 7, NULL);
        cr_assert(result == (cases[i].kept ? ERR_EXISTS : OK), "case %zu: %s", i, err_name(result));
        desk_free(desk);
    }
}

Test(append, the_same_event_twice_is_accepted_once_and_handed_over_once)
{
    static const char *const keys[] = {NULL, "k"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        struct desk *desk = desk_new();
        struct event *event = desk_event(desk, (struct draft){.key = keys[i]});
        for (int again = 0; again < 3; again++) {
            struct journal_append append;
            cr_assert(
                desk_call(desk, &append_init(&append, event, (uint64_t[]){7}, 1)->request) == OK);
            cr_assert(same_id(&append.ret_id, &event->parts.id));
        }
        cr_assert(desk_sql_int(desk, "SELECT count(*) FROM deliveries") == 1);
        cr_assert(desk->arrivals_count == 4, "one delivery, three answers");
        event_unref(event);
        desk_free(desk);
    }
}

Test(append, an_event_whose_id_is_taken_is_refused_and_its_key_stays_free)
{
    struct desk *desk = desk_new();
    struct event *first = desk_event(desk, (struct draft){.type = "purchase", .key = "a"});
    struct event *second = desk_event(desk, (struct draft){.type = "purchase", .key = "b"});
    struct journal_append append;
    cr_assert(desk_call(desk, &append_init(&append, first, (uint64_t[]){7}, 1)->request) == OK);
    struct event_id own_id = second->parts.id;
    second->parts.id = first->parts.id;
    cr_assert(desk_call(desk, &append_init(&append, second, (uint64_t[]){7}, 1)->request) ==
              ERR_UNAVAILABLE);
    second->parts.id = own_id;
    cr_assert(desk_call(desk, &append_init(&append, second, (uint64_t[]){7}, 1)->request) == OK);
    cr_assert(desk_sql_int(desk, "SELECT count(*) FROM deliveries") == 2);
    event_unref(first);
    event_unref(second);
    desk_free(desk);
}

Test(append, an_event_without_endpoint_is_parked_and_handed_over_as_unrouted)
{
    struct desk *desk = desk_new();
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 0, NULL) == OK);
    cr_assert(desk->arrivals_count == 1 && desk->arrivals[0].answered && desk->unrouted_count == 1);
    cr_assert(
        desk_sql_int(desk,
            "SELECT count(*) FROM deliveries WHERE endpoint = 0 AND state = 3 AND reason = 1") ==
        1);
    desk_free(desk);
}

Test(append, numbers_continue_after_a_restart)
{
    struct desk *desk = desk_new();
    cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    int64_t first = desk_last_delivery(desk);
    desk_sql(desk, "DELETE FROM events; DELETE FROM bodies");
    desk_reopen(desk);
    cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    cr_assert(desk_last_delivery(desk) == first + ACCOUNT_ENDPOINTS_MAX);
    desk_free(desk);
}

Test(append, budget_is_given_back_with_the_last_reference)
{
    struct desk *desk = desk_new();
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, NULL) == OK);
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, NULL) == ERR_EXISTS);
    cr_assert(desk->arrivals_count == 3 && !desk->arrivals[0].answered);
    struct event **handed = &desk->arrivals[0].delivery.event;
    cr_assert(desk->budget.taken_bytes == (*handed)->bytes);
    event_unref(TAKE(*handed));
    cr_assert(desk->budget.taken_bytes == 0);
    desk_free(desk);
}
