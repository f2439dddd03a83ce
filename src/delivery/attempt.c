/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt: reads the endpoint's settings, signs the body, and gives the request to the HTTP
 * client.
 *
 * Before a guarded delivery is sent, the journal commits `sending`. After a crash it is then known
 * that the client may have received it. Nothing is sent until the journal has answered.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <stdarg.h>
#include <stdio.h>

#define FAILPOINT_COPIES_MAX 32
#define REST_US (100 * US_PER_MS)

/* Appends one "name: value" header. The texts follow each other in run->header_texts. */
static void add_header(struct attempt_run *run, size_t *used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_header(struct attempt_run *run, size_t *used, const char *format, ...)
{
    size_t left = sizeof run->header_texts - *used;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(run->header_texts + *used, left, format, args);
    va_end(args);
    assert(len > 0 && (size_t)len < left && run->client.headers_count < CLIENT_HEADERS_MAX);
    run->client.headers[run->client.headers_count++] = run->header_texts + *used;
    *used += (size_t)len + 1;
}

/* Makes a MAC of each of the endpoint's secrets, unless those of this version are there. */
static enum err key_macs(struct endpoint_queue *queue, const struct endpoint *endpoint)
{
    if (queue->macs_version == endpoint->version)
        return OK;
    for (unsigned i = 0; i < queue->macs_count; i++)
        hmac_free(queue->macs[i]);
    queue->macs_count = 0;
    queue->macs_version = -1;
    for (unsigned i = 0; i < endpoint->secrets_count; i++) {
        const struct secret *secret = &endpoint->secrets[i];
        enum err failed =
            hmac_new(slice_of(secret->bytes, secret->len), &queue->macs[queue->macs_count]);
        if (failed)
            return failed;
        queue->macs_count++;
    }
    queue->macs_version = endpoint->version;
    return OK;
}

static void add_headers(struct attempt_run *run)
{
    const struct delivery *delivery = &run->job->delivery;
    const struct event_parts *parts = &delivery->event->parts;
    struct endpoint_queue *queue = run->job->queue;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    int64_t timestamp_s = run->started_wall_us / US_PER_SECOND;
    char signatures[ENDPOINT_SECRETS_MAX * (SIGNATURE_TEXT_BYTES + 1)] = "";
    size_t at = 0;
    for (unsigned i = 0; i < queue->macs_count; i++) {
        char signature[SIGNATURE_TEXT_BYTES];
        signature_make(
            queue->macs[i], slice_from_string(id), timestamp_s, run->client.body, signature);
        at += (size_t)snprintf(
            signatures + at, sizeof signatures - at, "%s%s", i ? " " : "", signature);
    }
    size_t used = 0;
    run->client.headers_count = 0;
    add_header(run, &used, "webhook-id: %s", id);
    add_header(run, &used, "webhook-timestamp: %lld", (long long)timestamp_s);
    add_header(run, &used, "webhook-signature: %s", signatures);
    add_header(run, &used, "content-type: application/json");
    add_header(run, &used, "user-agent: Penstock/" PENSTOCK_VERSION);
    add_header(run, &used, "penstock-attempt: %u", delivery->attempts + 1);
    if (parts->traceparent.len)
        add_header(run, &used, "traceparent: %.*s", SLICE_ARGS(parts->traceparent));
}

static void on_answer(struct client_request *request)
{
    outcome_of_attempt(CONTAINER_OF(request, struct attempt_run, client));
}

/*
 * See base/failpoint.h: changes a letter inside the body, which stays JSON. In a copy, because
 * other threads read the event. There are enough copies: tests have one sixteenth of their posts in
 * flight at most.
 */
static struct slice failpoint_body(const struct delivery *delivery)
{
    static _Thread_local char copies[FAILPOINT_COPIES_MAX][EVENT_BYTES_MAX];
    static _Thread_local unsigned next;
    struct slice body = delivery->event->parts.body;
    if (!failpoint_is_on(FAILPOINT_CHANGE_BYTE) || placement_event(delivery->id) % 16 != 0 ||
        body.len <= 8)
        return body;
    char *copy = copies[next++ % FAILPOINT_COPIES_MAX];
    memcpy(copy, body.data, body.len);
    copy[body.len - 8] ^= 1;
    return slice_of(copy, body.len);
}

static void send_request(struct attempt_run *run)
{
    struct job *job = run->job;
    struct delivery_shard *shard = job->queue->shard;
    const struct delivery_policy *policy = &shard->policy;
    bool guarded = job->delivery.event->parts.guarded;
    run->started_wall_us = clock_wall_us();
    run->client.body = failpoint_body(&job->delivery);
    add_headers(run);
    run->client.url = run->url;
    run->client.connect_timeout_us = policy->connect_timeout_us;
    run->client.answer_timeout_us =
        guarded ? policy->guarded_answer_timeout_us : policy->answer_timeout_us;
    run->client.once = guarded && !run->idempotent;
    run->client.fresh = outcome_was_repeated(&job->delivery);
    run->client.on_done = on_answer;
    failpoint_crash(CRASH_REQUEST_DUE);
    client_send(shard->client, &run->client);
    failpoint_crash(CRASH_REQUEST_GIVEN);
}

/* The journal says whether `sending` is durable. */
static void on_started(struct request *request, void *receiver)
{
    struct attempt_run *run = CONTAINER_OF(request, struct attempt_run, record.request);
    struct job *job = run->job;
    struct delivery_shard *shard = receiver;
    if (request->result == OK) {
        job->delivery.state = DELIVERY_SENDING;
        job_move(job, JOB_SENDING);
        if (shard->taker.stopping)
            outcome_cut_short(run);
        else
            send_request(run);
    } else if (request->result == ERR_MOVED_ON || request->result == ERR_DAMAGED) {
        log_error("a delivery is not sent: %s shard=%u delivery=%lld",
            request->result == ERR_DAMAGED ? "its row is damaged"
                                           : "another request changed its state",
            shard->taker.shard, (long long)job->delivery.id);
        struct endpoint_queue *queue = job->queue;
        outcome_forget_in_doubt(job);
        endpoint_queue_update_ready(queue);
        refill_queue(queue);
    } else {
        outcome_pause(shard, request->result);
        free(TAKE(job->run));
        job_move(job, JOB_BACKLOG);
    }
}

static void commit_sending(struct attempt_run *run)
{
    struct job *job = run->job;
    run->record = (struct journal_record){
        .delivery = job->delivery.id,
        .generation = job->delivery.generation,
        .from = job->delivery.state,
        .to = DELIVERY_SENDING,
        .lane = job->delivery.lane,
        .failures = job->delivery.failures,
        .due_us = job->delivery.due_us,
    };
    job_move(job, JOB_STARTING);
    shard_ask(job->queue->shard, &run->record.request, JOURNAL_START, on_started);
    failpoint_crash(CRASH_START_POSTED);
}

void attempt_begin(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    const struct endpoint *endpoint =
        directory_endpoint(queue->shard->taker.directory, queue->endpoint);
    if (!endpoint || !endpoint->enabled) {
        outcome_park(job, endpoint ? PARK_DISABLED : PARK_GONE);
        return;
    }
    if (key_macs(queue, endpoint) != OK) { /* OpenSSL has no memory */
        endpoint_queue_rest(queue, REST_US);
        endpoint_queue_update_ready(queue);
        return;
    }
    struct attempt_run *run = memory_new_raw(sizeof *run);
    run->job = job;
    run->client = (struct client_request){0};
    run->idempotent = endpoint->idempotent;
    run->final_4xx = endpoint->final_4xx;
    snprintf(run->url, sizeof run->url, "%s", endpoint->url);
    snprintf(run->endpoint_name, sizeof run->endpoint_name, "%s", endpoint->name);
    job->run = run;
    if (job->delivery.event->parts.guarded && !endpoint->idempotent) {
        commit_sending(run);
    } else {
        job_move(job, JOB_SENDING);
        send_request(run);
    }
}
