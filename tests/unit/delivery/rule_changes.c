/* SPDX-License-Identifier: Apache-2.0 */
/* Retry rules that were changed while the gateway was stopped apply to what waits already. */
#include "fixture.h"

#define MINUTE_US (60 * US_PER_SECOND)

TestSuite(delivery_rules, .init = fixture_begin, .fini = fixture_end);

static struct journal_retry_rules rules_of(int64_t step_us, int64_t endpoints_version)
{
    return (struct journal_retry_rules){.known = true,
        .gateway.schedule = {.steps_us = {step_us, step_us}, .steps = 2},
        .endpoints_version = endpoints_version};
}

/* The gateway's rules are `step_us` now, and were `before` when the journal was written. */
static void begin_with_backlog(int64_t step_us, struct journal_retry_rules before)
{
    policy.rules.schedule = rules_of(step_us, 0).gateway.schedule;
    journal_retry_rules = before;
    journal_answer_by_hand(JOURNAL_RECORD_RETRY_RULES);
    journal_answer_at_once(JOURNAL_LOAD);
    begin_shard(&(struct journal_backlog){
        .endpoint = endpoint, .waiting = 3, .waiting_due_us = clock_wall_us() + US_PER_DAY});
}

static struct journal_retry_rules *recorded(unsigned index)
{
    struct request *request = journal_request(JOURNAL_RECORD_RETRY_RULES, index);
    return &CONTAINER_OF(request, struct journal_record_retry_rules, request)->rules;
}

static void answer_recorded(unsigned index, enum err result)
{
    journal_answer(journal_request(JOURNAL_RECORD_RETRY_RULES, index), result);
}

static struct journal_redue *walk_step(unsigned index)
{
    return CONTAINER_OF(journal_request(JOURNAL_REDUE, index), struct journal_redue, request);
}

static void answer_step(unsigned index, bool more)
{
    struct journal_redue *step = walk_step(index);
    step->ret_more = more;
    step->ret_earliest_due_us = INT64_MAX;
    journal_answer(&step->request, OK);
}

/* The thread finishes its work within this time. */
static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

Test(delivery_rules, a_shorter_schedule_is_recorded_when_what_waits_follows_it)
{
    begin_with_backlog(MINUTE_US, rules_of(US_PER_DAY, INT64_MAX));
    cr_assert_not(recorded(0)->known, "until the walk has ended, a crash has it begin again");
    answer_recorded(0, OK);
    cr_assert_eq(walk_step(0)->endpoint, endpoint);
    answer_step(0, true);
    walk_step(1);
    wait_a_little();
    cr_assert_eq(journal_count(JOURNAL_RECORD_RETRY_RULES), 1);
    answer_step(1, false);
    struct journal_retry_rules expected = rules_of(MINUTE_US, INT64_MAX);
    cr_assert(recorded(1)->known);
    cr_assert(retry_rules_are_equal(&recorded(1)->gateway, &expected.gateway));
    cr_assert_eq(recorded(1)->endpoints_version, INT64_MAX);
}

Test(delivery_rules, the_walk_uses_the_new_rules)
{
    begin_with_backlog(MINUTE_US, rules_of(US_PER_DAY, INT64_MAX));
    struct delivery waiting = make_delivery(1, "note", DELIVERY_WAITING);
    int64_t began_us = clock_wall_us();
    waiting.due_us = began_us + US_PER_DAY;
    waiting.wait_us = US_PER_DAY;
    struct journal_redue *step = walk_step(0);
    cr_expect_eq(step->new_due_us(&waiting, step->context), began_us + MINUTE_US);
    event_unref(waiting.event);
}

Test(delivery_rules, the_same_rules_cause_no_walk_and_are_not_recorded_again)
{
    begin_with_backlog(US_PER_DAY, rules_of(US_PER_DAY, INT64_MAX));
    wait_a_little();
    cr_assert_eq(journal_count(JOURNAL_REDUE), 0);
    cr_assert_eq(journal_count(JOURNAL_RECORD_RETRY_RULES), 0);
}

