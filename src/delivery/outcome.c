/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcome of an attempt: judge it, have the journal record it, and free the job after the
 * commit.
 *
 * If the disk refuses the outcome, the job keeps it, it is recorded again every second, and nothing
 * new is sent until it is committed. An outcome that is not committed would mean a second delivery
 * after the next crash.
 */
#include "delivery/outcome.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "delivery/attempt.h"
#include "delivery/end_log.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/probe_doubt.h"
#include "delivery/refill.h"
#include "delivery/rule_changes.h"
#include "delivery/settings.h"
#include "delivery/shard.h"
#include "delivery/status_probe.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>

#define RECORD_AGAIN_US US_PER_SECOND
#define SHORTAGE_REST_US US_PER_SECOND
#define SHORTAGE_SAID_EVERY_US (60 * US_PER_SECOND)

void outcome_pause(struct delivery_shard *shard, enum err error)
{
    if (!shard->journal_refuses)
        log_error("the journal refuses to record outcomes: nothing is sent until it accepts them "
                  "shard=%u error=%s",
            shard->taker.shard, err_name(error));
    shard->journal_refuses = true;
    if (!timer_is_armed(&shard->record_timer))
        timer_arm(&shard->loop, &shard->record_timer, RECORD_AGAIN_US);
}

/* The outcome is committed. `adopted`: the event is the journal's own now. */
static void forget(struct job *job, bool adopted)
{
    struct event_source *source = job->queue->shard->source;
    if (job->sourced.event)
        source->ops->on_end(source, &job->sourced, adopted);
    job_free(job);
}

void outcome_forget_in_doubt(struct job *job)
{
    struct event_source *source = job->queue->shard->source;
    if (job->sourced.event)
        source->ops->on_doubt(source, &job->sourced);
    job_free(job);
}

static void on_recorded(struct request *request, void *receiver)
{
    struct attempt_run *run = CONTAINER_OF(request, struct attempt_run, record.request);
    struct job *job = run->job;
    struct delivery_shard *shard = receiver;
    struct endpoint_queue *queue = job->queue;
    bool gone = request->result == ERR_MOVED_ON || request->result == ERR_DAMAGED;
    if (request->result == OK || gone) {
        bool waits = request->result == OK && run->record.to == DELIVERY_WAITING;
        bool in_doubt = request->result == OK && run->record.to == DELIVERY_PARKED &&
                        run->record.reason == PARK_AMBIGUOUS;
        bool rests = request->result == OK && run->record.to == DELIVERY_PARKED &&
                     (run->record.reason == PARK_DISABLED || run->record.reason == PARK_GONE);
        struct journal_record record = run->record;
        if (gone)
            log_error("the outcome of a delivery was not recorded: %s shard=%u delivery=%lld "
                      "state=%s status=%d",
                request->result == ERR_DAMAGED ? "its row is damaged"
                                               : "another request changed its state",
                shard->taker.shard, (long long)job->delivery.id,
                delivery_state_name(run->record.to), run->client.end.http_status);
        if (gone)
            outcome_forget_in_doubt(job);
        else
            forget(job, run->record.to != DELIVERY_DELIVERED);
        if (waits)
            refill_expect_waiting(queue, &record);
        else
            refill_queue(queue);
        if (rests && !shard->taker.stopping)
            refill_release(queue); /* the endpoint may have been enabled in the meantime */
        if (in_doubt)
            status_probe_begin(queue);
        shard->journal_refuses = false;
    } else {
        list_add_tail(&shard->unrecorded, &job->in_lane);
        outcome_pause(shard, request->result);
    }
}

