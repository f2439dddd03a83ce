/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status probes: ask a client whether it has processed an event whose delivery is in doubt. A
 * guarded delivery whose answer was lost is parked as ambiguous. If the endpoint has a status probe
 * (model/endpoint_policy.h), the client itself says what became of it:
 *
 *   yes       the delivery is delivered
 *   no        it is sent again
 *   unknown   it stays parked, and the client is asked again later. An operator may resolve it
 *
 * A walk lists the ambiguous deliveries of one endpoint from the journal and asks for one after the
 * other. Nothing is kept in memory between walks, so what a crash has left in doubt is asked for as
 * well: the first walk of an endpoint begins at the start. Further walks follow after 5 s, 30 s,
 * 2 min, 10 min, and then every hour, while something is in doubt. A new doubt and a change of the
 * endpoint begin again at 5 s.
 *
 * The answer decides about the delivery, as an operator could (decision.c). The record says that it
 * was a status probe, and what the client answered. If an operator was faster, nothing is moved,
 * even if the operator has sent the delivery again and it is in doubt once more: the answer may be
 * older than the new attempt, so the client is asked again.
 *
 * While the breaker of the endpoint is open, a walk ends at the first answer that shows that the
 * client fails, and the next walk continues behind it after 30 s. Walks do not wait until the
 * breaker closes: without a delivery to send as a probe it stays open.
 *
 * A client that fails may still have the request in a queue of its own. So while the breaker is
 * open, an answer of no counts only NO_COUNTS_AFTER_US after the doubt began.
 *
 * Limits: one request at a time for each endpoint, with the answer timeout of the endpoint, and at
 * most WALKS_MAX for all endpoints of a shard. A walk asks for at most PROBED_MAX deliveries; the
 * next walk continues behind them.
 */
#include "delivery/status_probe.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/decision.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/refill.h"
#include "delivery/shard.h"
#include "delivery/switches.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdio.h>

#define PROBED_MAX 64
/* In walks_after_us: while the client fails; while an answer of no does not count yet. */
#define FAILING_TURN 1
#define EARLY_TURN 2
/* Of a shard, at once: each may hold a connection of a client that hangs. */
#define WALKS_MAX 32
#define WALK_LATER_US US_PER_SECOND
/* How long a client that fails may still process what it has received. */
#define NO_COUNTS_AFTER_US (300 * US_PER_SECOND)

static const int64_t walks_after_us[] = {5 * US_PER_SECOND, 30 * US_PER_SECOND, 120 * US_PER_SECOND,
    600 * US_PER_SECOND, 3600 * US_PER_SECOND};

/* One walk of one endpoint. */
struct status_walk {
    struct endpoint_queue *queue;
    const struct endpoint_policy *policy; /* a reference: `tls` and headers point into it */
    struct journal_list_parked list;
    struct journal_parked parked[PROBED_MAX];
    unsigned at; /* in `parked` */
    bool all_resolved;
    bool was_early; /* an answer of no that does not count yet */
    struct client_request client;
    struct client_tls tls;
    struct journal_operator_action decision;
    char url[STATUS_PROBE_URL_BYTES];
    char answer[ANSWER_RULE_BYTES_MAX];
};

static void ask_next(struct status_walk *walk);

static void walk_again_after(struct endpoint_queue *queue, unsigned turn)
{
    if (queue->shard->taker.stopping)
        return;
    if (turn >= ARRAY_LENGTH(walks_after_us))
        turn = ARRAY_LENGTH(walks_after_us) - 1;
    queue->status.turn = turn + 1;
    /* Up to a quarter more, so that not all endpoints ask at once after a start. */
    int64_t after_us = walks_after_us[turn];
    after_us += shard_random(queue->shard) % (after_us / 4);
    timer_arm(&queue->shard->loop, &queue->status.timer, after_us);
}

static void walk_free(struct status_walk *walk)
{
    walk->queue->shard->status_walks--;
    endpoint_policy_unref(walk->policy);
    free(walk);
}

static void end_walk(struct status_walk *walk, bool again)
{
    struct endpoint_queue *queue = walk->queue;
    walk_free(TAKE(queue->status.walk));
    if (queue->status.again)
        walk_again_after(queue, 0);
    else if (again)
        walk_again_after(queue, queue->status.turn);
    queue->status.again = false;
}

