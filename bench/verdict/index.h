/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open-addressed index of an array that the caller owns. It holds only places in the array, of
 * four bytes each, because a run has millions of events. It doubles when it is half full. Items are
 * never removed.
 */
#ifndef PENSTOCK_BENCH_VERDICT_INDEX_H
#define PENSTOCK_BENCH_VERDICT_INDEX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX

struct index {
    /* immutable after init */
    uint64_t (*hash)(const void *owner, uint32_t place);
    bool (*same)(const void *owner, uint32_t place, const void *wanted);

    uint32_t *slots; /* place + 1; 0: empty */
    uint32_t mask, count;
};

uint64_t index_mix(uint64_t value); /* spreads the bits of a number (SplitMix64's finalizer) */

void index_done(struct index *index);
/* Returns the place of `wanted`, which has the given hash, or INDEX_NONE. */
uint32_t index_find(
    const struct index *index, const void *owner, uint64_t hash, const void *wanted);
/* Adds a place. It must not be in the index, and hash() must be able to read its item.
 * ERR_NO_MEMORY, ERR_TOO_LARGE. */
enum err index_add(struct index *index, const void *owner, uint32_t place) MUST_CHECK;

#endif
