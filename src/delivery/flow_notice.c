/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reported to operators of the flow of an endpoint: that it fails, and that it works again
 * (model/failing_notice.h says when), in the log and as operator events. The opening and the
 * closing of the breaker have a line of their own here. The sink writes the lines of the other
 * levels.
 *
 * It also counts which deliveries are late. Only a first attempt counts whose endpoint was in no
 * trouble since the event was accepted: what waits for a client that fails or limits us, for a
 * configured rate or for a switch is no fault of this gateway. Single failures of a client that
 * works are no trouble. Of the late ones, one a second is posted as a sample for freshness.late.
 */
#include "delivery/flow.h"

#include "base/clock.h"
#include "delivery/attempt.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/shard.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>

#define LATE_EVERY_US US_PER_SECOND

static int64_t now_of(const struct endpoint_queue *queue)
{
    return queue->shard->loop.now_mono_us;
}

static struct operator_event event_of(enum operator_event_kind kind, const struct attempt_run *run)
{
    const struct delivery *delivery = &run->job->delivery;
    const struct event_parts *parts = &delivery->event->parts;
    struct operator_event event = {.kind = kind};
    snprintf(event.account, sizeof event.account, "%.*s", SLICE_ARGS(parts->account));
    snprintf(event.endpoint_name, sizeof event.endpoint_name, "%s", run->endpoint_name);
    endpoint_id_format(run->job->queue->endpoint, event.endpoint);
    event_id_format(&parts->id, event.event);
    delivery_id_format(&parts->id, placement_index(delivery->id), event.delivery);
    return event;
}

static unsigned percent_of(const struct endpoint_queue *queue)
{
    return breaker_percent(&queue->flow.breaker, &breaker_policy_default, now_of(queue));
}

void flow_notice_trouble(struct endpoint_queue *queue, enum flow_result result)
{
    struct flow *flow = &queue->flow;
    if (result == FLOW_THROTTLED || flow->is_late ||
        percent_of(queue) >= FAILING_NOTICE_WELL_PERCENT)
        flow->troubled_us = clock_wall_us();
}

void flow_notice_failed(const struct attempt_run *run)
{
    struct endpoint_queue *queue = run->job->queue;
    struct flow *flow = &queue->flow;
    unsigned level = failing_notice_on_failure(&flow->failing, percent_of(queue), now_of(queue));
    if (level == 0)
        return;
    struct operator_event event = event_of(OPERATOR_ENDPOINT_FAILING, run);
    char what[CAUSE_TEXT_BYTES];
    const struct attempt_said said = attempt_said_of(&run->record.attempt);
    attempt_cause_describe(&said, what);
    operator_event_set_detail(&event, what);
    snprintf(event.cause, sizeof event.cause, "%s",
        attempt_cause_code(run->record.attempt.evidence.cause));
    event.percent = level;
    event.is_logged = level == 100;
    if (event.is_logged) {
        log_warn("an endpoint fails: its events wait, and one at a time tests whether it is back. "
                 "%s account=%s endpoint=%s cause=%s times=%u",
            event.detail, event.account, event.endpoint, event.cause, flow->openings);
        flow->openings = 0;
    }
    operator_event_post(&queue->shard->operator_events, &event);
}

static void look_again_later(struct endpoint_queue *queue)
{
    struct flow *flow = &queue->flow;
    if (flow->failing.told > 0 && !timer_is_armed(&flow->notice_timer))
        timer_arm(&queue->shard->loop, &flow->notice_timer, breaker_policy_default.window_us);
}

/* The failures have left the window of the breaker, and perhaps nothing more is to be sent. Without
 * an attempt there is no sample. */
static void on_notice_timer(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, flow.notice_timer);
    struct delivery_shard *shard = queue->shard;
    if (shard->taker.stopping || flow_needs_probe(queue)) /* it fails again: its next result */
        return;
    if (!failing_notice_on_success(&queue->flow.failing, percent_of(queue))) {
        look_again_later(queue);
        return;
    }
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, queue->endpoint);
    struct operator_event event = {.kind = OPERATOR_ENDPOINT_RECOVERED};
    if (!endpoint)
        return;
    snprintf(event.account, sizeof event.account, "%s", endpoint->account);
    snprintf(event.endpoint_name, sizeof event.endpoint_name, "%s", endpoint->name);
    endpoint_id_format(queue->endpoint, event.endpoint);
    operator_event_post(&shard->operator_events, &event);
}

void flow_notice_init(struct endpoint_queue *queue)
{
    timer_init(&queue->flow.notice_timer, on_notice_timer);
}

void flow_notice_succeeded(const struct attempt_run *run, bool was_open)
{
    struct endpoint_queue *queue = run->job->queue;
    struct flow *flow = &queue->flow;
    bool was_logged = was_open && flow->failing.told == 100; /* flow_notice_closed */
    if (!failing_notice_on_success(&flow->failing, percent_of(queue))) {
        look_again_later(queue);
        return;
    }
    if (run->record.attempt.evidence.cause == CAUSE_GONE) /* it is disabled: that is reported */
        return;
    struct operator_event event = event_of(OPERATOR_ENDPOINT_RECOVERED, run);
    event.is_logged = was_logged;
    if (was_open) {
        char detail[64];
        snprintf(detail, sizeof detail, "after %lld s",
            (long long)((now_of(queue) - flow->opened_mono_us) / US_PER_SECOND));
        operator_event_set_detail(&event, detail);
    }
    operator_event_post(&queue->shard->operator_events, &event);
}

void flow_notice_closed(const struct endpoint_queue *queue, const char *why)
{
    const struct flow *flow = &queue->flow;
    char id[ENDPOINT_ID_TEXT_BYTES];
    if (flow->failing.told < 100)
        return;
    endpoint_id_format(queue->endpoint, id);
    log_info("%s: its events are sent again endpoint=%s after_s=%lld", why, id,
        (long long)((now_of(queue) - flow->opened_mono_us) / US_PER_SECOND));
}

void flow_notice_delivered(const struct attempt_run *run, int64_t since_accepted_us)
{
    const struct job *job = run->job;
    const struct event_parts *parts = &job->delivery.event->parts;
    struct delivery_shard *shard = job->queue->shard;
    int64_t level_us = shard->policy.freshness_us_max;
    bool is_first = job->delivery.attempts == 0 && job->delivery.generation == 0;
    if (level_us == 0 || !is_first || parts->accepted_us <= job->queue->flow.troubled_us ||
        operator_event_is_account(parts->account))
        return;
    metrics_add(since_accepted_us > level_us ? METRIC_FRESH_LATE : METRIC_FRESH_IN_TIME, 1);
    if (since_accepted_us <= level_us ||
        (shard->late_told_mono_us != 0 &&
            shard->loop.now_mono_us - shard->late_told_mono_us < LATE_EVERY_US))
        return;
    struct operator_event sample = event_of(OPERATOR_FRESHNESS_LATE, run);
    char detail[64];
    snprintf(detail, sizeof detail, "delivered %.1f s after it was accepted",
        (double)since_accepted_us / (double)US_PER_SECOND);
    operator_event_set_detail(&sample, detail);
    shard->late_told_mono_us = shard->loop.now_mono_us;
    operator_event_post(&shard->operator_events, &sample);
}
