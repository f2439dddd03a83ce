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

bool shard_may_send(const struct delivery_shard *shard)
{
    /* After a crash, deliveries whose outcomes are not committed are sent again: they are bounded
     * too. */
    return !shard->taker.stopping && shard->scanned && !shard->policy.paused &&
           !shard->journal_refuses && list_is_empty(&shard->unrecorded) &&
           shard->in_flight < shard->policy.in_flight_per_shard &&
           shard->recording < shard->policy.in_flight_per_shard;
}

void shard_touch(struct endpoint_queue *queue)
{
    if (list_is_empty(&queue->in_touched))
        list_add_tail(&queue->shard->touched, &queue->in_touched);
}
