/* SPDX-License-Identifier: Apache-2.0 */
/* What waits gets the due times of new rules, in bounded steps. */
#include "model/placement.h"
#include "unit/journal/fixture.h"
#include "unit/journal/shelf.h"
#include "unit/sqlite/faulty_disk.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

#define ENDPOINT 1 /* of a shelved event with one endpoint */
#define ACCEPTED_US 1000000
#define BEGAN_US 2000000

/* The new rules: a wait of `wait_us`, ended at a horizon. */
struct rules {
    int64_t wait_us, horizon_us;
    unsigned asked;
};

static int64_t by_rules(const struct delivery *waiting, const void *context)
{
    struct rules *rules = (struct rules *)(uintptr_t)context; /* a test counts */
    int64_t due_us = delivery_wait_began_us(waiting->due_us, waiting->wait_us) + rules->wait_us;
    int64_t horizon_us = waiting->event->parts.accepted_us + rules->horizon_us;
    rules->asked++;
    return horizon_us < due_us ? horizon_us : due_us;
}

static const struct rules new_rules = {.wait_us = 500, .horizon_us = INT64_MAX / 2};

static int64_t accept_one(struct shelf *shelf)
{
    return placement_first_delivery(
        shelf_append(shelf, (struct shelved){.accepted_us = ACCEPTED_US, .endpoints = ENDPOINT}));
}

static int64_t let_wait(struct shelf *shelf, enum wait_cause cause, int64_t wait_us)
{
    struct journal_record order = {.delivery = accept_one(shelf),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_WAITING,
        .lane = LANE_RETRY,
        .failures = 3,
        .wait_cause = cause,
        .due_us = BEGAN_US + wait_us,
        .wait_us = wait_us};
    cr_assert(shelf_call(shelf, store_record_outcome, &order.request) == OK);
    return order.delivery;
}

static struct journal_redue redue_by(struct rules *rules)
{
    return (struct journal_redue){.endpoint = ENDPOINT,
        .new_due_us = by_rules,
        .context = rules,
        .after_due_us = INT64_MIN,
        .count_max = REDUE_COUNT_MAX};
}

static void redue(struct shelf *shelf, struct journal_redue *request)
{
    cr_assert(shelf_call(shelf, store_redue, &request->request) == OK);
}

/* Reads it with its checksum. */
static struct delivery_row row_of(struct shelf *shelf, int64_t delivery)
{
    struct delivery_row row = {0};
    cr_assert(delivery_rows_read(&shelf->store.deliveries, delivery, &row) == OK);
    return row;
}

Test(redue, what_waits_is_due_by_the_new_rules_and_never_later_than_before)
{
    static const struct {
        const char *title;
        int64_t wait_us, rule_wait_us, rule_horizon_us, expected_us;
    } cases[] = {
        {"a shorter wait", 9000, 500, INT64_MAX / 2, BEGAN_US + 500},
        {"the same wait", 9000, 9000, INT64_MAX / 2, BEGAN_US + 9000},
        {"a longer wait", 9000, 90000, INT64_MAX / 2, BEGAN_US + 9000},
        {"a nearer horizon", 9000, 9000, BEGAN_US - ACCEPTED_US + 100, BEGAN_US + 100},
        {"a horizon that was over when it began to wait", 9000, 9000, 1, BEGAN_US},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct shelf *shelf = shelf_new();
        int64_t id = let_wait(shelf, WAIT_EVENT, cases[i].wait_us);
        struct delivery_row before = row_of(shelf, id);
        struct rules rules = {
            .wait_us = cases[i].rule_wait_us, .horizon_us = cases[i].rule_horizon_us};
        struct journal_redue request = redue_by(&rules);
        redue(shelf, &request);
        struct delivery_row row = row_of(shelf, id);
        bool changes = cases[i].expected_us != before.due_us;
        cr_expect_eq(
            row.due_us, cases[i].expected_us, "%s: %lld", cases[i].title, (long long)row.due_us);
        cr_expect_eq(
            delivery_wait_began_us(row.due_us, row.duration_us), BEGAN_US, "%s", cases[i].title);
        cr_expect_eq(request.ret_count, changes, "%s", cases[i].title);
        cr_expect_eq(
            request.ret_earliest_due_us, changes ? row.due_us : INT64_MAX, "%s", cases[i].title);
        row.due_us = before.due_us;
        row.duration_us = before.duration_us;
        cr_expect_eq(delivery_row_checksum(&row), delivery_row_checksum(&before),
            "%s: nothing else has changed", cases[i].title);
        shelf_free(shelf);
    }
}

static int64_t by_what_is_shown(const struct delivery *waiting, const void *context)
{
    const struct event_parts *parts = &waiting->event->parts;
    bool *is_right = (bool *)(uintptr_t)context;
    *is_right = waiting->state == DELIVERY_WAITING && waiting->wait_cause == WAIT_ENDPOINT &&
                waiting->failures == 3 && waiting->generation == 0 &&
                waiting->endpoint == ENDPOINT && waiting->due_us == BEGAN_US + 9000 &&
                waiting->wait_us == 9000 && parts->accepted_us == ACCEPTED_US &&
                parts->body.len == 0;
    return waiting->due_us;
}

Test(redue, the_rules_see_the_delivery_and_its_event_without_the_body)
{
    struct shelf *shelf = shelf_new();
    bool is_right = false;
    struct journal_redue request = redue_by(NULL);
    request.new_due_us = by_what_is_shown;
    request.context = &is_right;
    let_wait(shelf, WAIT_ENDPOINT, 9000);
    redue(shelf, &request);
    cr_expect(is_right);
    shelf_free(shelf);
}

