/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer that is armed once, where failing is still possible, and only moved from then on: moving
 * an armed timer takes no memory, so it can't fail. When it has fired it must be set or parked
 * before any other timer is armed.
 */
#ifndef PENSTOCK_CLIENT_ALARM_H
#define PENSTOCK_CLIENT_ALARM_H

#include "base/clock.h"
#include "runtime/loop.h"

#include <assert.h>

static inline void alarm_set(struct loop *loop, struct timer *timer, int64_t delay_us)
{
    enum err e = timer_arm(loop, timer, delay_us);
    assert(e == OK);
    (void)e;
}

/* It stays armed, for nothing: whoever is woken by it finds nothing to do. */
static inline void alarm_park(struct loop *loop, struct timer *timer)
{
    alarm_set(loop, timer, US_PER_DAY);
}

static inline enum err alarm_init(
    struct loop *loop, struct timer *timer, void (*on_due)(struct timer *timer))
{
    timer_init(timer, on_due);
    return timer_arm(loop, timer, US_PER_DAY);
}

#endif
