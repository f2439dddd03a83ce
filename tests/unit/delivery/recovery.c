/* SPDX-License-Identifier: Apache-2.0 */
/* What a hanging or failing endpoint must not stop: its other events, its probes, its recovery. */
#include "failing.h"

#include "runtime/metrics.h"

#include <string.h>

TestSuite(delivery_recovery, .init = fixture_begin, .fini = fixture_end);

/* Guarded, and in its second round: resent, released, or after a status probe. */
Test(delivery_recovery, a_guarded_probe_before_its_time_keeps_its_due_time_and_steps)
{
    unsigned loads = 0;
    begin_failing_shard();
    journal_answer_at_once(JOURNAL_START);
    open_breaker(1);
    struct journal_load *probe = next_load(&loads, true);
    unsigned recorded = journal_count(JOURNAL_RECORD_OUTCOME);
    probe->ret_count = 1;
    struct delivery *delivery = &probe->ret_deliveries[0];
    *delivery = make_delivery(1, "payout", DELIVERY_WAITING);
    cr_assert(delivery->event->parts.guarded);
    delivery->generation = 1;
    delivery->failures = 2; /* of 2 steps */
    delivery->wait_cause = WAIT_ENDPOINT;
    delivery->wait_us = US_PER_DAY;
    int64_t due_us = delivery->due_us = clock_wall_us() + US_PER_DAY;
    journal_answer_by_hand(JOURNAL_RECORD_OUTCOME);
    journal_answer(&probe->request, OK);
    struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, recorded);
    cr_expect_eq(record->to, DELIVERY_WAITING, "state %d", record->to);
    cr_expect_eq(record->failures, 2, "failures %u", record->failures);
    cr_expect_eq(record->due_us, due_us);
}

/* As the journal has it: the first one was sent last. */
static void answer_probe(struct journal_load *probe, const int64_t *sent_us, unsigned count)
{
    probe->ret_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct delivery *delivery = &probe->ret_deliveries[i];
        *delivery = make_delivery(i + 1, "note", DELIVERY_WAITING);
        delivery->attempts = 100 * (i + 1);
        delivery->wait_cause = WAIT_ENDPOINT;
        delivery->due_us = clock_wall_us() + US_PER_DAY;
        delivery->wait_us = delivery->due_us - sent_us[i];
    }
    journal_answer(&probe->request, OK);
}

Test(delivery_recovery, the_next_probe_is_another_event)
{
    unsigned loads = 0;
    begin_failing_shard();
    int64_t sent_us[2] = {clock_wall_us() - US_PER_SECOND, clock_wall_us() - US_PER_SECOND};
    open_breaker(1);
    unsigned sent = sink_count();
    static const char *const expected[] = {"attempt: 101", "attempt: 201", "attempt: 101"};
    for (unsigned i = 0; i < ARRAY_LENGTH(expected); i++) {
        answer_probe(next_load(&loads, true), sent_us, 2);
        cr_assert(strstr(sink_request(sent + i)->head, expected[i]), "probe %u", i);
        sent_us[i % 2] = clock_wall_us();
    }
}

Test(delivery_recovery, probes_that_hang_leave_slots_for_others)
{
    unsigned loads = 0;
    policy.in_flight_per_shard = 2;
    begin_failing_shard();
    const int64_t sent_us = clock_wall_us() - US_PER_SECOND;
    open_breaker(1);
    sink_set(SINK_HOLD, 200);
    answer_probe(next_load(&loads, true), &sent_us, 1);
    WAIT_UNTIL(sink_count() == 11);
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL); /* the next one would be due after 2 s */
    while (journal_count(JOURNAL_LOAD) > loads)
        cr_assert_not(journal_load_at(loads++)->probe, "it would take the last slot");
    cr_assert_eq(metrics_read(METRIC_IN_FLIGHT), 1);
}

Test(delivery_recovery, a_rate_holds_for_guarded_ones)
{
    policy.rules.in_flight_max = 32;
    policy.active_per_endpoint = 64;
    sink_set(SINK_ANSWER, 429);
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_START);
    journal_answer_at_once(JOURNAL_LOAD);
    sink_set(SINK_ANSWER, 200);
    for (unsigned i = 0; i < 8; i++) {
        hand_over(1000 + i * 60, 1059 + i * 60, "note");
        WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == (i + 1) * 60);
    }
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    sink_set(SINK_ANSWER, 429);
    hand_over(1, 1, "payout"); /* 1/s is learned */
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 481);
    sink_set(SINK_ANSWER, 200);
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    unsigned sent = sink_count();
    sink_hold_path("/in");
    hand_over(2, 41, "payout");
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    cr_expect_leq(sink_count() - sent, 2, "%u were sent within 0.3 s at 1/s", sink_count() - sent);
}

