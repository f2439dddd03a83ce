/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte credits: what bounds the memory that events hold on their way. One per shard. A body takes its bytes when it
 * comes in and gives them back when its last holder lets go, whichever thread that is.
 */
#ifndef PENSTOCK_BASE_CREDIT_H
#define PENSTOCK_BASE_CREDIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct credit {
    _Atomic int64_t held_bytes; /* shared: atomic */
    int64_t bytes_max;          /* immutable after init */
};

/* False, and nothing taken, when it would go past `share_percent` of the limit. */
static inline bool credit_take(struct credit *credit, int64_t bytes, int share_percent)
{
    int64_t before = atomic_fetch_add_explicit(&credit->held_bytes, bytes, memory_order_relaxed);
    if (before + bytes <= credit->bytes_max / 100 * share_percent)
        return true;
    atomic_fetch_sub_explicit(&credit->held_bytes, bytes, memory_order_relaxed);
    return false;
}

/* Whether more than nothing of `share_percent` is left: a look, not a promise. */
static inline bool credit_is_within(struct credit *credit, int share_percent)
{
    return atomic_load_explicit(&credit->held_bytes, memory_order_relaxed) < credit->bytes_max / 100 * share_percent;
}

static inline void credit_give_back(struct credit *credit, int64_t bytes)
{
    atomic_fetch_sub_explicit(&credit->held_bytes, bytes, memory_order_relaxed);
}

#endif
