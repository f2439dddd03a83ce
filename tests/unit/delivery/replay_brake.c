/* SPDX-License-Identifier: Apache-2.0 */
/* The brake of the replay lane: what a client that fails gets of a replay. */
#include "failing.h"

#include "runtime/metrics.h"

#define FAILED_MAX 5 /* failures in a row that begin the rest */
#define REPLAYS 12

TestSuite(delivery_replay_brake, .init = fixture_begin, .fini = fixture_end);

/* A shard that sends one attempt at a time, with replays in memory. */
static void begin_with_replays(const char *type)
{
    const struct journal_backlog backlog = {
        .endpoint = endpoint, .pending = REPLAYS, .replays = REPLAYS};
    policy.in_flight_per_shard = 1;
    policy.active_per_endpoint = 64;
    for (unsigned i = 0; i < policy.rules.schedule.steps; i++)
        policy.rules.schedule.steps_us[i] = US_PER_DAY;
    begin_shard(&backlog);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_START);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(load->pending_lanes, PENDING_REPLAY);
    cr_assert_geq(load->count_max, REPLAYS);
    for (int64_t id = 1; id <= REPLAYS; id++) {
        load->ret_deliveries[load->ret_count] = make_delivery(id, type, DELIVERY_PENDING);
        load->ret_deliveries[load->ret_count++].lane = LANE_REPLAY;
    }
    load->ret_next_due_us = load->ret_after_probe_id = INT64_MAX;
    journal_answer(&load->request, OK);
    journal_answer_at_once(JOURNAL_LOAD);
}

Test(delivery_replay_brake, a_client_that_fails_gets_five_replays_and_then_one_at_a_time)
{
    sink_set(SINK_ANSWER, 500);
    begin_with_replays("note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == FAILED_MAX);
    int64_t rests_from_us = clock_mono_us();
    sink_set(SINK_ANSWER, 200);
    hand_over(100, 100, "note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == FAILED_MAX + 1);
    cr_expect_eq(journal_outcome_at(FAILED_MAX)->delivery, 100, "fresh ones go on");
    cr_expect_eq(metrics_read(METRIC_BREAKERS_OPEN), 0, "the breaker of the endpoint is untouched");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == REPLAYS + 1);
    cr_expect_geq(clock_mono_us() - rests_from_us, 800 * US_PER_MS, "the rest is 1 s");
    cr_expect_eq(sink_count(), REPLAYS + 1, "each was sent once");
}

Test(delivery_replay_brake, payouts_that_end_in_doubt_stop_the_others)
{
    sink_set(SINK_DROP, 0);
    begin_with_replays("payout");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == FAILED_MAX);
    for (unsigned i = 0; i < FAILED_MAX; i++)
        cr_expect_eq(journal_outcome_at(i)->to, DELIVERY_PARKED);
    int64_t rests_from_us = clock_mono_us();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == FAILED_MAX + 2);
    cr_expect_geq(clock_mono_us() - rests_from_us, 2500 * US_PER_MS, "rests of 1 s and 2 s");
}
