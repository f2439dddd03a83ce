/* SPDX-License-Identifier: Apache-2.0 */
/* A clean run passes; each of the other tests breaks it in one way, which must be found and named.
 * Here: what was sent against what arrived. */
#include "unit/bench/verdict_fixture.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(verdict, a_clean_run_passes_and_all_of_it_is_counted)
{
    struct run *run = run_new();
    const struct figures *figures = run_judge(run);
    cr_assert(verdict_is_pass(figures), "%s", figures->reasons[0]);
    cr_expect_eq(figures->fate.sent, EVENTS);
    cr_expect_eq(figures->fate.accepted, EVENTS);
    cr_expect_eq(figures->fate.states[DELIVERY_DELIVERED], EVENTS);
    cr_expect_eq(figures->arrivals.successes, EVENTS);
    cr_expect_eq(figures->answers.times.max_us, 2 * MS);
    cr_expect_eq(figures->arrivals.freshness.max_us, 4 * MS);
    cr_expect_eq(figures->money_count, 2);
    cr_expect(figures->money[1].accepted ==
              (micros_sum)(EVENTS * (EVENTS - 1) / 2) * UNIT + EVENTS * UNIT / 2);
    run_free(run);
}

Test(verdict, a_clean_run_passes_without_a_journal)
{
    struct run *run = run_new();
    run->without_journal = true;
    run_expect_pass(run);
}

Test(verdict, duplicates_conflicts_invalid_ones_and_resends_are_no_faults)
{
    struct run *run = run_new();
    levels_set(&run->options.levels, "error_share_max=none", &(const char *){NULL});
    run_add_duplicate(run, 3);
    run_add_conflict(run, 4);
    struct load_record *invalid = run_add_sending(run, 500);
    *invalid = (struct load_record){.intended_us = START_US,
        .ended_us = START_US + 1,
        .number = 500,
        .original = 500,
        .kind = LOAD_INVALID,
        .status = 422};
    run->load[5].end = LOAD_TIMED_OUT; /* and sent again: the second answer says duplicate */
    run->load[5].status = 0;
    run->load[5].answer = LOAD_SAID_NOTHING;
    struct load_record *again = run_add_sending(run, 5);
    again->sending = 1;
    again->answer = LOAD_SAID_DUPLICATE;
    run->sink[6].status = 503; /* the sink's own failure */
    run_add_request_again(run, 6, 1000 * MS);
    run_expect_pass(run);
}

Test(verdict, an_answered_event_that_is_not_in_the_journal)
{
    struct run *run = run_new();
    run->rows[9] = run->rows[--run->rows_count];
    run->sink[9] = run->sink[--run->sink_count];
    run_add_request(run, EVENTS - 1);
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "1 lost: answered 200, but not in the journal"));
    cr_expect(
        run_has_reason(figures, "money: EUR: accepted 800.00, but delivered 790.50 + held 0.00"));
    cr_assert_eq(figures->fate.lost_named_count, 1);
    cr_expect_eq(figures->fate.lost_named[0].number, 9);
    cr_expect_eq(figures->fate.lost_named[0].event[15], 9);
    cr_expect_str_eq(figures->fate.lost_named[0].run, RUN);
    run_free(run);
}

Test(verdict, an_event_in_the_journal_without_a_delivery)
{
    struct run *run = run_new();
    run->rows[9].deliveries = 0;
    run_expect_fail(run, "in the journal without a delivery", AMONG_OTHERS);
}

Test(verdict, a_delivery_that_never_came)
{
    struct run *run = run_new();
    run->sink_count--;
    run_expect_fail(run, "lost: delivered in the journal", AMONG_OTHERS);
}

Test(verdict, a_dropped_retry)
{
    struct run *run = run_new();
    run->sink[11].status = 503;
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "1 lost: delivered in the journal"));
    cr_expect(run_has_reason(figures, "level delivered_share: 0.975 is below 0.9999"));
    run_free(run);
}