static void on_record_timer(struct timer *timer)
{
    struct delivery_shard *shard = CONTAINER_OF(timer, struct delivery_shard, record_timer);
    if (list_is_empty(&shard->unrecorded)) {
        /* The journal had refused a `sending`: the next one shows whether it accepts it now. */
        shard->journal_refuses = false;
        return;
    }
    struct list again;
    list_init(&again);
    for (struct job *job; (job = LIST_TAKE_FIRST(&shard->unrecorded, struct job, in_lane));)
        list_add_tail(&again, &job->in_lane);
    for (struct job *job; (job = LIST_TAKE_FIRST(&again, struct job, in_lane));)
        shard_ask(shard, &job->run->record.request, JOURNAL_RECORD_OUTCOME, on_recorded);
}

void outcome_init(struct delivery_shard *shard)
{
    timer_init(&shard->record_timer, on_record_timer);
}

static void record_outcome(struct job *job)
{
    struct attempt_run *run = job->run;
    run->record.delivery = job->delivery.id;
    run->record.generation = job->delivery.generation;
    run->record.from = job->delivery.state;
    /* Guarded: what was sent must not be in doubt for longer than necessary. */
    run->record.may_wait = job->delivery.state != DELIVERY_SENDING;
    job_move(job, JOB_RECORDING);
    shard_ask(job->queue->shard, &run->record.request, JOURNAL_RECORD_OUTCOME, on_recorded);
    failpoint_crash(CRASH_OUTCOME_POSTED);
}

static void fill_attempt(struct attempt_run *run)
{
    struct attempt *attempt = &run->record.attempt;
    attempt->number = run->job->delivery.attempts + 1;
    attempt->started_us = run->started_wall_us;
    attempt->duration_us = run->client.duration_us;
    attempt->end = run->client.end;
    attempt->evidence = run->client.evidence;
    attempt->excerpt_len = run->client.excerpt_len;
    memcpy(attempt->excerpt, run->client.excerpt, run->client.excerpt_len);
    run->record.has_attempt = true;
}

/* Counts the end of a delivery that is not tried again. A forced replay that fails stays
 * delivered. */
static void end_without_success(const struct attempt_run *run, enum metric metric)
{
    const struct job *job = run->job;
    metrics_add(job->delivery.was_delivered ? METRIC_ATTEMPTS_REPLAY_FAILED : metric, 1);
    if (job->delivery.was_delivered)
        log_warn("a forced replay failed: the delivery stays delivered, as it was before shard=%u "
                 "delivery=%lld",
            job->queue->shard->taker.shard, (long long)job->delivery.id);
    else if (run->record.to == DELIVERY_DEAD)
        end_log_dead(job, &run->record.attempt);
}

/*
 * A kept connection broke before any answer. Usually the client had closed it while the request was
 * on its way, and nobody failed. So the next attempt is made at once, on a new connection, and uses
 * no step of the schedule. This happens once in a row only: over HTTP/2, the next connection may be
 * a kept one as well.
 */
static bool was_lost_with_kept_connection(const struct client_request *client)
{
    const struct attempt_end *end = &client->end;
    return end->http_status == 0 && (end->error == ERR_ANSWER_LOST || end->error == ERR_SEND) &&
           client->evidence.warm && client->evidence.answer_bytes == 0;
}

static void record_as_repeated(struct attempt_run *run)
{
    run->record.to = DELIVERY_WAITING;
    run->record.lane = LANE_RETRY;
    run->record.wait_cause = WAIT_OURSELVES;
    run->record.due_us = shard_wall_us(run->job->queue->shard);
    metrics_add(METRIC_ATTEMPTS_RETRY, 1);
    metrics_add(METRIC_SENDS_REPEATED, 1);
}

bool outcome_was_repeated(const struct delivery *delivery)
{
    return delivery->state == DELIVERY_WAITING && delivery->wait_us == 0;
}

/*
 * The delivery was sent before it was due, as a probe or because its endpoint had recovered. It
 * keeps its due time and uses up no step: a long outage must not end its schedule early.
 *
 * A wait begins when the attempt was sent. So what hung while the endpoint recovered is due at once
 * when it fails, like everything that failed before.
 */
