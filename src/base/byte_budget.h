/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte budget bounds the memory that events hold on their way. One per shard. A body takes its
 * bytes when it comes in and gives them back when its last holder lets go, whichever thread that
 * is.
 */
#ifndef PENSTOCK_BASE_BYTE_BUDGET_H
#define PENSTOCK_BASE_BYTE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct byte_budget {
    _Atomic int64_t taken_bytes; /* shared: atomic */
    int64_t bytes_max;           /* immutable after init */
};

/* False, and nothing taken, when it would go past `share_percent` of the limit. */
static inline bool byte_budget_take(struct byte_budget *budget, int64_t bytes, int share_percent)
{
    int64_t before = atomic_fetch_add_explicit(&budget->taken_bytes, bytes, memory_order_relaxed);
    if (before + bytes <= budget->bytes_max / 100 * share_percent)
        return true;
    atomic_fetch_sub_explicit(&budget->taken_bytes, bytes, memory_order_relaxed);
    return false;
}

/* Whether more than nothing of `share_percent` is left: a look, not a promise. */
static inline bool byte_budget_is_within(struct byte_budget *budget, int share_percent)
{
    return atomic_load_explicit(&budget->taken_bytes, memory_order_relaxed) <
           budget->bytes_max / 100 * share_percent;
}

static inline void byte_budget_give_back(struct byte_budget *budget, int64_t bytes)
{
    atomic_fetch_sub_explicit(&budget->taken_bytes, bytes, memory_order_relaxed);
}

#endif
