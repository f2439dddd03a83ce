/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a failed delivery is tried again: a schedule of steps with jitter, and then no more.
 *
 * The horizon is the sum of all steps. It counts from the acceptance of the event, or from the
 * resend that began a new round. A client may ask for more time (`Retry-After`), but not for a
 * later end: what it gets is limited, and the steps that the longer delay passes over are used up.
 * So a delivery dies by a failed attempt at its horizon, a little earlier or later by the jitter,
 * whatever the client asks for.
 *
 * A step that would lead beyond the horizon ends there. Time that an event waited for its turn, and
 * time that attempts took, cost no step, though: a delivery that was first tried after its horizon
 * gets the whole schedule all the same, but its client no more time than the steps.
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

/* 1 s, 5 s, 15 s ... 24 h: sixteen steps, a little over three days. */
extern const struct retry_schedule retry_schedule_default;

struct retry_failure {
    unsigned step; /* of the schedule, from 1: the steps that are used up, and this failure */
    int64_t since_accepted_us;  /* 0 or less: not known, as in a round that a resend began */
    int64_t retry_after_us;     /* what the client asked for; 0: nothing */
    int64_t retry_after_us_max; /* what it gets at most, if the step itself is not longer */
};

struct retry_next {
    int64_t delay_us;
    unsigned steps_used; /* of the schedule, when the delay is over: retry_failure.step or more */
};

/* What follows a failed attempt; false when the schedule is at its end. `random` spreads the step
 * by +-20 %. */
bool retry_next(const struct retry_schedule *schedule, const struct retry_failure *failure,
    uint32_t random, struct retry_next *ret_next);

#endif
