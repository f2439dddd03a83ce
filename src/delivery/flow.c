/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow of one endpoint: how many attempts it gets, and when. The rules are in model/, without
 * a clock. Here they meet timers, metrics and the log.
 *
 *   concurrency     how many may be in flight. A client that hangs is noticed by its first late
 *                   attempt, long before the timeout (late_timer). An attempt is stuck when it is
 *                   late and a later one was answered, or when its endpoint has recovered since it
 *                   was sent. It takes a slot, but no part of the limit: what never ends must not
 *                   stop the rest
 *   rate            configured, and what a 429 has taught (rate_timer)
 *   breaker         closed, open, half-open. While it is not closed, only probes are sent (probe.c)
 *   retry budget    partial failures add at most a tenth to the load
 *
 * The edge back to closed is the recovery of the endpoint: what failed because of it becomes due
 * (refill_recover), and is sent under slow start. An endpoint may also fail without opening its
 * breaker, because it has few events. Then one of them is sent every 10 s (LOOK_US), so that its
 * recovery is noticed as well.
 *
 * The first attempt of a replayed delivery leaves all of this as it is, except for what it proves
 * (note_replay). The replay lane has a brake of its own (replay_brake.h). When the attempt has
 * failed, the delivery waits like any other one, and its later attempts count. There are few of
 * them, because the brake lets few attempts fail.
 *
 * Only what the client does counts. What this machine lacks, and what was cut short by a stop, says
 * nothing about it.
 */
#include "delivery/flow.h"

#include "base/clock.h"
#include "delivery/attempt.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/probe_doubt.h"
#include "delivery/shard.h"
#include "runtime/metrics.h"

/* A client that asks for hours by Retry-After may be back in a minute. The delivery waits as long
 * as it was asked to; the endpoint is asked again by the next one. */
#define THROTTLED_REST_US_MAX (10 * US_PER_SECOND)
#define THROTTLED_QUIET_US (10 * US_PER_SECOND) /* without a 429: the client takes events again */
#define STUCK_US_MAX (10 * US_PER_SECOND)       /* between attempts to an endpoint that hangs */
/* Between attempts to an endpoint that has failed, while its breaker is closed and no other attempt
 * shows whether it is back. */
#define LOOK_US (10 * US_PER_SECOND)
#define BURST_US (1 * US_PER_SECOND) /* of a rate: what may be sent at once */
/* An answer proves that the endpoint works for so many times as long as it took, and the margin. */
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

bool flow_has_place(const struct endpoint_queue *queue)
{
    const struct flow *flow = &queue->flow;
    if (flow_is_open(queue) || queue->in_flight >= flow->in_flight_max)
        return false;
    return queue->in_flight - queue->stuck <
           concurrency_limit(&flow->concurrency, flow->in_flight_max);
}

bool flow_needs_probe(const struct endpoint_queue *queue)
{
    const struct flow *flow = &queue->flow;
    return flow_is_open(queue) || flow->failed_before || flow->breaker.run > 0;
}