/* The client still fails: questions about the rest would fail or hang as well. */
static void end_failing(struct status_walk *walk)
{
    struct endpoint_queue *queue = walk->queue;
    queue->status.after_id = walk->parked[walk->at].delivery;
    queue->status.left = true;
    queue->status.turn = FAILING_TURN;
    end_walk(walk, true);
    queue->status.turn = 0; /* once it is back, the pauses are short */
}

static void on_resolved(struct request *request, void *receiver)
{
    struct status_walk *walk = CONTAINER_OF(request, struct status_walk, decision.request);
    char id[EVENT_ID_TEXT_BYTES];
    if (decision_continue(receiver, &walk->decision, on_resolved))
        return;
    if (request->result == OK && walk->decision.to == DELIVERY_PENDING)
        refill_expect_replay(walk->queue, walk->decision.ret_delivery);
    event_id_format(&walk->parked[walk->at].event, id);
    if (request->result == OK) {
        log_info("a status probe resolved a delivery in doubt event=%s processed=%s", id,
            walk->decision.to == DELIVERY_DELIVERED ? "yes" : "no");
    } else if (request->result != ERR_MOVED_ON) { /* an operator was faster */
        walk->all_resolved = false;
        log_error("what a status probe found out could not be recorded: the client is asked again "
                  "later event=%s error=%s",
            id, err_name(request->result));
    }
    walk->at++;
    ask_next(walk);
}

static void resolve(struct status_walk *walk, enum probe_answer answer, const char *why)
{
    const struct journal_parked *parked = &walk->parked[walk->at];
    walk->decision = (struct journal_operator_action){
        .event = parked->event,
        .index = placement_index(parked->delivery),
        .from = DELIVERY_PARKED,
        .to = answer == PROBE_YES ? DELIVERY_DELIVERED : DELIVERY_PENDING,
        .expects_generation = true,
        .expected_generation = parked->generation,
        .actor = ACTION_BY_STATUS_PROBE,
    };
    snprintf(walk->decision.note, sizeof walk->decision.note, "status %d, %.100s",
        walk->client.end.http_status, why);
    decision_submit(walk->queue->shard, &walk->decision, on_resolved);
}

/* While the client fails, the request may wait in its own queue. An answer of no is then true, and
 * the payout would be processed twice if it was sent again. */
static bool may_still_be_processed(const struct status_walk *walk)
{
    int64_t ago_us = shard_wall_us(walk->queue->shard) - walk->parked[walk->at].parked_us;
    bool is_known = ago_us >= 0; /* else the clock was set back since */
    return flow_is_open(walk->queue) && is_known && ago_us < NO_COUNTS_AFTER_US;
}

static void on_answer(struct client_request *request)
{
    struct status_walk *walk = CONTAINER_OF(request, struct status_walk, client);
    struct endpoint_queue *queue = walk->queue;
    char why[SUCCESS_WHY_BYTES] = "";
    if (queue->shard->taker.stopping) {
        end_walk(walk, false);
        return;
    }
    enum probe_answer answer = PROBE_UNKNOWN;
    if (request->end.http_status != 0)
        answer = status_probe_judge(endpoint_policy_probe(walk->policy), request->end.http_status,
            slice_of(walk->answer, request->answer_len),
            request->answer_cut || request->end.error != OK, why);
    if (answer == PROBE_NO && may_still_be_processed(walk)) {
        walk->was_early = true;
        answer = PROBE_UNKNOWN;
    }
    if (answer != PROBE_UNKNOWN) {
        resolve(walk, answer, why);
        return;
    }
    walk->all_resolved = false;
    if (flow_is_open(queue) && verdict_wait_cause(&request->end) == WAIT_ENDPOINT) {
        end_failing(walk);
        return;
    }
    walk->at++;
    ask_next(walk);
}

static void ask_client(struct status_walk *walk)
{
    struct delivery_shard *shard = walk->queue->shard;
    const struct endpoint_tls *tls = endpoint_policy_tls(walk->policy);
    const char *const *headers;
    struct delivery_rules rules;
    endpoint_policy_rules(walk->policy, CLASS_CRITICAL, &shard->policy.rules, &rules);
    walk->client = (struct client_request){
        .url = walk->url,
        .get = true,
        .http =
            endpoint_policy_http(walk->policy) == ENDPOINT_HTTP_2 ? CLIENT_HTTP_2 : CLIENT_HTTP_1,
        .connect_timeout_us = rules.connect_timeout_us,
        .answer_timeout_us = rules.answer_timeout_us,
        .answer_wanted = true,
        .answer = walk->answer,
        .answer_size = sizeof walk->answer,
        .on_done = on_answer,
    };
    walk->client.headers[walk->client.headers_count++] = "user-agent: Penstock/" PENSTOCK_VERSION;
    unsigned count = endpoint_policy_headers(walk->policy, &headers);
    for (unsigned i = 0; i < count; i++)
        walk->client.headers[walk->client.headers_count++] = headers[i];
    if (tls) {
        walk->tls = (struct client_tls){.ca_pem = tls->ca_pem,
            .certificate_pem = tls->certificate_pem,
            .key_pem = tls->key_pem,
            .id = tls->id};
        walk->client.tls = &walk->tls;
    }
    client_send(shard->client, &walk->client);
}