static void record_as_early(struct attempt_run *run, int64_t due_us)
{
    run->record.to = DELIVERY_WAITING;
    run->record.due_us = due_us;
    run->record.wait_us = due_us - run->sent_us;
    metrics_add(METRIC_ATTEMPTS_RETRY, 1);
}

/* A guarded one is `sending` by now. */
static bool was_waiting(const struct delivery *delivery)
{
    return delivery->state == DELIVERY_WAITING ||
           (delivery->state == DELIVERY_SENDING && delivery->wait_us > 0);
}

/* By two clocks, of which the wall clock may have been set since: the shorter time, so that none
 * ends a delivery early. A clock before the acceptance says nothing. */
static int64_t since_accepted_us(const struct delivery *delivery, int64_t now_us)
{
    int64_t accepted_us = delivery->event->parts.accepted_us;
    int64_t by_shard_us = now_us - accepted_us, by_wall_us = clock_wall_us() - accepted_us;
    if (by_shard_us <= 0)
        return by_wall_us;
    return by_wall_us > 0 && by_wall_us < by_shard_us ? by_wall_us : by_shard_us;
}

/* The delivery waits for the next step of the schedule, or is dead after the last one. */
static void record_as_failed(struct attempt_run *run)
{
    struct job *job = run->job;
    struct delivery_shard *shard = job->queue->shard;
    const struct delivery *delivery = &job->delivery;
    const struct delivery_rules *rules = settings_of(job);
    int64_t now_us = shard_wall_us(shard);
    const struct retry_failure failure = {
        .step = delivery->failures + 1,
        .since_accepted_us = delivery->generation == 0 ? since_accepted_us(delivery, now_us) : 0,
        .horizon_us = rules->horizon_us,
        .retry_after_us = run->client.retry_after_us,
        .retry_after_us_max = rules->retry_after_us_max,
    };
    struct retry_next next;
    run->record.lane = LANE_RETRY;
    run->record.wait_cause = verdict_wait_cause(&run->client.end);
    if (was_waiting(delivery) && delivery->due_us > now_us) {
        int64_t due_us = rule_changes_due_us(job);
        record_as_early(run, due_us > now_us ? due_us : now_us);
        return;
    }
    if (retry_next(&rules->schedule, &failure, shard_random(shard), &next)) {
        run->record.to = DELIVERY_WAITING;
        run->record.failures = next.steps_used;
        run->record.due_us = now_us + next.delay_us;
        run->record.wait_us = run->record.due_us - run->sent_us;
        metrics_add(METRIC_ATTEMPTS_RETRY, 1);
    } else {
        run->record.failures = failure.step;
        run->record.to = DELIVERY_DEAD;
        end_without_success(run, METRIC_ATTEMPTS_DEAD);
    }
}

struct endpoint_disabling {
    struct accounts_request request;
    struct endpoint_queue *queue;
    struct operator_event event; /* is posted when it is disabled */
};

static void on_endpoint_disabled(struct request *base, void *receiver)
{
    struct accounts_request *request = CONTAINER_OF(base, struct accounts_request, base);
    struct delivery_shard *shard = receiver;
    if (request->base.result != OK)
        log_error("an endpoint that answered 410 could not be disabled error=%s",
            err_name(request->base.result));
    struct endpoint_disabling *disabling =
        CONTAINER_OF(request, struct endpoint_disabling, request);
    disabling->queue->disabling--;
    if (request->base.result == OK && request->ret_was_enabled)
        operator_event_post(&shard->operator_events, &disabling->event);
    /* An operator may have enabled it in the meantime, or it could not be disabled: then its next
     * answer does it. */
    if (request->base.result == OK && !shard->taker.stopping)
        refill_release(disabling->queue);
    else if (!shard->taker.stopping)
        refill_release_later(disabling->queue);
    free(disabling);
}