bool flow_has_proved_itself(const struct endpoint_queue *queue)
{
    const struct flow *flow = &queue->flow;
    return flow->proved_mono_us != 0 && !flow->is_late && flow->breaker.run == 0 &&
           now_of(queue) - flow->proved_mono_us <=
               PROOF_FACTOR * flow->proved_took_us + PROOF_MARGIN_US;
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
    flow->troubled_us = clock_wall_us(); /* what waits for a rate is not late */
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

static void on_rested(struct timer *timer)
{
    shard_touch(CONTAINER_OF(timer, struct endpoint_queue, rest_timer));
}

void flow_rest(struct endpoint_queue *queue, int64_t rest_us)
{
    if (!timer_is_armed(&queue->rest_timer))
        timer_arm(&queue->shard->loop, &queue->rest_timer, rest_us);
}

/* What failed because of the endpoint becomes due at the end of this turn. */
static void set_recovered(struct endpoint_queue *queue)
{
    queue->flow.has_recovered = true;
    replay_brake_reset(queue);
    shard_touch(queue);
}

static void on_rate_timer(struct timer *timer)
{
    shard_touch(CONTAINER_OF(timer, struct endpoint_queue, flow.rate_timer));
}

static void on_budget_timer(struct timer *timer)
{
    shard_touch(CONTAINER_OF(timer, struct endpoint_queue, flow.budget_timer));
}

/* What is stuck. */

static void set_stuck(struct job *job)
{
    if (job->is_stuck)
        return;
    job->is_stuck = true;
    job->queue->stuck++;
}

/* Returns the attempt that is in flight for the longest time and not stuck, or NULL. */
static struct job *longest(const struct endpoint_queue *queue)
{
    list_for_each (node, &queue->sending) {
        struct job *job = CONTAINER_OF(node, struct job, in_lane);
        if (!job->is_stuck)
            return job;
    }
    return NULL;
}

/* The endpoint has answered what was sent later, so these are lost, and not a sign of trouble. */
static void set_overtaken_stuck(struct endpoint_queue *queue, int64_t late_us)
{
    for (struct job *job; (job = longest(queue));) {
        if (job->started_mono_us >= queue->flow.answered_mono_us ||
            now_of(queue) - job->started_mono_us < late_us)
            return;
        set_stuck(job);
    }
}

/* All that the limit permits is late. So one more is sent: the endpoint may be back, and nothing
 * else would show it before the timeout. */
static void give_longest_up(struct endpoint_queue *queue, struct job *job, int64_t late_us)
{
    struct flow *flow = &queue->flow;
    if (now_of(queue) < flow->next_stuck_us || queue->in_flight >= flow->in_flight_max)
        return;
    int64_t interval_us = flow->stuck_interval_us ? 2 * flow->stuck_interval_us : late_us;
    flow->stuck_interval_us = interval_us < STUCK_US_MAX ? interval_us : STUCK_US_MAX;
    flow->next_stuck_us = now_of(queue) + flow->stuck_interval_us;
    set_stuck(job);
}

/* Looks at the attempt that is in flight for the longest time. */
static void look_for_late(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    int64_t late_us = concurrency_late_us(&flow->concurrency);
    set_overtaken_stuck(queue, late_us);
    struct job *job = longest(queue);
    int64_t age_us = job ? now_of(queue) - job->started_mono_us : 0;
    flow->is_late = job && age_us >= late_us;
    /* One that was sent before the last cut has had its effect. */
    if (flow->is_late && job->started_mono_us >= flow->concurrency.halved_mono_us)
        concurrency_on_late(&flow->concurrency, queue->in_flight - queue->stuck, now_of(queue));
    if (flow->is_late && !flow_is_open(queue) && !flow_has_place(queue))
        give_longest_up(queue, job, late_us);
    if (job)
        timer_arm(
            &queue->shard->loop, &flow->late_timer, flow->is_late ? late_us : late_us - age_us);
    else
        timer_disarm(&queue->shard->loop, &flow->late_timer);
    shard_touch(queue);
}

static void on_late_timer(struct timer *timer)
{
    look_for_late(CONTAINER_OF(timer, struct endpoint_queue, flow.late_timer));
}

static void on_probe_timer(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, flow.probe_timer);
    queue->flow.wants_probe = true;
    shard_touch(queue);
}

void flow_await_probe(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    int64_t next_us = flow_is_open(queue) ? breaker_next_probe_us(&flow->breaker) : INT64_MAX;
    if (!flow_is_open(queue) && flow_needs_probe(queue)) {
        if (!timer_is_armed(&flow->probe_timer))
            timer_arm(&queue->shard->loop, &flow->probe_timer, LOOK_US);
    } else if (next_us == INT64_MAX)
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
    replay_brake_init(queue);
    timer_init(&queue->rest_timer, on_rested);
    timer_init(&flow->rate_timer, on_rate_timer);
    timer_init(&flow->budget_timer, on_budget_timer);
    timer_init(&flow->late_timer, on_late_timer);
    timer_init(&flow->probe_timer, on_probe_timer);
    flow_notice_init(queue);
}

