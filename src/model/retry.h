/* SPDX-License-Identifier: Apache-2.0 */
/* When a failed delivery is tried again: a schedule of steps with jitter, `Retry-After` within the horizon, and then no
 * more. */
#ifndef PENSTOCK_MODEL_RETRY_H
#define PENSTOCK_MODEL_RETRY_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct retry_schedule {
    int64_t steps_us[RETRY_STEPS_MAX];
    unsigned steps;
};

/* 1 s, 5 s, 15 s ... 24 h: sixteen steps, a little over three days. */
extern const struct retry_schedule retry_schedule_default;

/*
 * The delay after `failures` failed attempts (1 or more) of this round; false when the schedule is at its end.
 * `retry_after_us` is what the client asked for, or 0: it is honoured where it is longer than the step, up to the sum
 * of the steps that are left. `random` spreads the step by +-20 %.
 */
bool retry_delay(const struct retry_schedule *schedule, unsigned failures, int64_t retry_after_us, uint32_t random,
    int64_t *ret_delay_us);

/* No delay is longer: what a due time may lie ahead of now, whatever the clock did. (The whole horizon: Retry-After
 * reaches that far.) */
int64_t retry_delay_max(const struct retry_schedule *schedule);

#endif
