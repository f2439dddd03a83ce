/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict of targets that are not Penstock: no journal, no attempt numbers, perhaps no ids. */
#include "verdict_fixture.h"

#include <criterion/criterion.h>

static struct run *new_target_run(enum figures_target target)
{
    struct run *run = run_new();
    run->without_journal = true;
    run->options.target = target;
    for (size_t i = 0; i < run->load_count; i++) {
        memset(run->load[i].event, 0, sizeof run->load[i].event);
        run->load[i].status = 202;
        run->load[i].guarded = 0;
    }
    for (size_t i = 0; i < run->sink_count; i++) {
        memset(run->sink[i].event, 0, sizeof run->sink[i].event);
        run->sink[i].attempt = 0;
        run->sink[i].amount_micros = 0;
    }
    return run;
}

Test(verdict_target, a_run_without_ids_and_amounts_passes)
{
    run_expect_pass(new_target_run(TARGET_SAME_BODY));
    run_expect_pass(new_target_run(TARGET_OTHER_BODY));
}

Test(verdict_target, a_missing_event_is_lost_with_its_money)
{
    struct run *run = new_target_run(TARGET_OTHER_BODY);
    run->sink_count--;
    run_expect_fail(run, "1 lost: accepted, but the sink", AMONG_OTHERS);
    run = new_target_run(TARGET_OTHER_BODY);
    run->sink_count--;
    run_expect_fail(run, "money: EUR: accepted", AMONG_OTHERS);
}

Test(verdict_target, a_second_request_is_duplicated)
{
    struct run *run = new_target_run(TARGET_OTHER_BODY);
    run->sink[run->sink_count] = run->sink[0];
    run->sink[run->sink_count++].received_us += 100 * MS;
    run_expect_fail(run, "level duplicates_max: 1 is above 0", ALONE);
}

Test(verdict_target, a_changed_body_counts_when_it_should_be_the_same)
{
    struct run *run = new_target_run(TARGET_SAME_BODY);
    run->sink[3].body_hash++;
    run_expect_fail(run, "1 wrong bytes", ALONE);
    run = new_target_run(TARGET_OTHER_BODY);
    run->sink[3].body_hash++;
    run_expect_pass(run);
}

Test(verdict_target, a_duplicate_post_may_have_other_bytes_and_another_id)
{
    struct run *run = new_target_run(TARGET_SAME_BODY);
    struct load_record *again = run_add_duplicate(run, 3);
    again->body_hash = 77;
    again->status = 202;
    run_set_event(run->load[3].event, 3);
    run_set_event(again->event, 4);
    run->sink[3].body_hash = 77;
    run_expect_pass(run);
}

Test(verdict_target, a_request_of_no_event_is_unknown)
{
    struct run *run = new_target_run(TARGET_OTHER_BODY);
    run->sink[run->sink_count] = run->sink[0];
    run->sink[run->sink_count++].number = RUN_NO_NUMBER;
    run_expect_fail(run, "1 unknown: requests at the sink", ALONE);
}

Test(verdict_target, an_answer_without_its_id_is_odd)
{
    struct run *run = new_target_run(TARGET_OTHER_BODY);
    struct load_record *odd = run_add_duplicate(run, 3);
    odd->answer = LOAD_SAID_OTHER;
    run_expect_fail(run, "1 acceptance: 200s without accepted", AMONG_OTHERS);
}

Test(verdict_target, a_request_is_found_by_the_targets_id)
{
    struct run *run = new_target_run(TARGET_OTHER_BODY);
    for (size_t i = 0; i < run->load_count; i++) {
        run_set_event(run->load[i].event, 900 + i);
        run_set_event(run->sink[i].event, 900 + i);
        run->sink[i].number = RUN_NO_NUMBER;
    }
    run_expect_pass(run);
}

Test(verdict_target, freshness_counts_from_the_time_in_the_request)
{
    struct run *run = new_target_run(TARGET_OTHER_BODY);
    for (size_t i = 0; i < run->sink_count; i++)
        run->sink[i].due_us = run->sink[i].received_us - 70 * MS;
    const struct figures *figures = run_judge(run);
    cr_assert_eq(histogram_percentile(&figures->arrivals.freshness, 50) / MS, 70);
    run_free(run);
}
