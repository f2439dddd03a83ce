/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery/queue_look.h"

#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/queues.h"
#include "delivery/shard.h"
#include "journal/queue_look.h"

static int64_t left_us(const struct delivery_shard *shard, const struct timer *timer)
{
    int64_t left = timer_is_armed(timer) ? timer->due_mono_us - shard->loop.now_mono_us : 0;
    return left > 0 ? left : 0;
}

static void look_at_breaker(struct endpoint_queue *queue, struct queue_look_entry *entry)
{
    const struct flow *flow = &queue->flow;
    const struct delivery_shard *shard = queue->shard;
    int64_t next_us = breaker_next_probe_us(&flow->breaker);
    entry->ret_breaker = flow->breaker.state;
    if (!flow_needs_probe(queue))
        return;
    entry->ret_failing_since_us = flow->failing_since_us;
    entry->ret_probes_in_flight = flow->breaker.probes_in_flight;
    if (flow_is_open(queue) && next_us != INT64_MAX)
        entry->ret_next_probe_us = shard_wall_us(shard) + next_us - shard->loop.now_mono_us;
    else if (timer_is_armed(&flow->probe_timer))
        entry->ret_next_probe_us = shard_wall_us(shard) + left_us(shard, &flow->probe_timer);
}

static void look_at_limits(struct endpoint_queue *queue, struct queue_look_entry *entry)
{
    struct flow *flow = &queue->flow;
    int64_t now_us = queue->shard->loop.now_mono_us;
    double learned = learned_rate_per_second(&flow->learned, now_us);
    entry->ret_rate = token_bucket_stricter(flow->rate_max, learned);
    entry->ret_rate_is_learned = learned > 0 && (flow->rate_max == 0 || learned < flow->rate_max);
    entry->ret_rate_wait_us = left_us(queue->shard, &flow->rate_timer);
    entry->ret_rest_us = left_us(queue->shard, &queue->rest_timer);
    entry->ret_retries_held = timer_is_armed(&flow->budget_timer);
    entry->ret_in_flight = queue->in_flight;
    entry->ret_in_flight_limit = concurrency_limit(&flow->concurrency, flow->in_flight_max);
    entry->ret_queued = queue->queued;
}

static void on_look(struct mail *mail, void *receiver)
{
    struct queue_look *look = CONTAINER_OF(mail, struct queue_look, ask.mail);
    struct delivery_shard *shard = receiver;
    for (unsigned i = 0; i < look->count && i < QUEUE_LOOK_MAX; i++) {
        struct queue_look_entry *entry = &look->entries[i];
        struct endpoint_queue *queue = queues_find(shard, entry->endpoint);
        *entry = (struct queue_look_entry){.endpoint = entry->endpoint, .ret_found = queue};
        if (!queue)
            continue;
        look_at_breaker(queue, entry);
        look_at_limits(queue, entry);
        recent_causes_read(&queue->causes, shard->loop.now_mono_us, entry->ret_causes);
    }
    look->ret_journal_refuses = shard->journal_refuses;
    request_answer(&look->ask, shard->taker.stopping ? ERR_SHUTTING_DOWN : OK);
}

void delivery_shard_look(struct delivery_shard *shard, struct queue_look *look)
{
    request_submit(&look->ask, &shard->mailbox, on_look);
}
