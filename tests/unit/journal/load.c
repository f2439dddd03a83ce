/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a load: what is pending by lanes, what is due because its endpoint has recovered,
 * and candidates for a probe. */
#include "model/placement.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define ENDPOINT 1 /* of a shelved event with one endpoint */
#define LOADED_MAX 64

/* One delivery for ENDPOINT; returns its number. */
static int64_t accept_one(struct shelf *shelf)
{
    return placement_first_delivery(shelf_append(shelf, (struct shelved){.endpoints = ENDPOINT}));
}

/* It waits from `began_us` on, for `wait_us`. */
static void let_wait(
    struct shelf *shelf, int64_t delivery, enum wait_cause cause, int64_t began_us, int64_t wait_us)
{
    struct journal_record order = {.delivery = delivery,
        .from = DELIVERY_PENDING,
        .to = DELIVERY_WAITING,
        .lane = LANE_RETRY,
        .failures = 1,
        .wait_cause = cause,
        .due_us = began_us + wait_us,
        .wait_us = wait_us};
    cr_assert(shelf_call(shelf, store_record_outcome, &order.request) == OK);
}

/* An operator replays it; then it is pending in the lane of replays. */
static void replay(struct shelf *shelf, int64_t delivery)
{
    int64_t event = placement_event(delivery);
    struct journal_operator_action action = {.event = shelf_id_of(shelf, event),
        .from = DELIVERY_DEAD,
        .to = DELIVERY_PENDING,
        .expected_endpoint = ENDPOINT};
    cr_assert(shelf_move(shelf, event, 0, DELIVERY_PENDING, DELIVERY_DEAD) == OK);
    cr_assert(shelf_call(shelf, store_action, &action.request) == OK);
}

struct loaded {
    struct journal_load load;
    struct delivery deliveries[LOADED_MAX];
};

/* A load that asks for nothing yet. */
static void loaded_init(struct loaded *loaded)
{
    loaded->load = (struct journal_load){.endpoint = ENDPOINT,
        .after_pending_id = INT64_MAX,
        .due_by_us = INT64_MIN,
        .count_max = LOADED_MAX,
        .bytes_max = INT64_MAX,
        .ret_deliveries = loaded->deliveries};
}

static void load(struct shelf *shelf, struct loaded *loaded)
{
    cr_assert(shelf_call(shelf, store_load, &loaded->load.request) == OK);
    for (unsigned i = 0; i < loaded->load.ret_count; i++)
        event_unref(loaded->deliveries[i].event);
}

static void expect_loaded(struct shelf *shelf, struct loaded *loaded, const int64_t *ids,
    unsigned count, enum load_part part)
{
    load(shelf, loaded);
    cr_expect_eq(loaded->load.ret_count, count, "%u instead of %u", loaded->load.ret_count, count);
    for (unsigned i = 0; i < count && i < loaded->load.ret_count; i++) {
        cr_expect_eq(loaded->deliveries[i].id, ids[i], "at %u", i);
        cr_expect_eq(loaded->deliveries[i].loaded_as, part, "at %u", i);
    }
}

