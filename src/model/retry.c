/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry.h"

static int64_t sum_of_steps(const struct retry_schedule *schedule, unsigned from, unsigned to)
{
    int64_t sum = 0;
    for (unsigned i = from; i < to; i++)
        sum += schedule->steps_us[i];
    return sum;
}

/* Returns the wait after failure number `step`: behind the schedule, its last one. */
static int64_t step_of(const struct retry_schedule *schedule, unsigned step)
{
    return schedule->steps_us[(step < schedule->steps ? step : schedule->steps) - 1];
}

/* Returns the sum of the waits before failure number `step`. */
static int64_t sum_before(const struct retry_schedule *schedule, unsigned step)
{
    if (step <= schedule->steps)
        return sum_of_steps(schedule, 0, step - 1);
    int64_t repeated_us;
    unsigned repeated = step - 1 - schedule->steps;
    if (__builtin_mul_overflow((int64_t)repeated, step_of(schedule, step), &repeated_us))
        return INT64_MAX;
    int64_t sum_us = sum_of_steps(schedule, 0, schedule->steps);
    return __builtin_add_overflow(sum_us, repeated_us, &sum_us) ? INT64_MAX : sum_us;
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

/* What is left of a delivery's life, by time, and by steps where only time is not enough. */
struct left {
    bool dead;
    int64_t clip_us;  /* a step ends here at the latest; 0 or less: nowhere */
    int64_t grant_us; /* a client may ask for so much */
};

static struct left left_of_horizon(
    const struct retry_schedule *schedule, const struct retry_failure *failure)
{
    int64_t gone_us = failure->since_accepted_us > 0 ? failure->since_accepted_us
                                                     : sum_before(schedule, failure->step);
    int64_t left_us = failure->horizon_us - gone_us;
    return (struct left){
        .dead = left_us <= failure->horizon_us / 100, .clip_us = left_us, .grant_us = left_us};
}

static struct left left_of_schedule(
    const struct retry_schedule *schedule, const struct retry_failure *failure)
{
    int64_t sum_us = sum_of_steps(schedule, 0, schedule->steps);
    bool time_is_known = failure->since_accepted_us > 0;
    int64_t by_time_us = sum_us - failure->since_accepted_us;
    if (failure->step > schedule->steps)
        return (struct left){.dead = !time_is_known || by_time_us <= sum_us / 5,
            .clip_us = by_time_us,
            .grant_us = by_time_us};
    int64_t by_steps_us = sum_us - sum_before(schedule, failure->step);
    return (struct left){.clip_us = time_is_known ? by_time_us : 0,
        .grant_us = time_is_known ? smaller(by_steps_us, by_time_us) : by_steps_us};
}

bool retry_next(const struct retry_schedule *schedule, const struct retry_failure *failure,
    uint32_t random, struct retry_next *ret_next)
{
    if (failure->step == 0 || schedule->steps == 0)
        return false;
    struct left left = failure->horizon_us > 0 ? left_of_horizon(schedule, failure)
                                               : left_of_schedule(schedule, failure);
    if (left.dead)
        return false;
    int64_t step_us = step_of(schedule, failure->step);
    struct retry_next next = {
        .delay_us = spread_step(step_us, left.clip_us, random), .steps_used = failure->step};
    int64_t max_us = failure->retry_after_us_max > step_us ? failure->retry_after_us_max : step_us;
    int64_t asked_us = smaller(failure->retry_after_us, max_us);
    int64_t granted_us = smaller(asked_us, left.grant_us);
    if (granted_us > next.delay_us) {
        next.delay_us = granted_us;
        while (next.steps_used < schedule->steps &&
               sum_of_steps(schedule, failure->step - 1, next.steps_used + 1) <= granted_us)
            next.steps_used++;
    }
    if (asked_us >= left.grant_us && granted_us > 0 && next.steps_used < schedule->steps)
        next.steps_used = schedule->steps;
    *ret_next = next;
    return true;
}

int64_t retry_due_us(
    const struct retry_schedule *schedule, int64_t horizon_us, const struct retry_wait *wait)
{
    if (wait->step == 0 || schedule->steps == 0)
        return wait->due_us;
    int64_t due_us = wait->due_us, step_us = step_of(schedule, wait->step);
    if (due_us - wait->began_us > step_us + step_us / 5)
        due_us = wait->began_us + step_us;
    if (horizon_us > 0 && wait->accepted_us > 0)
        due_us = smaller(due_us, wait->accepted_us + horizon_us);
    return due_us;
}

bool retry_rules_are_shorter(const struct retry_rules *before, const struct retry_rules *after)
{
    if (after->horizon_us > 0 &&
        (before->horizon_us <= 0 || after->horizon_us < before->horizon_us))
        return true;
    if (before->schedule.steps == 0 || after->schedule.steps == 0)
        return false;
    for (unsigned step = 1; step <= RETRY_STEPS_MAX; step++)
        if (step_of(&after->schedule, step) < step_of(&before->schedule, step))
            return true;
    return false;
}

bool retry_rules_are_equal(const struct retry_rules *a, const struct retry_rules *b)
{
    if (a->horizon_us != b->horizon_us || a->schedule.steps != b->schedule.steps)
        return false;
    for (unsigned i = 0; i < a->schedule.steps; i++)
        if (a->schedule.steps_us[i] != b->schedule.steps_us[i])
            return false;
    return true;
}
