/* SPDX-License-Identifier: Apache-2.0 */
/* What all files of delivery/ use: the shard's clock, its random numbers, and its journal. */
#include "delivery/shard.h"

#include "base/clock.h"
#include "delivery/endpoint_queue.h"
#include "runtime/log.h"

#define REFUSED_SAID_EVERY_US (60 * US_PER_SECOND)

bool shard_decides(const struct delivery_shard *shard, int64_t delivery)
{
    return id_map_find(&shard->deciding, (uint64_t)delivery) != NULL;
}

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
    return !shard->taker.stopping && shard->scanned && !shard->journal_refuses &&
           list_is_empty(&shard->unrecorded) &&
           shard->in_flight < shard->policy.in_flight_per_shard &&
           shard->recording < shard->policy.in_flight_per_shard;
}

void shard_touch(struct endpoint_queue *queue)
{
    if (list_is_empty(&queue->in_touched))
        list_add_tail(&queue->shard->touched, &queue->in_touched);
}

void shard_log_refused(struct delivery_shard *shard, const char *what, enum err error)
{
    int64_t now_us = shard->loop.now_mono_us;
    shard->refusals++;
    if (shard->refusal_logged_mono_us != 0 &&
        now_us - shard->refusal_logged_mono_us < REFUSED_SAID_EVERY_US)
        return;
    log_error(
        "%s: tried again soon. If this continues, look at the disk shard=%u error=%s times=%u",
        what, shard->taker.shard, err_name(error), shard->refusals);
    shard->refusal_logged_mono_us = now_us;
    shard->refusals = 0;
}