/* What is reported to operators of it. */
static struct operator_event event_of_disabling(const struct attempt_run *run)
{
    const struct delivery *delivery = &run->job->delivery;
    const struct event_parts *parts = &delivery->event->parts;
    struct operator_event event = {.kind = OPERATOR_ENDPOINT_DISABLED, .is_logged = true};
    snprintf(event.account, sizeof event.account, "%.*s", SLICE_ARGS(parts->account));
    snprintf(event.endpoint_name, sizeof event.endpoint_name, "%s", run->endpoint_name);
    snprintf(event.cause, sizeof event.cause, "%s", attempt_cause_code(CAUSE_GONE));
    endpoint_id_format(run->job->queue->endpoint, event.endpoint);
    event_id_format(&parts->id, event.event);
    delivery_id_format(&parts->id, placement_index(delivery->id), event.delivery);
    operator_event_set_detail(&event, "it answered 410");
    return event;
}

static void disable_endpoint(const struct attempt_run *run)
{
    struct endpoint_queue *queue = run->job->queue;
    const struct event_parts *parts = &run->job->delivery.event->parts;
    if (queue->disabling > 0)
        return; /* it is on its way */
    char id[ENDPOINT_ID_TEXT_BYTES], event_id[EVENT_ID_TEXT_BYTES];
    endpoint_id_format(queue->endpoint, id);
    event_id_format(&parts->id, event_id);
    struct endpoint_disabling *disabling;
    MEMORY_NEW(disabling);
    log_warn("the endpoint answered 410 and is disabled; its events are parked until it is enabled "
             "account=%.*s endpoint=%s",
        SLICE_ARGS(parts->account), id);
    disabling->queue = queue;
    disabling->event = event_of_disabling(run);
    queue->disabling++;
    struct accounts_request *request = &disabling->request;
    request->base.reply_to = &queue->shard->mailbox;
    request->base.outstanding = &queue->shard->taker.requests_out;
    request->base.on_done = on_endpoint_disabled;
    request->base.kind = ACCOUNTS_CHANGE_ENDPOINT;
    snprintf(request->account, sizeof request->account, "%.*s", SLICE_ARGS(parts->account));
    request->endpoint_id = queue->endpoint;
    request->changes = ENDPOINT_CHANGE_ENABLED;
    request->endpoint.enabled = false;
    snprintf(request->endpoint.disabled_reason, sizeof request->endpoint.disabled_reason,
        "it answered 410 to %s", event_id);
    queue->shard->taker.requests_out++;
    accounts_submit(queue->shard->accounts, request);
}

static void report(const struct attempt_run *run, enum verdict verdict)
{
    const struct delivery *delivery = &run->job->delivery;
    struct delivery_shard *shard = run->job->queue->shard;
    int64_t since_us = since_accepted_us(delivery, shard_wall_us(shard));
    metrics_observe(HISTOGRAM_ATTEMPT, run->client.duration_us);
    if (verdict == VERDICT_DELIVERED) {
        metrics_add(METRIC_ATTEMPTS_DELIVERED, 1);
        if (delivery->lane != LANE_REPLAY) { /* an operator chose its time */
            metrics_observe(HISTOGRAM_FRESHNESS, since_us);
            flow_notice_delivered(run, since_us);
        }
    }
    if (shard->on_report)
        shard->on_report(&(struct delivery_report){
            .event = delivery->event,
            .endpoint_name = run->endpoint_name,
            .end = run->client.end,
            .verdict = verdict,
            .attempt = delivery->attempts + 1,
            .duration_us = run->client.duration_us,
            .since_accepted_us = since_us,
        });
}

/* See base/failpoint.h: one in 16 of the first attempts. */
static enum verdict failpoint_verdict(const struct attempt_run *run, enum verdict verdict)
{
    const struct delivery *delivery = &run->job->delivery;
    if (verdict == VERDICT_RETRY && failpoint_is_on(FAILPOINT_DROP_RETRY))
        return VERDICT_DELIVERED;
    bool is_picked = delivery->attempts == 0 && placement_event(delivery->id) % 16 == 0;
    return is_picked && verdict == VERDICT_DELIVERED && failpoint_is_on(FAILPOINT_SEND_TWICE)
               ? VERDICT_RETRY
               : verdict;
}

