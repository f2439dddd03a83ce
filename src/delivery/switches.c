/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery/switches.h"

#include "accounts/directory.h"
#include "base/clock.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/refill.h"
#include "delivery/shard.h"
#include "delivery/status_probe.h"

#define LOOK_AGAIN_US US_PER_SECOND

bool switches_hold(const struct endpoint_queue *queue, const struct delivery *delivery)
{
    const struct queue_switches *off = &queue->off;
    return off->deliveries || (off->retries && delivery->state == DELIVERY_WAITING) ||
           (off->optional && delivery->event->parts.class == CLASS_OPTIONAL);
}

unsigned switches_hold_classes(const struct endpoint_queue *queue)
{
    return queue->off.optional ? 1u << CLASS_OPTIONAL : 0;
}

/* Unloads what is held. What only the broker has remains, and is looked at again. */
static void unload(struct endpoint_queue *queue)
{
    bool is_left = false;
    for (unsigned lane = 0; lane < QUEUE_LANES; lane++)
        for (unsigned i = 0; i < EVENT_CLASSES; i++)
            list_for_each_safe (node, next, &queue->lanes[lane][i]) {
                struct job *job = CONTAINER_OF(node, struct job, in_lane);
                if (!switches_hold(queue, &job->delivery))
                    continue;
                if (job->sourced.event)
                    is_left = true;
                else
                    refill_unload_job(job);
            }
    if (is_left)
        timer_arm(&queue->shard->loop, &queue->off.timer, LOOK_AGAIN_US);
    else
        timer_disarm(&queue->shard->loop, &queue->off.timer);
}

static void on_timer(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, off.timer);
    unload(queue);
    shard_touch(queue);
}

static bool is_off(const struct endpoint_queue *queue, enum switch_kind kind, struct slice account)
{
    return directory_switch_off(queue->shard->taker.directory, kind, account, queue->endpoint);
}

static void read_switches(const struct endpoint_queue *queue, struct queue_switches *ret_off)
{
    const struct directory *directory = queue->shard->taker.directory;
    const struct endpoint *endpoint = directory_endpoint(directory, queue->endpoint);
    struct slice account = slice_from_string(endpoint ? endpoint->account : "");
    ret_off->is_of_endpoint = endpoint != NULL;
    ret_off->deliveries = is_off(queue, SWITCH_DELIVERIES, account);
    ret_off->retries = is_off(queue, SWITCH_RETRIES, account);
    ret_off->optional = is_off(queue, SWITCH_OPTIONAL, account);
}

void switches_look_at_queue(struct endpoint_queue *queue)
{
    struct queue_switches *off = &queue->off, now = {0};
    read_switches(queue, &now);
    bool is_more = (now.deliveries && !off->deliveries) || (now.retries && !off->retries) ||
                   (now.optional && !off->optional);
    bool is_less = (off->deliveries && !now.deliveries) || (off->retries && !now.retries) ||
                   (off->optional && !now.optional);
    bool may_ask = off->deliveries && !now.deliveries;
    off->is_of_endpoint = now.is_of_endpoint;
    off->deliveries = now.deliveries;
    off->retries = now.retries;
    off->optional = now.optional;
    if (is_more)
        unload(queue);
    if (is_less) {
        concurrency_restart(&queue->flow.concurrency);
        queue->flow.troubled_us = clock_wall_us();
        refill_look_at_all(queue);
        flow_await_probe(queue);
    }
    if (may_ask)
        status_probe_begin(queue); /* its next turn may be an hour away */
    if (is_more || is_less)
        shard_touch(queue);
}

void switches_look(struct delivery_shard *shard)
{
    if (shard->taker.stopping) /* the directory may be freed */
        return;
    uint64_t changes = directory_switch_changes(shard->taker.directory);
    if (changes == shard->switch_changes)
        return;
    shard->switch_changes = changes;
    id_map_for_each(node, &shard->queues)
    {
        switches_look_at_queue(CONTAINER_OF(node, struct endpoint_queue, by_id));
    }
}

void switches_init_queue(struct endpoint_queue *queue)
{
    timer_init(&queue->off.timer, on_timer);
    if (!queue->shard->taker.stopping)
        read_switches(queue, &queue->off);
}

void switches_done_queue(struct endpoint_queue *queue)
{
    timer_disarm(&queue->shard->loop, &queue->off.timer);
}
