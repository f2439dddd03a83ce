/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/commit_pace.h"

#include <criterion/criterion.h>

#define COMMIT_US (US_PER_MS)

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

/* Requests arrive at a rate of their own. Returns the commits of that time. */
static unsigned open_loop(int64_t for_us, int64_t gap_us)
{
    unsigned commits = 0;
    int64_t until_us = now_us + for_us, arrives_us = now_us;
    while (now_us < until_us) {
        int64_t wait_us = arrives_us > now_us ? arrives_us - now_us : 0;
        unsigned arrived = 0;
        int64_t begins_us = now_us + wait_us;
        begins_us += commit_pace_rest_us(&pace, begins_us);
        while (arrives_us <= begins_us) {
            arrives_us += gap_us;
            arrived++;
        }
        commit_after(wait_us, arrived, arrived);
        now_us += COMMIT_US;
        commits++;
    }
    return commits;
}

/* Clients that wait for the answer before they post again. Returns the answers of that time. */
static unsigned closed_loop(int64_t for_us, unsigned clients)
{
    unsigned answers = 0;
    for (int64_t until_us = now_us + for_us; now_us < until_us; now_us += COMMIT_US) {
        commit_after(US_PER_MS / 10, clients, clients);
        answers += clients;
    }
    return answers;
}

Test(commit_pace, a_request_after_a_quiet_time_does_not_wait)
{
    cr_assert_eq(commit_after(0, 1, 1), 0, "the first");
    cr_assert_eq(commit_after(COMMIT_PACE_US, 1, 1), 0);
}

Test(commit_pace, commits_keep_their_distance)
{
    commit_after(0, 1, 1);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(commit_after(US_PER_MS, 2, 2), COMMIT_PACE_US - US_PER_MS, "commit %u", i);
}

Test(commit_pace, after_many_requests_the_rest_is_short)
{
    commit_after(0, COMMIT_PACE_LARGE, 1);
    cr_assert_eq(commit_after(0, 2, 2), COMMIT_PACE_LARGE_US, "they were in one batch");
    now_us += COMMIT_PACE_US;
    commit_after(0, 2, 2);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_gt(commit_pace_rest_us(&pace, now_us), COMMIT_PACE_LARGE_US, "%u", i);
        now_us += US_PER_MS; /* a guarded request ends the rest */
        commit_pace_begin(&pace, COMMIT_PACE_LARGE / 4, 1, now_us);
    }
    cr_assert_eq(commit_after(0, 2, 2), COMMIT_PACE_LARGE_US, "they were in several");
}

Test(commit_pace, at_an_ordinary_rate_a_commit_carries_more_than_one_request)
{
    /* 500 requests per second for 10 s. Without a rest: 5000 commits. */
    cr_assert_leq(open_loop(10 * US_PER_SECOND, 2 * US_PER_MS), 1200);
}

Test(commit_pace, clients_that_wait_for_each_answer_are_hardly_slowed_down)
{
    for (unsigned clients = 1; clients <= 16; clients *= 4) {
        begin();
        closed_loop(US_PER_SECOND, clients); /* finds it out */
        unsigned best = 10 * clients * (unsigned)(US_PER_SECOND / (COMMIT_US + US_PER_MS / 10));
        cr_assert_geq(closed_loop(10 * US_PER_SECOND, clients), best * 9 / 10, "%u", clients);
    }
}

Test(commit_pace, it_rests_again_when_the_clients_change)
{
    closed_loop(5 * US_PER_SECOND, 4);
    cr_assert(pace.without_rest || pace.is_trial);
    open_loop(2 * COMMIT_PACE_PERIOD_MAX_US + US_PER_SECOND, 2 * US_PER_MS);
    cr_assert_not(pace.without_rest && !pace.is_trial);
    cr_assert_leq(open_loop(10 * US_PER_SECOND, 2 * US_PER_MS), 1300);
}

/* Four requests every 12 ms, with a rest and without. */
Test(commit_pace, trials_become_rare_when_they_change_nothing)
{
    unsigned trials = 0;
    for (int64_t until_us = now_us + 20 * US_PER_SECOND; now_us < until_us;) {
        bool was_trial = pace.is_trial;
        int64_t began_us = now_us;
        commit_after(US_PER_MS, 4, 4);
        trials += pace.is_trial && !was_trial;
        now_us = began_us + 12 * US_PER_MS;
    }
    cr_assert_not(pace.without_rest && !pace.is_trial);
    cr_assert(trials >= 8 && trials <= 12, "%u trials in 20 s", trials);
}

Test(commit_pace, a_pause_of_the_clients_is_not_counted)
{
    for (unsigned i = 0; i < 100; i++) {
        open_loop(200 * US_PER_MS, 2 * US_PER_MS);
        now_us += US_PER_SECOND;
    }
    cr_assert_not(pace.without_rest);
}

Test(commit_pace, a_clock_that_jumps_back_costs_no_rest)
{
    commit_after(0, 1, 1);
    now_us -= US_PER_SECOND;
    cr_assert_eq(commit_after(0, 1, 1), 0);
}
