/* SPDX-License-Identifier: Apache-2.0 */
/* What all files of delivery/ use: the shard's clock, its random numbers, and its journal. */
#include "delivery/delivery_internal.h"

#include "base/clock.h"

int64_t shard_wall_us(const struct delivery_shard *shard)
{
    return clock_mono_us() + shard->wall_offset_us;
}

uint32_t shard_random(struct delivery_shard *shard)
{
    /* xorshift64 (Marsaglia 2003) */
    uint64_t x = shard->random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    shard->random_state = x;
    return (uint32_t)(x >> 32);
}

void shard_ask(struct delivery_shard *shard, struct request *request, enum journal_kind kind,
    void (*on_done)(struct request *request, void *receiver))
{
    event_taker_ask(&shard->taker, shard->taker.journal, request, kind, on_done);
}
