/* SPDX-License-Identifier: Apache-2.0 */
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define STATE(name) [DELIVERY_##name]

Test(delivery_row, moves_by_the_ways_of_the_picture_only)
{
    /* P pending, S sending, W waiting, K parked, D delivered, X dead, C discarded; by where from */
    static const char *const ways[DELIVERY_STATES] = {STATE(PENDING) = "SWKDX",
        STATE(SENDING) = "DWXK", STATE(WAITING) = "SKDXWPC", STATE(PARKED) = "PDC",
        STATE(DELIVERED) = "P", STATE(DEAD) = "PC", STATE(DISCARDED) = ""};
    static const char letters[] = "PSWKDXC";
    for (int from = 0; from < DELIVERY_STATES; from++)
        for (int to = 0; to < DELIVERY_STATES; to++)
            cr_expect_eq(delivery_row_may_move((enum delivery_state)from, (enum delivery_state)to),
                strchr(ways[from], letters[to]) != NULL, "%c to %c", letters[from], letters[to]);
}

Test(delivery_row, keeps_what_a_move_is_not_about)
{
    const struct attempt attempt = {
        .number = 3, .started_us = 50, .duration_us = 7, .end.http_status = 201};
    const struct delivery_row row = {.id = 1,
        .endpoint = 2,
        .state = DELIVERY_WAITING,
        .lane = LANE_RETRY,
        .generation = 4,
        .attempts = 2,
        .failures = 2,
        .due_us = 99};
    struct delivery_row moved = row;
    delivery_row_move(&moved, &(struct delivery_move){.to = DELIVERY_SENDING}, 1000);
    cr_expect(moved.state == DELIVERY_SENDING && moved.lane == LANE_RETRY && moved.failures == 2 &&
              moved.attempts == 2);
    delivery_row_move(
        &moved, &(struct delivery_move){.to = DELIVERY_DELIVERED, .attempt = &attempt}, 2000);
    cr_expect(moved.attempts == 3 && moved.started_us == 50 && moved.duration_us == 7 &&
              moved.http_status == 201);
    cr_expect(moved.generation == 4 && moved.changed_us == 2000 && moved.due_us == 99);
    delivery_row_move(
        &moved, &(struct delivery_move){.to = DELIVERY_PENDING, .lane = LANE_REPLAY}, 3000);
    cr_expect(moved.generation == 5 && moved.lane == LANE_REPLAY && moved.attempts == 3 &&
              moved.started_us == 0);
    cr_expect(moved.delivered_us == 2000 && delivery_row_replay(&moved) == REPLAY_IN_PROGRESS);
    delivery_row_move(&moved,
        &(struct delivery_move){.to = DELIVERY_WAITING, .due_us = 3100, .wait_us = 60}, 3050);
    cr_expect(moved.due_us == 3100 && moved.duration_us == 60 && moved.started_us == 0);
    struct delivery_row first = row;
    delivery_row_move(
        &first, &(struct delivery_move){.to = DELIVERY_PARKED, .reason = PARK_GONE}, 4000);
    cr_expect(first.reason == PARK_GONE && first.delivered_us == 0);
    delivery_row_move(&first, &(struct delivery_move){.to = DELIVERY_DISCARDED}, 5000);
    cr_expect(first.reason == PARK_NONE && first.changed_us == 5000);
}

Test(delivery_row, has_the_cause_of_waiting_while_it_waits_and_the_reason_while_it_is_parked)
{
    struct delivery_row row = {.state = DELIVERY_PENDING};
    struct delivery_move move = {.to = DELIVERY_WAITING,
        .reason = PARK_GONE,
        .wait_cause = WAIT_ENDPOINT,
        .due_us = 9,
        .wait_us = 5};
    delivery_row_move(&row, &move, 1);
    cr_expect(row.wait_cause == WAIT_ENDPOINT && row.reason == PARK_NONE);
    cr_expect_eq(delivery_row_stored_reason(&row), WAIT_ENDPOINT);
    uint32_t checksum = delivery_row_checksum(&row);
    row.wait_cause = WAIT_EVENT;
    cr_expect_neq(delivery_row_checksum(&row), checksum);
    move.to = DELIVERY_SENDING;
    delivery_row_move(&row, &move, 2);
    cr_expect(row.wait_cause == WAIT_NONE && delivery_row_stored_reason(&row) == 0);
    move.to = DELIVERY_PARKED;
    delivery_row_move(&row, &move, 3);
    cr_expect(row.wait_cause == WAIT_NONE && row.reason == PARK_GONE);
    cr_expect_eq(delivery_row_stored_reason(&row), PARK_GONE);
}

/* What was delivered is delivered again wherever another one would be dead or parked. */
Test(delivery_row, that_was_delivered_stays_so_however_a_forced_replay_ends)
{
    static const struct {
        enum delivery_state from, to, ends_as;
    } cases[] = {
        {DELIVERY_PENDING, DELIVERY_PARKED, DELIVERY_DELIVERED},
        {DELIVERY_PENDING, DELIVERY_DEAD, DELIVERY_DELIVERED},
        {DELIVERY_PENDING, DELIVERY_WAITING, DELIVERY_WAITING},
        {DELIVERY_PENDING, DELIVERY_SENDING, DELIVERY_SENDING},
        {DELIVERY_WAITING, DELIVERY_PARKED, DELIVERY_DELIVERED},
        {DELIVERY_SENDING, DELIVERY_PARKED, DELIVERY_DELIVERED},
        {DELIVERY_SENDING, DELIVERY_DEAD, DELIVERY_DELIVERED},
        {DELIVERY_SENDING, DELIVERY_WAITING, DELIVERY_WAITING},
        {DELIVERY_DELIVERED, DELIVERY_PENDING, DELIVERY_PENDING},
    };
    const struct attempt attempt = {.number = 2, .started_us = 50, .end.http_status = 500};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct delivery_move move = {
            .to = cases[i].to, .reason = PARK_GONE, .attempt = &attempt};
        struct delivery_row row = {.state = cases[i].from, .changed_us = 5, .delivered_us = 3};
        cr_expect(!delivery_row_move(&row, &move, 9), "case %zu", i);
        cr_expect_eq(row.state, cases[i].ends_as, "case %zu", i);
        cr_expect(
            row.delivered_us == 3 && row.reason == PARK_NONE && row.started_us == 0, "case %zu", i);
        bool ended = cases[i].ends_as == DELIVERY_DELIVERED;
        cr_expect_eq(
            delivery_row_replay(&row), ended ? REPLAY_FAILED : REPLAY_IN_PROGRESS, "case %zu", i);
        cr_expect_eq(delivery_row_delivered_us(&row), 3, "case %zu", i);
    }
    struct delivery_row again = {.state = DELIVERY_PENDING, .delivered_us = 3};
    delivery_row_move(
        &again, &(struct delivery_move){.to = DELIVERY_DELIVERED, .attempt = &attempt}, 9);
    cr_expect(
        delivery_row_replay(&again) == REPLAY_DELIVERED && delivery_row_delivered_us(&again) == 3);
}

