/* SPDX-License-Identifier: Apache-2.0 */
/* splitmix64 (Steele, Lea, Flood 2014): independent numbers from a seed and a counter. */
#ifndef PENSTOCK_BENCH_COMMON_RANDOM_H
#define PENSTOCK_BENCH_COMMON_RANDOM_H

#include <stdint.h>

/* Its finalizer: spreads the bits of a number. */
static inline uint64_t random_mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* Returns number `place` (from 0) of the seed's sequence. */
static inline uint64_t random_at(uint64_t seed, uint64_t place)
{
    return random_mix(seed + (place + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

#endif
