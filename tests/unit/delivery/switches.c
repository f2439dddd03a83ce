/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent, loaded and kept in memory while an operator has switched something off. */
#include "failing.h"

#include "runtime/metrics.h"

#include <string.h>

TestSuite(delivery_switches, .init = fixture_begin, .fini = fixture_end);

/* All mail before this call is worked off, and the turn has ended. */
static void wait_for_the_shard(void)
{
    unsigned before = journal_count(JOURNAL_RELEASE);
    delivery_shard_endpoint_changed(shard, endpoint, 1);
    WAIT_UNTIL(journal_count(JOURNAL_RELEASE) > before);
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
}

static void begin_answering_shard(const struct journal_backlog *backlog)
{
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_RELEASE);
    begin_shard(backlog);
}

/* Returns the next load of what was never sent, from `index` on. Answers the others: they bring
 * nothing. */
static struct journal_load *next_load_of_pending(unsigned index)
{
    for (;;) {
        struct journal_load *load = journal_load_at(index++);
        if (load->after_pending_id != INT64_MAX && load->pending_lanes == PENDING_FRESH_AND_RETRY)
            return load;
        journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
    }
}

static void check_events_wait_in_the_journal(enum switch_scope scope)
{
    begin_answering_shard(NULL);
    set_switch(SWITCH_DELIVERIES, scope, true);
    wait_for_the_shard();
    hand_over(1, 4, "note");
    wait_for_the_shard();
    cr_expect_eq(metrics_read(METRIC_ACTIVE), 0, "nothing is in memory");
    cr_expect_eq(taken_bytes(), 0);
    cr_expect_eq(journal_count(JOURNAL_LOAD), 0, "nothing is loaded");
    cr_expect_eq(sink_count(), 0);
    set_switch(SWITCH_DELIVERIES, scope, false);
    struct journal_load *load = next_load_of_pending(0);
    cr_expect_eq(load->after_pending_id, 0);
    journal_answer_load(load, 1, 4, DELIVERY_PENDING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 4);
}

Test(delivery_switches, events_wait_in_the_journal_while_all_deliveries_are_off)
{
    check_events_wait_in_the_journal(SWITCH_ALL);
}

Test(delivery_switches, events_wait_in_the_journal_while_deliveries_of_the_account_are_off)
{
    check_events_wait_in_the_journal(SWITCH_ACCOUNT);
}

Test(delivery_switches, events_wait_in_the_journal_while_deliveries_of_the_endpoint_are_off)
{
    check_events_wait_in_the_journal(SWITCH_ENDPOINT);
}

Test(delivery_switches, deliveries_to_another_endpoint_go_on)
{
    begin_answering_shard(NULL);
    set_switch(SWITCH_DELIVERIES, SWITCH_ENDPOINT, true);
    hand_over(1, 2, "note");
    endpoint = other_endpoint;
    hand_over(3, 4, "note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 2);
    cr_expect(strstr(sink_request(0)->head, "POST /other"));
    cr_expect(strstr(sink_request(1)->head, "POST /other"));
}

Test(delivery_switches, what_is_in_flight_ends_and_the_rest_leaves_memory)
{
    sink_set(SINK_HOLD, 200);
    begin_answering_shard(NULL);
    hand_over(1, 8, "note");
    WAIT_UNTIL(sink_count() == 4);
    set_switch(SWITCH_DELIVERIES, SWITCH_ALL, true);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 4);
    sink_release();
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 4);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    cr_expect_eq(sink_count(), 4);
    cr_expect_eq(journal_count(JOURNAL_LOAD), 0);
    set_switch(SWITCH_DELIVERIES, SWITCH_ALL, false);
    journal_answer_load(next_load_of_pending(0), 5, 8, DELIVERY_PENDING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 8);
}