Test(verdict, an_answer_that_breaks_off_behind_its_headers_is_a_success)
{
    struct run *run = run_new();
    run->sink[11].deed = SINK_CUT_SHORT;
    run_expect_pass(run);
}

Test(verdict, work_that_was_done_and_never_answered_is_not_a_delivery)
{
    struct run *run = run_new();
    run->sink[11].deed = SINK_DROPPED;
    run_expect_fail(run, "lost: delivered in the journal", AMONG_OTHERS);
}

Test(verdict, a_second_endpoint_that_got_nothing)
{
    struct run *run = run_new();
    run->rows[11].deliveries = 2;
    run_expect_fail(run, "lost: delivered in the journal", AMONG_OTHERS);
}

Test(verdict, two_endpoints_get_an_event_once_each)
{
    struct run *run = run_new();
    run->rows[11].deliveries = 2;
    run_add_request(run, 11)->path = 1;
    run_expect_pass(run);
}

Test(verdict, an_event_is_as_far_as_the_furthest_of_its_deliveries)
{
    struct run *run = run_new();
    run->rows[11].deliveries = 2;
    run->rows[11].states[0] = DELIVERY_PARKED;
    const struct figures *figures = run_judge(run);
    cr_expect_eq(figures->fate.states[DELIVERY_PARKED], 1);
    cr_expect_eq(figures->fate.lost, 0);
    run_free(run);
}

Test(verdict, an_answered_event_that_never_came_without_a_journal)
{
    struct run *run = run_new();
    run->without_journal = true;
    run->sink_count--;
    run_expect_fail(run, "1 lost: accepted, but the sink", AMONG_OTHERS);
}

Test(verdict, what_is_held_is_not_lost_and_its_money_adds_up_but_the_share_counts_it)
{
    static const enum delivery_state states[] = {DELIVERY_PENDING, DELIVERY_SENDING,
        DELIVERY_WAITING, DELIVERY_PARKED, DELIVERY_DEAD, DELIVERY_DISCARDED};
    for (size_t i = 0; i < ARRAY_LENGTH(states); i++) {
        struct run *run = run_new();
        run->rows[EVENTS - 1].states[0] = states[i];
        run->sink[EVENTS - 1].status = 503;
        const struct figures *figures = run_judge(run);
        cr_expect_eq(figures->fate.states[states[i]], 1);
        cr_expect_eq(figures->fate.lost, 0);
        cr_expect(figures->money[1].held == (EVENTS - 1) * UNIT + UNIT / 2);
        cr_expect_eq(figures->reasons_count, 1);
        cr_expect(run_has_reason(figures, "level delivered_share: 0.975 is below 0.9999"), "%s",
            figures->reasons[0]);
        run_free(run);
    }
}

Test(verdict, a_duplicated_send)
{
    struct run *run = run_new();
    run_add_request_again(run, 12, 3 * MS);
    run_expect_fail(run, "level duplicates_max: 1 is above 0", ALONE);
}

Test(verdict, a_duplicated_send_to_where_the_endpoint_has_moved)
{
    struct run *run = run_new();
    run_add_request_again(run, 12, 3 * MS)->path = 4;
    run_expect_fail(run, "level duplicates_max: 1 is above 0", ALONE);
}

Test(verdict, two_sends_at_the_same_time)
{
    struct run *run = run_new();
    run->sink[12].answered_us += 10 * MS;
    run_add_request_again(run, 12, MS);
    run_expect_fail(run, "level duplicates_max: 1 is above 0", ALONE);
}

Test(verdict, a_send_after_the_gateway_gave_up_is_counted_apart)
{
    struct run *run = run_new();
    run->sink[12].answered_us += 40000 * MS;
    run_add_request_again(run, 12, 30000 * MS);
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures), "%s", figures->reasons[0]);
    cr_expect_eq(figures->arrivals.overlapping, 1);
    run_free(run);
}

