/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery/end_log.h"

#include "base/memory.h"
#include "delivery/attempt.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/shard.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

#define NOTICE_EVERY_US (60 * US_PER_SECOND)

/* Notices. */

static void post(struct delivery_shard *shard, struct operator_event *event)
{
    if (!event->is_logged)
        log_warn("%s%s%s. \"penstock delivery list\" shows all account=%s endpoint=%s delivery=%s "
                 "cause=%s count=%lld",
            operator_event_what(event->kind), *event->detail ? ": " : "", event->detail,
            event->account, *event->endpoint ? event->endpoint : "none", event->delivery,
            event->cause, (long long)event->count);
    event->is_logged = true;
    operator_event_post(&shard->operator_events, event);
}

static void tell(struct end_notice *notice, struct operator_event *event)
{
    post(notice->shard, event);
    notice->was_told = true;
    notice->told_mono_us = notice->shard->loop.now_mono_us;
}

static void flush(struct end_notice *notice)
{
    timer_disarm(&notice->shard->loop, &notice->timer);
    if (notice->left_out == 0)
        return;
    struct operator_event *event = notice->latest;
    event->count = notice->left_out;
    notice->left_out = 0;
    notice->latest = NULL;
    tell(notice, event);
    free(event);
}

static void on_notice_timer(struct timer *timer)
{
    flush(CONTAINER_OF(timer, struct end_notice, timer));
}

void end_notice_init(struct end_notice *notice, struct delivery_shard *shard)
{
    notice->shard = shard;
    timer_init(&notice->timer, on_notice_timer);
}

void end_notice_done(struct end_notice *notice)
{
    timer_disarm(&notice->shard->loop, &notice->timer);
    free(notice->latest);
    notice->latest = NULL;
}

/* Returns whether the delivery is to be reported at once. Otherwise it is left out. */
static bool may_tell(const struct end_notice *notice)
{
    return !notice->was_told ||
           (notice->left_out == 0 &&
               notice->shard->loop.now_mono_us - notice->told_mono_us >= NOTICE_EVERY_US);
}

static void leave_out(struct end_notice *notice, const struct operator_event *event)
{
    struct loop *loop = &notice->shard->loop;
    if (!notice->latest)
        notice->latest = memory_new_raw(sizeof *notice->latest);
    *notice->latest = *event;
    notice->left_out++;
    if (!timer_is_armed(&notice->timer))
        timer_arm(loop, &notice->timer, notice->told_mono_us + NOTICE_EVERY_US - loop->now_mono_us);
}

/* Events. */

static struct operator_event event_of(enum operator_event_kind kind, const struct event *event)
{
    struct operator_event made = {.kind = kind, .count = 1};
    event_id_format(&event->parts.id, made.event);
    snprintf(made.account, sizeof made.account, "%.*s", SLICE_ARGS(event->parts.account));
    snprintf(made.partner, sizeof made.partner, "%.*s", SLICE_ARGS(event->parts.partner));
    return made;
}

static struct operator_event event_of_job(
    enum operator_event_kind kind, const struct job *job, const struct attempt *attempt)
{
    struct operator_event made = event_of(kind, job->delivery.event);
    delivery_id_format(
        &job->delivery.event->parts.id, placement_index(job->delivery.id), made.delivery);
    endpoint_id_format(job->queue->endpoint, made.endpoint);
    if (job->run)
        snprintf(made.endpoint_name, sizeof made.endpoint_name, "%s", job->run->endpoint_name);
    if (attempt) {
        char what[CAUSE_TEXT_BYTES];
        const struct attempt_said said = attempt_said_of(attempt);
        attempt_cause_describe(&said, what);
        operator_event_set_detail(&made, what);
        snprintf(made.cause, sizeof made.cause, "%s", attempt_cause_code(attempt_cause_of(&said)));
    }
    return made;
}

void end_log_dead(const struct job *job, const struct attempt *attempt)
{
    struct end_notice *notice = &job->queue->dead;
    struct operator_event event = event_of_job(OPERATOR_DELIVERY_DEAD, job, attempt);
    if (!may_tell(notice)) {
        leave_out(notice, &event);
        return;
    }
    log_warn("a delivery is dead after its last attempt: %s. \"penstock delivery list --state "
             "dead\" shows all account=%s endpoint=%s delivery=%s attempt=%u cause=%s",
        event.detail, event.account, event.endpoint, event.delivery, attempt->number, event.cause);
    event.is_logged = true;
    tell(notice, &event);
}

