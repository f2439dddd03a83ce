/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of one endpoint. It has two lanes: fresh, for deliveries that were accepted now, and
 * backlog, for those that are loaded from the journal (refill.c). Both are bounded by count, and
 * together by bytes. What has no room stays in the journal. So an endpoint that hangs or is slow
 * takes neither the memory nor the turns of the others.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"

#define FLOOR_BYTES (256 * 1024) /* four of the largest events */
#define BUDGET_SHARE_PERCENT \
    50 /* of the byte budget taken: beyond it an endpoint gets the floor only */
#define ENDPOINTS_PER_BUDGET 8
#define PACE_US (500 * US_PER_MS)
#define SLOW_INTERVALS 4
#define FRESH_PER_BACKLOG \
    3 /* while both lanes have something: fresh events stay fresh, and the backlog makes progress */

static void on_rested(struct timer *timer)
{
    endpoint_queue_update_ready(CONTAINER_OF(timer, struct endpoint_queue, rest_timer));
}

void endpoint_queue_rest(struct endpoint_queue *queue, int64_t rest_us)
{
    if (!timer_is_armed(&queue->rest_timer))
        timer_arm(&queue->shard->loop, &queue->rest_timer, rest_us);
}

struct endpoint_queue *endpoint_queue_get(struct delivery_shard *shard, uint64_t endpoint)
{
    struct endpoint_queue *queue = endpoint_queue_find(shard, endpoint);
    if (queue)
        return queue;
    MEMORY_NEW(queue);
    queue->shard = shard;
    queue->endpoint = endpoint;
    list_init(&queue->fresh);
    list_init(&queue->backlog);
    list_init(&queue->in_ready);
    queue->macs_version = -1;
    refill_init_queue(queue);
    timer_init(&queue->rest_timer, on_rested);
    id_map_add(&shard->queues, &queue->by_id, endpoint);
    return queue;
}

struct endpoint_queue *endpoint_queue_find(struct delivery_shard *shard, uint64_t endpoint)
{
    struct id_map_node *node = id_map_find(&shard->queues, endpoint);
    return node ? CONTAINER_OF(node, struct endpoint_queue, by_id) : NULL;
}

void endpoint_queue_free(struct endpoint_queue *queue)
{
    assert(!queue->refill.loading && !queue->refill.releasing);
    timer_disarm(&queue->shard->loop, &queue->refill.due_timer);
    timer_disarm(&queue->shard->loop, &queue->rest_timer);
    timer_disarm(&queue->shard->loop, &queue->refill.release_timer);
    list_remove(&queue->in_ready);
    id_map_remove(&queue->shard->queues, &queue->by_id);
    for (unsigned i = 0; i < queue->macs_count; i++)
        hmac_free(queue->macs[i]);
    free(queue);
}

int64_t endpoint_queue_bytes_left(const struct endpoint_queue *queue)
{
    struct byte_budget *budget = queue->shard->taker.budget;
    int64_t share = budget->bytes_max / ENDPOINTS_PER_BUDGET;
    if (share < FLOOR_BYTES || !byte_budget_is_within(budget, BUDGET_SHARE_PERCENT))
        share = FLOOR_BYTES;
    return queue->bytes_in_memory < share ? share - queue->bytes_in_memory : 0;
}

bool endpoint_queue_has_room(const struct endpoint_queue *queue)
{
    const struct delivery_policy *policy = &queue->shard->policy;
    return !policy->paused && queue->fresh_count < policy->active_per_endpoint &&
           endpoint_queue_bytes_left(queue) > 0;
}

/* Counts in two intervals: the present one and the one before it. */
static void turn_pace(struct endpoint_queue *queue, int64_t now_mono_us)
{
    int64_t interval = now_mono_us / PACE_US;
    if (interval == queue->pace_interval)
        return;
    queue->ended_before = interval == queue->pace_interval + 1 ? queue->ended : 0;
    queue->ended = 0;
    queue->pace_interval = interval;
}

void endpoint_queue_count_ended(struct endpoint_queue *queue)
{
    turn_pace(queue, queue->shard->loop.now_mono_us);
    queue->ended++;
}

bool endpoint_queue_is_slow(struct endpoint_queue *queue, int64_t now_mono_us)
{
    turn_pace(queue, now_mono_us);
    unsigned pace = queue->ended > queue->ended_before ? queue->ended : queue->ended_before;
    return queue->fresh_count + queue->backlog_count + queue->in_flight > pace * SLOW_INTERVALS;
}

void endpoint_queue_take_handover(struct delivery_shard *shard, const struct delivery *delivery)
{
    struct endpoint_queue *queue = endpoint_queue_get(shard, delivery->endpoint);
    /* The broker has delivered it before, and the source has adopted it. */
    if (job_find(shard, delivery->id)) {
        event_unref(delivery->event);
        return;
    }
    if (endpoint_queue_has_room(queue)) {
        job_new(queue, delivery, JOB_FRESH); /* takes over the reference to the event */
        failpoint_crash(CRASH_JOB_MADE);
        return;
    }
    event_unref(delivery->event);
    refill_leave_in_journal(queue, delivery->id);
    refill_queue(queue);
}

void endpoint_queue_update_ready(struct endpoint_queue *queue)
{
    bool has_work = queue->fresh_count + queue->backlog_count > 0;
    bool ready = has_work && queue->in_flight < queue->shard->policy.in_flight_per_endpoint &&
                 !timer_is_armed(&queue->rest_timer);
    bool is_listed = !list_is_empty(&queue->in_ready);
    if (ready && !is_listed)
        list_add_tail(&queue->shard->ready, &queue->in_ready);
    else if (!ready && is_listed)
        list_remove(&queue->in_ready);
}

struct job *endpoint_queue_next(struct endpoint_queue *queue)
{
    bool fresh = queue->fresh_count > 0;
    if (fresh && queue->backlog_count > 0)
        fresh = queue->fresh_in_turn < FRESH_PER_BACKLOG;
    queue->fresh_in_turn = fresh ? queue->fresh_in_turn + 1 : 0;
    struct list *lane = fresh ? &queue->fresh : &queue->backlog;
    assert(!list_is_empty(lane));
    return CONTAINER_OF(lane->next, struct job, in_lane);
}

void endpoint_queue_expect(struct endpoint_queue *queue, int64_t due_us)
{
    if (due_us < queue->refill.next_due_us)
        queue->refill.next_due_us = due_us;
    if (due_us <= queue->refill.waiting_after_due_us) {
        /* Committed late, because the disk had refused it: the cursor has passed it and starts
         * again. */
        queue->refill.waiting_after_due_us = INT64_MIN;
        queue->refill.waiting_after_id = 0;
        if (due_us < queue->refill.late_due_us)
            queue->refill.late_due_us = due_us;
    }
    refill_queue(queue);
}
