/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow of one endpoint: how many attempts it gets, and when. The rules are in model/, without
 * a clock. Here they meet timers, metrics and the log.
 *
 *   concurrency     how many may be in flight. A client that hangs is noticed by its first late
 *                   attempt, long before the timeout (late_timer)
 *   rate            configured, and what a 429 has taught (rate_timer)
 *   breaker         closed, open, half-open. While it is not closed, only probes are sent (probe.c)
 *   retry budget    partial failures add at most a tenth to the load
 *
 * The edge back to closed is the recovery of the endpoint: what failed because of it becomes due
 * (refill_recover), and is sent under slow start.
 *
 * Only what the client does counts. What this machine lacks, and what was cut short by a stop, says
 * nothing about it.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

/* A client that asks for hours by Retry-After may be back in a minute. The delivery waits as long
 * as it was asked to; the endpoint is asked again by the next one. */
#define THROTTLED_REST_US_MAX (10 * US_PER_SECOND)
#define BURST_US (1 * US_PER_SECOND) /* of a rate: what may be sent at once */
/* A success proves that the endpoint works for so many of its usual latencies, and the margin. */
#define PROOF_FACTOR 3
#define PROOF_MARGIN_US (100 * US_PER_MS)

static int64_t now_of(const struct endpoint_queue *queue)
{
    return queue->shard->loop.now_mono_us;
}

bool flow_is_open(const struct endpoint_queue *queue)
{
    return queue->flow.breaker.state != BREAKER_CLOSED;
}

unsigned flow_limit(const struct endpoint_queue *queue)
{
    if (flow_is_open(queue))
        return 0;
    return concurrency_limit(&queue->flow.concurrency, queue->flow.in_flight_max);
}

bool flow_has_proved_itself(const struct endpoint_queue *queue)
{
    const struct flow *flow = &queue->flow;
    return flow->concurrency.usual_us != 0 && !flow->is_late && flow->breaker.run == 0 &&
           now_of(queue) - flow->delivered_mono_us <=
               PROOF_FACTOR * flow->concurrency.usual_us + PROOF_MARGIN_US;
}

/* Timers. */

static void set_rate(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    double rate =
        token_bucket_stricter(flow->rate_max, learned_rate_per_second(&flow->learned, now_us));
    double burst = rate * BURST_US / US_PER_SECOND;
    token_bucket_set(&flow->bucket, rate, burst, now_us);
}

bool flow_may_send(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    if (timer_is_armed(&flow->rate_timer))
        return false;
    if (flow->rate_max == 0 && flow->learned.limit == 0)
        return true;
    set_rate(queue);
    int64_t wait_us = token_bucket_wait_us(&flow->bucket, now_of(queue));
    if (wait_us == 0)
        return true;
    timer_arm(&queue->shard->loop, &flow->rate_timer, wait_us);
    return false;
}

bool flow_may_retry(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    if (retry_budget_allows(&flow->budget, queue->retries_in_flight, now_us))
        return true;
    if (!timer_is_armed(&flow->budget_timer))
        timer_arm(&queue->shard->loop, &flow->budget_timer,
            retry_budget_ask_us(&flow->budget, now_us) - now_us);
    return false;
}

static void on_rate_timer(struct timer *timer)
{
    endpoint_queue_update_ready(CONTAINER_OF(timer, struct endpoint_queue, flow.rate_timer));
}

static void on_budget_timer(struct timer *timer)
{
    endpoint_queue_update_ready(CONTAINER_OF(timer, struct endpoint_queue, flow.budget_timer));
}

/* Looks at the attempt that is in flight for the longest time. */
static void on_late_timer(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, flow.late_timer);
    struct flow *flow = &queue->flow;
    flow->is_late = false;
    if (list_is_empty(&queue->sending))
        return;
    const struct job *longest = CONTAINER_OF(queue->sending.next, struct job, in_lane);
    int64_t late_us = concurrency_late_us(&flow->concurrency);
    int64_t age_us = now_of(queue) - longest->started_mono_us;
    if (age_us >= late_us) {
        flow->is_late = true;
        concurrency_on_late(&flow->concurrency, queue->in_flight, now_of(queue));
    }
    timer_arm(&queue->shard->loop, timer, flow->is_late ? late_us : late_us - age_us);
    endpoint_queue_update_ready(queue);
}

static void on_probe_timer(struct timer *timer)
{
    probe_send(CONTAINER_OF(timer, struct endpoint_queue, flow.probe_timer));
}

void flow_await_probe(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    int64_t next_us = breaker_next_probe_us(&flow->breaker);
    if (next_us == INT64_MAX)
        timer_disarm(&queue->shard->loop, &flow->probe_timer);
    else
        timer_arm(&queue->shard->loop, &flow->probe_timer, next_us - now_of(queue));
}

void flow_init(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    concurrency_init(&flow->concurrency);
    breaker_init(&flow->breaker);
    token_bucket_init(&flow->bucket);
    learned_rate_init(&flow->learned);
    retry_budget_init(&flow->budget);
    timer_init(&flow->rate_timer, on_rate_timer);
    timer_init(&flow->budget_timer, on_budget_timer);
    timer_init(&flow->late_timer, on_late_timer);
    timer_init(&flow->probe_timer, on_probe_timer);
}