Test(load, what_failed_because_of_the_endpoint_before_it_recovered_is_due_in_order_of_acceptance)
{
    static const struct {
        enum wait_cause cause;
        int64_t began_us, wait_us;
    } waits[] = {
        {WAIT_ENDPOINT, 500, 9000},
        {WAIT_EVENT, 100, 9000},
        {WAIT_ENDPOINT, 1000, 100},
        {WAIT_OURSELVES, 100, 9000},
        {WAIT_NONE, 100, 9000},
        {WAIT_ENDPOINT, 1001, 100},
        {WAIT_ENDPOINT, 10, 90000},
    };
    struct shelf *shelf = shelf_new();
    int64_t ids[ARRAY_LENGTH(waits)];
    for (size_t i = 0; i < ARRAY_LENGTH(waits); i++) {
        ids[i] = accept_one(shelf);
        let_wait(shelf, ids[i], waits[i].cause, waits[i].began_us, waits[i].wait_us);
    }
    struct loaded loaded;
    loaded_init(&loaded);
    expect_loaded(shelf, &loaded, NULL, 0, LOAD_RECOVERED);
    loaded.load.recovered_us = 1000;
    expect_loaded(shelf, &loaded, (int64_t[]){ids[0], ids[2], ids[6]}, 3, LOAD_RECOVERED);
    cr_expect(!loaded.load.ret_more && loaded.load.ret_after_recovered_id == ids[6]);
    loaded.load.after_recovered_id = ids[0];
    expect_loaded(shelf, &loaded, (int64_t[]){ids[2], ids[6]}, 2, LOAD_RECOVERED);
    loaded.load.recovered_us = 999;
    expect_loaded(shelf, &loaded, (int64_t[]){ids[6]}, 1, LOAD_RECOVERED);
    loaded.load.after_recovered_id = ids[6];
    expect_loaded(shelf, &loaded, NULL, 0, LOAD_RECOVERED);
    loaded.load.after_recovered_id = 0;
    loaded.load.endpoint = ENDPOINT + 1;
    expect_loaded(shelf, &loaded, NULL, 0, LOAD_RECOVERED);
    shelf_free(shelf);
}

Test(load, what_failed_again_after_the_recovery_is_not_due_a_second_time)
{
    struct shelf *shelf = shelf_new();
    int64_t id = accept_one(shelf);
    let_wait(shelf, id, WAIT_ENDPOINT, 500, 100);
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.recovered_us = 1000;
    expect_loaded(shelf, &loaded, &id, 1, LOAD_RECOVERED);
    struct journal_record again = {.delivery = id,
        .from = DELIVERY_WAITING,
        .to = DELIVERY_WAITING,
        .wait_cause = WAIT_ENDPOINT,
        .due_us = 1700,
        .wait_us = 500};
    cr_assert(shelf_call(shelf, store_record_outcome, &again.request) == OK);
    expect_loaded(shelf, &loaded, NULL, 0, LOAD_RECOVERED);
    loaded.load.recovered_us = 1200;
    expect_loaded(shelf, &loaded, &id, 1, LOAD_RECOVERED);
    shelf_free(shelf);
}

Test(load, of_a_recovery_passes_a_bounded_number_of_rows_over_and_leads_on)
{
    enum { YOUNG = 100, COUNT = 2, LOOKED = LOAD_LOOKED_PER_COUNT * (COUNT + 1) };
    struct shelf *shelf = shelf_new();
    for (int i = 0; i < YOUNG; i++)
        let_wait(shelf, accept_one(shelf), WAIT_ENDPOINT, 2000, 100);
    int64_t old[3];
    for (size_t i = 0; i < ARRAY_LENGTH(old); i++) {
        old[i] = accept_one(shelf);
        let_wait(shelf, old[i], WAIT_ENDPOINT, 1000, 100);
    }
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.recovered_us = 1500;
    loaded.load.count_max = COUNT;
    unsigned loads = 0, found = 0;
    do {
        load(shelf, &loaded);
        for (unsigned i = 0; i < loaded.load.ret_count; i++)
            cr_expect_eq(loaded.deliveries[i].id, old[found++]);
        cr_expect(loaded.load.ret_after_recovered_id > loaded.load.after_recovered_id);
        cr_expect_eq(loaded.load.ret_more, loaded.load.ret_more_of[LOAD_RECOVERED]);
        loaded.load.after_recovered_id = loaded.load.ret_after_recovered_id;
    } while (loaded.load.ret_more && ++loads < YOUNG);
    cr_expect_eq(found, ARRAY_LENGTH(old));
    cr_expect(loads >= YOUNG / LOOKED && loads <= YOUNG / LOOKED + 2, "%u loads", loads);
    shelf_free(shelf);
}