Test(delivery_switches, a_payout_is_not_sent_if_the_switch_was_faster_than_its_commit)
{
    begin_answering_shard(NULL);
    journal_answer_by_hand(JOURNAL_RECORD_OUTCOME);
    hand_over(1, 1, "payout");
    struct request *start = journal_request(JOURNAL_START, 0);
    set_switch(SWITCH_DELIVERIES, SWITCH_ALL, true);
    journal_answer(start, OK);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, 0);
    cr_expect_eq(record->from, DELIVERY_SENDING);
    cr_expect_eq(record->to, DELIVERY_WAITING);
    cr_expect_eq(record->wait_cause, WAIT_OURSELVES);
    cr_expect_eq(record->failures, 0);
    cr_expect_not(record->has_attempt);
    cr_expect_eq(sink_count(), 0);
    journal_answer(&record->request, OK);
}

Test(delivery_switches, a_switch_that_was_off_before_the_start_is_obeyed)
{
    const struct journal_backlog backlog = {
        .endpoint = endpoint, .pending = 2, .waiting = 2, .waiting_due_us = 1};
    set_switch(SWITCH_DELIVERIES, SWITCH_ACCOUNT, true);
    begin_answering_shard(&backlog);
    wait_for_the_shard();
    cr_expect_eq(journal_count(JOURNAL_LOAD), 0);
    set_switch(SWITCH_DELIVERIES, SWITCH_ACCOUNT, false);
    cr_expect_eq(next_load_of_pending(0)->after_pending_id, 0);
}

/* Retries. */

Test(delivery_switches, without_retries_a_failed_delivery_waits_and_fresh_ones_are_sent)
{
    begin_answering_shard(NULL);
    sink_set(SINK_ANSWER, 500);
    set_switch(SWITCH_RETRIES, SWITCH_ALL, true);
    hand_over(1, 1, "note");
    cr_expect_eq(journal_outcome_at(0)->to, DELIVERY_WAITING);
    sink_set(SINK_ANSWER, 200);
    nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL); /* it was due after 50 ms */
    hand_over(2, 3, "note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 3);
    cr_expect_eq(journal_count(JOURNAL_LOAD), 0);
    set_switch(SWITCH_RETRIES, SWITCH_ALL, false);
    struct journal_load *load = journal_load_at(0);
    for (unsigned i = 0; load->due_by_us == INT64_MIN; load = journal_load_at(++i))
        journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
    journal_answer_load(load, 1, 1, DELIVERY_WAITING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 4);
}

Test(delivery_switches, without_retries_what_an_operator_sends_again_is_sent)
{
    const struct journal_backlog backlog = {
        .endpoint = endpoint, .pending = 1, .replays = 1, .waiting = 1, .waiting_due_us = 1};
    set_switch(SWITCH_RETRIES, SWITCH_ENDPOINT, true);
    begin_answering_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    cr_assert_eq(load->pending_lanes, PENDING_REPLAY);
    cr_assert_eq(load->due_by_us, INT64_MIN);
    journal_answer_load(load, 1, 1, DELIVERY_PENDING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 1);
    cr_expect_eq(journal_count(JOURNAL_LOAD), 1, "what waits is not loaded");
}

Test(delivery_switches, a_load_that_was_under_way_brings_nothing_that_is_off)
{
    const struct journal_backlog backlog = {.endpoint = endpoint, .pending = 3};
    begin_answering_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    set_switch(SWITCH_DELIVERIES, SWITCH_ENDPOINT, true);
    wait_for_the_shard();
    journal_answer_load(load, 1, 3, DELIVERY_PENDING, false);
    wait_for_the_shard();
    cr_expect_eq(sink_count(), 0);
    cr_expect_eq(metrics_read(METRIC_ACTIVE), 0);
    set_switch(SWITCH_DELIVERIES, SWITCH_ENDPOINT, false);
    load = next_load_of_pending(1);
    cr_expect_eq(load->after_pending_id, 0, "it is loaded again");
    journal_answer_load(load, 1, 3, DELIVERY_PENDING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 3);
}

/* Probes. */

Test(delivery_switches, an_endpoint_that_fails_gets_no_probe_while_deliveries_are_off)
{
    begin_failing_shard();
    journal_answer_at_once(JOURNAL_RELEASE);
    open_breaker(1);
    set_switch(SWITCH_DELIVERIES, SWITCH_ENDPOINT, true);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500 * 1000 * 1000}, NULL); /* due: 1 s */
    cr_expect_eq(journal_count(JOURNAL_LOAD), 0);
    set_switch(SWITCH_DELIVERIES, SWITCH_ENDPOINT, false);
    unsigned loads = 0;
    (void)next_load(&loads, true);
}

