/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/commit_pace.h"

#include <criterion/criterion.h>

static struct commit_pace pace;
static int64_t now_us;

static void begin(void)
{
    now_us = 1000 * US_PER_SECOND;
    pace = (struct commit_pace){0};
}

TestSuite(commit_pace, .init = begin);

/* Commits after the rest. Returns how long that was. */
static int64_t commit_after(int64_t wait_us, unsigned requests, unsigned urgent)
{
    now_us += wait_us;
    int64_t rest_us = commit_pace_rest_us(&pace, now_us);
    now_us += rest_us;
    commit_pace_begin(&pace, requests, urgent, now_us);
    return rest_us;
}

Test(commit_pace, a_request_after_a_quiet_time_does_not_wait)
{
    cr_assert_eq(commit_after(0, 1, 1), 0, "the first");
    cr_assert_eq(commit_after(COMMIT_PACE_US, 1, 1), 0);
}

Test(commit_pace, commits_begin_at_their_distance_while_that_brings_more)
{
    commit_after(0, 1, 1);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(commit_after(US_PER_MS, 2, 2), COMMIT_PACE_US - US_PER_MS, "commit %u", i);
}

Test(commit_pace, a_large_batch_needs_no_rest)
{
    commit_after(0, COMMIT_PACE_LARGE, 1);
    cr_assert_eq(commit_after(0, COMMIT_PACE_LARGE - 1, 2), 0);
    cr_assert_eq(commit_after(0, 2, 2), COMMIT_PACE_US);
}

Test(commit_pace, a_client_that_waits_for_each_answer_is_hardly_slowed_down)
{
    unsigned rests = 0, commits = 1000;
    for (unsigned i = 0; i < commits; i++)
        rests += commit_after(US_PER_MS, 2, 1) > 0;
    cr_assert_gt(rests, 0, "it is tried again");
    cr_assert_leq(rests, commits * (COMMIT_PACE_VAIN + 1) / (COMMIT_PACE_VAIN + COMMIT_PACE_OFF));
}

Test(commit_pace, one_rest_that_brings_something_is_reason_to_go_on)
{
    commit_after(0, 1, 1);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_gt(commit_after(0, 2, i % COMMIT_PACE_VAIN == 0 ? 2 : 1), 0, "commit %u", i);
}

Test(commit_pace, a_clock_that_jumps_back_costs_no_rest)
{
    commit_after(0, 1, 1);
    now_us -= US_PER_SECOND;
    cr_assert_eq(commit_after(0, 1, 1), 0);
}
