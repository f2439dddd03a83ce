/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: while an endpoint fails, one waiting event at a time is sent to find out whether it is
 * back. It is a real event. The journal names candidates, the best first: the oldest unguarded ones
 * of critical class, then other unguarded ones, then the rest. A guarded one comes last, because a
 * client that hangs would leave it in doubt. The next probe is another event, since the client may
 * work and fail at this one only.
 *
 * What the broker owns is not in the journal's answer. It is looked for in memory.
 *
 * A guarded probe that is not answered leaves its delivery in doubt. Then the next probe is an
 * unguarded event, and the journal is searched for it in steps (probe_doubt.c). An endpoint that is
 * idempotent or has a status probe is never in doubt.
 *
 * A probe is an attempt like any other. When it is sent before its delivery is due and fails, the
 * delivery keeps its due time and uses up no step of its schedule (outcome.c): otherwise the oldest
 * event of a long outage would die of probes.
 */
#include "delivery/probe.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/attempt.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/probe_doubt.h"
#include "delivery/shard.h"
#include "delivery/switches.h"

#include <stdlib.h>

#define CANDIDATES_MAX 16
#define LOOK_AGAIN_US (200 * US_PER_MS) /* the shard has no free slot */
#define FAILED_US US_PER_SECOND         /* the journal refused */
#define NOTHING_WAITS_US (5 * US_PER_SECOND)
#define LOOKS_MAX 4 /* loads of one search, which continues at the next probe */

static void look_again_after(struct endpoint_queue *queue, int64_t delay_us)
{
    timer_arm(&queue->shard->loop, &queue->flow.probe_timer, delay_us);
}

/* Makes a job of a candidate, or finds it. NULL: it is on its way, or is being decided. Takes over
 * the reference to its event. */
static struct job *job_of(struct endpoint_queue *queue, const struct delivery *candidate)
{
    struct job *job = job_find(queue->shard, candidate->id);
    if (!job && !shard_decides(queue->shard, candidate->id))
        return job_new(queue, candidate,
            candidate->state == DELIVERY_WAITING ? QUEUE_RETRY
            : candidate->lane == LANE_REPLAY     ? QUEUE_REPLAY
                                                 : QUEUE_UNSENT);
    event_unref(candidate->event);
    return job && job->place == JOB_QUEUED ? job : NULL;
}

/* Sent since the endpoint began to fail: another one is better, as this one may be the reason. */
static bool was_tried(const struct endpoint_queue *queue, const struct delivery *delivery)
{
    return delivery->state == DELIVERY_WAITING &&
           delivery_wait_began_us(delivery->due_us, delivery->wait_us) >=
               queue->flow.failing_since_us;
}

static int64_t began_us(const struct delivery *delivery)
{
    return delivery->state == DELIVERY_WAITING
               ? delivery_wait_began_us(delivery->due_us, delivery->wait_us)
               : INT64_MIN;
}

/* One that was not tried before one that was; unguarded before guarded; critical before the rest;
 * of those that were tried, the one that was longest ago. Otherwise in the journal's order. */
static bool is_better(const struct endpoint_queue *queue, const struct delivery *candidate,
    const struct delivery *best)
{
    const struct event_parts *parts = &candidate->event->parts, *other = &best->event->parts;
    bool tried = was_tried(queue, candidate);
    if (tried != was_tried(queue, best))
        return !tried;
    if (parts->guarded != other->guarded)
        return !parts->guarded;
    if ((parts->class == CLASS_CRITICAL) != (other->class == CLASS_CRITICAL))
        return parts->class == CLASS_CRITICAL;
    return tried && began_us(candidate) < began_us(best);
}

static bool may_probe(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    switches_look(shard);
    if (queue->off.deliveries)
        return false;
    /* Several may hang. A quarter of the slots is for what is not a probe. */
    unsigned max = shard->policy.in_flight_per_shard;
    if (!shard_may_send(shard) ||
        (queue->in_flight > 0 && shard->in_flight + 1 + (max + 3) / 4 > max))
        return false;
    if (flow_is_open(queue))
        return breaker_allows(&queue->flow.breaker, shard->loop.now_mono_us);
    /* What is in flight shows it as well. */
    return queue->in_flight == queue->stuck && flow_has_place(queue) && flow_may_send(queue);
}

/* Returns whether the job's delivery is parked for a person when its answer is lost. */
static bool may_end_in_doubt(const struct job *job)
{
    const struct endpoint *endpoint =
        directory_endpoint(job->queue->shard->taker.directory, job->queue->endpoint);
    return job->delivery.event->parts.guarded && endpoint && !endpoint->idempotent &&
           !endpoint_policy_probe(endpoint->policy);
}

static void send_probe(struct endpoint_queue *queue, struct job *job)
{
    if (may_end_in_doubt(job))
        probe_doubt_begin(queue);
    if (flow_is_open(queue))
        attempt_begin_probe(job);
    else
        attempt_begin(job);
    if (!timer_is_armed(&queue->flow.probe_timer))
        flow_await_probe(queue);
}

/* While the breaker is closed, the limits of the classes hold as well. */
static bool fits(const struct endpoint_queue *queue, const struct delivery *candidate)
{
    enum event_class class = candidate->event->parts.class;
    if (switches_hold(queue, candidate))
        return false;
    return flow_is_open(queue) || queue->class_in_flight[class] < queue->rules[class].in_flight_max;
}