/* Answers each load at once for some seconds. Returns how many never-sent ones were asked for. */
static unsigned feed(int64_t us, unsigned *loads, int64_t *id)
{
    unsigned pending = 0;
    int64_t until = clock_mono_us() + us;
    while (clock_mono_us() < until) {
        if (journal_count(JOURNAL_LOAD) <= *loads) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
            continue;
        }
        struct journal_load *load = journal_load_at((*loads)++);
        if (load->probe || load->recovered_us > 0) {
            load->ret_after_recovered_id = load->after_recovered_id;
            journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
            continue;
        }
        bool is_due = load->due_by_us != INT64_MIN;
        int64_t first = *id;
        *id += load->count_max;
        if (!is_due)
            pending += load->count_max;
        journal_answer_load(
            load, first, *id - 1, is_due ? DELIVERY_WAITING : DELIVERY_PENDING, true);
    }
    return pending;
}

Test(delivery_recovery, what_was_never_sent_is_not_held_by_the_retry_budget)
{
    unsigned loads = 0;
    int64_t id = 1;
    policy.active_per_endpoint = 512;
    policy.rules.in_flight_max = 32;
    for (unsigned i = 0; i < policy.rules.schedule.steps; i++)
        policy.rules.schedule.steps_us[i] = US_PER_DAY;
    fail_each = 4;
    const struct journal_backlog backlog = {.endpoint = endpoint,
        .pending = 100000,
        .waiting = 100000,
        .waiting_due_us = clock_wall_us() - US_PER_SECOND};
    begin_shard(&backlog);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    feed(US_PER_SECOND, &loads, &id); /* fills the retry lane */
    cr_expect_gt(feed(US_PER_SECOND, &loads, &id), 0, "the retries take all the room");
}