Test(load, that_has_no_room_for_a_recovered_one_continues_with_it)
{
    struct shelf *shelf = shelf_new();
    int64_t ids[4];
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        ids[i] = accept_one(shelf);
        let_wait(shelf, ids[i], WAIT_ENDPOINT, 100, 100);
    }
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.recovered_us = 1000;
    loaded.load.bytes_max = 35; /* a body has 15 */
    expect_loaded(shelf, &loaded, ids, 2, LOAD_RECOVERED);
    cr_expect(loaded.load.ret_more_of[LOAD_RECOVERED]);
    loaded.load.after_recovered_id = loaded.load.ret_after_recovered_id;
    loaded.load.bytes_max = INT64_MAX;
    expect_loaded(shelf, &loaded, ids + 2, 2, LOAD_RECOVERED);
    loaded.load.after_recovered_id = 0;
    loaded.load.bytes_max = 1;
    expect_loaded(shelf, &loaded, ids, 0, LOAD_RECOVERED);
    cr_expect(loaded.load.ret_more && loaded.load.ret_after_recovered_id < ids[0]);
    shelf_free(shelf);
}

Test(load, has_its_parts_in_order_and_says_of_which_there_is_more)
{
    struct shelf *shelf = shelf_new();
    int64_t due[2], recovered[2], pending[2];
    for (int i = 0; i < 2; i++) {
        due[i] = accept_one(shelf);
        let_wait(shelf, due[i], WAIT_EVENT, 100, 100);
        recovered[i] = accept_one(shelf);
        let_wait(shelf, recovered[i], WAIT_ENDPOINT, 100, 90000);
        pending[i] = accept_one(shelf);
    }
    const int64_t expected[] = {pending[0], pending[1], recovered[0], recovered[1], due[0], due[1]};
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.after_pending_id = 0;
    loaded.load.recovered_us = 1000;
    loaded.load.due_by_us = 1000;
    for (unsigned count = 0; count <= ARRAY_LENGTH(expected); count++) {
        loaded.load.count_max = count;
        load(shelf, &loaded);
        cr_expect_eq(loaded.load.ret_count, count);
        for (unsigned i = 0; i < count; i++) {
            cr_expect_eq(loaded.deliveries[i].id, expected[i]);
            cr_expect_eq(loaded.deliveries[i].loaded_as, i / 2);
        }
        for (unsigned part = 0; part < LOAD_PARTS; part++)
            cr_expect_eq(loaded.load.ret_more_of[part], count < 2 * (part + 1), "part %u of %u",
                part, count);
        cr_expect_eq(loaded.load.ret_more, count < ARRAY_LENGTH(expected));
    }
    /* What is due because of the recovery is due by its time as well, later. */
    cr_expect_eq(loaded.load.ret_next_due_us, 90100);
    shelf_free(shelf);
}

Test(load, takes_replays_apart_from_the_other_pending_ones)
{
    struct shelf *shelf = shelf_new();
    int64_t ids[6];
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        ids[i] = accept_one(shelf);
        if (i % 2)
            replay(shelf, ids[i]);
    }
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.after_pending_id = 0;
    expect_loaded(shelf, &loaded, ids, 6, LOAD_PENDING);
    loaded.load.pending_lanes = PENDING_FRESH_AND_RETRY;
    expect_loaded(shelf, &loaded, (int64_t[]){ids[0], ids[2], ids[4]}, 3, LOAD_PENDING);
    loaded.load.pending_lanes = PENDING_REPLAY;
    expect_loaded(shelf, &loaded, (int64_t[]){ids[1], ids[3], ids[5]}, 3, LOAD_PENDING);
    cr_expect_eq(loaded.deliveries[0].lane, LANE_REPLAY);
    loaded.load.after_pending_id = ids[1];
    loaded.load.count_max = 1;
    expect_loaded(shelf, &loaded, (int64_t[]){ids[3]}, 1, LOAD_PENDING);
    cr_expect(loaded.load.ret_more_of[LOAD_PENDING]);
    loaded.load.pending_lanes = PENDING_ALL;
    expect_loaded(shelf, &loaded, (int64_t[]){ids[2]}, 1, LOAD_PENDING);

    struct journal_backlog_scan scan = {.now_us = INT64_MAX};
    cr_assert(shelf_call(shelf, store_scan_backlog, &scan.request) == OK && scan.ret_count == 1);
    cr_expect(scan.ret_backlogs[0].pending == 6 && scan.ret_backlogs[0].replays == 3);
    free(scan.ret_backlogs);
    shelf_free(shelf);
}

