/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt: reads the endpoint's settings, and gives the request to the HTTP client.
 *
 * Before a guarded delivery is sent, the journal commits `sending`. After a crash it is then known
 * that the client may have received it. Nothing is sent until the journal has answered, and nothing
 * that an operator has switched off since.
 */
#include "delivery/attempt.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/outcome.h"
#include "delivery/request_headers.h"
#include "delivery/settings.h"
#include "delivery/shard.h"
#include "delivery/switches.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <stdio.h>

#define FAILPOINT_COPIES_MAX 32
#define REST_US (100 * US_PER_MS)

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

static void set_tls(struct attempt_run *run)
{
    const struct endpoint_tls *tls = endpoint_policy_tls(run->policy);
    if (!tls)
        return;
    run->tls = (struct client_tls){.ca_pem = tls->ca_pem,
        .certificate_pem = tls->certificate_pem,
        .key_pem = tls->key_pem,
        .id = tls->id};
    run->client.tls = &run->tls;
}

void attempt_send(struct attempt_run *run, void (*on_done)(struct client_request *request))
{
    struct job *job = run->job;
    struct delivery_shard *shard = job->queue->shard;
    bool guarded = job->delivery.event->parts.guarded;
    run->started_wall_us = clock_wall_us();
    run->sent_us = shard_wall_us(shard);
    run->client.body = failpoint_body(&job->delivery);
    request_headers_add(run);
    run->client.url = run->url;
    set_tls(run);
    run->client.http =
        endpoint_policy_http(run->policy) == ENDPOINT_HTTP_2 ? CLIENT_HTTP_2 : CLIENT_HTTP_1;
    const struct delivery_rules *rules = settings_of(job);
    run->client.connect_timeout_us = rules->connect_timeout_us;
    run->client.answer_timeout_us =
        guarded ? rules->guarded_answer_timeout_us : rules->answer_timeout_us;
    run->client.answer_wanted = success_rule_wants_body(endpoint_policy_success(run->policy));
    if (run->client.answer_wanted) {
        run->client.answer = run->answer;
        run->client.answer_size = ANSWER_RULE_BYTES_MAX;
    }
    run->client.once = (guarded && !run->idempotent) || run->is_test;
    run->client.fresh = outcome_was_repeated(&job->delivery);
    run->client.on_done = on_done;
    failpoint_crash(CRASH_REQUEST_DUE);
    client_send(shard->client, &run->client);
    failpoint_crash(CRASH_REQUEST_GIVEN);
}

static void send_request(struct attempt_run *run)
{
    attempt_send(run, on_answer);
}

static bool is_switched_off(const struct job *job)
{
    switches_look(job->queue->shard);
    return job->queue->off.deliveries || (job->queue->off.retries && job->lane == QUEUE_RETRY);
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
        else if (is_switched_off(job))
            outcome_take_back(run);
        else
            send_request(run);
    } else if (request->result == ERR_MOVED_ON || request->result == ERR_DAMAGED) {
        log_error("a delivery is not sent: %s shard=%u delivery=%lld",
            request->result == ERR_DAMAGED ? "its row is damaged"
                                           : "another request changed its state",
            shard->taker.shard, (long long)job->delivery.id);
        struct endpoint_queue *queue = job->queue;
        outcome_forget_in_doubt(job);
        shard_touch(queue);
    } else {
        outcome_pause(shard, request->result);
        flow_on_probe_lost(job);
        job_free_run(TAKE(job->run));
        job_move(job, JOB_QUEUED);
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

struct attempt_run *attempt_new(struct job *job, const struct endpoint *endpoint)
{
    bool looks_at_body = success_rule_wants_body(endpoint_policy_success(endpoint->policy));
    struct attempt_run *run =
        memory_new_raw(sizeof *run + (looks_at_body ? ANSWER_RULE_BYTES_MAX : 0));
    run->job = job;
    run->client = (struct client_request){0};
    run->policy = endpoint_policy_ref(endpoint->policy);
    run->idempotent = endpoint->idempotent;
    run->final_4xx = endpoint->final_4xx;
    run->is_test = false;
    snprintf(run->url, sizeof run->url, "%s", endpoint->url);
    snprintf(run->endpoint_name, sizeof run->endpoint_name, "%s", endpoint->name);
    return run;
}

static void begin(struct job *job, bool as_probe)
{
    struct endpoint_queue *queue = job->queue;
    const struct endpoint *endpoint =
        directory_endpoint(queue->shard->taker.directory, queue->endpoint);
    if (!endpoint || !endpoint->enabled) {
        outcome_park(job, endpoint ? PARK_DISABLED : PARK_GONE);
        return;
    }
    if (request_headers_prepare(queue, endpoint) != OK) { /* OpenSSL has no memory */
        flow_rest(queue, REST_US);
        shard_touch(queue);
        return;
    }
    struct attempt_run *run = attempt_new(job, endpoint);
    job->run = run;
    flow_on_sent(job); /* before it moves, so that the next one is held by the rate */
    if (job->delivery.event->parts.guarded && !endpoint->idempotent) {
        commit_sending(run);
        if (as_probe)
            flow_on_probe(job);
    } else {
        job_move(job, JOB_SENDING);
        if (as_probe)
            flow_on_probe(job);
        send_request(run);
    }
}

void attempt_begin(struct job *job)
{
    begin(job, false);
}

void attempt_begin_probe(struct job *job)
{
    begin(job, true);
}
