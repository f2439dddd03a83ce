/* SPDX-License-Identifier: Apache-2.0 */
/* The pace of an endpoint: how many attempts have ended lately, and whether it needs long for the
 * rest. */
#include "delivery/delivery_internal.h"

#include "base/clock.h"

#define PACE_US (500 * US_PER_MS)
#define SLOW_INTERVALS 4

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

void pace_count_ended(struct endpoint_queue *queue)
{
    turn_pace(queue, queue->shard->loop.now_mono_us);
    queue->ended++;
}

bool pace_is_slow(struct endpoint_queue *queue, int64_t now_mono_us)
{
    turn_pace(queue, now_mono_us);
    unsigned pace = queue->ended > queue->ended_before ? queue->ended : queue->ended_before;
    return flow_is_open(queue) || queue->queued + queue->in_flight > pace * SLOW_INTERVALS;
}
