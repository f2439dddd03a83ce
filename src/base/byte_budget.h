/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits the memory that the bodies of events use. Each shard has one. A body takes its bytes when
 * it is received. Its last owner gives them back, on any thread.
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

/* Takes bytes. Returns false and takes nothing if `share_percent` of the limit would be
 * exceeded. */
static inline bool byte_budget_take(struct byte_budget *budget, int64_t bytes, int share_percent)
{
    int64_t before = atomic_fetch_add_explicit(&budget->taken_bytes, bytes, memory_order_relaxed);
    if (before + bytes <= budget->bytes_max / 100 * share_percent)
        return true;
    atomic_fetch_sub_explicit(&budget->taken_bytes, bytes, memory_order_relaxed);
    return false;
}

/* Returns whether the bytes taken are below `share_percent` of the limit. A later take may fail. */
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
