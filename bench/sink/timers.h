/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of one loop, each with a due time of its own, to the microsecond: a heap behind one
 * timerfd. (h2o's own timeouts are lists of one duration each, in milliseconds.) Everything on the
 * loop's thread.
 */
#ifndef PENSTOCK_BENCH_SINK_TIMERS_H
#define PENSTOCK_BENCH_SINK_TIMERS_H

#include "common/server.h"

#include <stdint.h>

/* Embedded in what waits; all zeros but on_due before the first timers_set. */
struct timer {
    void (*on_due)(struct timer *timer); /* it is no longer set then, and may be set again */
    int64_t due_us;                      /* monotonic */
    size_t place;                        /* in the heap, from 1 on; 0: not set */
};

struct timers {
    struct timer **heap; /* the first one is at 1 */
    size_t count, room;
    h2o_socket_t *socket; /* of the timerfd */
    int64_t armed_us;     /* what that is set to; INT64_MAX: nothing */
};

enum err timers_init(struct timers *timers, h2o_evloop_t *loop) MUST_CHECK;
void timers_done(struct timers *timers); /* of a loop that no longer runs */
void timers_set(struct timers *timers, struct timer *timer, int64_t due_us); /* sets or moves */
void timers_unset(struct timers *timers, struct timer *timer); /* harmless when it is not set */

#endif