Test(load, a_scan_says_how_many_wait_because_of_their_endpoint)
{
    struct shelf *shelf = shelf_new();
    for (int cause = WAIT_NONE; cause <= WAIT_OURSELVES; cause++)
        let_wait(shelf, accept_one(shelf), (enum wait_cause)cause, 100, 100 + cause);
    let_wait(shelf, accept_one(shelf), WAIT_ENDPOINT, 100, 50);
    struct journal_backlog_scan scan = {.now_us = INT64_MAX};
    cr_assert(shelf_call(shelf, store_scan_backlog, &scan.request) == OK && scan.ret_count == 1);
    const struct journal_backlog *backlog = &scan.ret_backlogs[0];
    cr_expect(backlog->waiting == 5 && backlog->failed == 2 && backlog->waiting_due_us == 150);
    cr_expect(backlog->pending == 0 && backlog->replays == 0);
    free(scan.ret_backlogs);
    shelf_free(shelf);
}

/* Probes. */

/* Its class and guard, as the type gives them. The checksum of an event has both. */
static int64_t accept_as(struct shelf *shelf, enum event_class class, bool guarded)
{
    struct event *event = shelf_event(shelf, (struct shelved){0});
    event->parts.class = class;
    event->parts.guarded = guarded;
    int64_t seq = shelf->store.next_seq;
    cr_assert(shelf_append_event(shelf, event, ENDPOINT) == OK);
    event_unref(event);
    return placement_first_delivery(seq);
}

static void expect_probes(
    struct shelf *shelf, unsigned count_max, const int64_t *ids, unsigned count)
{
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.probe = true;
    loaded.load.count_max = count_max;
    load(shelf, &loaded);
    cr_expect_eq(loaded.load.ret_count, count, "%u instead of %u", loaded.load.ret_count, count);
    for (unsigned i = 0; i < count && i < loaded.load.ret_count; i++)
        cr_expect_eq(loaded.deliveries[i].id, ids[i], "at %u", i);
}

Test(load, offers_the_oldest_unguarded_critical_one_as_a_probe)
{
    struct shelf *shelf = shelf_new();
    int64_t guarded = accept_as(shelf, CLASS_CRITICAL, true),
            optional = accept_as(shelf, CLASS_OPTIONAL, false),
            first = accept_as(shelf, CLASS_CRITICAL, false),
            important = accept_as(shelf, CLASS_IMPORTANT, false),
            second = accept_as(shelf, CLASS_CRITICAL, false);
    let_wait(shelf, first, WAIT_ENDPOINT, 100, 100);
    let_wait(shelf, optional, WAIT_ENDPOINT, 100, 100);
    const int64_t best[] = {first, second, optional, important, guarded};
    for (unsigned count = 1; count <= ARRAY_LENGTH(best) + 1; count++)
        expect_probes(shelf, count, best, count < 5 ? count : 5);
    shelf_free(shelf);
}

Test(load, offers_what_is_left_as_a_probe_when_nothing_better_waits)
{
    struct shelf *shelf = shelf_new();
    int64_t replayed = accept_one(shelf), late = accept_one(shelf), early = accept_one(shelf);
    expect_probes(shelf, 4, (int64_t[]){replayed, late, early}, 3);
    replay(shelf, replayed);
    let_wait(shelf, late, WAIT_EVENT, 100, 200);
    let_wait(shelf, early, WAIT_EVENT, 100, 100);
    expect_probes(shelf, 4, (int64_t[]){early, late}, 2);
    int64_t failed = accept_one(shelf);
    let_wait(shelf, failed, WAIT_ENDPOINT, 100, 900);
    expect_probes(shelf, 4, &failed, 1);
    for (int i = 0; i < 2; i++)
        cr_assert(shelf_move(shelf, placement_event(i ? late : early), 0, DELIVERY_WAITING,
                      DELIVERY_DELIVERED) == OK);
    cr_assert(shelf_move(shelf, placement_event(failed), 0, DELIVERY_WAITING, DELIVERY_DEAD) == OK);
    expect_probes(shelf, 4, &replayed, 1);
    shelf_free(shelf);
}

