/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict finds false statements about accepted events, in answers and money, and missed
 * levels. */
#include "unit/bench/verdict_fixture.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(verdict_acceptance, a_conflict_that_came_first_wins_and_the_original_is_refused)
{
    struct run *run = run_new();
    struct load_record *conflict = run_add_conflict(run, 7);
    conflict->status = 200;
    conflict->answer = LOAD_SAID_ACCEPTED;
    run_set_event(conflict->event, 7);
    run->load[7].status = 422;
    run->load[7].answer = LOAD_SAID_NOTHING;
    snprintf(run->rows[7].amount, sizeof run->rows[7].amount, "8.50");
    run->sink[7].amount_micros += UNIT;
    run->sink[7].body_hash += 500;
    run_expect_pass(run);
}

Test(verdict_acceptance, both_amounts_of_a_key_answered_200)
{
    struct run *run = run_new();
    struct load_record *conflict = run_add_conflict(run, 7);
    conflict->status = 200;
    conflict->answer = LOAD_SAID_ACCEPTED;
    conflict->ended_us += MS;
    run_set_event(conflict->event, 7);
    run_expect_fail(run, "two amounts", ALONE);
}

Test(verdict_acceptance, the_first_of_two_amounts_is_found_by_time_and_not_by_the_order_of_the_log)
{
    struct run *run = run_new();
    struct load_record *conflict = run_add_conflict(run, 7);
    conflict->status = 200;
    conflict->answer = LOAD_SAID_ACCEPTED;
    conflict->ended_us += MS;
    run_set_event(conflict->event, 7);
    struct load_record first = run->load[7];
    run->load[7] = *conflict;
    *conflict = first;
    run_expect_fail(run, "two amounts", ALONE);
}

Test(verdict_acceptance, an_original_is_refused_when_its_conflict_may_have_been_taken)
{
    struct run *run = run_new();
    levels_set(&run->options.levels, "error_share_max=none", &(const char *){NULL});
    struct load_record *conflict = run_add_conflict(run, 7);
    conflict->end = LOAD_TIMED_OUT;
    conflict->status = 0;
    run->load[7].status = 422;
    run->load[7].answer = LOAD_SAID_NOTHING;
    memset(run->load[7].event, 0, sizeof run->load[7].event);
    snprintf(run->rows[7].amount, sizeof run->rows[7].amount, "8.50");
    run->sink[7].amount_micros += UNIT;
    run->sink[7].body_hash += 500;
    run_expect_pass(run);
}

Test(verdict_acceptance, an_amount_that_changed_in_progress)
{
    struct run *run = run_new();
    run->sink[15].amount_micros += 1;
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(
        figures, "money: EUR: accepted 800.00, but delivered 800.000001 + held 0.00"));
    cr_expect(run_has_reason(figures, "1 money: events whose amount"));
    run_free(run);
}

Test(verdict_acceptance, amounts_that_were_swapped_in_the_journal)
{
    struct run *run = run_new();
    snprintf(run->rows[15].amount, sizeof run->rows[15].amount, "16.50");
    snprintf(run->rows[16].amount, sizeof run->rows[16].amount, "15.50");
    run_expect_fail(run, "2 money: events whose amount", ALONE);
}

Test(verdict_acceptance, a_currency_that_changed_in_the_journal)
{
    struct run *run = run_new();
    snprintf(run->rows[15].currency, sizeof run->rows[15].currency, "USD");
    run_expect_fail(run, "money: EUR: accepted 800.00", AMONG_OTHERS);
}

Test(verdict_acceptance, two_ids_answered_for_one_key)
{
    struct run *run = run_new();
    run_set_event(run_add_duplicate(run, 17)->event, 700);
    run_expect_fail(run, "1 acceptance: keys with two event ids", ALONE);
}

Test(verdict_acceptance, two_ids_in_the_journal_for_one_key)
{
    struct run *run = run_new();
    run_add_row(run, 700);
    snprintf(run->rows[EVENTS].key, sizeof run->rows[EVENTS].key, RUN "-17");
    snprintf(run->rows[EVENTS].amount, sizeof run->rows[EVENTS].amount, "17.50");
    struct sink_record *request = run_add_request_again(run, 17, MS);
    run_set_event(request->event, 700);
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "1 acceptance: keys with two event ids"));
    cr_expect(run_has_reason(figures, "level duplicates_max: 1 is above 0"));
    cr_expect_eq(figures->reasons_count, 2);
    run_free(run);
}

Test(verdict_acceptance, one_id_answered_for_two_keys)
{
    struct run *run = run_new();
    run_set_event(run->load[18].event, 17);
    run_expect_fail(run, "1 acceptance: keys with the event id of another", AMONG_OTHERS);
}

Test(verdict_acceptance, an_invalid_event_that_was_accepted)
{
    struct run *run = run_new();
    run_add_sending(run, 600)->kind = LOAD_INVALID;
    run_expect_fail(run, "1 acceptance: invalid events", ALONE);
}

