/* SPDX-License-Identifier: Apache-2.0 */
/* With a broker in between, the dedupe store finds duplicates and conflicts after the answer. That
 * is no fault. What it does not explain is one. */
#include "unit/bench/verdict_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define LATE 700 /* the id of the second event */

/* A duplicate of `original` that was answered as accepted, with an id of its own. */
static struct load_record *add_late_duplicate(struct run *run, uint64_t original)
{
    struct load_record *record = run_add_duplicate(run, original);
    record->answer = LOAD_SAID_ACCEPTED;
    run_set_event(record->event, LATE);
    return record;
}

/* Other money for the key of `original`, answered as accepted and parked as a conflict. */
static struct row *add_late_conflict(struct run *run, uint64_t original)
{
    struct load_record *record = run_add_conflict(run, original);
    record->status = 200;
    record->answer = LOAD_SAID_ACCEPTED;
    run_set_event(record->event, LATE);
    run_add_row(run, LATE);
    struct row *row = &run->rows[run->rows_count - 1];
    snprintf(row->key, sizeof row->key, RUN "-%u", (unsigned)original);
    snprintf(row->amount, sizeof row->amount, "%u.50", (unsigned)original + 1);
    row->states[0] = DELIVERY_PARKED;
    row->reason = PARK_CONFLICT;
    return row;
}

Test(verdict_late, an_alias_is_no_second_id)
{
    struct run *run = run_new();
    add_late_duplicate(run, 17);
    run_add_alias(run, LATE, 17);
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures), "%s", figures->reasons[0]);
    cr_expect_eq(figures->acceptance.late_aliases, 1);
    cr_expect_eq(figures->fate.accepted, EVENTS);
    run_free(run);
}

Test(verdict_late, an_alias_may_be_the_first_that_was_answered)
{
    struct run *run = run_new();
    run_set_event(run->load[17].event, LATE);
    run_add_duplicate(run, 17)->ended_us += MS;
    run_add_alias(run, LATE, 17);
    run_expect_pass(run);
}

Test(verdict_late, an_alias_excuses_one_id_only)
{
    struct run *run = run_new();
    add_late_duplicate(run, 17);
    run_set_event(add_late_duplicate(run, 17)->event, LATE + 1);
    run_add_alias(run, LATE, 17);
    run_expect_fail(run, "1 acceptance: keys with two event ids", ALONE);
}

Test(verdict_late, an_alias_of_another_keys_event_excuses_nothing)
{
    struct run *run = run_new();
    add_late_duplicate(run, 17);
    run_add_alias(run, LATE, 18);
    run_expect_fail(run, "1 acceptance: keys with two event ids", ALONE);
}

Test(verdict_late, a_delivery_under_the_alias_is_a_duplicate)
{
    struct run *run = run_new();
    add_late_duplicate(run, 17);
    run_add_alias(run, LATE, 17);
    run_set_event(run_add_request_again(run, 17, 10 * MS)->event, LATE);
    run_expect_fail(run, "level duplicates_max: 1 is above 0", ALONE);
}

Test(verdict_late, a_conflict_is_parked_and_its_money_is_held)
{
    struct run *run = run_new();
    add_late_conflict(run, 7);
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures), "%s", figures->reasons[0]);
    cr_expect_eq(figures->acceptance.late_conflicts, 1);
    cr_expect_eq(figures->impacts.rows[IMPACT_PARKED].events, 1);
    cr_expect(figures->money[1].held == 8 * UNIT + UNIT / 2);
    cr_expect(figures->money[1].accepted == figures->money[1].delivered + figures->money[1].held);
    run_free(run);
}

Test(verdict_late, a_conflict_whose_answer_was_lost_is_taken_without_a_200)
{
    struct run *run = run_new();
    add_late_conflict(run, 7);
    struct load_record *record = &run->load[run->load_count - 1];
    record->end = LOAD_TIMED_OUT;
    record->status = 0;
    record->answer = LOAD_SAID_NOTHING;
    memset(record->event, 0, sizeof record->event);
    levels_set(&run->options.levels, "error_share_max=none", &(const char *){NULL});
    const struct figures *figures = run_judge(run);
    cr_expect(verdict_is_pass(figures), "%s", figures->reasons[0]);
    cr_expect(figures->money[1].unanswered == 8 * UNIT + UNIT / 2);
    run_free(run);
}

Test(verdict_late, the_dedupe_says_which_of_two_amounts_was_the_first)
{
    struct run *run = run_new();
    struct row *conflict = add_late_conflict(run, 7);
    snprintf(conflict->amount, sizeof conflict->amount,
        "7.50"); /* the original is the one that is parked */
    snprintf(run->rows[7].amount, sizeof run->rows[7].amount, "8.50");
    memcpy(run->rows[7].event, conflict->event, sizeof conflict->event);
    run_set_event(conflict->event, 7);
    run->sink[7].amount_micros += UNIT;
    run->sink[7].body_hash += 500;
    memcpy(run->sink[7].event, run->rows[7].event, sizeof run->rows[7].event);
    run_expect_pass(run);
}

Test(verdict_late, two_amounts_are_a_fault_unless_one_is_parked)
{
    struct run *run = run_new();
    struct row *conflict = add_late_conflict(run, 7);
    conflict->reason = PARK_UNROUTED;
    run_expect_fail(run, "1 acceptance: keys with two amounts", AMONG_OTHERS);
}

Test(verdict_late, a_conflict_that_was_delivered_is_a_fault)
{
    struct run *run = run_new();
    add_late_conflict(run, 7);
    struct sink_record *request = run_add_request(run, 7);
    run_set_event(request->event, LATE);
    request->amount_micros += UNIT;
    request->body_hash += 500;
    request->received_us += MS;
    run_expect_fail(run, "wrong bytes", AMONG_OTHERS);
}
