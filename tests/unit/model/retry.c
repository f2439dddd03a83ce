/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND

static const int64_t promised_s[] = {
    1, 5, 15, 30, 60, 120, 300, 900, 1800, 3600, 7200, 18000, 36000, 50400, 72000, 86400};
static const struct retry_schedule short_schedule = {.steps_us = {10 * S, 20 * S, 40 * S}, .steps = 3};

Test(retry, the_default_schedule_is_the_promised_one_with_its_jitter)
{
    cr_assert_eq(retry_schedule_default.steps, ARRAY_LENGTH(promised_s));
    static const uint32_t randoms[] = {0, 1, UINT32_MAX / 4, UINT32_MAX / 2, UINT32_MAX - 1, UINT32_MAX};
    for (unsigned failures = 1; failures <= ARRAY_LENGTH(promised_s); failures++) {
        int64_t step_us = promised_s[failures - 1] * S, before_us = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(randoms); i++) {
            int64_t delay_us = 0;
            cr_assert(retry_delay(&retry_schedule_default, failures, 0, randoms[i], &delay_us));
            cr_expect(
                delay_us >= step_us / 5 * 4 && delay_us <= step_us / 5 * 6, "%u: %lld", failures, (long long)delay_us);
            cr_expect_geq(delay_us, before_us, "more randomness is more delay");
            before_us = delay_us;
        }
        int64_t lowest_us, highest_us;
        cr_assert(retry_delay(&retry_schedule_default, failures, 0, 0, &lowest_us));
        cr_assert(retry_delay(&retry_schedule_default, failures, 0, UINT32_MAX, &highest_us));
        cr_expect_eq(lowest_us, step_us / 5 * 4);
        cr_expect_eq(highest_us, step_us / 5 * 6);
    }
}

Test(retry, ends_after_the_last_step)
{
    int64_t delay_us = 4711;
    cr_assert_not(retry_delay(&short_schedule, 4, 0, 0, &delay_us));
    cr_assert_not(retry_delay(&short_schedule, UINT32_MAX, 0, 0, &delay_us));
    cr_assert_not(retry_delay(&short_schedule, 4, 60 * S, 0, &delay_us), "Retry-After does not lengthen the horizon");
    cr_assert_not(retry_delay(&short_schedule, 0, 0, 0, &delay_us), "nothing has failed");
    cr_assert_eq(delay_us, 4711);
}

Test(retry, honours_retry_after_up_to_the_horizon)
{
    static const struct {
        unsigned failures;
        int64_t retry_after_s, delay_s;
    } cases[] = {
        {1, 0, 10},
        {1, 3, 10}, /* shorter than the step: the step stands */
        {1, 11, 11},
        {1, 69, 69},
        {1, 70, 70},
        {1, 71, 70},
        {1, 1000000, 70},
        {2, 1000000, 60},
        {3, 1000000, 40},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int64_t delay_us = 0;
        /* In the middle of the jitter the step is exact up to a rounding. */
        cr_assert(
            retry_delay(&short_schedule, cases[i].failures, cases[i].retry_after_s * S, UINT32_MAX / 2, &delay_us));
        cr_expect(delay_us - cases[i].delay_s * S <= 1 && cases[i].delay_s * S - delay_us <= 1, "case %zu: %lld", i,
            (long long)delay_us);
    }
}

Test(retry, a_client_that_asks_for_more_time_never_gets_less)
{
    for (unsigned failures = 1; failures <= 3; failures++) {
        int64_t plain_us, asked_us;
        cr_assert(retry_delay(&short_schedule, failures, 0, UINT32_MAX, &plain_us));
        cr_assert(retry_delay(&short_schedule, failures, 1000000 * S, UINT32_MAX, &asked_us));
        cr_expect_geq(asked_us, plain_us, "after %u failures", failures);
    }
}

Test(retry, no_delay_is_longer_than_the_longest)
{
    for (unsigned failures = 1; failures <= retry_schedule_default.steps; failures++) {
        int64_t delay_us;
        cr_assert(retry_delay(&retry_schedule_default, failures, INT64_MAX, UINT32_MAX, &delay_us));
        cr_expect_leq(delay_us, retry_delay_max(&retry_schedule_default));
    }
    cr_expect_leq(retry_delay_max(&retry_schedule_default), 5 * US_PER_DAY);
}