Test(delivery_row, that_is_broker_owned_stays_so_only_while_it_is_sent)
{
    static const struct {
        enum delivery_state from, to;
        bool stays_broker_owned, adopts_event;
    } cases[] = {
        {DELIVERY_PENDING, DELIVERY_SENDING, true, false},
        {DELIVERY_PENDING, DELIVERY_DELIVERED, false, false},
        {DELIVERY_PENDING, DELIVERY_WAITING, false, true},
        {DELIVERY_PENDING, DELIVERY_PARKED, false, true},
        {DELIVERY_PENDING, DELIVERY_DEAD, false, true},
        {DELIVERY_SENDING, DELIVERY_DELIVERED, false, false},
        {DELIVERY_SENDING, DELIVERY_WAITING, false, true},
        {DELIVERY_SENDING, DELIVERY_PARKED, false, true},
        {DELIVERY_SENDING, DELIVERY_DEAD, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct delivery_move move = {.to = cases[i].to, .reason = PARK_GONE};
        struct delivery_row held = {.state = cases[i].from, .broker_owned = true},
                            own = {.state = cases[i].from};
        cr_expect_eq(delivery_row_move(&held, &move, 1), cases[i].adopts_event, "case %zu", i);
        cr_expect_eq(held.broker_owned, cases[i].stays_broker_owned, "case %zu", i);
        cr_expect(!delivery_row_move(&own, &move, 1) && !own.broker_owned, "case %zu", i);
    }
}

/* How many deliveries of the endpoint are loaded. None is expected, so none is freed. */
static unsigned count_loaded(struct shelf *shelf, uint64_t endpoint)
{
    struct delivery loaded[4];
    struct journal_load load = {.request.kind = JOURNAL_LOAD,
        .endpoint = endpoint,
        .due_by_us = INT64_MAX,
        .count_max = 4,
        .bytes_max = 1 << 20,
        .ret_deliveries = loaded};
    cr_assert(shelf_call(shelf, store_load, &load.request) == OK);
    return load.ret_count;
}

/* Each column that counts, changed behind our back. */
Test(delivery_row, that_is_damaged_is_neither_moved_nor_sent_but_parked_when_it_is_loaded)
{
    static const char *const damages[] = {"endpoint = 9", "state = 2", "reason = 4", "lane = 1",
        "generation = 1", "attempts = 1", "failures = 1", "due_us = 1", "changed_us = 1",
        "started_us = 1", "duration_us = 1", "http_status = 200", "delivered_us = 1",
        "crc = crc + 1", "crc = crc + 4294967296"};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct shelf *shelf = shelf_new();
        int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
        char text[128];
        snprintf(text, sizeof text, "UPDATE deliveries SET %s", damages[i]);
        shelf_sql(shelf, text);
        cr_expect_eq(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED), ERR_DAMAGED,
            "%s", damages[i]);
        cr_expect(shelf_sql_int(shelf, "SELECT count(*) FROM deliveries WHERE state = 4") == 0,
            "%s", damages[i]);
        cr_expect(count_loaded(shelf, i == 0 ? 9 : 1) == 0, "%s", damages[i]);
        cr_expect(shelf_sql_int(shelf, "SELECT state * 100 + reason FROM deliveries") == 306, "%s",
            damages[i]);
        shelf_free(shelf);
    }
}