Test(load, searches_for_an_unguarded_probe_in_parts)
{
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < LOAD_PROBE_LOOKED; i++)
        accept_as(shelf, CLASS_CRITICAL, true);
    int64_t optional = accept_as(shelf, CLASS_OPTIONAL, false);
    accept_as(shelf, CLASS_CRITICAL, true);
    int64_t critical = accept_as(shelf, CLASS_CRITICAL, false);
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.probe = loaded.load.unguarded = true;
    loaded.load.count_max = 4;
    load(shelf, &loaded);
    cr_expect_eq(loaded.load.ret_count, 0);
    cr_assert_lt(loaded.load.ret_after_probe_id, optional);
    loaded.load.after_probe_id = loaded.load.ret_after_probe_id;
    load(shelf, &loaded);
    cr_assert_eq(loaded.load.ret_count, 2);
    cr_expect_eq(loaded.deliveries[0].id, critical);
    cr_expect_eq(loaded.deliveries[1].id, optional);
    cr_expect_eq(loaded.load.ret_after_probe_id, INT64_MAX);
    shelf_free(shelf);
}

Test(load, looks_at_a_bounded_number_of_candidates_for_a_probe)
{
    struct shelf *shelf = shelf_new();
    int64_t first = accept_as(shelf, CLASS_CRITICAL, true);
    for (int i = 1; i < LOAD_PROBE_LOOKED; i++)
        accept_as(shelf, CLASS_CRITICAL, true);
    accept_as(shelf, CLASS_CRITICAL, false);
    expect_probes(shelf, 1, &first, 1);
    shelf_free(shelf);
}

#define WITHOUT_OPTIONAL (1u << CLASS_OPTIONAL)

Test(load, passes_over_classes_that_are_left_out_and_continues_behind_them)
{
    struct shelf *shelf = shelf_new();
    enum { COUNT = 2, LOOKED = LOAD_LOOKED_PER_COUNT * (COUNT + 1) };
    int64_t optional = 0;
    for (unsigned i = 0; i < LOOKED; i++)
        optional = accept_as(shelf, CLASS_OPTIONAL, false);
    int64_t critical = accept_as(shelf, CLASS_CRITICAL, false);
    for (unsigned waits = 0; waits < 2; waits++) {
        struct loaded loaded;
        loaded_init(&loaded);
        loaded.load.without = WITHOUT_OPTIONAL;
        loaded.load.count_max = COUNT;
        loaded.load.after_pending_id = waits ? INT64_MAX : 0;
        loaded.load.due_by_us = waits ? 1000 : INT64_MIN;
        load(shelf, &loaded);
        cr_expect(loaded.load.ret_count == 0 && loaded.load.ret_more);
        cr_expect_eq(
            waits ? loaded.load.ret_after_waiting_id : loaded.load.ret_after_pending_id, optional);
        if (!waits)
            loaded.load.after_pending_id = loaded.load.ret_after_pending_id;
        loaded.load.after_waiting_due_us = loaded.load.ret_after_waiting_due_us;
        loaded.load.after_waiting_id = loaded.load.ret_after_waiting_id;
        load(shelf, &loaded);
        cr_assert(loaded.load.ret_count == 1 && !loaded.load.ret_more);
        cr_expect_eq(loaded.deliveries[0].id, critical);
        for (int64_t id = critical; !waits && id > 0; id -= ACCOUNT_ENDPOINTS_MAX)
            let_wait(shelf, id, WAIT_ENDPOINT, 100, id == critical ? 600 : 500);
    }
    shelf_free(shelf);
}

Test(load, that_passes_over_classes_does_not_lose_what_the_byte_budget_left)
{
    struct shelf *shelf = shelf_new();
    int64_t first = accept_as(shelf, CLASS_CRITICAL, false);
    accept_as(shelf, CLASS_OPTIONAL, false);
    int64_t second = accept_as(shelf, CLASS_CRITICAL, false);
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.without = WITHOUT_OPTIONAL;
    loaded.load.after_pending_id = 0;
    loaded.load.bytes_max = 1;
    load(shelf, &loaded);
    cr_expect(loaded.load.ret_count == 0 && loaded.load.ret_more);
    cr_expect_lt(loaded.load.ret_after_pending_id, first);
    loaded.load.bytes_max = INT64_MAX;
    load(shelf, &loaded);
    cr_assert_eq(loaded.load.ret_count, 2);
    cr_expect_eq(loaded.deliveries[1].id, second);
    shelf_free(shelf);
}

