/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orders in which the journal's answers and handovers can meet (journal.h, "Order"), each made
 * on purpose; and last a journal in small, which works off whatever comes in batches of random
 * size, so that they meet in ways that nobody thought of.
 */
#include "fixture.h"

#include "base/cleanup.h"
#include "runtime/metrics.h"

#include <stdlib.h>

TestSuite(delivery_order, .init = fixture_begin, .fini = fixture_end);

static struct journal_backlog backlog_of(int64_t pending, int64_t waiting, int64_t waiting_due_us)
{
    return (struct journal_backlog){.endpoint = endpoint,
        .pending = pending,
        .waiting = waiting,
        .waiting_due_us = waiting_due_us};
}

Test(delivery_order, before_the_journal_was_scanned_nothing_is_sent_or_loaded)
{
    begin_shard_unscanned();
    hand_over(1, 20, "note"); /* more than there is room for */
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 8);
    journal_answer(journal_request(JOURNAL_SCAN_BACKLOG, 0), ERR_DISK);
    journal_request(JOURNAL_SCAN_BACKLOG, 1);
    cr_assert_eq(journal_count(JOURNAL_LOAD), 0);
    int64_t scanned_us = clock_wall_us();
    journal_answer_scan(1, &(struct journal_backlog){
                               .endpoint = endpoint, .pending = 20, .waiting_due_us = INT64_MAX});
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert_geq(record->attempt.started_us, scanned_us);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(
        load->after_pending_id, 0, "the backlog scan's backlog may be older than all of them");
    journal_answer_at_once(JOURNAL_LOAD);
    journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
}

Test(delivery_order, what_had_no_room_while_a_load_was_in_flight_is_loaded_next)
{
    struct journal_backlog backlog = backlog_of(1, 0, INT64_MAX);
    sink_set(SINK_HOLD, 200);
    begin_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    hand_over(2, 20, "note"); /* there is room for 2 to 9 */
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 8);
    /* The load was worked off before they were accepted: it saw none of them, and says that nothing
     * is left. */
    journal_answer_load(load, 1, 1, DELIVERY_PENDING, false);
    load = journal_load_at(1);
    cr_assert_eq(load->after_pending_id, 1);
    journal_answer_load(load, 2, 5, DELIVERY_PENDING, true);
    load = journal_load_at(2);
    cr_assert_eq(load->after_pending_id, 5, "known ones are passed over");
    journal_answer_load(load, 6, 9, DELIVERY_PENDING, true);
    load = journal_load_at(3);
    cr_assert_eq(load->after_pending_id, 9);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_load(load, 10, 13, DELIVERY_PENDING, false);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 13);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    cr_assert_eq(sink_count(), 13);
}

Test(delivery_order, a_load_that_saw_what_had_no_room_meanwhile_loses_and_repeats_nothing)
{
    struct journal_backlog backlog = backlog_of(1, 0, INT64_MAX);
    sink_set(SINK_HOLD, 200);
    begin_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    hand_over(2, 12, "note"); /* there is room for 2 to 9 */
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 8);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_LOAD);
    /* One transaction: they were accepted, then the load saw them; the handover came before the
     * answer. */
    load->ret_count = 4;
    load->ret_deliveries[0] = make_delivery(1, "note", DELIVERY_PENDING);
    for (unsigned i = 1; i < 4; i++)
        load->ret_deliveries[i] = make_delivery(9 + (int64_t)i, "note", DELIVERY_PENDING);
    load->ret_next_due_us = INT64_MAX;
    journal_answer(&load->request, OK);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 12);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 12);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    cr_assert_eq(sink_count(), 12);
}