void flow_done(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    struct loop *loop = &queue->shard->loop;
    if (flow_is_open(queue))
        metrics_add(METRIC_BREAKERS_OPEN, -1);
    timer_disarm(loop, &flow->rate_timer);
    timer_disarm(loop, &flow->budget_timer);
    timer_disarm(loop, &flow->late_timer);
    timer_disarm(loop, &flow->probe_timer);
}

/* Attempts. */

void flow_on_sent(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    retry_budget_on_sent(&flow->budget, job->delivery.attempts > 0, now_us);
    if (flow->bucket.rate > 0)
        token_bucket_take(&flow->bucket, now_us);
    if (!timer_is_armed(&flow->late_timer))
        timer_arm(&queue->shard->loop, &flow->late_timer, concurrency_late_us(&flow->concurrency));
}

void flow_on_probe(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    job->is_probe = true;
    breaker_on_probe_sent(&queue->flow.breaker, &breaker_policy_default, now_of(queue));
    metrics_add(METRIC_PROBES, 1);
    flow_await_probe(queue);
}

void flow_on_probe_lost(struct job *job)
{
    if (!job->is_probe)
        return;
    job->is_probe = false;
    breaker_on_probe_lost(&job->queue->flow.breaker, job->started_mono_us);
    flow_await_probe(job->queue);
}

static void on_opened(struct endpoint_queue *queue, const struct attempt_run *run)
{
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(queue->endpoint, id);
    queue->flow.opened_mono_us = now_of(queue);
    metrics_add(METRIC_BREAKERS_OPEN, 1);
    log_warn("an endpoint fails: its events wait, and one at a time tests whether it is back "
             "account=%.*s endpoint=%s error=%s status=%d",
        SLICE_ARGS(run->job->delivery.event->parts.account), id, err_name(run->client.end.error),
        run->client.end.http_status);
}

static void on_closed(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(queue->endpoint, id);
    metrics_add(METRIC_BREAKERS_OPEN, -1);
    log_info("an endpoint is back: its events are sent again endpoint=%s after_s=%lld", id,
        (long long)((now_of(queue) - flow->opened_mono_us) / US_PER_SECOND));
    concurrency_restart(&flow->concurrency);
    retry_budget_reset(&flow->budget);
    timer_disarm(&queue->shard->loop, &flow->probe_timer);
}

static void note_breaker(const struct attempt_run *run, bool failed)
{
    struct job *job = run->job;
    struct endpoint_queue *queue = job->queue;
    struct flow *flow = &queue->flow;
    bool was_open = flow_is_open(queue);
    const struct breaker_result result = {
        .failed = failed, .was_probe = job->is_probe, .sent_us = job->started_mono_us};
    enum breaker_edge edge =
        breaker_on_result(&flow->breaker, &breaker_policy_default, &result, now_of(queue));
    job->is_probe = false;
    if (edge == BREAKER_OPENED)
        on_opened(queue, run);
    if (was_open && !flow_is_open(queue))
        on_closed(queue);
    if (edge == BREAKER_RECOVERED || (!failed && flow->failed_before)) {
        flow->failed_before = false;
        metrics_add(METRIC_RECOVERIES, 1);
        refill_recover(queue);
    }
    if (flow_is_open(queue))
        flow_await_probe(queue);
}

void flow_on_end(const struct attempt_run *run, enum flow_result result)
{
    struct endpoint_queue *queue = run->job->queue;
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    switch (result) {
    case FLOW_DELIVERED:
        flow->delivered_mono_us = now_us;
        concurrency_on_success(&flow->concurrency, queue->in_flight, queue->flow.in_flight_max,
            run->client.duration_us, now_us);
        learned_rate_on_success(&flow->learned, now_us);
        break;
    case FLOW_REJECTED:
        break;
    case FLOW_FAILED:
        concurrency_on_failure(&flow->concurrency, run->client.duration_us, now_us);
        break;
    case FLOW_THROTTLED:
        concurrency_on_failure(&flow->concurrency, run->client.duration_us, now_us);
        learned_rate_on_429(&flow->learned, now_us);
        if (run->client.retry_after_us > 0)
            endpoint_queue_rest(queue, run->client.retry_after_us < THROTTLED_REST_US_MAX
                                           ? run->client.retry_after_us
                                           : THROTTLED_REST_US_MAX);
        break;
    }
    bool failed = result == FLOW_FAILED || result == FLOW_THROTTLED;
    retry_budget_on_result(&flow->budget, failed, now_us);
    /* A client that limits us works. It does not open the breaker: its rate is learned instead. */
    if (result != FLOW_THROTTLED || flow_is_open(queue))
        note_breaker(run, result == FLOW_FAILED);
}

void flow_reset(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    bool was_open = flow_is_open(queue);
    breaker_reset(&flow->breaker, now_of(queue));
    if (!was_open)
        return;
    on_closed(queue);
    refill_recover(queue);
    endpoint_queue_update_ready(queue);
}
