/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND

static const int64_t promised_s[] = {
    1, 5, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200, 18000, 36000, 50400, 72000, 86400};
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

Test(retry, default_schedule_is_the_documented_one_with_jitter)
{
    cr_assert_eq(retry_schedule_default.steps, ARRAY_LENGTH(promised_s));
    static const uint32_t randoms[] = {
        0, 1, UINT32_MAX / 4, UINT32_MAX / 2, UINT32_MAX - 1, UINT32_MAX};
    for (unsigned step = 1; step <= ARRAY_LENGTH(promised_s); step++) {
        int64_t step_us = promised_s[step - 1] * S, before_us = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(randoms); i++) {
            struct retry_next next =
                next_of(&retry_schedule_default, (struct retry_failure){.step = step}, randoms[i]);
            cr_expect(next.delay_us >= step_us / 5 * 4 && next.delay_us <= step_us / 5 * 6,
                "%u: %lld", step, (long long)next.delay_us);
            cr_expect_geq(next.delay_us, before_us, "more randomness is more delay");
            cr_expect_eq(next.steps_used, step);
            before_us = next.delay_us;
        }
        struct retry_failure failure = {.step = step};
        cr_expect_eq(next_of(&retry_schedule_default, failure, 0).delay_us, step_us / 5 * 4);
        cr_expect_eq(
            next_of(&retry_schedule_default, failure, UINT32_MAX).delay_us, step_us / 5 * 6);
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
    struct retry_next next = next_of(&retry_schedule_default,
        (struct retry_failure){.step = 1,
            .since_accepted_us = S,
            .retry_after_us = 604800 * S,
            .retry_after_us_max = 7200 * S},
        0);
    cr_expect_eq(next.delay_us, 7200 * S);
    cr_expect_eq(next.steps_used, 10, "1 s to 1 h are 6831 s");
}
