/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a failed delivery is retried: a schedule of steps with jitter, then the delivery is dead.
 *
 * The horizon is the sum of all steps. It counts from the acceptance of the event, or from the
 * resend that began a new round. A client may ask for a longer delay (`Retry-After`), but this
 * never extends the horizon: the delay is limited, and the steps that it skips are used up. So a
 * delivery dies by a failed attempt at its horizon (plus or minus the jitter), whatever the client
 * asks for.
 *
 * A step that leads beyond the horizon ends at the horizon. Time in the queue and time of attempts
 * use up no step. So a delivery whose first attempt is after its horizon still gets all steps, but
 * no additional delay for its client.
 */
#ifndef PENSTOCK_MODEL_RETRY_H
#define PENSTOCK_MODEL_RETRY_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct retry_schedule {
    int64_t steps_us[RETRY_STEPS_MAX];
    unsigned steps;
};

/* 1 s, 5 s, 15 s ... 24 h: sixteen steps, a little more than three days in total. */
extern const struct retry_schedule retry_schedule_default;

struct retry_failure {
    unsigned step;              /* from 1: the steps that are used up, and this failure */
    int64_t since_accepted_us;  /* 0 or less: unknown, as in a round that a resend began */
    int64_t retry_after_us;     /* what the client asked for; 0: nothing */
    int64_t retry_after_us_max; /* limit for it, unless the step itself is longer */
};

struct retry_next {
    int64_t delay_us;
    unsigned steps_used; /* of the schedule, after the delay: retry_failure.step or more */
};

/* Returns what follows a failed attempt, or false at the end of the schedule. `random` spreads the
 * step by +-20 %. */
bool retry_next(const struct retry_schedule *schedule, const struct retry_failure *failure,
    uint32_t random, struct retry_next *ret_next);

#endif
