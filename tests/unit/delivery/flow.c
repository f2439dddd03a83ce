/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint that fails and comes back: its breaker, its probes, and its recovery. */
#include "failing.h"

#include "runtime/metrics.h"

#define OPENING_RESULTS 10 /* failures in a row that open a breaker */

TestSuite(delivery_flow, .init = fixture_begin, .fini = fixture_end);

Test(delivery_flow, ten_failures_in_a_row_open_the_breaker_and_only_a_probe_is_sent)
{
    unsigned loads = 0;
    begin_failing_shard();
    int64_t next = open_breaker(1);
    cr_assert_eq(next - 1, OPENING_RESULTS);
    hand_over(next, next, "note");
    struct journal_load *probe = next_load(&loads, true);
    cr_assert_eq(sink_count(), OPENING_RESULTS, "nothing is sent while it is open");
    int64_t opened_us = clock_mono_us();
    journal_answer_load(probe, 1, 1, DELIVERY_WAITING, false);
    WAIT_UNTIL(sink_count() == OPENING_RESULTS + 1);
    next_load(&loads, true);
    cr_assert_geq(clock_mono_us() - opened_us, US_PER_SECOND, "the next probe is 2 s after it");
    cr_assert_eq(sink_count(), OPENING_RESULTS + 1);
    cr_assert_eq(metrics_read(METRIC_PROBES), 1);
}

Test(delivery_flow, a_probe_before_its_time_that_fails_keeps_the_due_time_and_the_steps)
{
    unsigned loads = 0;
    begin_failing_shard();
    open_breaker(1);
    struct journal_load *probe = next_load(&loads, true);
    unsigned recorded = journal_count(JOURNAL_RECORD_OUTCOME);
    probe->ret_count = 1;
    probe->ret_deliveries[0] = make_delivery(1, "note", DELIVERY_WAITING);
    int64_t due_us = probe->ret_deliveries[0].due_us = clock_wall_us() + US_PER_DAY;
    journal_answer_by_hand(JOURNAL_RECORD_OUTCOME);
    journal_answer(&probe->request, OK);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, recorded);
    cr_assert_eq(record->to, DELIVERY_WAITING);
    cr_assert_eq(record->due_us, due_us);
    cr_assert_eq(record->failures, 1, "as before");
    cr_assert(record->has_attempt && record->attempt.number == 2);
}

Test(delivery_flow, a_probe_that_succeeds_makes_due_what_failed_because_of_the_endpoint)
{
    unsigned loads = 0;
    begin_failing_shard();
    int64_t next = open_breaker(1);
    sink_set(SINK_ANSWER, 200);
    int64_t before_us = clock_wall_us();
    journal_answer_load(next_load(&loads, true), 1, 1, DELIVERY_WAITING, false);
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
    struct journal_load *load;
    do {
        load = next_load(&loads, false);
        if (load->recovered_us == 0)
            journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
    } while (load->recovered_us == 0);
    cr_assert_geq(load->recovered_us, before_us);
    cr_assert_eq(load->after_recovered_id, 0, "the oldest first");
    cr_assert_lt(load->count_max, next);
    load->ret_after_recovered_id = 1 + load->count_max;
    unsigned brought = load->count_max;
    journal_answer_load(load, 2, 1 + brought, DELIVERY_WAITING, false);
    WAIT_UNTIL(sink_count() == OPENING_RESULTS + 1 + brought);
    cr_assert_eq(metrics_read(METRIC_RECOVERIES), 1);
}

Test(delivery_flow, what_waits_in_memory_leaves_it_while_the_breaker_is_open)
{
    sink_hold_path("/in");
    for (unsigned i = 0; i < policy.rules.schedule.steps; i++)
        policy.rules.schedule.steps_us[i] = US_PER_DAY;
    policy.rules.answer_timeout_us = 50 * US_PER_MS;
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    hand_over(1, 8, "note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 8);
    hand_over(9, 16, "note");
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 1);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    cr_assert_lt(sink_count(), 16, "some were not sent");
    cr_assert_eq(taken_bytes(), 0);
}

Test(delivery_flow, a_shorter_schedule_applies_to_what_waits_already)
{
    begin_failing_shard();
    journal_answer_at_once(JOURNAL_LOAD);
    hand_over(1, 1, "note");
    journal_request(JOURNAL_RECORD_OUTCOME, 0);
    policy.rules.answer_timeout_us++;
    delivery_shard_set_policy(shard, &policy); /* no reason to read what waits */
    policy.rules.schedule.steps_us[0] = US_PER_SECOND;
    delivery_shard_set_policy(shard, &policy);
    struct journal_redue *step =
        CONTAINER_OF(journal_request(JOURNAL_REDUE, 0), struct journal_redue, request);
    struct delivery waiting = make_delivery(1, "note", DELIVERY_WAITING);
    int64_t began_us = clock_wall_us();
    waiting.wait_us = US_PER_DAY;
    waiting.due_us = began_us + US_PER_DAY;
    int64_t due_us = step->new_due_us(&waiting, step->context);
    cr_assert_eq(due_us, began_us + US_PER_SECOND);
    event_unref(waiting.event);
    step->ret_more = true;
    step->ret_after_due_us = 77;
    step->ret_after_id = 7;
    step->ret_earliest_due_us = due_us;
    journal_answer(&step->request, OK);
    journal_request(JOURNAL_REDUE, 1);
    cr_assert(step->after_due_us == 77 && step->after_id == 7, "the walk goes on");
    step->ret_more = false;
    step->ret_earliest_due_us = INT64_MAX;
    unsigned loads = journal_count(JOURNAL_LOAD);
    journal_answer(&step->request, OK);
    WAIT_UNTIL(journal_count(JOURNAL_LOAD) > loads); /* when the first one is due */
    cr_assert_geq(clock_wall_us(), due_us);
    cr_assert_eq(journal_count(JOURNAL_REDUE), 2);
}