void end_log_in_doubt(const struct job *job, const struct attempt *attempt)
{
    struct end_notice *notice = &job->queue->in_doubt;
    struct operator_event event = event_of_job(OPERATOR_DELIVERY_PARKED, job, attempt);
    bool stays_delivered = job->delivery.was_delivered;
    log_warn("a guarded delivery is in doubt%s: %s account=%s endpoint=%s delivery=%s attempt=%u "
             "cause=%s",
        stays_delivered ? "" : ", and is parked until it is resolved", event.detail, event.account,
        event.endpoint, event.delivery, attempt->number, event.cause);
    if (stays_delivered)
        return;
    snprintf(event.subject, sizeof event.subject, "%s", park_reason_name(PARK_AMBIGUOUS));
    event.is_logged = true;
    if (may_tell(notice))
        tell(notice, &event);
    else
        leave_out(notice, &event);
}

void end_log_parked(const struct job *job, enum park_reason reason, const struct attempt *attempt)
{
    struct end_notice *notice = &job->queue->parked;
    struct operator_event event = event_of_job(OPERATOR_DELIVERY_PARKED, job, attempt);
    snprintf(event.subject, sizeof event.subject, "%s", park_reason_name(reason));
    if (!attempt) {
        snprintf(event.cause, sizeof event.cause, "%s", park_reason_name(reason));
        operator_event_set_detail(
            &event, reason == PARK_GONE ? "the endpoint was removed" : "the endpoint is disabled");
    }
    if (may_tell(notice))
        tell(notice, &event);
    else
        leave_out(notice, &event);
}

static void report_unrouted(struct delivery_shard *shard)
{
    struct loop *loop = &shard->loop;
    struct operator_event event;
    while (notice_board_take(&shard->unrouted_notices, loop->now_mono_us, &event))
        post(shard, &event);
    int64_t due_us = notice_board_due_us(&shard->unrouted_notices);
    if (due_us != INT64_MAX && !timer_is_armed(&shard->unrouted_notice_timer))
        timer_arm(loop, &shard->unrouted_notice_timer, due_us - loop->now_mono_us);
}

static void on_unrouted_timer(struct timer *timer)
{
    report_unrouted(CONTAINER_OF(timer, struct delivery_shard, unrouted_notice_timer));
}

void end_log_unrouted(struct delivery_shard *shard, const struct event *accepted)
{
    struct operator_event event = event_of(OPERATOR_DELIVERY_PARKED, accepted);
    char detail[OPERATOR_DETAIL_BYTES];
    delivery_id_format(&accepted->parts.id, 0, event.delivery);
    snprintf(event.subject, sizeof event.subject, "%s", park_reason_name(PARK_UNROUTED));
    snprintf(event.cause, sizeof event.cause, "%s", park_reason_name(PARK_UNROUTED));
    snprintf(detail, sizeof detail, "no endpoint of the account takes the type %.*s",
        SLICE_ARGS(accepted->parts.type));
    operator_event_set_detail(&event, detail);
    notice_board_add(&shard->unrouted_notices, &event, shard->loop.now_mono_us);
    report_unrouted(shard);
}

void end_log_init(struct delivery_shard *shard)
{
    notice_board_init(&shard->unrouted_notices, NOTICE_EVERY_US, NOTICE_EVERY_US);
    timer_init(&shard->unrouted_notice_timer, on_unrouted_timer);
}

void end_log_done(struct delivery_shard *shard)
{
    timer_disarm(&shard->loop, &shard->unrouted_notice_timer);
}

void end_log_flush(struct delivery_shard *shard)
{
    struct operator_event event;
    while (notice_board_take_rest(&shard->unrouted_notices, shard->loop.now_mono_us, &event))
        post(shard, &event);
    id_map_for_each(node, &shard->queues)
    {
        struct endpoint_queue *queue = CONTAINER_OF(node, struct endpoint_queue, by_id);
        flush(&queue->dead);
        flush(&queue->in_doubt);
        flush(&queue->parked);
    }
}