Test(attempt_row, comes_back_as_it_was_written_and_each_column_counts)
{
    static const char *const damages[] = {"number = 9", "started_us = 9", "duration_us = 9",
        "http_status = 9", "error = 'tls'", "request_begun = 0", "warm = 0", "request_complete = 0",
        "request_bytes = 9", "answer_bytes = 9", "excerpt = x'00'", "dns_us = 9", "connect_us = 9",
        "tls_us = 9", "first_byte_us = 9", "peer = 'x'", "tls = 'x'", "http = 'x'",
        "tls_problem = 'x'", "location = 'x'", "rule = 'x'", "peer = tls, tls = peer"};
    struct attempt attempt = {.number = 1,
        .started_us = 50,
        .duration_us = 7,
        .end = {.http_status = 302, .error = OK, .request_begun = true},
        .evidence =
            {
                .warm = true,
                .request_complete = true,
                .request_bytes = 100,
                .answer_bytes = 200,
                .dns_us = 1,
                .connect_us = 2,
                .tls_us = 3,
                .first_byte_us = UINT32_MAX,
                .peer = "[2001:db8::1]:443",
                .tls = "TLSv1.3",
                .http = "1.1",
                .tls_problem = "certificate has expired (CN=sink.test, 2026-11-03)",
            },
        .excerpt_len = 4,
        .excerpt = "body"};
    memset(attempt.evidence.location, 'l', sizeof attempt.evidence.location - 1);
    memset(attempt.rule, 'r', sizeof attempt.rule - 1);
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1}), delivery;
    struct journal_record order = {.delivery = placement_first_delivery(seq),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DEAD,
        .has_attempt = true,
        .attempt = attempt};
    cr_assert(shelf_call(shelf, store_record_outcome, &order.request) == OK);
    for (size_t i = 0; i <= sizeof damages / sizeof damages[0]; i++) {
        char text[128];
        struct attempt found;
        struct sqlite3_stmt *statement = NULL;
        bool row;
        if (i > 0) {
            snprintf(text, sizeof text, "SAVEPOINT whole; UPDATE attempts SET %s", damages[i - 1]);
            shelf_sql(shelf, text);
        }
        cr_assert(sql_prepare(shelf->store.db, "SELECT " ATTEMPT_COLUMNS " FROM attempts",
                      &statement) == OK);
        struct sql_use use = sql_use(statement);
        cr_assert(sql_step(&use, &row) == OK && row);
        cr_expect_eq(attempt_row_take(&use, &delivery, &found), i == 0, "%s",
            i == 0 ? "whole" : damages[i - 1]);
        if (i == 0) {
            cr_expect_eq(delivery, order.delivery);
            cr_expect(memcmp(&found.evidence, &attempt.evidence, sizeof found.evidence) == 0);
            cr_expect_str_eq(found.rule, attempt.rule);
        }
        sql_finish(&use);
        sql_finalize(statement);
        if (i > 0)
            shelf_sql(shelf, "ROLLBACK TO whole; RELEASE whole");
    }
    shelf_free(shelf);
}

