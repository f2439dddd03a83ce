/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump: while the shard has a free place, the next endpoint in turn gets it. One job per turn
 * and endpoint, so that a long queue can't hold the others up.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "runtime/log.h"

#define REST_US (100 * US_PER_MS)

static bool may_send(const struct delivery_shard *shard)
{
    /* Outcomes that are not on disk yet would be sent again after a crash: they are bounded as
     * well. */
    return !shard->stopping && shard->scanned && !shard->policy.paused && !shard->journal_refuses &&
           list_is_empty(&shard->unrecorded) &&
           shard->in_flight < shard->policy.in_flight_per_shard &&
           shard->recording < shard->policy.in_flight_per_shard;
}

void pump_run(struct delivery_shard *shard)
{
    while (may_send(shard) && !list_is_empty(&shard->ready)) {
        struct endpoint_queue *queue =
            CONTAINER_OF(shard->ready.next, struct endpoint_queue, in_ready);
        unsigned before = queue->fresh_count + queue->backlog_count;
        attempt_begin(endpoint_queue_next(queue));
        if (!list_is_empty(&queue->in_ready)) {
            list_remove(&queue->in_ready); /* to the end of the line */
            list_add_tail(&shard->ready, &queue->in_ready);
        }
        if (queue->fresh_count + queue->backlog_count == before &&
            !timer_is_armed(&shard->pump_timer))
            timer_arm(&shard->loop, &shard->pump_timer, REST_US);
    }
}
