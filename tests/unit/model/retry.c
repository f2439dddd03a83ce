/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND

/* Of the documents, and of the configuration (tests/unit/config). */
static const struct retry_schedule default_schedule = {
    .steps_us = {S, 5 * S, 15 * S, 30 * S, 60 * S, 120 * S, 300 * S, 900 * S, 1800 * S, 3600 * S,
        7200 * S, 18000 * S, 36000 * S, 50400 * S, 72000 * S, 86400 * S},
    .steps = 16};
static const struct retry_schedule short_schedule = {
    .steps_us = {10 * S, 20 * S, 40 * S}, .steps = 3};

/* Returns what follows a failure right after acceptance and the waits of its schedule, in the
 * middle of the jitter. */
static struct retry_next next_of(
    const struct retry_schedule *schedule, struct retry_failure failure, uint32_t random)
{
    struct retry_next next = {0};
    cr_assert(retry_next(schedule, &failure, random, &next));
    return next;
}

Test(retry, each_step_is_spread_by_a_fifth)
{
    static const uint32_t randoms[] = {
        0, 1, UINT32_MAX / 4, UINT32_MAX / 2, UINT32_MAX - 1, UINT32_MAX};
    for (unsigned step = 1; step <= default_schedule.steps; step++) {
        int64_t step_us = default_schedule.steps_us[step - 1], before_us = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(randoms); i++) {
            struct retry_next next =
                next_of(&default_schedule, (struct retry_failure){.step = step}, randoms[i]);
            cr_expect(next.delay_us >= step_us / 5 * 4 && next.delay_us <= step_us / 5 * 6,
                "%u: %lld", step, (long long)next.delay_us);
            cr_expect_geq(next.delay_us, before_us, "more randomness is more delay");
            cr_expect_eq(next.steps_used, step);
            before_us = next.delay_us;
        }
        struct retry_failure failure = {.step = step};
        cr_expect_eq(next_of(&default_schedule, failure, 0).delay_us, step_us / 5 * 4);
        cr_expect_eq(next_of(&default_schedule, failure, UINT32_MAX).delay_us, step_us / 5 * 6);
    }
}

Test(retry, ends_after_the_last_step)
{
    struct retry_next next = {.delay_us = 4711};
    static const unsigned steps[] = {0, 4, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
        cr_expect_not(
            retry_next(&short_schedule, &(struct retry_failure){.step = steps[i]}, 0, &next));
        cr_expect_not(
            retry_next(&short_schedule,
                &(struct retry_failure){
                    .step = steps[i], .retry_after_us = 60 * S, .retry_after_us_max = 7200 * S},
                0, &next),
            "Retry-After does not lengthen the horizon");
    }
    cr_assert_eq(next.delay_us, 4711);
}

Test(retry, retry_after_is_honoured_within_its_limits)
{
    static const struct {
        unsigned step;
        int64_t since_s, asked_s, max_s, delay_s;
        unsigned used;
    } cases[] = {
        {1, 0, 0, 7200, 10, 1}, {1, 0, 3, 7200, 10, 1}, /* shorter than the step: the step counts */
        {1, 0, 11, 7200, 11, 1}, {1, 0, 30, 7200, 30, 2}, /* the second step is skipped */
        {1, 0, 69, 7200, 69, 2},
        {1, 0, 70, 7200, 70, 3}, /* the horizon: the next failure is the last */
        {1, 0, 1000000, 7200, 70, 3}, {2, 0, 1000000, 7200, 60, 3}, {3, 0, 1000000, 7200, 40, 3},
        {1, 0, 60, 15, 15, 1}, /* limited by the option */
        {1, 0, 60, 5, 10, 1},  /* but never below the step */
        {3, 0, 60, 30, 40, 3},
        {1, 20, 1000, 7200, 50,
            3}, /* it waited in the queue, or the client was slow: the horizon does not move */
        {1, 65, 1000, 7200, 5, 3}, {1, 75, 1000, 7200, 10, 1}, /* past it only the steps are left */
        {3, 60, 0, 7200, 10, 3}, /* a step ends at the horizon at the latest */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct retry_next next = next_of(&short_schedule,
            (struct retry_failure){.step = cases[i].step,
                .since_accepted_us = cases[i].since_s * S,
                .retry_after_us = cases[i].asked_s * S,
                .retry_after_us_max = cases[i].max_s * S},
            UINT32_MAX / 2);
        /* In the middle of the jitter the step is exact, except for rounding. */
        cr_expect(
            next.delay_us - cases[i].delay_s * S <= 1 && cases[i].delay_s * S - next.delay_us <= 1,
            "case %zu: %lld", i, (long long)next.delay_us);
        cr_expect_eq(
            next.steps_used, cases[i].used, "case %zu: %u steps are used", i, next.steps_used);
    }
}

