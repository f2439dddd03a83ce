/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of a loop, in a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986). The timers
 * themselves are the nodes, so arming one allocates nothing and cannot fail.
 *
 * Owned by the loop's thread.
 */
#ifndef PENSTOCK_RUNTIME_TIMER_H
#define PENSTOCK_RUNTIME_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due_mono_us;
    void (*on_due)(struct timer *timer);
    bool is_armed;
    struct timer *child; /* the first child */
    struct timer *next;  /* the next sibling */
    struct timer *prev;  /* the previous sibling, or the parent for the first one */
};

struct timer_heap {
    struct timer *first; /* the earliest timer; NULL: none is armed */
    size_t count;
};

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->is_armed;
}

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer));
/* `timer` is not armed, and its due time is set. */
void timer_heap_add(struct timer_heap *heap, struct timer *timer);
/* `timer` is armed. */
void timer_heap_remove(struct timer_heap *heap, struct timer *timer);

#endif