Test(verdict, a_guarded_event_sent_twice)
{
    struct run *run = run_new();
    run->rows[12].guarded = true;
    run_add_request_again(run, 12, 3 * MS);
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "level guarded_duplicates_max: 1 is above 0"));
    cr_expect_eq(figures->arrivals.duplicated, 1);
    run_free(run);
}

Test(verdict, a_guarded_event_sent_again_after_an_answer_that_was_lost)
{
    static const enum sink_deed deeds[] = {SINK_DROPPED, SINK_CUT_SHORT, SINK_NEVER_ENDED};
    for (size_t i = 0; i < ARRAY_LENGTH(deeds); i++) {
        struct run *run = run_new();
        run->load[12].guarded = 1;
        run->sink[12].deed = (uint8_t)deeds[i];
        run_add_request_again(run, 12, 30000 * MS);
        levels_set(&run->options.levels, "freshness_p99_max=none", &(const char *){NULL});
        run_expect_fail(run, "level guarded_duplicates_max: 1 is above 0", AMONG_OTHERS);
    }
}

Test(verdict, an_unguarded_event_sent_again_after_an_answer_that_was_lost_is_no_fault)
{
    struct run *run = run_new();
    run->sink[12].deed = SINK_DROPPED;
    run_add_request_again(run, 12, 1000 * MS);
    run_expect_pass(run);
}

Test(verdict, wrong_attempt_numbers_are_reported_and_do_not_fail)
{
    struct run *run = run_new();
    run->sink[12].status = 503;
    run_add_request_again(run, 12, 1000 * MS)->attempt = 1;
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures));
    cr_expect_eq(figures->arrivals.wrong_attempts, 1);
    run_free(run);
}

Test(verdict, a_changed_byte)
{
    struct run *run = run_new();
    run->sink[13].body_hash ^= 1;
    run_expect_fail(run, "1 wrong bytes", ALONE);
}

Test(verdict, a_body_so_changed_that_it_has_no_number)
{
    struct run *run = run_new();
    run->sink[13].body_hash ^= 1;
    run->sink[13].number = RUN_NO_NUMBER;
    run_expect_fail(run, "1 wrong bytes", ALONE);
}

Test(verdict, the_body_of_one_event_under_the_id_of_another)
{
    struct run *run = run_new();
    run_set_event(run->sink[13].event, 14);
    run_set_event(run->sink[14].event, 13);
    run_expect_fail(run, "2 wrong bytes", AMONG_OTHERS);
}

Test(verdict, a_refused_conflict_that_is_delivered)
{
    struct run *run = run_new();
    struct load_record *conflict = run_add_conflict(run, 13);
    run->sink[13].body_hash = conflict->body_hash;
    run_expect_fail(run, "1 wrong bytes", ALONE);
}

Test(verdict, a_wrong_signature)
{
    struct run *run = run_new();
    run->sink[14].signature = SINK_WRONG;
    run_expect_fail(run, "1 wrong signatures", ALONE);
}

Test(verdict, a_request_for_an_event_that_nobody_sent)
{
    struct run *run = run_new();
    run_add_request(run, 900);
    run_expect_fail(run, "1 unknown: requests", ALONE);
}

Test(verdict, a_known_body_under_an_id_that_nobody_has)
{
    struct run *run = run_new();
    run_set_event(run->sink[13].event, 800);
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "1 unknown: requests"));
    cr_expect(run_has_reason(figures, "1 acceptance: keys with two event ids"));
    run_free(run);
}

Test(verdict, an_event_of_this_run_in_the_journal_that_nobody_sent)
{
    struct run *run = run_new();
    run_add_row(run, 900);
    run_expect_fail(run, "1 unknown: events", ALONE);
}

Test(verdict, other_runs_are_none_of_its_business)
{
    struct run *run = run_new();
    run_add_row(run, 900);
    snprintf(run->rows[EVENTS].key, sizeof run->rows[EVENTS].key, "r0-3");
    run_add_request(run, 900)->number = 3;
    run_expect_pass(run);
}