/* Guarded, and nothing has left: the journal has `sending`, and it is to wait so long. One that was
 * sent before it was due waits as before. */
static void withdraw(struct attempt_run *run, int64_t wait_us)
{
    const struct delivery *delivery = &run->job->delivery;
    int64_t due_us = shard_wall_us(run->job->queue->shard) + wait_us;
    bool early = was_waiting(delivery) && delivery->due_us > due_us;
    int64_t early_us = early ? rule_changes_due_us(run->job) : 0; /* the rules may have changed */
    run->record = (struct journal_record){.to = DELIVERY_WAITING,
        .lane = delivery->lane,
        .wait_cause = early ? delivery->wait_cause : WAIT_OURSELVES,
        .failures = delivery->failures,
        .due_us = early_us > due_us ? early_us : due_us,
        .wait_us = early ? delivery->wait_us : wait_us};
    record_outcome(run->job);
}

void outcome_cut_short(struct attempt_run *run)
{
    struct job *job = run->job;
    struct delivery_shard *shard = job->queue->shard;
    if (shard->taker.journal && job->delivery.state == DELIVERY_SENDING &&
        !run->client.end.request_begun) {
        /* Guarded, and nothing has left: the journal may say so, and the restart need not ask a
         * person. */
        withdraw(run, 0);
    } else {
        job_free(job); /* as a crash would leave it */
    }
}

void outcome_take_back(struct attempt_run *run)
{
    flow_on_probe_lost(run->job);
    withdraw(run, 0);
}

/*
 * This machine lacks something of its own: descriptors, memory, local ports, a route to anywhere,
 * name servers. That says nothing about the client, so it is not an attempt and is not recorded.
 * The delivery returns to its lane, and the endpoint rests for a second. Endpoints with open
 * connections are served in the meantime.
 */

/* Logged once a minute while it lasts. */
static void log_shortage(struct delivery_shard *shard, const char *what)
{
    int64_t now_us = clock_mono_us();
    shard->shortages++;
    metrics_add(METRIC_SHORTAGES, 1);
    if (shard->shortage_logged_mono_us != 0 &&
        now_us - shard->shortage_logged_mono_us < SHORTAGE_SAID_EVERY_US)
        return;
    log_error("this machine has no %s: deliveries wait, and this does not count as an attempt "
              "shard=%u times=%u",
        what ? what : "free resource", shard->taker.shard, shard->shortages);
    shard->shortage_logged_mono_us = now_us;
    shard->shortages = 0;
}

static void put_off(struct attempt_run *run)
{
    struct job *job = run->job;
    struct delivery_shard *shard = job->queue->shard;
    log_shortage(shard, run->client.shortage);
    flow_on_probe_lost(job);
    flow_rest(job->queue, SHORTAGE_REST_US);
    if (shard->taker.stopping) {
        outcome_cut_short(run);
    } else if (job->delivery.state == DELIVERY_SENDING) {
        withdraw(run, SHORTAGE_REST_US);
    } else {
        job_free_run(TAKE(job->run));
        job_move(job, JOB_QUEUED);
    }
}

/* Judges the answer by the endpoint's rules. The reason is part of the attempt's record. */
static enum verdict judge(struct attempt_run *run)
{
    const struct client_request *client = &run->client;
    int status = client->end.http_status;
    bool is_final_4xx =
        run->final_4xx && status >= 400 && status < 500 && !status_is_temporary(status);
    struct verdict_terms terms = {
        .guarded = run->job->delivery.event->parts.guarded,
        .idempotent = run->idempotent,
        .is_final = is_final_4xx || status_set_has(&settings_of(run->job)->final_statuses, status),
        .success = SUCCESS_NO,
    };
    if (status != 0)
        terms.success = success_rule_judge(endpoint_policy_success(run->policy), status,
            slice_of(run->answer, client->answer_len),
            client->answer_cut || client->end.error != OK, run->record.attempt.rule);
    return verdict_of(&client->end, &terms);
}