void flow_done(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    struct loop *loop = &queue->shard->loop;
    if (flow_is_open(queue))
        metrics_add(METRIC_BREAKERS_OPEN, -1);
    replay_brake_done(queue);
    timer_disarm(loop, &queue->rest_timer);
    timer_disarm(loop, &flow->rate_timer);
    timer_disarm(loop, &flow->budget_timer);
    timer_disarm(loop, &flow->late_timer);
    timer_disarm(loop, &flow->probe_timer);
    timer_disarm(loop, &flow->notice_timer);
}

/* Attempts. */

/* Whether the attempt says something about the health of the endpoint. A replay does not, unless it
 * is a probe: with nothing else to send, nothing else could close the breaker. */
static bool counts(const struct job *job)
{
    return job->is_probe || job->delivery.lane != LANE_REPLAY;
}

void flow_on_sent(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    if (counts(job))
        retry_budget_on_sent(&flow->budget, job->delivery.attempts > 0, now_us);
    replay_brake_on_sent(job);
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
    replay_brake_on_lost(job);
    if (!job->is_probe)
        return;
    job->is_probe = false;
    breaker_on_probe_lost(&job->queue->flow.breaker, job->started_mono_us);
    flow_await_probe(job->queue);
}

static void on_opened(struct endpoint_queue *queue)
{
    queue->flow.opened_mono_us = now_of(queue);
    queue->flow.failing_since_us = shard_wall_us(queue->shard);
    queue->flow.openings++;
    metrics_add(METRIC_BREAKERS_OPEN, 1);
}

/* What is in flight was sent before. Whether it ends or not, it says nothing any more. */
static void set_all_stuck(struct endpoint_queue *queue)
{
    list_for_each (node, &queue->sending)
        set_stuck(CONTAINER_OF(node, struct job, in_lane));
    queue->flow.is_late = false;
    queue->flow.stuck_interval_us = queue->flow.next_stuck_us = 0;
}

static void on_closed(struct endpoint_queue *queue, const char *why)
{
    struct flow *flow = &queue->flow;
    metrics_add(METRIC_BREAKERS_OPEN, -1);
    flow_notice_closed(queue, why);
    concurrency_restart(&flow->concurrency);
    retry_budget_reset(&flow->budget);
    timer_disarm(&queue->shard->loop, &flow->probe_timer);
    set_all_stuck(queue);
    shard_touch(queue);
}

static void note_breaker(const struct attempt_run *run, bool failed)
{
    struct job *job = run->job;
    struct endpoint_queue *queue = job->queue;
    struct flow *flow = &queue->flow;
    bool was_open = flow_is_open(queue);
    if (failed && !flow_needs_probe(queue))
        flow->failing_since_us = shard_wall_us(queue->shard);
    const struct breaker_result result = {
        .failed = failed, .was_probe = job->is_probe, .sent_us = job->started_mono_us};
    enum breaker_edge edge =
        breaker_on_result(&flow->breaker, &breaker_policy_default, &result, now_of(queue));
    job->is_probe = false;
    if (edge == BREAKER_OPENED) {
        on_opened(queue);
        flow->wants_unload = true;
        shard_touch(queue);
    }
    if (was_open && !flow_is_open(queue))
        on_closed(queue, "an endpoint is back");
    if (failed)
        flow_notice_failed(run);
    else
        flow_notice_succeeded(run, was_open);
    if (edge == BREAKER_RECOVERED || (!failed && flow->failed_before)) {
        flow->failed_before = false;
        metrics_add(METRIC_RECOVERIES, 1);
        set_recovered(queue);
    }
    if (!flow_needs_probe(queue))
        probe_doubt_end(queue);
    flow_await_probe(queue);
}

/* A client that limits us works, so its breaker stays closed. What it has refused is due when it
 * takes events again, as after any other recovery. */
static void note_throttled(struct endpoint_queue *queue, bool is_throttled)
{
    struct flow *flow = &queue->flow;
    if (is_throttled) {
        flow->throttled_mono_us = now_of(queue);
    } else if (flow->throttled_mono_us != 0 &&
               now_of(queue) - flow->throttled_mono_us >= THROTTLED_QUIET_US) {
        flow->throttled_mono_us = 0;
        metrics_add(METRIC_RECOVERIES, 1);
        set_recovered(queue);
    }
}