/* Each client asks for the same delay again and again, from short to absurd. */
Test(retry, delivery_dies_at_its_horizon_whatever_its_client_asks_for)
{
    static const struct retry_schedule schedules[] = {
        {.steps_us = {S, S, S, S}, .steps = 4},
        {.steps_us = {S, 10 * S}, .steps = 2},
        {.steps_us = {10 * S, 20 * S, 40 * S}, .steps = 3},
    };
    static const int64_t asked_s[] = {0, 1, 2, 3, 5, 7, 11, 100, 604800};
    for (size_t s = 0; s < ARRAY_LENGTH(schedules); s++)
        for (size_t a = 0; a < ARRAY_LENGTH(asked_s); a++)
            for (uint32_t jitter = 0; jitter < 11; jitter++) {
                const struct retry_schedule *schedule = &schedules[s];
                int64_t horizon_us = 0, now_us = 1;
                for (unsigned i = 0; i < schedule->steps; i++)
                    horizon_us += schedule->steps_us[i];
                struct retry_next next = {0};
                while (retry_next(schedule,
                    &(struct retry_failure){.step = next.steps_used + 1,
                        .since_accepted_us = now_us,
                        .retry_after_us = asked_s[a] * S,
                        .retry_after_us_max = 7200 * S},
                    UINT32_MAX / 10 * jitter, &next))
                    now_us += next.delay_us;
                cr_expect(now_us >= horizon_us / 5 * 4 && now_us <= horizon_us / 5 * 6 + 1,
                    "schedule %zu, %lld s, jitter %u: %lld of %lld us", s, (long long)asked_s[a],
                    jitter, (long long)now_us, (long long)horizon_us);
            }
}

Test(retry, retry_after_of_a_week_is_limited_to_two_hours_by_default)
{
    struct retry_next next = next_of(&default_schedule,
        (struct retry_failure){.step = 1,
            .since_accepted_us = S,
            .retry_after_us = 604800 * S,
            .retry_after_us_max = 7200 * S},
        0);
    cr_expect_eq(next.delay_us, 7200 * S);
    cr_expect_eq(next.steps_used, 10, "1 s to 1 h are 6831 s");
}

/* Two failures a minute, since the endpoint comes back and fails again: each recovery makes the
 * delivery due at once. */
Test(retry, recoveries_that_use_up_the_steps_do_not_end_a_delivery_before_its_horizon)
{
    int64_t horizon_us = 0;
    for (unsigned i = 0; i < default_schedule.steps; i++)
        horizon_us += default_schedule.steps_us[i];
    struct retry_failure failure = {.step = 0, .since_accepted_us = 1};
    struct retry_next next = {0};
    do {
        failure.since_accepted_us += 30 * S;
        failure.step = next.steps_used + 1;
    } while (retry_next(&default_schedule, &failure, 0, &next));
    cr_expect_geq(failure.since_accepted_us, horizon_us / 5 * 4);
    cr_expect_leq(failure.since_accepted_us, horizon_us);
}