enum verdict outcome_judge(struct attempt_run *run)
{
    fill_attempt(run);
    enum verdict verdict = judge(run);
    const struct attempt_said said = attempt_said_of(&run->record.attempt);
    run->record.attempt.evidence.cause = attempt_cause_of(&said);
    return verdict;
}

/* What the end of the attempt says about the endpoint. */
static enum flow_result flow_result_of(const struct attempt_end *end, enum verdict verdict)
{
    if (end->http_status == 429)
        return FLOW_THROTTLED;
    if (verdict == VERDICT_DELIVERED)
        return FLOW_DELIVERED;
    return verdict_wait_cause(end) == WAIT_ENDPOINT ? FLOW_FAILED : FLOW_REJECTED;
}

void outcome_of_attempt(struct attempt_run *run)
{
    struct job *job = run->job;
    if (run->client.end.error == ERR_CANCELLED) {
        outcome_cut_short(run);
        return;
    }
    if (run->client.end.error == ERR_SHORTAGE && !run->client.end.request_begun) {
        put_off(run);
        return;
    }
    failpoint_crash(CRASH_ANSWER_CAME);
    run->record =
        (struct journal_record){.lane = job->delivery.lane, .failures = job->delivery.failures};
    enum verdict verdict = failpoint_verdict(run, outcome_judge(run));
    metrics_add(METRIC_SENDS_REPEATED, run->client.unprocessed_sends);
    if (!verdict_is_ambiguous(&run->client.end))
        probe_doubt_note_certain_end(job);
    bool repeats = verdict == VERDICT_RETRY && was_lost_with_kept_connection(&run->client) &&
                   !outcome_was_repeated(&job->delivery);
    if (repeats)
        flow_on_probe_lost(job);
    else
        flow_on_end(run, flow_result_of(&run->client.end, verdict));
    switch (verdict) {
    case VERDICT_DELIVERED:
        run->record.to = DELIVERY_DELIVERED;
        break;
    case VERDICT_RETRY:
        if (repeats)
            record_as_repeated(run);
        else
            record_as_failed(run);
        break;
    case VERDICT_DEAD:
        run->record.to = DELIVERY_DEAD;
        end_without_success(run, METRIC_ATTEMPTS_DEAD);
        break;
    case VERDICT_PARK_AMBIGUOUS:
        run->record.to = DELIVERY_PARKED;
        run->record.reason = PARK_AMBIGUOUS;
        end_without_success(run, METRIC_ATTEMPTS_PARKED);
        end_log_in_doubt(job, &run->record.attempt);
        break;
    case VERDICT_DISABLE_ENDPOINT:
        run->record.to = DELIVERY_PARKED;
        run->record.reason = PARK_DISABLED;
        end_without_success(run, METRIC_ATTEMPTS_PARKED);
        if (!job->delivery.was_delivered)
            end_log_parked(job, PARK_DISABLED, &run->record.attempt);
        disable_endpoint(run);
        break;
    }
    report(run, verdict);
    record_outcome(job);
}

void outcome_park(struct job *job, enum park_reason reason)
{
    struct attempt_run *run;
    MEMORY_NEW(run);
    run->job = job;
    job->run = run;
    if (job->delivery.was_delivered)
        log_warn("a forced replay was not sent, since its endpoint is %s: the delivery stays "
                 "delivered, as it was before "
                 "shard=%u delivery=%lld",
            park_reason_name(reason), job->queue->shard->taker.shard, (long long)job->delivery.id);
    else
        end_log_parked(job, reason, NULL);
    run->record = (struct journal_record){.to = DELIVERY_PARKED,
        .reason = reason,
        .lane = job->delivery.lane,
        .failures = job->delivery.failures};
    record_outcome(job);
}