Test(delivery_rules, a_longer_schedule_is_recorded_and_changes_nothing_that_waits)
{
    begin_with_backlog(US_PER_DAY, rules_of(MINUTE_US, INT64_MAX));
    cr_assert(recorded(0)->known);
    cr_assert_eq(recorded(0)->gateway.schedule.steps_us[0], US_PER_DAY);
    wait_a_little();
    cr_assert_eq(journal_count(JOURNAL_REDUE), 0);
}

Test(delivery_rules, rules_that_are_not_known_may_have_been_longer)
{
    begin_with_backlog(US_PER_DAY, (struct journal_retry_rules){0});
    answer_step(0, false);
    cr_assert(recorded(0)->known);
}

Test(delivery_rules, an_endpoint_that_changed_right_before_a_crash_is_walked)
{
    begin_with_backlog(US_PER_DAY, rules_of(US_PER_DAY, 0));
    walk_step(0);
    wait_a_little();
    cr_assert_eq(journal_count(JOURNAL_RECORD_RETRY_RULES), 0, "its version is not recorded yet");
    answer_step(0, false);
    cr_assert_gt(recorded(0)->endpoints_version, 0);
}

Test(delivery_rules, without_a_backlog_the_rules_are_recorded_at_once)
{
    journal_answer_by_hand(JOURNAL_RECORD_RETRY_RULES);
    begin_shard(NULL);
    cr_assert(recorded(0)->known);
    cr_assert_eq(recorded(0)->gateway.schedule.steps_us[0], policy.rules.schedule.steps_us[0]);
}

Test(delivery_rules, rules_that_the_journal_refuses_are_recorded_again)
{
    journal_answer_by_hand(JOURNAL_RECORD_RETRY_RULES);
    begin_shard(NULL);
    recorded(0);
    answer_recorded(0, ERR_DISK_FULL);
    recorded(1);
    answer_recorded(1, OK);
    wait_a_little();
    cr_assert_eq(journal_count(JOURNAL_RECORD_RETRY_RULES), 2);
}

Test(delivery_rules, a_change_while_the_gateway_runs_is_recorded_after_its_walk)
{
    begin_with_backlog(US_PER_DAY, rules_of(US_PER_DAY, INT64_MAX));
    policy.rules.schedule = rules_of(MINUTE_US, 0).gateway.schedule;
    delivery_shard_set_policy(shard, &policy);
    cr_assert_not(recorded(0)->known);
    answer_recorded(0, OK);
    answer_step(0, false);
    cr_assert_eq(recorded(1)->gateway.schedule.steps_us[0], MINUTE_US);
}

Test(delivery_rules, a_delivery_loaded_under_old_rules_gets_a_new_due_time_when_it_fails)
{
    sink_set(SINK_ANSWER, 500);
    journal_answer_by_hand(JOURNAL_LOAD);
    policy.rules.schedule = rules_of(US_PER_DAY, 0).gateway.schedule;
    begin_shard(&(struct journal_backlog){
        .endpoint = endpoint, .waiting = 1, .waiting_due_us = clock_wall_us(), .failed = 1});
    struct journal_redue *step = walk_step(0); /* it has not come to the row yet */
    struct journal_load *load;
    unsigned loads = 0;
    do {
        load = journal_load_at(loads++);
        if (!load->probe)
            journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
    } while (!load->probe);
    load->ret_count = 1;
    struct delivery *delivery = &load->ret_deliveries[0];
    *delivery = make_delivery(1, "note", DELIVERY_WAITING);
    int64_t began_us = clock_wall_us() - MINUTE_US;
    delivery->wait_us = 10 * US_PER_DAY; /* by the rules of before */
    delivery->due_us = began_us + delivery->wait_us;
    journal_answer(&load->request, OK);
    WAIT_UNTIL(sink_count() == 1);
    journal_answer(&step->request, OK);
    cr_assert_eq(journal_outcome_at(0)->due_us, began_us + US_PER_DAY);
}
