/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry.h"

#include "base/clock.h"

#define S US_PER_SECOND
#define M (60 * US_PER_SECOND)
#define H (3600 * US_PER_SECOND)

const struct retry_schedule retry_schedule_default = {
    .steps_us = {1 * S, 5 * S, 15 * S, 30 * S, 1 * M, 2 * M, 5 * M, 15 * M, 30 * M, 1 * H, 2 * H, 5 * H, 10 * H, 14 * H,
        20 * H, 24 * H},
    .steps = 16,
};

static int64_t horizon_left(const struct retry_schedule *schedule, unsigned from)
{
    int64_t left = 0;
    for (unsigned i = from; i < schedule->steps; i++)
        left += schedule->steps_us[i];
    return left;
}

bool retry_delay(const struct retry_schedule *schedule, unsigned failures, int64_t retry_after_us, uint32_t random,
    int64_t *ret_delay_us)
{
    if (failures == 0 || failures > schedule->steps)
        return false;
    int64_t step = schedule->steps_us[failures - 1];
    int64_t spread = step / 5; /* 20 % either way */
    int64_t delay = step - spread + (int64_t)((double)(2 * spread) * ((double)random / (double)UINT32_MAX));
    int64_t left = horizon_left(schedule, failures - 1);
    int64_t asked = retry_after_us < left ? retry_after_us : left;
    *ret_delay_us = asked > delay ? asked : delay;
    return true;
}

int64_t retry_delay_max(const struct retry_schedule *schedule)
{
    return horizon_left(schedule, 0) / 5 * 6;
}
