/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a failed delivery is retried: a schedule of steps with jitter, then the delivery is dead.
 *
 * The horizon counts from the acceptance of the event, or from the retry that began a new round.
 * A client may ask for a longer delay (`Retry-After`), but this never extends the horizon: the
 * delay is limited, and the steps that it skips are used up. A step that leads beyond the horizon
 * ends at the horizon.
 *
 *   with a horizon   a failed attempt at the horizon or later is the last one, whatever steps are
 *                    left. After the last step, the last step is repeated until the horizon
 *   without          the horizon is the sum of the steps. A delivery dies when its steps are used
 *                    up and its horizon is reached (less the jitter). Time in the queue and time of
 *                    attempts use up no step: a delivery whose first attempt is after its horizon
 *                    still gets all steps, but no additional delay for its client. If the steps
 *                    were used up early, since recoveries of the endpoint made it due before its
 *                    time, the last step is repeated until the horizon
 *
 * The last hundredth of a horizon counts as its end: an attempt that is planned for the horizon may
 * be a little early by another clock.
 */
#ifndef PENSTOCK_MODEL_RETRY_H
#define PENSTOCK_MODEL_RETRY_H

#include "base/clock.h"
#include "base/limits.h"

#include <stdbool.h>

/* A step below a millisecond is a busy loop, and one beyond a month is a mistake. */
#define RETRY_STEP_US_MIN US_PER_MS
#define RETRY_STEP_US_MAX (30 * US_PER_DAY)

struct retry_schedule {
    int64_t steps_us[RETRY_STEPS_MAX];
    unsigned steps;
};

struct retry_failure {
    unsigned step;              /* from 1: the steps that are used up, and this failure */
    int64_t since_accepted_us;  /* 0 or less: unknown, as in a round that an operator began */
    int64_t horizon_us;         /* 0: the sum of the schedule */
    int64_t retry_after_us;     /* what the client asked for; 0: nothing */
    int64_t retry_after_us_max; /* limit for it, unless the step itself is longer */
};

struct retry_next {
    int64_t delay_us;
    unsigned steps_used; /* of the schedule, after the delay: retry_failure.step or more */
};

/* Returns what follows a failed attempt, or false when the delivery is dead. `random` spreads the
 * step by +-20 %. */
bool retry_next(const struct retry_schedule *schedule, const struct retry_failure *failure,
    uint32_t random, struct retry_next *ret_next);

/* A delivery that waits, by the rules of the time when it began to. Times are wall time. */
struct retry_wait {
    unsigned step; /* the step that it waits for: retry_next.steps_used */
    int64_t began_us, due_us;
    int64_t accepted_us; /* 0 or less: unknown, as in a round that an operator began */
};

/*
 * Returns when a waiting delivery is due by new rules: never later than it is due now. Within the
 * jitter of the new step nothing changes; a longer wait ends at the new step, and at the new
 * horizon at the latest. For a change of rules only: it also ends a wait that the client asked for.
 */
int64_t retry_due_us(
    const struct retry_schedule *schedule, int64_t horizon_us, const struct retry_wait *wait);

/* What retry_due_us follows. */
struct retry_rules {
    struct retry_schedule schedule;
    int64_t horizon_us; /* 0: the sum of the schedule */
};

/* Returns true if what waits by `before` may be due earlier by `after`: a step or the horizon is
 * shorter. If not, retry_due_us would change nothing but waits that clients asked for, and the
 * waiting deliveries need not be read. */
bool retry_rules_are_shorter(const struct retry_rules *before, const struct retry_rules *after);
bool retry_rules_are_equal(const struct retry_rules *a, const struct retry_rules *b);

#endif