Test(delivery_recovery, a_rate_holds_for_unguarded_ones)
{
    policy.rules.in_flight_max = 32;
    policy.active_per_endpoint = 64;
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_LOAD);
    for (unsigned i = 0; i < 8; i++) {
        hand_over(1000 + i * 60, 1059 + i * 60, "note");
        WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == (i + 1) * 60);
    }
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    sink_set(SINK_ANSWER, 429);
    hand_over(1, 1, "note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 481);
    sink_set(SINK_ANSWER, 200);
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    unsigned sent = sink_count();
    sink_hold_path("/in");
    hand_over(2, 41, "note");
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    cr_expect_leq(sink_count() - sent, 1, "%u were sent within 0.3 s at 1/s", sink_count() - sent);
}
/* The operator changes the endpoint after failures that have not opened its breaker. */
Test(delivery_recovery, a_change_of_the_endpoint_does_not_cancel_its_recovery)
{
    begin_failing_shard();
    for (int64_t i = 1; i <= 6; i++) {
        hand_over(i, i, "note");
        WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == (unsigned)i);
    }
    delivery_shard_endpoint_changed(shard, endpoint, 1);
    sink_set(SINK_ANSWER, 200);
    journal_answer_at_once(JOURNAL_LIST_PARKED);
    hand_over(7, 7, "note");
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == 7);
    WAIT_UNTIL(metrics_read(METRIC_RECOVERIES) == 1);
}
/* The endpoint has only what waits for a day. */
Test(delivery_recovery, what_failed_before_a_restart_is_probed_at_once)
{
    const struct journal_backlog backlog = {.endpoint = endpoint,
        .waiting = 20,
        .failed = 20,
        .waiting_due_us = clock_wall_us() + US_PER_DAY};
    begin_shard(&backlog);
    cr_assert(journal_load_at(0)->probe);
}
/* One request hangs, and the client answers all others at once. */
Test(delivery_recovery, one_that_hangs_does_not_stop_the_others)
{
    policy.rules.answer_timeout_us = 60 * US_PER_SECOND;
    policy.rules.in_flight_max = 32;
    begin_shard(NULL);
    journal_answer_at_once(JOURNAL_RECORD_OUTCOME);
    journal_answer_at_once(JOURNAL_LOAD);
    for (int64_t i = 1; i <= 100; i++) { /* a healthy endpoint */
        hand_over(i, i, "note");
        WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == (unsigned)i);
    }
    sink_set(SINK_HOLD, 200);
    hand_over(101, 101, "note");
    WAIT_UNTIL(sink_count() == 101);
    sink_set(SINK_ANSWER, 200);            /* without a signal: that one stays */
    for (int64_t i = 102; i <= 105; i++) { /* one each second */
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        hand_over(i, i, "note");
    }
    nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
    cr_expect_eq(
        sink_count(), 105, "only %u of 4 were sent beside the one that hangs", sink_count() - 101);
}
/* The client is back, but the probes that hung before are still in flight. */
Test(delivery_recovery, old_probes_that_hang_do_not_stop_the_recovery)
{
    unsigned loads = 0;
    policy.rules.answer_timeout_us = 60 * US_PER_SECOND;
    begin_failing_shard();
    open_breaker(1);
    sink_set(SINK_HOLD, 200);
    unsigned sent = sink_count();
    for (int64_t i = 1; i <= 2; i++) {
        journal_answer_load(next_load(&loads, true), i, i, DELIVERY_WAITING, false);
        WAIT_UNTIL(sink_count() == sent + (unsigned)i);
    }
    sink_set(SINK_ANSWER, 200); /* without a signal: those two stay */
    journal_answer_load(next_load(&loads, true), 3, 3, DELIVERY_WAITING, false);
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
    journal_answer_at_once(JOURNAL_LOAD);
    sent = sink_count();
    hand_over(50, 54, "note");
    nanosleep(&(struct timespec){.tv_sec = 10}, NULL);
    cr_expect_eq(
        sink_count() - sent, 5, "%u of 5 fresh events were sent within 10 s", sink_count() - sent);
}
/* Probes that hung before the recovery end after it. */
Test(delivery_recovery, probes_that_hung_are_due_after_the_recovery)
{
    unsigned loads = 0;
    policy.rules.answer_timeout_us = 8 * US_PER_SECOND;
    begin_failing_shard();
    open_breaker(1);
    sink_set(SINK_HOLD, 200);
    unsigned sent = sink_count();
    for (int64_t i = 1; i <= 2; i++) {
        struct journal_load *probe = next_load(&loads, true);
        probe->ret_count = 1;
        probe->ret_deliveries[0] = make_delivery(i, "note", DELIVERY_WAITING);
        probe->ret_deliveries[0].wait_cause = WAIT_ENDPOINT;
        probe->ret_deliveries[0].due_us = clock_wall_us() + US_PER_DAY;
        probe->ret_deliveries[0].wait_us = US_PER_DAY;
        journal_answer(&probe->request, OK);
        WAIT_UNTIL(sink_count() == sent + (unsigned)i);
    }
    sink_set(SINK_ANSWER, 200);
    unsigned recorded = journal_count(JOURNAL_RECORD_OUTCOME);
    journal_answer_load(next_load(&loads, true), 3, 3, DELIVERY_WAITING, false);
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
    WAIT_UNTIL(journal_count(JOURNAL_RECORD_OUTCOME) == recorded + 1);
    journal_answer_by_hand(JOURNAL_RECORD_OUTCOME);
    for (unsigned quiet = 0; quiet < 500; quiet++) { /* the loads of the recovery: nothing more */
        if (journal_count(JOURNAL_LOAD) > loads) {
            struct journal_load *load = journal_load_at(loads++);
            load->ret_after_recovered_id = 1000;
            journal_answer_load(load, 0, -1, DELIVERY_PENDING, false);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    for (unsigned i = 1; i <= 2; i++) {
        struct journal_record *record = journal_record_at(JOURNAL_RECORD_OUTCOME, recorded + i);
        cr_expect_eq(record->to, DELIVERY_WAITING);
        journal_answer(&record->request, OK);
    }
    while (journal_load_at(loads)->recovered_us == 0)
        journal_answer_load(journal_load_at(loads++), 0, -1, DELIVERY_PENDING, false);
}

/* Otherwise the whole backlog would be loaded before. */
Test(delivery_recovery, what_was_accepted_shortly_before_the_recovery_is_loaded_first)
{
    unsigned loads = 0;
    begin_failing_shard();
    open_breaker(1);
    hand_over(50, 50, "note");
    sink_set(SINK_ANSWER, 200);
    journal_answer_load(next_load(&loads, true), 1, 1, DELIVERY_WAITING, false);
    WAIT_UNTIL(metrics_read(METRIC_BREAKERS_OPEN) == 0);
    bool found = false;
    for (unsigned i = 0; i < 4 && !found; i++) {
        struct journal_load *load = journal_load_at(loads++);
        found = load->recovered_us == 0 && load->after_pending_id == 49;
        if (load->recovered_us > 0)
            load->ret_after_recovered_id = 100;
        journal_answer_load(load, 50, found ? 50 : 49, DELIVERY_PENDING, false);
    }
    cr_assert(found);
    WAIT_UNTIL(sink_count() >= 12);
    WAIT_UNTIL(metrics_read(METRIC_ACTIVE) == 0);
    cr_assert_eq(sink_count(), 12, "the ten failures, the probe, and this one");
}
