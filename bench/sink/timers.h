/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of one loop, in microseconds: a heap on top of one timerfd. h2o's own timeouts are
 * lists with one duration each, in milliseconds. All functions run on the loop's thread.
 */
#ifndef PENSTOCK_BENCH_SINK_TIMERS_H
#define PENSTOCK_BENCH_SINK_TIMERS_H

#include "common/server.h"

#include <stdint.h>

/* Embedded in what waits. Before the first timers_set all fields except on_due are zero. */
struct timer {
    void (*on_due)(struct timer *timer); /* the timer is unset then, and may be set again */
    int64_t due_us;                      /* monotonic */
    size_t place;                        /* in the heap, from 1; 0: not set */
};

struct timers {
    struct timer **heap; /* the first element is at 1 */
    size_t count, room;
    h2o_socket_t *socket; /* of the timerfd */
    int64_t armed_us;     /* the timerfd's due time; INT64_MAX: disarmed */
};

enum err timers_init(struct timers *timers, h2o_evloop_t *loop) MUST_CHECK;
void timers_done(struct timers *timers); /* the loop must have ended */
void timers_set(struct timers *timers, struct timer *timer, int64_t due_us); /* sets or moves */
void timers_unset(struct timers *timers, struct timer *timer); /* does nothing when it is not set */

#endif