Test(retry, horizon_of_its_own_ends_a_delivery_whatever_steps_are_left)
{
    static const struct {
        unsigned step;
        int64_t since_s, horizon_s, asked_s, delay_s; /* 0: dead */
        unsigned used;
    } cases[] = {
        {1, 1, 100, 0, 10, 1},
        {1, 95, 100, 0, 5, 1}, /* the step ends at the horizon */
        {1, 98, 100, 0, 2, 1},
        {1, 99, 100, 0, 0, 0}, /* the last hundredth */
        {1, 100, 100, 0, 0, 0},
        {1, 5000, 100, 0, 0, 0},
        {3, 5000, 100, 900, 0, 0},
        {4, 100, 1000, 0, 40, 4}, /* behind the schedule: its last step again */
        {9, 100, 1000, 0, 40, 9},
        {9, 985, 1000, 0, 15, 9},
        {9, 995, 1000, 0, 0, 0},
        {1, 1, 100, 31536000, 99, 3}, /* a Retry-After of a year */
        {1, 20, 100, 30, 30, 2},
        /* The time is unknown: the steps say how much is gone. */
        {1, 0, 50, 0, 10, 1},
        {3, 0, 50, 0, 20, 3},
        {4, 0, 50, 0, 0, 0},
        {4, 0, 80, 0, 10, 4},
        {4, 0, 71, 0, 1, 4},
        {5, 0, 110, 0, 0, 0},
        {UINT32_MAX, 0, 110, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct retry_failure failure = {.step = cases[i].step,
            .since_accepted_us = cases[i].since_s * S,
            .horizon_us = cases[i].horizon_s * S,
            .retry_after_us = cases[i].asked_s * S,
            .retry_after_us_max = 7200 * S};
        struct retry_next next = {0};
        bool lives = retry_next(&short_schedule, &failure, UINT32_MAX / 2, &next);
        cr_expect_eq(lives, cases[i].delay_s > 0, "case %zu", i);
        /* The jitter of a clipped step is below the horizon. */
        bool clipped = cases[i].delay_s < 10 || cases[i].delay_s == 15 || cases[i].delay_s == 20;
        cr_expect(
            next.delay_us <= cases[i].delay_s * S + 1 &&
                next.delay_us >= cases[i].delay_s * S / (clipped ? 5 : 1) * (clipped ? 4 : 1) - 1,
            "case %zu: %lld", i, (long long)next.delay_us);
        cr_expect_eq(next.steps_used, cases[i].used, "case %zu: %u", i, next.steps_used);
    }
}

Test(retry, year_of_retry_after_on_each_attempt_ends_at_the_horizon)
{
    static const int64_t horizons_s[] = {0, 10, 3600, 277200, 10000000};
    for (size_t i = 0; i < ARRAY_LENGTH(horizons_s); i++) {
        int64_t horizon_us = horizons_s[i] * S;
        for (unsigned step = 0; step < default_schedule.steps && horizons_s[i] == 0; step++)
            horizon_us += default_schedule.steps_us[step];
        struct retry_failure failure = {.since_accepted_us = 1,
            .horizon_us = horizons_s[i] * S,
            .retry_after_us = 365 * US_PER_DAY,
            .retry_after_us_max = 7200 * S};
        struct retry_next next = {0};
        unsigned attempts = 0;
        while (++failure.step, retry_next(&default_schedule, &failure, UINT32_MAX, &next)) {
            failure.since_accepted_us += next.delay_us;
            failure.step = next.steps_used;
            cr_assert_leq(++attempts, 2000);
        }
        cr_expect_leq(failure.since_accepted_us, horizon_us + 1);
        cr_expect_geq(failure.since_accepted_us, horizon_us / 100 * 99);
    }
}

Test(retry, change_of_rules_shortens_a_wait_and_never_lengthens_it)
{
    static const struct {
        unsigned step;
        int64_t began_s, due_s, accepted_s, horizon_s, expected_s;
    } cases[] = {
        {1, 1000, 1005, 990, 0, 1005},  /* it waits less than by the new step */
        {1, 1000, 1012, 990, 0, 1012},  /* within the jitter of 10 s */
        {1, 1000, 1013, 990, 0, 1010},  /* longer */
        {2, 1000, 87400, 990, 0, 1020}, /* a day has become 20 s */
        {3, 1000, 1040, 990, 0, 1040}, {9, 1000, 9000, 990, 0, 1040}, /* behind the schedule */
        {0, 1000, 9000, 990, 0, 9000},                                /* not after a failure */
        {3, 1000, 1040, 990, 30, 1020}, {3, 1000, 1040, 0, 30, 1040},
        {3, 1000, 1040, 100, 30, 130}, /* beyond the new horizon: due at once */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct retry_wait wait = {.step = cases[i].step,
            .began_us = cases[i].began_s * S,
            .due_us = cases[i].due_s * S,
            .accepted_us = cases[i].accepted_s * S};
        cr_expect_eq(retry_due_us(&short_schedule, cases[i].horizon_s * S, &wait),
            cases[i].expected_s * S, "case %zu", i);
    }
}

Test(retry, rules_are_shorter_when_a_step_or_the_horizon_is)
{
    static const struct {
        struct retry_rules before, after;
        bool shorter;
    } cases[] = {
        {{.schedule = {{S, 5 * S}, 2}}, {.schedule = {{S, 5 * S}, 2}}, false},
        {{.schedule = {{S, 5 * S}, 2}}, {.schedule = {{S, 4 * S}, 2}}, true},
        {{.schedule = {{S, 5 * S}, 2}}, {.schedule = {{2 * S, 5 * S}, 2}}, false},
        /* The last step is repeated. */
        {{.schedule = {{S, 5 * S}, 2}}, {.schedule = {{S}, 1}}, true},
        {{.schedule = {{5 * S, S}, 2}}, {.schedule = {{5 * S}, 1}}, false},
        {{.schedule = {{5 * S}, 1}}, {.schedule = {{5 * S, 5 * S, S}, 3}}, true},
        {{.schedule = {{S}, 1}}, {.schedule = {{S}, 1}, .horizon_us = 60 * S}, true},
        {{.schedule = {{S}, 1}, .horizon_us = 60 * S}, {.schedule = {{S}, 1}, .horizon_us = 59 * S},
            true},
        {{.schedule = {{S}, 1}, .horizon_us = 60 * S}, {.schedule = {{S}, 1}}, false},
        {{.schedule = {{S}, 1}}, {.schedule = {.steps = 0}}, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(retry_rules_are_shorter(&cases[i].before, &cases[i].after), cases[i].shorter,
            "case %zu", i);
}