static void ask_next(struct status_walk *walk)
{
    struct delivery_shard *shard = walk->queue->shard;
    char id[EVENT_ID_TEXT_BYTES];
    if (shard->taker.stopping) {
        end_walk(walk, false);
        return;
    }
    switches_look(shard);
    if (walk->queue->off.deliveries) {
        end_walk(walk, true);
        return;
    }
    if (walk->at == walk->list.ret_count) {
        bool more = walk->list.ret_after_id != INT64_MAX;
        bool left = walk->queue->status.left || !walk->all_resolved;
        walk->queue->status.after_id = more ? walk->list.ret_after_id : 0;
        walk->queue->status.left = more && left;
        if (more)
            walk->queue->status.turn = 0; /* the pauses grow at the end of the list only */
        else if (walk->was_early && walk->queue->status.turn > EARLY_TURN)
            walk->queue->status.turn = EARLY_TURN;
        end_walk(walk, more || left);
        return;
    }
    event_id_format(&walk->parked[walk->at].event, id);
    if (status_probe_url(endpoint_policy_probe(walk->policy), slice_from_string(id), walk->url)) {
        ask_client(walk);
        return;
    }
    log_error("the URL of a status probe is too long event=%s", id);
    end_walk(walk, false);
}

static void on_listed(struct request *request, void *receiver)
{
    struct status_walk *walk = CONTAINER_OF(request, struct status_walk, list.request);
    struct delivery_shard *shard = receiver;
    if (request->result != OK && !shard->taker.stopping) {
        shard_log_refused(shard, "deliveries in doubt could not be listed", request->result);
        end_walk(walk, true);
    } else {
        ask_next(walk);
    }
}

static void on_timer(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, status.timer);
    struct delivery_shard *shard = queue->shard;
    if (shard->taker.stopping || queue->status.walk)
        return;
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, queue->endpoint);
    if (!endpoint || !endpoint->enabled || !endpoint_policy_probe(endpoint->policy))
        return; /* a change of the endpoint begins again */
    if (queue->off.deliveries) {
        walk_again_after(queue, 0);
        return;
    }
    if (shard->status_walks >= WALKS_MAX) {
        timer_arm(&shard->loop, timer, WALK_LATER_US + shard_random(shard) % WALK_LATER_US);
        return;
    }
    struct status_walk *walk;
    MEMORY_NEW(walk);
    shard->status_walks++;
    walk->queue = queue;
    walk->policy = endpoint_policy_ref(endpoint->policy);
    walk->all_resolved = true;
    walk->list = (struct journal_list_parked){.endpoint = queue->endpoint,
        .reason = PARK_AMBIGUOUS,
        .after_id = queue->status.after_id,
        .count_max = PROBED_MAX,
        .ret_parked = walk->parked};
    queue->status.walk = walk;
    shard_ask(shard, &walk->list.request, JOURNAL_LIST_PARKED, on_listed);
}

void status_probe_init(struct endpoint_queue *queue)
{
    timer_init(&queue->status.timer, on_timer);
}

void status_probe_begin(struct endpoint_queue *queue)
{
    const struct event_taker *taker = &queue->shard->taker;
    const struct endpoint *endpoint =
        taker->stopping ? NULL : directory_endpoint(taker->directory, queue->endpoint);
    if (!endpoint || !endpoint_policy_probe(endpoint->policy))
        return;
    if (queue->status.walk || queue->status.after_id != 0)
        queue->status.left = true; /* the new doubt may be before the place that was reached */
    if (queue->status.walk)
        queue->status.again = true;
    else
        walk_again_after(queue, 0);
}

void status_probe_done(struct endpoint_queue *queue)
{
    assert(!queue->status.walk);
    timer_disarm(&queue->shard->loop, &queue->status.timer);
}