/* Returns a job that the broker owns. NULL: there is none of the kind that was asked for. */
static struct job *choose_in_memory(struct endpoint_queue *queue)
{
    struct job *oldest = endpoint_queue_oldest(queue);
    if (!oldest || (queue->probe.load.unguarded && oldest->delivery.event->parts.guarded))
        return NULL;
    return fits(queue, &oldest->delivery) ? oldest : NULL;
}

/* Takes over the references to the events of the candidates. */
static struct job *choose(struct endpoint_queue *queue, struct delivery *candidates, unsigned count)
{
    for (unsigned left = count; left > 0; left--) {
        unsigned best = 0;
        for (unsigned i = 1; i < left; i++)
            if (is_better(queue, &candidates[i], &candidates[best]))
                best = i;
        struct job *job = NULL;
        if (fits(queue, &candidates[best]))
            job = job_of(queue, &candidates[best]);
        else
            event_unref(candidates[best].event);
        candidates[best] = candidates[left - 1];
        if (job) {
            for (unsigned i = 0; i + 1 < left; i++)
                event_unref(candidates[i].event);
            return job;
        }
    }
    return choose_in_memory(queue);
}

static void look(struct endpoint_queue *queue, bool unguarded);

/* The journal has no unguarded event in this part that can be sent. */
static void look_on(struct endpoint_queue *queue)
{
    struct job *job = choose_in_memory(queue);
    int64_t after_id = queue->probe.load.ret_after_probe_id, left_us = probe_doubt_left_us(queue);
    queue->doubt.unguarded_after_id = after_id == INT64_MAX ? 0 : after_id;
    if (job)
        send_probe(queue, job);
    else if (after_id != INT64_MAX && --queue->probe.looks_left > 0)
        look(queue, true);
    else if (left_us == 0)
        look(queue, false);
    else
        look_again_after(queue, left_us);
}

/* None of this part can be sent. Behind those that a switch holds there may be others. Returns
 * whether it looks there. */
static bool look_past_held(struct endpoint_queue *queue)
{
    int64_t after_id = queue->probe.load.ret_after_probe_id;
    bool is_over = !queue->probe.load.without || after_id == INT64_MAX;
    queue->probe.held_after_id = is_over ? 0 : after_id;
    if (is_over || --queue->probe.looks_left == 0)
        return false;
    look(queue, false);
    return true;
}

static void on_candidates(struct request *request, void *receiver)
{
    struct endpoint_queue *queue = CONTAINER_OF(request, struct endpoint_queue, probe.load.request);
    struct delivery_shard *shard = receiver;
    struct delivery *candidates = TAKE(queue->probe.load.ret_deliveries);
    unsigned count = request->result == OK ? queue->probe.load.ret_count : 0;
    if (request->result != OK && !shard->taker.stopping)
        shard_log_refused(shard, "no event could be loaded for a probe", request->result);
    bool may = !shard->taker.stopping && flow_needs_probe(queue) && may_probe(queue);
    queue->probe.loading = false;
    struct job *job = may ? choose(queue, candidates, count) : NULL;
    for (unsigned i = 0; !may && i < count; i++)
        event_unref(candidates[i].event);
    free(candidates);
    if (job)
        send_probe(queue, job);
    else if (may && request->result == OK && queue->probe.load.unguarded)
        look_on(queue); /* none, or only those that are in flight */
    else if (may && request->result == OK && look_past_held(queue))
        return;
    else if (!shard->taker.stopping && flow_needs_probe(queue))
        look_again_after(queue, request->result != OK ? FAILED_US
                                : may                 ? NOTHING_WAITS_US
                                                      : LOOK_AGAIN_US);
}

/* While retries are off, only what was never sent is a candidate. */
static void look(struct endpoint_queue *queue, bool unguarded)
{
    queue->probe.load = (struct journal_load){
        .endpoint = queue->endpoint,
        .probe = true,
        .unsent = queue->off.retries,
        .without = switches_hold_classes(queue),
        .due_by_us = INT64_MIN,
        .unguarded = unguarded,
        .after_probe_id = unguarded             ? queue->doubt.unguarded_after_id
                          : queue->off.optional ? queue->probe.held_after_id
                                                : 0,
        .pending_lanes = PENDING_ALL,
        .count_max = CANDIDATES_MAX,
        .bytes_max = CANDIDATES_MAX * (int64_t)EVENT_BYTES_MAX,
        .budget = queue->shard->taker.budget,
        .budget_share_percent = 90,
        .ret_deliveries = memory_new_raw(CANDIDATES_MAX * sizeof *queue->probe.load.ret_deliveries),
    };
    queue->probe.loading = true;
    shard_ask(queue->shard, &queue->probe.load.request, JOURNAL_LOAD, on_candidates);
}

void probe_send(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    if (shard->taker.stopping || !flow_needs_probe(queue) || queue->probe.loading)
        return;
    if (!may_probe(queue)) {
        look_again_after(queue,
            flow_is_open(queue) && !queue->off.deliveries ? LOOK_AGAIN_US : NOTHING_WAITS_US);
        return;
    }
    queue->probe.looks_left = LOOKS_MAX;
    look(queue, probe_doubt_prefers_unguarded(queue));
}