Test(delivery_order, an_outcome_before_a_load_is_forgotten_before_its_answer)
{
    struct journal_backlog backlog = backlog_of(2, 0, INT64_MAX);
    begin_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    hand_over(1, 1, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    journal_answer(&load->request, ERR_DISK); /* asked again in a moment, behind the outcome */
    load = journal_load_at(1);
    journal_answer(&record->request, OK);
    journal_answer_load(load, 2, 2, DELIVERY_PENDING, false); /* so it does not see 1 any more */
    cr_assert_eq(journal_outcome_at(1)->delivery, 2);
    journal_answer(journal_request(JOURNAL_RECORD_OUTCOME, 1), OK);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    cr_assert_eq(sink_count(), 2);
}

Test(delivery_order, retries_are_loaded_behind_those_that_were_loaded_before)
{
    sink_set(SINK_ANSWER, 500);
    struct journal_backlog backlog = backlog_of(0, 1, 0);
    begin_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(load->after_pending_id, INT64_MAX);
    cr_assert_eq(load->after_waiting_id, 0);
    int64_t loaded_due_us = load->due_by_us;
    journal_answer_load(load, 16, 16, DELIVERY_WAITING, false);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_assert(record->from == DELIVERY_WAITING && record->to == DELIVERY_WAITING &&
              record->failures == 2);
    int64_t due_us = record->due_us;
    journal_answer(&record->request, OK);
    load = journal_load_at(1);
    cr_assert_eq(load->after_waiting_due_us, loaded_due_us);
    cr_assert_eq(load->after_waiting_id, 16);
    cr_assert_geq(load->due_by_us, due_us);
    journal_answer_load(load, 0, -1, DELIVERY_WAITING, false);
}

Test(delivery_order, a_retry_recorded_late_is_found_although_a_load_was_in_flight)
{
    sink_set(SINK_ANSWER, 500);
    struct journal_backlog backlog = backlog_of(0, 1, 0);
    begin_shard(&backlog);
    hand_over(16, 16, "note");
    struct journal_record *late = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    int64_t late_due_us = late->due_us;
    /* The disk refuses both; the load is asked again first, and later than the retry would have
     * been due. */
    journal_answer(&late->request, ERR_DISK);
    journal_answer(&journal_load_at(0)->request, ERR_DISK);
    struct journal_load *load = journal_load_at(1);
    cr_assert_gt(load->due_by_us, late_due_us);
    journal_request(JOURNAL_RECORD_OUTCOME, 1);
    sink_set(SINK_ANSWER, 200);
    /* It moves the cursor beyond the late one, and the next load is sent off behind the outcome. */
    journal_answer_load(load, 100, 100, DELIVERY_WAITING, true);
    load = journal_load_at(2);
    cr_assert_gt(load->after_waiting_due_us, late_due_us);
    journal_answer(&late->request, OK);
    /* The late one is before the cursor of the load. */
    journal_answer_load(load, 0, -1, DELIVERY_WAITING, false);
    load = journal_load_at(3);
    cr_assert_lt(load->after_waiting_due_us, late_due_us, "the cursor did not go back");
    cr_assert_geq(load->due_by_us, late_due_us);
    struct request *of_100 = journal_request(
        JOURNAL_RECORD_OUTCOME, 2); /* there, before such are answered by themselves */
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer(of_100, OK);
    journal_answer_load(load, 16, 16, DELIVERY_WAITING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 4);
    cr_assert_eq(sink_count(), 3);
}

/* --- a journal in small --- */

#define ROWS 400

static struct row {
    bool is_there;
    enum delivery_state state;
    int64_t due_us;
    uint32_t attempts, failures;
} rows[ROWS + 1]; /* by id, from 1 */
static unsigned delivered;

static bool is_behind(const struct row *row, int64_t id, int64_t due_us, int64_t after_id)
{
    return row->due_us > due_us || (row->due_us == due_us && id > after_id);
}

static void add_loaded(struct journal_load *load, int64_t id)
{
    if (load->ret_count == load->count_max) {
        load->ret_more = true;
        return;
    }
    struct delivery *delivery = &load->ret_deliveries[load->ret_count++];
    *delivery = make_delivery(id, "note", rows[id].state);
    delivery->due_us = rows[id].due_us;
    delivery->attempts = rows[id].attempts;
    delivery->failures = rows[id].failures;
}

static void work_off_load(struct journal_load *load)
{
    load->ret_count = 0;
    load->ret_more = false;
    load->ret_next_due_us = INT64_MAX;
    for (int64_t id = 1; id <= ROWS; id++)
        if (rows[id].is_there && rows[id].state == DELIVERY_PENDING && id > load->after_pending_id)
            add_loaded(load, id);
    int64_t due_us = load->after_waiting_due_us, after_id = load->after_waiting_id;
    for (;;) {
        int64_t next = 0;
        for (int64_t id = 1; id <= ROWS; id++)
            if (rows[id].is_there && rows[id].state == DELIVERY_WAITING &&
                is_behind(&rows[id], id, due_us, after_id) &&
                (!next || rows[id].due_us < rows[next].due_us))
                next = id;
        if (!next)
            break;
        due_us = rows[next].due_us;
        after_id = next;
        if (due_us > load->due_by_us) {
            load->ret_next_due_us = due_us;
            break;
        }
        add_loaded(load, next);
    }
}

static void work_off_record(const struct journal_record *record)
{
    struct row *row = &rows[record->delivery];
    cr_assert(row->is_there);
    cr_assert_eq(record->from, row->state, "%lld was sent although it was %d",
        (long long)record->delivery, row->state);
    cr_assert(record->has_attempt && record->attempt.number == row->attempts + 1);
    cr_assert(record->to == DELIVERY_DELIVERED || record->to == DELIVERY_WAITING);
    row->state = record->to;
    row->due_us = record->due_us;
    row->failures = record->failures;
    row->attempts++;
    delivered += record->to == DELIVERY_DELIVERED;
}

/* One transaction: up to `max` requests; then what it accepted is handed over, then the answers
 * leave. */
static void work_off_batch(unsigned max, bool disk_refuses, int64_t first, int64_t last)
{
    struct request *batch[64], *request;
    unsigned count = 0;
    while (count < max && (request = journal_take())) {
        batch[count++] = request;
        if (request->kind == JOURNAL_LOAD && !disk_refuses)
            work_off_load(CONTAINER_OF(request, struct journal_load, request));
        else if (request->kind == JOURNAL_RECORD_OUTCOME && !disk_refuses)
            work_off_record(CONTAINER_OF(request, struct journal_record, request));
        else if (request->kind == JOURNAL_LIST_PARKED)
            CONTAINER_OF(request, struct journal_list_parked, request)->ret_after_id = INT64_MAX;
    }
    for (int64_t id = first; id <= last && !disk_refuses; id++)
        rows[id] = (struct row){.is_there = true};
    if (first <= last && !disk_refuses)
        hand_over(first, last, "note");
    for (unsigned i = 0; i < count; i++)
        journal_answer(batch[i], disk_refuses ? ERR_DISK : OK);
}

Test(delivery_order,
    however_answers_and_handovers_meet_each_delivery_is_sent_until_it_is_delivered_and_not_again)
{
    unsigned random = 7, accepted = 0;
    policy.rules.schedule.steps = RETRY_STEPS_MAX;
    for (unsigned i = 0; i < RETRY_STEPS_MAX; i++)
        policy.rules.schedule.steps_us[i] = 5 * US_PER_MS;
    begin_shard(NULL);
    cr_assert(journal_take()); /* the backlog scan: answered by begin_shard, and gone by now */
    int64_t give_up_us = clock_mono_us() + WAIT_SECONDS_MAX * US_PER_SECOND;
    for (unsigned turn = 0; delivered < ROWS; turn++) {
        cr_assert_lt(clock_mono_us(), give_up_us, "%u of %u were delivered", delivered, accepted);
        bool fails = delivered < ROWS / 2 && rand_r(&random) % 4 == 0,
             disk_refuses = turn == 20 || turn == 60;
        unsigned more = rand_r(&random) % 12;
        if (disk_refuses || accepted + more > ROWS)
            more = disk_refuses ? 0 : ROWS - accepted;
        sink_set(SINK_ANSWER, fails ? 500 : 200);
        work_off_batch(1 + rand_r(&random) % 32, disk_refuses, accepted + 1, accepted + more);
        accepted += more;
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&random) % 3 * 1000000L}, NULL);
    }
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0 || (work_off_batch(64, false, 1, 0), false));
    unsigned attempts = 0;
    for (unsigned id = 1; id <= ROWS; id++)
        attempts += rows[id].attempts;
    cr_assert_eq(sink_count(), attempts, "something was sent and not recorded");
    cr_assert_gt(attempts, ROWS, "nothing had to be tried again");
}