Test(load, of_a_probe_finds_a_guarded_one_behind_many_of_a_class_that_is_left_out)
{
    struct shelf *shelf = shelf_new();
    for (unsigned i = 0; i < LOAD_PROBE_PASSED + 10; i++)
        accept_as(shelf, CLASS_OPTIONAL, false);
    int64_t guarded = accept_as(shelf, CLASS_CRITICAL, true);
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.probe = true;
    loaded.load.without = WITHOUT_OPTIONAL;
    loaded.load.count_max = 4;
    load(shelf, &loaded);
    cr_expect_eq(loaded.load.ret_count, 0);
    cr_assert_lt(loaded.load.ret_after_probe_id, guarded);
    loaded.load.after_probe_id = loaded.load.ret_after_probe_id;
    load(shelf, &loaded);
    cr_assert_eq(loaded.load.ret_count, 1);
    cr_expect_eq(loaded.deliveries[0].id, guarded);
    cr_expect_eq(loaded.load.ret_after_probe_id, INT64_MAX);
    shelf_free(shelf);
}

Test(load, of_a_probe_among_what_was_never_sent_has_the_best_first_and_no_waiting_one)
{
    struct shelf *shelf = shelf_new();
    int64_t failed = accept_as(shelf, CLASS_CRITICAL, false),
            replayed = accept_as(shelf, CLASS_IMPORTANT, false),
            guarded = accept_as(shelf, CLASS_CRITICAL, true),
            critical = accept_as(shelf, CLASS_CRITICAL, false);
    let_wait(shelf, failed, WAIT_ENDPOINT, 100, 100);
    replay(shelf, replayed);
    struct loaded loaded;
    loaded_init(&loaded);
    loaded.load.probe = loaded.load.unsent = true;
    load(shelf, &loaded);
    cr_assert_eq(loaded.load.ret_count, 3);
    cr_expect_eq(loaded.deliveries[0].id, critical);
    cr_expect_eq(loaded.deliveries[1].id, replayed);
    cr_expect_eq(loaded.deliveries[2].id, guarded);
    shelf_free(shelf);
}

Test(load, of_a_damaged_row_or_event_parks_it_in_every_part)
{
    static const char *const damages[] = {
        "UPDATE deliveries SET failures = 7", "UPDATE events SET type = 'x'", "DELETE FROM events"};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(damages); i++) {
        struct shelf *shelf = shelf_new();
        let_wait(shelf, accept_one(shelf), WAIT_ENDPOINT, 100, 100);
        shelf_sql(shelf, damages[i / 2]);
        struct loaded loaded;
        loaded_init(&loaded);
        loaded.load.recovered_us = 1000;
        loaded.load.probe = i % 2;
        expect_loaded(shelf, &loaded, NULL, 0, LOAD_RECOVERED);
        cr_expect(!loaded.load.ret_more);
        cr_expect(shelf_sql_int(shelf, "SELECT state * 100 + reason FROM deliveries") == 306);
        shelf_free(shelf);
    }
}

/* The cost. */

static unsigned count_steps(struct shelf *shelf)
{
    unsigned steps = 0;
    for (unsigned i = 0; i < DELIVERIES_STATEMENTS; i++)
        steps += (unsigned)sqlite3_stmt_status(
            shelf->store.deliveries.statements[i], SQLITE_STMTSTATUS_VM_STEP, 1);
    return steps;
}

static unsigned cost_of(struct shelf *shelf, struct journal_load asked)
{
    struct loaded loaded;
    loaded_init(&loaded);
    asked.endpoint = ENDPOINT;
    asked.count_max = 16;
    asked.bytes_max = INT64_MAX;
    asked.ret_deliveries = loaded.deliveries;
    loaded.load = asked;
    count_steps(shelf);
    load(shelf, &loaded);
    cr_expect_eq(loaded.load.ret_count, 16);
    return count_steps(shelf);
}

