/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buckets of a log-linear histogram. The highest bits of a value select its bucket. With N
 * bits each value below 2^(N+1) has a bucket of its own. Above, each power of two has 2^N buckets,
 * so the top of a bucket is at most 1/2^N above its values.
 */
#ifndef PENSTOCK_BENCH_COMMON_LOG_BUCKET_H
#define PENSTOCK_BENCH_COMMON_LOG_BUCKET_H

#include <stdint.h>

/* `value` is not negative. */
static inline unsigned log_bucket_of(int64_t value, unsigned bits)
{
    uint64_t steps = UINT64_C(1) << bits;
    if ((uint64_t)value < 2 * steps)
        return (unsigned)value;
    unsigned power = 63u - (unsigned)__builtin_clzll((uint64_t)value); /* at least bits + 1 */
    unsigned shift = power - bits;
    return (unsigned)((shift + 1) * steps + (((uint64_t)value >> shift) - steps));
}

/* Returns the largest value of a bucket. */
static inline int64_t log_bucket_top(unsigned bucket, unsigned bits)
{
    int64_t steps = INT64_C(1) << bits;
    if (bucket < 2 * steps)
        return bucket;
    unsigned shift = (unsigned)(bucket / steps - 1);
    return ((bucket % steps + steps + 1) << shift) - 1;
}

#endif