Test(redue, a_row_whose_due_time_does_not_change_is_not_written)
{
    struct shelf *shelf = shelf_new();
    let_wait(shelf, WAIT_ENDPOINT, 400);
    int64_t longer = let_wait(shelf, WAIT_ENDPOINT, 600);
    struct rules rules = new_rules;
    struct journal_redue request = redue_by(&rules);
    int written = sqlite3_total_changes(shelf->store.db);
    redue(shelf, &request);
    cr_expect_eq(sqlite3_total_changes(shelf->store.db) - written, 1);
    cr_expect_eq(request.ret_count, 1);
    cr_expect_eq(row_of(shelf, longer).due_us, BEGAN_US + 500);
    redue(shelf, &request);
    cr_expect_eq(sqlite3_total_changes(shelf->store.db) - written, 1, "a second time");
    cr_expect_eq(rules.asked, 4);
    shelf_free(shelf);
}

Test(redue, only_what_waits_for_the_endpoint_is_looked_at)
{
    struct shelf *shelf = shelf_new();
    struct rules rules = new_rules;
    struct journal_redue request = redue_by(&rules);
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = ENDPOINT});
    cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_PARKED) == OK);
    accept_one(shelf);
    let_wait(shelf, WAIT_ENDPOINT, 9000);
    request.endpoint = ENDPOINT + 1;
    redue(shelf, &request);
    cr_expect_eq(rules.asked, 0);
    cr_expect(!request.ret_more && request.ret_earliest_due_us == INT64_MAX);
    request.endpoint = ENDPOINT;
    request.after_due_us = BEGAN_US + 9000; /* it is before the cursor */
    request.after_id = INT64_MAX;
    redue(shelf, &request);
    cr_expect_eq(rules.asked, 0);
    request.after_due_us = INT64_MIN;
    redue(shelf, &request);
    cr_expect_eq(rules.asked, 1);
    shelf_free(shelf);
}

/* The rows move to before the cursor while it advances. */
Test(redue, bounded_steps_look_at_every_row_once)
{
    enum { ROWS = 25, STEP = 10 };
    static const unsigned expected[] = {STEP, STEP, ROWS - 2 * STEP};
    struct shelf *shelf = shelf_new();
    int64_t ids[ROWS];
    for (unsigned i = 0; i < ROWS; i++) /* some are due in the same microsecond */
        ids[i] = let_wait(shelf, i % 4, 1000 + (int64_t)(i * 7 % ROWS / 3));
    struct rules rules = new_rules;
    struct journal_redue request = redue_by(&rules);
    request.count_max = STEP;
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        redue(shelf, &request);
        cr_expect_eq(request.ret_count, expected[i], "step %zu: %u", i, request.ret_count);
        cr_expect_eq(request.ret_more, i + 1 < ARRAY_LENGTH(expected), "step %zu", i);
        cr_expect_eq(request.ret_earliest_due_us, BEGAN_US + 500);
        request.after_due_us = request.ret_after_due_us;
        request.after_id = request.ret_after_id;
    }
    cr_expect_eq(rules.asked, ROWS);
    for (unsigned i = 0; i < ROWS; i++)
        cr_expect_eq(row_of(shelf, ids[i]).due_us, BEGAN_US + 500);
    shelf_free(shelf);
}

Test(redue, a_damaged_row_is_parked_and_a_damaged_event_is_left_to_a_load)
{
    static const struct {
        const char *damage;
        int64_t expected; /* state and reason of the damaged one */
    } cases[] = {
        {"UPDATE deliveries SET failures = 7 WHERE id < 32", 306},
        {"UPDATE events SET type = 'x' WHERE seq = 1", 201},
        {"DELETE FROM events WHERE seq = 1", 201},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct shelf *shelf = shelf_new();
        let_wait(shelf, WAIT_ENDPOINT, 9000);
        int64_t intact = let_wait(shelf, WAIT_ENDPOINT, 9001);
        shelf_sql(shelf, cases[i].damage);
        struct rules rules = new_rules;
        struct journal_redue request = redue_by(&rules);
        redue(shelf, &request);
        cr_expect_eq(
            shelf_sql_int(shelf, "SELECT state * 100 + reason FROM deliveries ORDER BY id LIMIT 1"),
            cases[i].expected, "%s", cases[i].damage);
        cr_expect_eq(request.ret_count, 1, "%s", cases[i].damage);
        cr_expect_eq(row_of(shelf, intact).due_us, BEGAN_US + 500, "%s", cases[i].damage);
        shelf_free(shelf);
    }
}

Test(redue, a_step_that_the_disk_refuses_changes_nothing_and_says_so)
{
    struct desk *desk = desk_new();
    struct rules rules = new_rules;
    struct journal_redue request = redue_by(&rules);
    cr_assert(desk_append(desk, (struct draft){0}, ENDPOINT, NULL) == OK);
    struct journal_record wait =
        move_of(desk_last_delivery(desk), DELIVERY_PENDING, DELIVERY_WAITING);
    wait.due_us = BEGAN_US + 9000;
    wait.wait_us = 9000;
    cr_assert(desk_call(desk, &wait.request) == OK);
    request.request.kind = JOURNAL_REDUE;
    disk_be_full(true);
    cr_expect(desk_call(desk, &request.request) == ERR_DISK_FULL);
    cr_expect(request.ret_count == 0 && !request.ret_more &&
              request.ret_earliest_due_us == INT64_MAX &&
              request.ret_after_due_us == request.after_due_us);
    disk_be_full(false);
    cr_expect(desk_call(desk, &request.request) == OK);
    cr_expect_eq(request.ret_count, 1);
    cr_expect_eq(desk_sql_int(desk, "SELECT due_us FROM deliveries"), BEGAN_US + 500);
    desk_free(desk);
}
