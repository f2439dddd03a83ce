/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of dedupe store keys that answers "no" or "maybe": a blocked Bloom filter. A "no" is
 * certain, so that the table behind it need not be asked.
 *
 * Each key has one line of 64 bytes (one cache miss, which a prefetch can start early) and
 * KEY_FILTER_PROBES bits in it. The keys are hashes already (model/dedupe_key.h), so that their own
 * bits say which: the first four bytes the line, the last eight the bits. Nobody gains by keys that
 * are made to meet in one line: other keys rarely look there.
 *
 * Filters have 24 * 2^n lines, the fewest that give each key 12 bits: 1024 keys for each 24 lines,
 * and 768 KB for half a million. With all those keys in it, it says "maybe" to 0.40 % of those that
 * it does not hold (measured; a plain Bloom filter of that size: 0.3 %). A line's number is the
 * hash scaled to their count, so that two neighbours merged are exactly the line that a filter of
 * half the size would have: a filter made for many keys is folded when it got fewer.
 *
 * The system's memory is zeroed: pages without a key cost nothing. Pure, no
 * thread of its own.
 */
#ifndef PENSTOCK_DEDUPE_KEY_FILTER_H
#define PENSTOCK_DEDUPE_KEY_FILTER_H

#include "base/err.h"
#include "model/dedupe_key.h"

#include <stdint.h>

#define KEY_FILTER_LINE_BYTES 64
#define KEY_FILTER_PROBES 7 /* of nine bits each: 63 of the 64 that are there */

/* Grows with every change of the meaning of the bits: filters are kept on disk. */
#define KEY_FILTER_FORMAT 2

/* All zero: a filter that says "maybe" to every key. */
struct key_filter {
    unsigned char *lines; /* on a boundary of its own within `memory` */
    uint32_t lines_count;
    void *memory;
};

/* An empty one for `keys` keys; it takes more, and gets vaguer. ERR_NO_MEMORY. key_filter_done
 * takes what failed. */
enum err key_filter_init(struct key_filter *filter, uint64_t keys) MUST_CHECK;
void key_filter_done(struct key_filter *filter);

void key_filter_add(struct key_filter *filter, const struct dedupe_key *key);

/* Returns the bytes of the filter, which are the same on every machine. */
struct slice key_filter_bytes(const struct key_filter *filter);
/* Makes a filter of `keys` keys from these bytes. ERR_DAMAGED: they are no such filter. */
enum err key_filter_load(struct key_filter *filter, uint64_t keys, struct slice bytes) MUST_CHECK;

/* A copy of `filter` as if it had been made for `keys` keys, which are no more than it was made
 * for. */
enum err key_filter_fold(
    const struct key_filter *filter, uint64_t keys, struct key_filter *ret_folded) MUST_CHECK;

static inline unsigned char *key_filter_line(
    const struct key_filter *filter, const struct dedupe_key *key)
{
    const unsigned char *bytes = key->bytes;
    uint32_t hash =
        bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    return filter->lines + (((uint64_t)hash * filter->lines_count) >> 32) * KEY_FILTER_LINE_BYTES;
}

static inline void key_filter_prefetch(
    const struct key_filter *filter, const struct dedupe_key *key)
{
    if (filter->lines_count)
        __builtin_prefetch(key_filter_line(filter, key));
}

bool key_filter_may_hold(const struct key_filter *filter, const struct dedupe_key *key);

#endif