Test(delivery_row, of_a_stale_index_entry_keeps_its_state)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.endpoints = 1});
    cr_assert(shelf_move(shelf, seq, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    /* An index that still lists it among the pending ones, as a torn page would. */
    shelf_sql(shelf,
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX "
        "deliveries_pending ON"
        " deliveries(endpoint, id, class) WHERE state = 4' WHERE name = 'deliveries_pending';"
        " PRAGMA writable_schema = RESET; REINDEX deliveries_pending;"
        " PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX "
        "deliveries_pending ON"
        " deliveries(endpoint, id, class) WHERE state = 0 AND "
        "broker_owned = 0 AND lane <> 2' "
        "WHERE name = "
        "'deliveries_pending';"
        " PRAGMA writable_schema = RESET;");
    cr_expect(count_loaded(shelf, 1) == 0);
    cr_expect(
        shelf_sql_int(shelf, "SELECT state FROM deliveries NOT INDEXED") == DELIVERY_DELIVERED);
    shelf_free(shelf);
}

Test(delivery_row, the_first_and_the_last_attempts_are_kept)
{
    struct shelf *shelf = shelf_new();
    int64_t seq = shelf_append(shelf, (struct shelved){.account = "acc_1", .endpoints = 1});
    enum { MADE = ATTEMPTS_KEPT_FIRST + ATTEMPTS_KEPT_LAST + 30 };
    for (unsigned i = 1; i <= MADE; i++) {
        const struct attempt attempt = {.number = i, .started_us = 1, .end = {.http_status = 500}};
        struct journal_record record = {.delivery = placement_first_delivery(seq),
            .from = i == 1 ? DELIVERY_PENDING : DELIVERY_WAITING,
            .to = DELIVERY_WAITING,
            .lane = LANE_RETRY,
            .wait_cause = WAIT_ENDPOINT,
            .due_us = 10,
            .wait_us = 5,
            .has_attempt = true,
            .attempt = attempt};
        shelf_begin(shelf);
        cr_assert(store_record_outcome(&shelf->store, &record.request) == OK);
        cr_assert_eq(record.request.result, OK, "%u: %s", i, err_name(record.request.result));
        shelf_commit(shelf);
    }
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM attempts"),
        ATTEMPTS_KEPT_FIRST + ATTEMPTS_KEPT_LAST);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM attempts WHERE number <= 20"),
        ATTEMPTS_KEPT_FIRST);
    cr_expect_eq(
        shelf_sql_int(shelf, "SELECT count(*) FROM attempts WHERE number BETWEEN 21 AND 50"), 0);
    shelf_free(shelf);
}
