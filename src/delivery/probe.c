/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: while the breaker of an endpoint is not closed, one waiting event at a time is sent to
 * find out whether the endpoint is back. It is a real event. The journal names the candidates, the
 * best first: the oldest unguarded one of critical class, then other unguarded ones, then the rest.
 * A guarded one comes last, because a client that hangs would leave it in doubt.
 *
 * What the broker owns is not in the journal's answer. It is looked for in memory.
 *
 * A probe is an attempt like any other. When it is sent before its delivery is due and fails, the
 * delivery keeps its due time and uses up no step of its schedule (outcome.c): otherwise the oldest
 * event of a long outage would die of probes.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"

#define LOOK_AGAIN_US (200 * US_PER_MS) /* the shard has no free slot, or the journal failed */
#define NOTHING_WAITS_US (5 * US_PER_SECOND)

static void look_again_after(struct endpoint_queue *queue, int64_t delay_us)
{
    timer_arm(&queue->shard->loop, &queue->flow.probe_timer, delay_us);
}

/* Makes a job of a candidate, or finds it. NULL: it is on its way. Takes over the reference to its
 * event. */
static struct job *job_of(struct endpoint_queue *queue, const struct delivery *candidate)
{
    struct job *job = job_find(queue->shard, candidate->id);
    if (!job)
        return job_new(
            queue, candidate, candidate->state == DELIVERY_WAITING ? QUEUE_RETRY : QUEUE_UNSENT);
    event_unref(candidate->event);
    return job->place == JOB_QUEUED ? job : NULL;
}

static void on_candidates(struct request *request, void *receiver)
{
    struct endpoint_queue *queue = CONTAINER_OF(request, struct endpoint_queue, probe_load.request);
    struct delivery_shard *shard = receiver;
    struct job *job = NULL;
    queue->probe_loading = false;
    unsigned count = request->result == OK ? queue->probe_load.ret_count : 0;
    bool may_send = !shard->taker.stopping && flow_is_open(queue) && shard_may_send(shard) &&
                    breaker_allows(&queue->flow.breaker, shard->loop.now_mono_us);
    for (unsigned i = 0; i < count; i++) {
        if (may_send && !job)
            job = job_of(queue, &queue->probe_candidates[i]);
        else
            event_unref(queue->probe_candidates[i].event);
    }
    if (may_send && !job)
        job = endpoint_queue_oldest(queue);
    if (shard->taker.stopping || !flow_is_open(queue))
        return;
    if (!job) {
        look_again_after(
            queue, may_send && request->result == OK ? NOTHING_WAITS_US : LOOK_AGAIN_US);
        return;
    }
    attempt_begin_probe(job);
    if (!timer_is_armed(&queue->flow.probe_timer))
        flow_await_probe(queue);
}

void probe_send(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    if (shard->taker.stopping || !flow_is_open(queue) || queue->probe_loading)
        return;
    if (!shard_may_send(shard) || !breaker_allows(&queue->flow.breaker, shard->loop.now_mono_us)) {
        look_again_after(queue, LOOK_AGAIN_US);
        return;
    }
    queue->probe_load = (struct journal_load){
        .endpoint = queue->endpoint,
        .probe = true,
        .pending_lanes = PENDING_ALL,
        .count_max = PROBE_CANDIDATES_MAX,
        .bytes_max = PROBE_CANDIDATES_MAX * (int64_t)EVENT_BYTES_MAX,
        .budget = shard->taker.budget,
        .budget_share_percent = 100,
        .ret_deliveries = queue->probe_candidates,
    };
    queue->probe_loading = true;
    shard_ask(shard, &queue->probe_load.request, JOURNAL_LOAD, on_candidates);
}
