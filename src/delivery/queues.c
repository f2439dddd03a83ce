/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of a shard, one for each endpoint. They are made when they are needed, and freed with
 * the shard. */
#include "delivery/queues.h"

#include "base/memory.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/refill.h"
#include "delivery/rule_changes.h"
#include "delivery/settings.h"
#include "delivery/shard.h"
#include "delivery/status_probe.h"
#include "delivery/switches.h"

#include <assert.h>
#include <stdlib.h>

struct endpoint_queue *queues_find(struct delivery_shard *shard, uint64_t endpoint)
{
    struct id_map_node *node = id_map_find(&shard->queues, endpoint);
    return node ? CONTAINER_OF(node, struct endpoint_queue, by_id) : NULL;
}

struct endpoint_queue *queues_get(struct delivery_shard *shard, uint64_t endpoint)
{
    struct endpoint_queue *queue = queues_find(shard, endpoint);
    if (queue)
        return queue;
    MEMORY_NEW(queue);
    queue->shard = shard;
    queue->endpoint = endpoint;
    for (unsigned lane = 0; lane < QUEUE_LANES; lane++)
        for (unsigned i = 0; i < EVENT_CLASSES; i++)
            list_init(&queue->lanes[lane][i]);
    list_init(&queue->sending);
    list_init(&queue->in_short);
    list_init(&queue->in_touched);
    fair_flow_init(&queue->fair);
    weighted_turn_init(&queue->lane_turn);
    weighted_turn_init(&queue->class_turn);
    queue->macs_version = -1;
    flow_init(queue);
    end_notice_init(&queue->dead, shard);
    end_notice_init(&queue->in_doubt, shard);
    end_notice_init(&queue->parked, shard);
    rule_changes_init_queue(queue);
    settings_read(queue);
    refill_init_queue(queue);
    switches_init_queue(queue);
    status_probe_init(queue);
    id_map_add(&shard->queues, &queue->by_id, endpoint);
    return queue;
}

static void free_queue(struct endpoint_queue *queue)
{
    assert(!queue->refill.loading && !queue->refill.releasing && !queue->probe.loading);
    flow_done(queue);
    end_notice_done(&queue->dead);
    end_notice_done(&queue->in_doubt);
    end_notice_done(&queue->parked);
    switches_done_queue(queue);
    rule_changes_done_queue(queue);
    status_probe_done(queue);
    refill_done(queue);
    fair_queue_remove(&queue->shard->fair, &queue->fair);
    list_remove(&queue->in_short);
    list_remove(&queue->in_touched);
    id_map_remove(&queue->shard->queues, &queue->by_id);
    for (unsigned i = 0; i < queue->macs_count; i++)
        hmac_free(queue->macs[i]);
    free(queue);
}

void queues_free(struct delivery_shard *shard)
{
    for (struct id_map_node *node; (node = id_map_any(&shard->queues));)
        free_queue(CONTAINER_OF(node, struct endpoint_queue, by_id));
}