/* What the client says about its rate. */
static void note_429(const struct attempt_run *run)
{
    struct endpoint_queue *queue = run->job->queue;
    learned_rate_on_429(&queue->flow.learned, now_of(queue));
    note_throttled(queue, true);
    if (run->client.retry_after_us > 0 &&
        learned_rate_is_rejecting(&queue->flow.learned, now_of(queue)))
        flow_rest(queue, run->client.retry_after_us < THROTTLED_REST_US_MAX
                             ? run->client.retry_after_us
                             : THROTTLED_REST_US_MAX);
}

static void note_answered(const struct job *job)
{
    struct flow *flow = &job->queue->flow;
    flow->proved_mono_us = now_of(job->queue);
    flow->proved_took_us = flow->proved_mono_us - job->started_mono_us;
    if (job->started_mono_us > flow->answered_mono_us)
        flow->answered_mono_us = job->started_mono_us;
    flow->stuck_interval_us = flow->next_stuck_us = 0;
    if (flow->is_late)
        look_for_late(job->queue);
}

/*
 * The attempt of a replay has ended. A failure opens no breaker, and makes no limit smaller: the
 * operator may have chosen events that the client cannot take. A success shows that the client
 * answers. What a 429 says about the rate holds for all events, so it counts.
 */
static void note_replay(const struct attempt_run *run, enum flow_result result)
{
    struct endpoint_queue *queue = run->job->queue;
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    if (result == FLOW_DELIVERED)
        concurrency_on_success(&flow->concurrency,
            queue->in_flight - queue->stuck + run->job->is_stuck, flow->in_flight_max,
            run->client.duration_us, now_us);
    if (result == FLOW_DELIVERED || result == FLOW_REJECTED)
        note_answered(run->job);
    if (result == FLOW_DELIVERED) {
        learned_rate_on_success(&flow->learned, now_us);
        note_throttled(queue, false);
    }
    if (result == FLOW_THROTTLED)
        note_429(run);
}

void flow_on_end(const struct attempt_run *run, enum flow_result result)
{
    if (result == FLOW_THROTTLED)
        replay_brake_on_lost(run->job);
    else
        replay_brake_on_end(run->job, result == FLOW_FAILED);
    if (!counts(run->job)) {
        note_replay(run, result);
        return;
    }
    struct endpoint_queue *queue = run->job->queue;
    struct flow *flow = &queue->flow;
    int64_t now_us = now_of(queue);
    recent_causes_add(&queue->causes, run->record.attempt.evidence.cause, now_us);
    switch (result) {
    case FLOW_DELIVERED:
        concurrency_on_success(&flow->concurrency,
            queue->in_flight - queue->stuck + run->job->is_stuck, queue->flow.in_flight_max,
            run->client.duration_us, now_us);
        learned_rate_on_success(&flow->learned, now_us);
        note_answered(run->job);
        note_throttled(queue, false);
        break;
    case FLOW_REJECTED:
        note_answered(run->job);
        break;
    case FLOW_FAILED:
        concurrency_on_failure(&flow->concurrency, run->client.duration_us, now_us);
        break;
    case FLOW_THROTTLED:
        concurrency_on_failure(&flow->concurrency, run->client.duration_us, now_us);
        note_429(run);
        break;
    }
    bool failed = result == FLOW_FAILED || result == FLOW_THROTTLED;
    retry_budget_on_result(&flow->budget, failed, now_us);
    /* A client that limits us works. It does not open the breaker: its rate is learned instead. */
    if (result != FLOW_THROTTLED || flow_is_open(queue))
        note_breaker(run, result == FLOW_FAILED);
    flow_notice_trouble(queue, result);
}

void flow_reset(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    bool was_open = flow_is_open(queue);
    if (flow->breaker.run > 0)
        flow->failed_before = true;
    breaker_reset(&flow->breaker, now_of(queue));
    replay_brake_reset(queue);
    probe_doubt_end(queue);
    flow_await_probe(queue);
    if (!was_open)
        return;
    on_closed(queue, "an endpoint that failed was changed");
    failing_notice_on_reset(&flow->failing);
    set_recovered(queue);
}