Test(delivery_switches, a_probe_is_no_retry_while_retries_are_off)
{
    begin_failing_shard();
    open_breaker(1);
    set_switch(SWITCH_RETRIES, SWITCH_ENDPOINT, true);
    struct journal_load *load = journal_load_at(0);
    cr_assert(load->probe && load->unsent);
    unsigned sent = sink_count();
    sink_set(SINK_ANSWER, 200);
    journal_answer_load(load, 90, 90, DELIVERY_PENDING, false);
    WAIT_UNTIL(sink_count() == sent + 1);
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
}

Test(delivery_switches, a_payout_is_a_probe_although_optional_events_before_it_are_held)
{
    begin_failing_shard();
    journal_answer_at_once(JOURNAL_START);
    open_breaker(1);
    set_switch(SWITCH_OPTIONAL, SWITCH_ENDPOINT, true);
    unsigned loads = 0, sent = sink_count();
    sink_set(SINK_ANSWER, 200);
    struct journal_load *load = next_load(&loads, true);
    cr_assert(load->without == 1u << CLASS_OPTIONAL && !load->unguarded);
    /* The journal has passed over as many as it may. */
    load->ret_count = 0;
    load->ret_after_probe_id = 5000;
    journal_answer(&load->request, OK);
    load = next_load(&loads, true);
    cr_assert_eq(load->after_probe_id, 5000);
    load->ret_count = 1;
    load->ret_deliveries[0] = make_delivery(6000, "payout", DELIVERY_PENDING);
    load->ret_after_probe_id = INT64_MAX;
    journal_answer(&load->request, OK);
    WAIT_UNTIL(sink_count() == sent + 1);
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
}

/* Optional events. */

Test(delivery_switches, optional_events_wait_and_the_others_are_sent)
{
    begin_answering_shard(NULL);
    set_switch(SWITCH_OPTIONAL, SWITCH_ENDPOINT, true);
    wait_for_the_shard();
    journal_answer_at_once(JOURNAL_LOAD);
    unsigned before = journal_count(JOURNAL_LOAD);
    hand_over(1, 2, "notification");
    wait_for_the_shard();
    cr_expect_eq(journal_count(JOURNAL_LOAD), before, "what is held costs no load");
    hand_over(3, 4, "purchase");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 2);
    for (unsigned i = 0; i < 2; i++)
        cr_expect_geq(journal_outcome_at(i)->delivery, 3);
    wait_for_the_shard();
    cr_expect_eq(metrics_read(METRIC_ACTIVE), 0, "they do not use memory");
    journal_answer_by_hand(JOURNAL_LOAD);
    unsigned loads = journal_count(JOURNAL_LOAD);
    set_switch(SWITCH_OPTIONAL, SWITCH_ENDPOINT, false);
    struct journal_load *load = next_load_of_pending(loads);
    cr_expect_eq(load->after_pending_id, 0);
    load->ret_count = 2;
    load->ret_deliveries[0] = make_delivery(1, "notification", DELIVERY_PENDING);
    load->ret_deliveries[1] = make_delivery(2, "notification", DELIVERY_PENDING);
    journal_answer(&load->request, OK);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 4);
}

Test(delivery_switches, optional_events_before_others_in_the_journal_are_passed_over)
{
    const struct journal_backlog backlog = {.endpoint = endpoint, .pending = 3};
    set_switch(SWITCH_OPTIONAL, SWITCH_ALL, true);
    begin_answering_shard(&backlog);
    struct journal_load *load = journal_load_at(0);
    cr_expect_eq(load->without, 1u << CLASS_OPTIONAL);
    load->ret_count = 0;
    load->ret_after_pending_id = 2;
    load->ret_more = true;
    load->ret_next_due_us = INT64_MAX;
    journal_answer(&load->request, OK);
    load = journal_load_at(1);
    cr_expect_eq(load->after_pending_id, 2);
    journal_answer_load(load, 3, 3, DELIVERY_PENDING, false);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 1);
    cr_expect_eq(journal_outcome_at(0)->delivery, 3);
    cr_expect_eq(sink_count(), 1);
}
