/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed 64-bit hash for tables and partitions. Without
 * the key, nobody can choose inputs that all fall into one bucket. */
#ifndef PENSTOCK_BASE_HASH_H
#define PENSTOCK_BASE_HASH_H

#include "base/slice.h"

#include <stdint.h>

#define HASH_SEED_BYTES 16

struct hash_seed {
    unsigned char bytes[HASH_SEED_BYTES];
};

uint64_t hash_siphash(const struct hash_seed *seed, struct slice input);

#endif
