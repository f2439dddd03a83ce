/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry.h"

#include "base/clock.h"

#define S US_PER_SECOND
#define M (60 * US_PER_SECOND)
#define H (3600 * US_PER_SECOND)

const struct retry_schedule retry_schedule_default = {
    .steps_us = {1 * S, 5 * S, 15 * S, 30 * S, 1 * M, 2 * M, 5 * M, 15 * M, 30 * M, 1 * H, 2 * H,
        5 * H, 10 * H, 14 * H, 20 * H, 24 * H},
    .steps = 16,
};

static int64_t sum_of_steps(const struct retry_schedule *schedule, unsigned from, unsigned to)
{
    int64_t sum = 0;
    for (unsigned i = from; i < to; i++)
        sum += schedule->steps_us[i];
    return sum;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Spreads a step by +-20 %, but not beyond the horizon. */
static int64_t spread_step(int64_t step_us, int64_t horizon_left_us, uint32_t random)
{
    int64_t shortest_us = step_us - step_us / 5, longest_us = step_us + step_us / 5;
    if (horizon_left_us > 0) {
        longest_us = smaller(longest_us, horizon_left_us);
        shortest_us = smaller(shortest_us, horizon_left_us);
    }
    return shortest_us +
           (int64_t)((double)(longest_us - shortest_us) * ((double)random / (double)UINT32_MAX));
}

bool retry_next(const struct retry_schedule *schedule, const struct retry_failure *failure,
    uint32_t random, struct retry_next *ret_next)
{
    if (failure->step == 0 || failure->step > schedule->steps)
        return false;
    int64_t step_us = schedule->steps_us[failure->step - 1];
    int64_t left_by_steps_us = sum_of_steps(schedule, failure->step - 1, schedule->steps);
    int64_t left_by_time_us =
        failure->since_accepted_us > 0
            ? sum_of_steps(schedule, 0, schedule->steps) - failure->since_accepted_us
            : left_by_steps_us;
    struct retry_next next = {.delay_us = spread_step(step_us,
                                  failure->since_accepted_us > 0 ? left_by_time_us : 0, random),
        .steps_used = failure->step};
    int64_t left_us = smaller(left_by_steps_us, left_by_time_us);
    int64_t max_us = failure->retry_after_us_max > step_us ? failure->retry_after_us_max : step_us;
    int64_t asked_us = smaller(failure->retry_after_us, max_us);
    int64_t granted_us = smaller(asked_us, left_us);
    if (granted_us > next.delay_us) {
        next.delay_us = granted_us;
        while (next.steps_used < schedule->steps &&
               sum_of_steps(schedule, failure->step - 1, next.steps_used + 1) <= granted_us)
            next.steps_used++;
    }
    if (asked_us >= left_us && granted_us > 0)
        next.steps_used = schedule->steps;
    *ret_next = next;
    return true;
}
