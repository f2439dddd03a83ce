/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The levels that are reported to operators: how late events are, how many deliveries wait, and
 * what the disk accepts. Each level is reported once when it is exceeded, and once when all is well
 * again.
 *
 *   freshness   of the deliveries of the last minute to endpoints that do not fail, more than 1 %
 *               were late, and there were ten of them or half of all. Well: some were in time, and
 *               0.5 % or fewer were late. A standstill is found by the backlog: what does not move
 *               is past due
 *   backlog     more deliveries wait than `backlog_max`, or the oldest is due for longer than
 *               `past_due_us_max`. Well: both are below 80 %
 *   disk        a journal does not accept all classes. Each worse level is reported. It counts as
 *               better after 10 s
 *
 * The caller looks once a second. No clock, no allocation.
 */
#ifndef PENSTOCK_MODEL_OPERATOR_LEVELS_H
#define PENSTOCK_MODEL_OPERATOR_LEVELS_H

#include "model/operator_event.h"

#define OPERATOR_LEVELS_WINDOW 60 /* looks */
#define OPERATOR_LEVELS_BETTER 10 /* looks */

struct operator_limits {
    int64_t freshness_us_max, backlog_max, past_due_us_max; /* 0: no limit */
};

struct operator_readings {
    int64_t in_time, late; /* deliveries since the start */
    unsigned shortage;     /* of the disk: 0: none, up to 3: no event is accepted */
    const char *shortage_text;
    bool knows_backlog;
    int64_t backlog, past_due_us;
};

struct operator_levels {
    struct {
        int64_t in_time, late;
    } past[OPERATOR_LEVELS_WINDOW]; /* a ring */
    unsigned looks;                 /* since the start, up to the window */
    unsigned at;
    bool is_late, is_high;
    unsigned shortage_told, better_looks;
};

/* Posts what has changed to the sink. */
void operator_levels_look(struct operator_levels *levels, const struct operator_limits *limits,
    const struct operator_readings *readings, const struct operator_event_sink *sink);

#endif
