/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry_budget.h"

#include "base/cleanup.h"
#include "unit/model/random.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND
#define MS US_PER_MS

/* Counts some results at `now_us`, all of fresh attempts. */
static struct retry_budget new_budget(unsigned results, unsigned failed, int64_t now_us)
{
    struct retry_budget budget;
    retry_budget_init(&budget);
    for (unsigned i = 0; i < results; i++) {
        retry_budget_on_sent(&budget, false, now_us);
        retry_budget_on_result(&budget, i < failed, now_us);
    }
    return budget;
}

Test(retry_budget, retries_are_free_until_more_than_a_tenth_fails)
{
    static const struct {
        unsigned results, failed;
        bool is_free;
    } cases[] = {{0, 0, true}, {8, 8, true}, {9, 9, false}, {10, 1, true}, {10, 2, false},
        {100, 10, true}, {100, 11, false}, {100, 100, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct retry_budget budget = new_budget(cases[i].results, cases[i].failed, 100 * S);
        unsigned allowed = 0;
        for (; allowed < 200 && retry_budget_allows(&budget, 1, 100 * S); allowed++)
            retry_budget_on_sent(&budget, true, 100 * S);
        cr_expect_eq(
            allowed, cases[i].is_free ? 200 : cases[i].results / 10, "case %zu: %u", i, allowed);
    }
}

Test(retry_budget, one_retry_each_second_is_sent_without_fresh_attempts)
{
    struct retry_budget budget = new_budget(10, 10, 100 * S);
    cr_expect(retry_budget_allows(&budget, 0, 100 * S));
    retry_budget_on_sent(&budget, true, 100 * S);
    cr_expect_not(retry_budget_allows(&budget, 1, 101 * S), "one is in flight");
    cr_expect_not(retry_budget_allows(&budget, 0, 101 * S - 1), "the last one was sent");
    cr_expect_eq(retry_budget_ask_us(&budget, 101 * S - 1), 101 * S);
    cr_expect(retry_budget_allows(&budget, 0, 101 * S));
    cr_expect_eq(retry_budget_ask_us(&budget, 101 * S), 105 * S, "the next half");
    cr_expect(retry_budget_allows(&budget, 5, 110 * S), "the failures are too old");
}

Test(retry_budget, a_recovery_makes_retries_free)
{
    struct retry_budget budget = new_budget(1000, 1000, 100 * S);
    for (int i = 0; i < 100; i++)
        retry_budget_on_sent(&budget, true, 100 * S);
    cr_expect_not(retry_budget_allows(&budget, 1, 100 * S));
    retry_budget_reset(&budget);
    cr_expect(retry_budget_allows(&budget, 1, 100 * S));
}

/* A client that gets new events all the time and fails a part of all attempts. What failed is sent
 * again as soon as the budget allows it. */
struct run {
    unsigned fresh_per_s, failed_percent, failed_each; /* failed_each: every n-th, not at random */
    int64_t latency_us;
    unsigned fresh, sent, refused;
};

static void run_minutes(struct run *run, int64_t minutes)
{
    enum { IN_FLIGHT_MAX = 4096 };
    static struct {
        int64_t ends_us;
        bool is_retry;
    } flight[IN_FLIGHT_MAX]; /* a ring: all take the same time */
    struct retry_budget budget;
    retry_budget_init(&budget);
    uint64_t random = 17;
    unsigned first = 0, last = 0, retries_in_flight = 0, waiting = 0, ended = 0;
    int64_t fresh_us = run->fresh_per_s ? S / run->fresh_per_s : INT64_MAX;
    for (int64_t now_us = 0; now_us < minutes * 60 * S; now_us += MS) {
        for (; first != last && flight[first % IN_FLIGHT_MAX].ends_us <= now_us; first++) {
            bool failed = run->failed_each ? ++ended % run->failed_each == 0
                                           : random_between(&random, 1, 100) <= run->failed_percent;
            retries_in_flight -= flight[first % IN_FLIGHT_MAX].is_retry;
            retry_budget_on_result(&budget, failed, now_us);
            waiting += failed;
        }
        bool is_fresh = now_us % fresh_us == 0, is_retry = false;
        for (; is_fresh || waiting > 0; is_fresh = false) {
            is_retry = !is_fresh;
            if (is_retry && !retry_budget_allows(&budget, retries_in_flight, now_us)) {
                run->refused++;
                break;
            }
            retry_budget_on_sent(&budget, is_retry, now_us);
            flight[last % IN_FLIGHT_MAX].ends_us = now_us + run->latency_us;
            flight[last++ % IN_FLIGHT_MAX].is_retry = is_retry;
            cr_assert_leq(last - first, IN_FLIGHT_MAX);
            waiting -= is_retry;
            retries_in_flight += is_retry;
            run->fresh += is_fresh;
            run->sent++;
        }
    }
}

Test(retry_budget, partial_failures_add_a_tenth_at_most)
{
    static const unsigned percents[] = {11, 20, 50, 90, 100};
    static const int64_t latencies_us[] = {1 * MS, 20 * MS, 2 * S};
    for (size_t i = 0; i < ARRAY_LENGTH(percents); i++)
        for (size_t j = 0; j < ARRAY_LENGTH(latencies_us); j++) {
            struct run run = {
                .fresh_per_s = 100, .failed_percent = percents[i], .latency_us = latencies_us[j]};
            run_minutes(&run, 10);
            /* About a tenth: some windows are below it, and all that failed is sent again. */
            double most = percents[i] == 11 ? 1 / 0.89 + 0.005 : 1.1;
            cr_expect(run.sent <= run.fresh * most + 20 && run.sent >= run.fresh * 1.09,
                "%u %% fail, %lld us: %u fresh, %u sent", percents[i], (long long)latencies_us[j],
                run.fresh, run.sent);
        }
}

Test(retry_budget, few_failures_are_retried_at_once)
{
    static const unsigned each[] = {11, 12, 20, 100};
    for (size_t i = 0; i < ARRAY_LENGTH(each); i++) {
        struct run run = {.fresh_per_s = 100, .failed_each = each[i], .latency_us = 20 * MS};
        run_minutes(&run, 10);
        cr_expect_eq(run.refused, 0, "one of %u fails: %u refusals", each[i], run.refused);
        cr_expect_gt(run.sent, run.fresh);
    }
}

Test(retry_budget, a_client_that_fails_fast_gets_one_retry_each_second)
{
    struct run run = {.fresh_per_s = 1, .failed_percent = 100, .latency_us = 1 * MS};
    run_minutes(&run, 10);
    cr_expect_leq(run.sent - run.fresh, 600 + 20, "%u", run.sent - run.fresh);
    cr_expect_geq(run.sent - run.fresh, 500, "%u", run.sent - run.fresh);
}
