/* SPDX-License-Identifier: Apache-2.0 */
/* What one shard and one endpoint may have in flight, and that nobody pays for somebody else's
 * slowness. */
#include "fixture.h"

#include "runtime/metrics.h"

TestSuite(delivery_caps, .init = fixture_begin, .fini = fixture_end);

static void hand_over_to(uint64_t to, int64_t first, int64_t last)
{
    uint64_t ours = endpoint;
    endpoint = to;
    hand_over(first, last, "note");
    endpoint = ours;
}

Test(delivery_caps, of_all_endpoints_together_no_more_are_in_flight_than_the_shards_cap)
{
    sink_set(SINK_HOLD, 200);
    policy.in_flight_per_shard = 2;
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    hand_over_to(endpoint, 1, 4);
    hand_over_to(other_endpoint, 101, 104);
    WAIT_UNTIL(sink_count() == 2);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 8);
    cr_assert_eq(metrics_read(METRIC_IN_FLIGHT), 2);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 8);
    cr_assert_eq(sink_concurrent_max(), 2);
}

Test(delivery_caps, outcomes_that_are_not_on_disk_yet_count_against_the_shards_cap_as_well)
{
    policy.in_flight_per_shard = 1;
    begin_shard(NULL);
    hand_over(1, 2, "note");
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    hand_over(3, 3, "note");
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 3); /* a turn of the loop has gone by */
    int64_t answered_us = clock_wall_us();
    journal_answer(&record->request, OK);
    record = journal_record_at(JOURNAL_RECORD_OUTCOME, 1);
    cr_assert_geq(
        record->attempt.started_us, answered_us, "sent while an outcome was not recorded");
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer(&record->request, OK);
    journal_request(JOURNAL_RECORD_OUTCOME, 2);
}

Test(delivery_caps, an_endpoint_that_hangs_holds_no_other_one_up)
{
    sink_hold_path("/in");
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_LOAD);
    hand_over_to(endpoint, 1, 20);
    hand_over_to(other_endpoint, 101, 108);
    for (unsigned i = 0; i < 8; i++) {
        cr_assert_geq(journal_outcome_at(i)->delivery, 101);
        journal_answer(journal_request(JOURNAL_RECORD_OUTCOME, i), OK);
    }
    WAIT_UNTIL(sink_count() == 12);
    cr_assert_eq(metrics_read(METRIC_IN_FLIGHT), 4, "the hanging one's cap");
}

Test(delivery_caps, fresh_ones_go_first_and_the_backlog_moves_all_the_same)
{
    static const int64_t expected[] = {1, 101, 2, 102, 103, 3, 104, 105, 4, 106, 107, 108};
    sink_set(SINK_HOLD, 200);
    policy.rules.in_flight_max = 1;
    begin_shard(
        &(struct journal_backlog){.endpoint = endpoint, .pending = 4, .waiting_due_us = INT64_MAX});
    journal_answer_load(journal_load_at(0), 1, 4, DELIVERY_PENDING, false);
    WAIT_UNTIL(sink_count() == 1);
    hand_over(101, 108, "note");
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 12);
    sink_release();
    for (unsigned i = 0; i < ARRAY_LENGTH(expected); i++) {
        struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, i);
        cr_assert_eq(
            record->delivery, expected[i], "number %u is %lld", i, (long long)record->delivery);
        journal_answer(&record->request, OK);
    }
}
