/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard reports to operators: its endpoints that fail, and deliveries that end without
 * success. */
#include "failing.h"

#include "runtime/metrics.h"

#include <string.h>

TestSuite(delivery_operator_events, .init = fixture_begin, .fini = fixture_end);

static char endpoint_id[ENDPOINT_ID_TEXT_BYTES];

static const struct operator_event *expect(unsigned index, enum operator_event_kind kind)
{
    const struct operator_event *event = reported_event(index);
    endpoint_id_format(endpoint, endpoint_id);
    cr_assert_eq(event->kind, kind, "%u is %s", index, operator_event_kind_name(event->kind));
    cr_expect_str_eq(event->account, "acc_1");
    cr_expect_str_eq(event->endpoint, endpoint_id);
    cr_expect(*event->delivery && *event->event);
    return event;
}

Test(delivery_operator_events, each_level_of_the_breaker_and_the_recovery_are_reported_once)
{
    unsigned loads = 0;
    begin_failing_shard();
    open_breaker(1);
    static const unsigned levels[] = {50, 90, 100};
    for (unsigned i = 0; i < 3; i++) {
        const struct operator_event *event = expect(i, OPERATOR_ENDPOINT_FAILING);
        cr_expect_eq(event->percent, levels[i]);
        cr_expect_str_eq(event->cause, "http-failed");
        cr_expect_eq(event->is_logged, levels[i] == 100);
    }
    journal_answer_load(next_load(&loads, true), 1, 1, DELIVERY_WAITING, false);
    struct journal_load *probe = next_load(&loads, true);
    cr_assert_eq(reported_count(), 3, "a probe has failed");
    sink_set(SINK_ANSWER, 200);
    journal_answer_load(probe, 2, 2, DELIVERY_WAITING, false);
    cr_expect(expect(3, OPERATOR_ENDPOINT_RECOVERED)->is_logged);
    cr_expect_eq(metrics_read(METRIC_BREAKERS_OPEN), 0);
    cr_expect_eq(reported_count(), 4);
}

Test(delivery_operator_events, few_failures_are_not_reported)
{
    begin_failing_shard();
    for (int64_t id = 1; id <= 4; id++) {
        hand_over(id, id, "note");
        journal_record_at(JOURNAL_RECORD_OUTCOME, (unsigned)id - 1);
    }
    sink_set(SINK_ANSWER, 200);
    hand_over(5, 5, "note");
    journal_record_at(JOURNAL_RECORD_OUTCOME, 4);
    cr_expect_eq(reported_count(), 0);
}

Test(delivery_operator_events, more_dead_deliveries_are_reported_together_at_the_latest_at_the_stop)
{
    policy.rules.schedule.steps = 0;
    begin_failing_shard();
    hand_over(1, 3, "note");
    journal_record_at(JOURNAL_RECORD_OUTCOME, 2);
    const struct operator_event *first = expect(0, OPERATOR_DELIVERY_DEAD);
    cr_expect_eq(first->count, 1);
    cr_expect_str_eq(first->cause, "http-failed");
    cr_expect_str_eq(first->detail, "the program of the client failed: 500");
    cr_expect_eq(reported_count(), 1);
    end_shard(US_PER_SECOND);
    cr_expect_eq(expect(1, OPERATOR_DELIVERY_DEAD)->count, 2);
    cr_expect_eq(reported_count(), 2);
}

Test(delivery_operator_events, payout_in_doubt_is_reported_as_parked)
{
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_START);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    sink_set(SINK_DROP, 200);
    hand_over(1, 1, "payout");
    journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    const struct operator_event *event = expect(0, OPERATOR_DELIVERY_PARKED);
    cr_expect_str_eq(event->subject, "ambiguous");
    cr_expect_str_eq(event->cause, "answer-lost");
    cr_expect(event->is_logged);
}

Test(delivery_operator_events, endpoint_that_answers_410_is_reported_with_the_event)
{
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    sink_set(SINK_ANSWER, 410);
    hand_over(1, 1, "note");
    cr_expect_str_eq(expect(0, OPERATOR_DELIVERY_PARKED)->subject, "disabled");
    const struct operator_event *event = expect(1, OPERATOR_ENDPOINT_DISABLED);
    cr_expect_str_eq(event->cause, "http-gone");
    cr_expect_str_eq(event->event, reported_event(0)->event);
    cr_expect_not(endpoint_is_enabled());
}

Test(delivery_operator_events, deliveries_count_as_late_while_the_endpoint_works)
{
    policy.freshness_us_max = 30 * US_PER_SECOND;
    begin_failing_shard();
    accepted_before_us = US_PER_SECOND;
    sink_set(SINK_ANSWER, 200);
    hand_over(1, 1, "note");
    WAIT_UNTIL(metrics_read(METRIC_FRESH_IN_TIME) == 1);
    accepted_before_us = US_PER_DAY;
    hand_over(2, 2, "note");
    WAIT_UNTIL(metrics_read(METRIC_FRESH_LATE) == 1);
    cr_expect_eq(expect(0, OPERATOR_FRESHNESS_LATE)->percent, 0);
    accepted_before_us = US_PER_SECOND;
    for (int64_t id = 3; id <= 16; id++) {
        hand_over(id, id, "note");
        journal_record_at(JOURNAL_RECORD_OUTCOME, (unsigned)id - 1);
    }
    cr_assert_eq(metrics_read(METRIC_FRESH_IN_TIME), 15, "%lld",
        (long long)metrics_read(METRIC_FRESH_IN_TIME));
    accepted_before_us = US_PER_DAY;
    sink_set(SINK_ANSWER, 500);
    hand_over(17, 17, "note");
    journal_record_at(JOURNAL_RECORD_OUTCOME, 16);
    sink_set(SINK_ANSWER, 200);
    hand_over(18, 18, "note");
    WAIT_UNTIL(metrics_read(METRIC_FRESH_LATE) == 2); /* a single failure is no excuse */
    sink_set(SINK_ANSWER, 500);
    for (int64_t id = 19; id <= 21; id++) {
        hand_over(id, id, "note");
        journal_record_at(JOURNAL_RECORD_OUTCOME, (unsigned)id - 1);
    }
    sink_set(SINK_ANSWER, 200);
    hand_over(22, 22, "note");
    journal_record_at(JOURNAL_RECORD_OUTCOME, 21);
    cr_expect_eq(metrics_read(METRIC_FRESH_LATE), 2, "it was accepted before the trouble");
}

Test(delivery_operator_events,
    payout_in_doubt_and_what_is_parked_for_another_reason_are_reported_apart)
{
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_START);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    sink_set(SINK_DROP, 200);
    hand_over(1, 1, "payout");
    journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_expect_str_eq(expect(0, OPERATOR_DELIVERY_PARKED)->subject, "ambiguous");
    sink_set(SINK_ANSWER, 410);
    hand_over(2, 2, "note");
    cr_expect_str_eq(expect(1, OPERATOR_DELIVERY_PARKED)->subject, "disabled");
}