Test(verdict_acceptance, an_invalid_event_in_the_journal)
{
    struct run *run = run_new();
    struct load_record *invalid = run_add_sending(run, 600);
    invalid->kind = LOAD_INVALID;
    invalid->status = 400;
    invalid->answer = LOAD_SAID_NOTHING;
    memset(invalid->event, 0, sizeof invalid->event);
    run_add_row(run, 600);
    run_expect_fail(run, "1 acceptance: invalid events", ALONE);
}

Test(verdict_acceptance, a_valid_event_that_was_refused)
{
    static const uint16_t statuses[] = {400, 401, 422};
    for (size_t i = 0; i < ARRAY_LENGTH(statuses); i++) {
        struct run *run = run_new();
        struct load_record *duplicate = run_add_duplicate(run, 18);
        duplicate->status = statuses[i];
        duplicate->answer = LOAD_SAID_NOTHING;
        run_expect_fail(run, "1 acceptance: valid events that were answered with a 4xx", ALONE);
    }
}

Test(verdict_acceptance, being_told_to_slow_down_is_no_refusal)
{
    struct run *run = run_new();
    struct load_record *duplicate = run_add_duplicate(run, 18);
    duplicate->status = 429;
    duplicate->answer = LOAD_SAID_NOTHING;
    run_expect_pass(run);
}

Test(verdict_acceptance, slow_answers)
{
    struct run *run = run_new();
    run->load[0].ended_us += 2000 * MS;
    run_expect_fail(run, "level answer_p99_max: 2.002s is above 1s", ALONE);
}

Test(verdict_acceptance, an_answer_after_the_last_moment)
{
    struct run *run = run_new();
    run->load[0].ended_us += 4000 * MS;
    levels_set(&run->options.levels, "answer_p99_max=none", &(const char *){NULL});
    run_expect_fail(run, "level answer_max: 4.002s is above 3s", ALONE);
}

Test(verdict_acceptance, a_share_of_503s)
{
    struct run *run = run_new();
    struct load_record *first = run_add_sending(run, 19);
    first->status = 503;
    first->answer = LOAD_SAID_NOTHING;
    memset(first->event, 0, sizeof first->event);
    run_expect_fail(run, "level error_share_max: 0.0243902 is above 0.001", ALONE);
}

Test(verdict_acceptance, a_sending_that_the_end_of_the_run_left_without_an_answer_is_an_error)
{
    struct run *run = run_new();
    run_add_duplicate(run, 19)->end = LOAD_UNFINISHED;
    run_expect_fail(run, "level error_share_max: 0.0243902 is above 0.001", ALONE);
}

Test(verdict_acceptance, a_first_sending_without_an_answer_took_until_it_was_given_up)
{
    struct run *run = run_new();
    levels_set(&run->options.levels, "error_share_max=none", &(const char *){NULL});
    levels_set(&run->options.levels, "availability_min=none", &(const char *){NULL});
    struct load_record *first = run_add_duplicate(run, 19);
    first->end = LOAD_TIMED_OUT;
    first->ended_us = first->intended_us + 4000 * MS;
    run_expect_fail(run, "level answer_max: 4s is above 3s", false);
}

Test(verdict_acceptance, signatures_that_were_not_checked_while_others_were)
{
    struct run *run = run_new();
    run->sink[3].signature = SINK_UNCHECKED;
    run_expect_fail(run, "1 signatures were not checked, while others were", ALONE);
}

Test(verdict_acceptance, only_first_answers_are_timed)
{
    struct run *run = run_new();
    struct load_record *again = run_add_sending(run, 19);
    again->sending = 1;
    again->ended_us += 9000 * MS;
    run_expect_pass(run);
}

Test(verdict_acceptance, an_event_that_was_never_answered_200)
{
    struct run *run = run_new();
    run->load[19].end = LOAD_TIMED_OUT;
    run->load[19].status = 0;
    run->load[19].answer = LOAD_SAID_NOTHING;
    memset(run->load[19].event, 0, sizeof run->load[19].event);
    const struct figures *figures = run_judge(run);
    cr_expect(run_has_reason(figures, "level availability_min: 0.975 is below 0.999"));
    cr_expect(run_has_reason(figures, "level error_share_max"));
    cr_expect_eq(figures->reasons_count, 2, "what was taken without a 200 is no fault");
    cr_expect_eq(figures->fate.unanswered, 1);
    cr_expect(figures->money[1].unanswered == 19 * UNIT + UNIT / 2);
    run_free(run);
}

Test(verdict_acceptance, late_deliveries)
{
    struct run *run = run_new();
    run->sink[20].received_us += 20000 * MS;
    run_expect_fail(run, "level freshness_p99_max: 20s is above 15s", ALONE);
}

Test(verdict_acceptance, a_run_without_events_shows_nothing)
{
    struct run *run = run_new();
    run->load_count = run->sink_count = run->rows_count = 0;
    run_expect_fail(run, "no event was accepted", ALONE);
}