/* Pending, replayed and waiting ones in equal numbers, in one transaction. */
static void add_many(struct shelf *shelf, unsigned count)
{
    struct event *event;
    shelf_begin(shelf);
    for (unsigned i = 0; i < count; i++) {
        int64_t seq = shelf->store.next_seq;
        event = shelf_event(shelf, (struct shelved){0});
        struct journal_append append = {
            .event = event, .endpoints_count = 1, .endpoints = {ENDPOINT}};
        cr_assert(store_append(&shelf->store, &append.request) == OK);
        event_unref(event);
        struct delivery_row row;
        const struct delivery_move ways[2][2] = {
            {{.to = DELIVERY_DEAD}, {.to = DELIVERY_PENDING, .lane = LANE_REPLAY}},
            {{.to = DELIVERY_WAITING,
                .wait_cause = WAIT_ENDPOINT,
                .due_us = 1000 + i,
                .wait_us = 1000}},
        };
        cr_assert(delivery_rows_read(
                      &shelf->store.deliveries, placement_first_delivery(seq), &row) == OK);
        for (unsigned way = 0; i % 3 > 0 && way < (i % 3 == 1 ? 2 : 1); way++)
            cr_assert(delivery_rows_move_row(
                          &shelf->store.deliveries, &row, &ways[i % 3 - 1][way], 5) == OK);
    }
    shelf_commit(shelf);
    struct journal_handover *handover = TAKE(shelf->store.handover);
    for (unsigned i = 0; i < handover->count; i++)
        event_unref(handover->deliveries[i].event);
    free(handover);
}

Test(load, costs_the_same_whatever_is_stored)
{
    static const struct journal_load asked[] = {
        {.pending_lanes = PENDING_FRESH_AND_RETRY, .due_by_us = INT64_MIN},
        {.pending_lanes = PENDING_REPLAY, .due_by_us = INT64_MIN},
        {.due_by_us = INT64_MIN},
        {.after_pending_id = INT64_MAX, .recovered_us = 1000000, .due_by_us = INT64_MIN},
        {.after_pending_id = INT64_MAX, .due_by_us = 1000000},
        {.probe = true},
    };
    struct shelf *shelf = shelf_new();
    unsigned costs[ARRAY_LENGTH(asked)];
    add_many(shelf, 300);
    for (size_t i = 0; i < ARRAY_LENGTH(asked); i++)
        costs[i] = cost_of(shelf, asked[i]);
    add_many(shelf, 6000);
    for (size_t i = 0; i < ARRAY_LENGTH(asked); i++) {
        unsigned cost = cost_of(shelf, asked[i]);
        cr_expect(
            cost <= costs[i] + costs[i] / 20, "load %zu: %u steps, %u before", i, cost, costs[i]);
    }
    shelf_free(shelf);
}

Test(load, reads_every_list_in_the_order_of_an_index)
{
    static const enum delivery_statement lists[] = {DELIVERIES_LIST_PENDING,
        DELIVERIES_LIST_REPLAYS, DELIVERIES_LIST_ALL_PENDING, DELIVERIES_LIST_FAILED,
        DELIVERIES_LIST_OLDEST, DELIVERIES_LIST_WAITING, DELIVERIES_NEXT_DUE};
    struct shelf *shelf = shelf_new();
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        char text[2048];
        sqlite3_stmt *plan = NULL;
        snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s",
            sqlite3_sql(shelf->store.deliveries.statements[lists[i]]));
        cr_assert(sqlite3_prepare_v2(shelf->store.db, text, -1, &plan, NULL) == SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *line = (const char *)sqlite3_column_text(plan, 3);
            /* Of those that are due at the same microsecond the order is made by sorting. */
            cr_expect(!strstr(line, "TEMP B-TREE FOR ORDER BY") && !strstr(line, "SCAN"), "%s: %s",
                text, line);
        }
        sqlite3_finalize(plan);
    }
    shelf_free(shelf);
}
