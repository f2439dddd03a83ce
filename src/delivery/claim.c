/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: what was consumed and is not acked yet. An event is broker-owned as long as it has one that is not stale; the
 * ack follows the commit that makes it unnecessary.
 *
 * No claim lives long: what is not delivered CLAIM_AGE_US after it came is taken over by the journal and acked, so that
 * the broker's consumer_timeout never runs out. A slow client must not hold up the others of its partition, neither by
 * using up the channel's prefetch nor by blocking acks of what is final (acks go in order): where more than half
 * of the prefetch is used up, and it is a client's doing, the age is CROWDED_AGE_US. It is not when all of them are
 * late alike, since this machine has more to do than it can: then each take-over would cost what it lacks. What comes
 * when events hold all the memory that they may (the shard's byte budget) gets no job and is taken over at once. A
 * claim whose request the disk refused is tried again every second; meanwhile the window fills, and the broker keeps
 * the rest.
 *
 * Order makes this sound: requests to the journal are worked off in the order of posting. A claim on a lost channel
 * that had started posts its JOURNAL_TAKE_OVER before the message can come again, so that JOURNAL_RECEIVE then says
 * "the journal's own".
 */
#include "delivery/bridge_internal.h"

#include "accounts/routing.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "broker/lag.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#define CLAIM_AGE_US (5 * US_PER_SECOND)
#define CROWDED_AGE_US (250 * US_PER_MS)
#define REFUSED_SAID_EVERY_US (60 * US_PER_SECOND)

static void on_received(struct journal_request *request, void *receiver);

static bool had_started(const struct claim *claim)
{
    if (claim->ended > 0)
        return true;
    list_for_each (node, &claim->jobs) {
        enum job_place place = CONTAINER_OF(node, struct job, in_claim)->place;
        if (place != JOB_FRESH && place != JOB_BACKLOG)
            return true;
    }
    return false;
}

static void detach_jobs(struct claim *claim)
{
    for (struct job *job; (job = LIST_TAKE_FIRST(&claim->jobs, struct job, in_claim));)
        job->claim = NULL;
}

/* Counted until the journal has it, or nobody here has. */
static void note_received(struct claim *claim)
{
    if (!claim->received)
        metrics_add(METRIC_RECEIVING, -1);
    claim->received = true;
}

static void claim_free(struct claim *claim)
{
    struct bridge *bridge = claim->bridge;
    assert(list_is_empty(&claim->jobs));
    if (claim->stage == CLAIM_HELD || claim->stage == CLAIM_TAKING_OVER)
        id_map_remove(&bridge->by_event, &claim->by_event);
    list_remove(&claim->in_claims);
    note_received(claim);
    bridge->held_bytes -= claim->receive.event->bytes;
    event_unref(claim->receive.event);
    metrics_add(METRIC_CLAIMS, -1);
    free(claim);
    bridge_update_reading(bridge);
}

/* The message has done its duty. */
static void claim_end(struct claim *claim)
{
    failpoint_crash(CRASH_ACK_DUE);
    detach_jobs(claim);
    if (!claim->stale)
        consumer_ack(claim->bridge->consumer, &claim->tag);
    claim_free(claim);
}

/* Nothing of it has started, and its channel is lost: nothing is sent. */
static void drop_jobs(struct claim *claim)
{
    const struct journal_receive *receive = &claim->receive;
    while (!list_is_empty(&claim->jobs)) {
        struct job *job = CONTAINER_OF(claim->jobs.next, struct job, in_claim);
        struct endpoint_queue *queue = job->queue;
        for (unsigned i = 0; i < receive->ret_count; i++)
            if (receive->ret_deliveries[i].delivery == job->delivery.id)
                claim->left |= 1u << i; /* loaded when the journal has taken it over */
        job_free(job);                  /* leaves the list (claim_drop_job) */
        endpoint_queue_update_ready(queue);
    }
}

/* Its rows stay held, and it waits for the broker. */
static void claim_suspend(struct claim *claim)
{
    struct bridge *bridge = claim->bridge;
    drop_jobs(claim);
    suspended_add(bridge, claim->event_number, claim->tag.channel);
    claim_free(claim);
}

/* Taking over. */

static void expect_left(struct claim *claim)
{
    const struct journal_receive *receive = &claim->receive;
    for (unsigned i = 0; i < receive->ret_count; i++)
        if (claim->left & 1u << i)
            refill_expect_pending(
                claim->bridge->shard, receive->ret_deliveries[i].endpoint, receive->ret_deliveries[i].delivery);
}

static void on_taken_over(struct journal_request *request, void *receiver)
{
    struct claim *claim = CONTAINER_OF(request, struct claim, take_over.request);
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    if (request->result == OK) {
        metrics_add(METRIC_TAKEN_OVER, 1);
        if (!shard->stopping)
            expect_left(claim);
        claim_end(claim);
    } else {
        claim->stage = CLAIM_HELD; /* claim_tick tries again */
    }
    shard_stop_if_drained(shard);
}

static void take_over(struct claim *claim)
{
    struct delivery_shard *shard = claim->bridge->shard;
    claim->takes_over = true;
    if (claim->stage != CLAIM_HELD)
        return;
    claim->stage = CLAIM_TAKING_OVER;
    claim->take_over = (struct journal_take_over){
        .request = {.kind = JOURNAL_TAKE_OVER, .reply_to = &shard->mailbox, .on_done = on_taken_over},
        .count = 1,
        .events = &claim->event_number};
    shard->requests_out++;
    journal_submit(shard->journal, &claim->take_over.request);
}

/* What delivery's jobs tell. */

void claim_drop_job(struct job *job)
{
    if (!job->claim)
        return;
    list_remove(&job->in_claim);
    job->claim = NULL;
}

void claim_end_job(struct job *job, bool taken_over)
{
    struct claim *claim = job->claim;
    if (!claim)
        return;
    claim_drop_job(job);
    claim->ended++;
    if (claim->stage != CLAIM_HELD)
        return; /* TAKING_OVER: its answer ends the claim */
    if (taken_over)
        expect_left(claim);
    if (taken_over || (list_is_empty(&claim->jobs) && claim->left == 0))
        claim_end(claim);
}

void claim_doubt_job(struct job *job)
{
    struct claim *claim = job->claim;
    if (!claim)
        return;
    claim_drop_job(job);
    claim->ended++;
    take_over(claim);
}

void claim_meet(struct bridge *bridge, int64_t event_number)
{
    struct id_map_node *node = id_map_find(&bridge->by_event, (uint64_t)event_number);
    struct claim *claim = node ? CONTAINER_OF(node, struct claim, by_event) : NULL;
    suspended_remove(bridge, event_number);
    if (claim && claim->stage == CLAIM_HELD) /* TAKING_OVER: its answer ends it */
        claim_end(claim);
}

/* Receiving. */

/* A mismatch, which is parked, may belong to another shard. */
static struct journal *journal_of(const struct claim *claim)
{
    const struct bridge *bridge = claim->bridge;
    if (claim->receive.park_as != PARK_MISMATCH)
        return bridge->shard->journal;
    return bridge->options.journals[event_id_partition(&claim->receive.event->parts.id) % bridge->options.shards];
}

static void submit_receive(struct claim *claim)
{
    struct delivery_shard *shard = claim->bridge->shard;
    claim->stage = CLAIM_RECEIVING;
    claim->receive.request =
        (struct journal_request){.kind = JOURNAL_RECEIVE, .reply_to = &shard->mailbox, .on_done = on_received};
    shard->requests_out++;
    journal_submit(journal_of(claim), &claim->receive.request);
}

/* A job for one of its deliveries. False when there is no room: the journal is to take the event over. */
static bool make_job(struct claim *claim, const struct journal_received_delivery *received)
{
    struct delivery_shard *shard = claim->bridge->shard;
    struct endpoint_queue *queue;
    assert(!job_find(shard, received->delivery));
    if (claim->crowded)
        return false;
    if (endpoint_queue_get(shard, received->endpoint, &queue) != OK || !endpoint_queue_has_room(queue))
        return false;
    const struct delivery delivery = {
        .id = received->delivery,
        .endpoint = received->endpoint,
        .state = DELIVERY_PENDING,
        .lane = LANE_FRESH,
        .due_us = claim->receive.event->parts.accepted_us,
        .event = claim->receive.event,
    };
    if (job_new(queue, &delivery, JOB_FRESH) != OK)
        return false;
    struct job *job = job_find(shard, delivery.id);
    event_ref(delivery.event); /* the job's own */
    job->claim = claim;
    list_add_tail(&claim->jobs, &job->in_claim);
    failpoint_crash(CRASH_JOB_MADE);
    return true;
}

static void make_jobs(struct claim *claim)
{
    const struct journal_receive *receive = &claim->receive;
    for (unsigned i = 0; i < receive->ret_count; i++)
        if (!make_job(claim, &receive->ret_deliveries[i]))
            claim->left |= 1u << i;
    if (claim->left)
        take_over(claim);
}

/* The event is broker-owned. */
static void hold(struct claim *claim)
{
    struct bridge *bridge = claim->bridge;
    claim->event_number = claim->receive.ret_deliveries[0].delivery / ACCOUNT_ENDPOINTS_MAX;
    suspended_remove(bridge, claim->event_number);
    struct id_map_node *node = id_map_find(&bridge->by_event, (uint64_t)claim->event_number);
    if (node) {
        struct claim *first = CONTAINER_OF(node, struct claim, by_event);
        if (first->stale && !claim->stale) { /* the same message again: only its tag is another */
            first->tag = claim->tag;
            first->stale = false;
            claim->stale = true;
        }
        claim_end(claim); /* a second copy */
    } else if (claim->stale || bridge->shard->stopping ||
               id_map_add(&bridge->by_event, &claim->by_event, (uint64_t)claim->event_number) != OK) {
        suspended_add(bridge, claim->event_number, claim->tag.channel);
        claim_free(claim);
    } else {
        claim->stage = CLAIM_HELD;
        make_jobs(claim);
    }
}

static void count(const struct journal_receive *receive)
{
    static const enum metric metrics[] = {[STANDING_HELD] = METRIC_RECEIVED_AGAIN,
        [STANDING_OWN] = METRIC_RECEIVED_AGAIN,
        [STANDING_ALIAS] = METRIC_RECEIVED_ALIAS,
        [STANDING_CONFLICT] = METRIC_RECEIVED_CONFLICT};
    metrics_add(receive->ret_is_new && receive->ret_standing != STANDING_CONFLICT ? METRIC_RECEIVED_NEW
                                                                                  : metrics[receive->ret_standing],
        1);
}

static void take_standing(struct claim *claim)
{
    struct delivery_shard *shard = claim->bridge->shard;
    const struct journal_receive *receive = &claim->receive;
    count(receive);
    check_see(claim->bridge, &receive->event->parts.id);
    if (claim->bridge->options.lag)
        broker_lag_arrived(claim->bridge->options.lag, &receive->event->parts.id, clock_mono_us());
    if (receive->ret_is_new && claim->bridge->tap)
        tap_publish(claim->bridge->tap, &receive->event->parts);
    if (receive->ret_standing == STANDING_HELD && receive->park_as != PARK_MISMATCH) {
        hold(claim);
        return;
    }
    if (receive->ret_is_new && receive->ret_standing == STANDING_OWN && receive->park_as == PARK_NONE &&
        receive->endpoints_count == 0)
        route_look_again(shard, receive->event); /* unrouted */
    claim_end(claim);
}

/* Not now, or never: said now and then, since its partition stops when the window is full of them. */
static void refused(struct claim *claim)
{
    struct bridge *bridge = claim->bridge;
    enum err error = claim->receive.request.result;
    claim->stage = CLAIM_REFUSED;
    claim->was_refused = true;
    if (bridge->shard->loop.now_mono_us < bridge->refusal_due_us)
        return;
    bridge->refusal_due_us = bridge->shard->loop.now_mono_us + REFUSED_SAID_EVERY_US;
    log_error(
        "the journal refuses events of the broker, which keeps them: tried again every second shard=%u error=%s%s",
        bridge->shard->number, err_name(error),
        error == ERR_DAMAGED ? " (the dedupe store is in doubt: a restart mends it from the history)" : "");
}

static void on_received(struct journal_request *request, void *receiver)
{
    struct claim *claim = CONTAINER_OF(request, struct claim, receive.request);
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    failpoint_crash(CRASH_RECEIVED);
    if (request->result == OK) {
        note_received(claim);
        take_standing(claim);
    } else if (request->result == ERR_UNAVAILABLE) {
        bridge_keep_event_as_poison(claim->bridge, &claim->tag, claim->receive.event);
        claim->stale = true; /* the poison's ack is the message's */
        claim_end(claim);
    } else if ((claim->stale && !claim->gone) || shard->stopping) {
        claim_free(claim); /* the journal knows nothing of it: the broker still has it */
    } else {
        refused(claim);
    }
    pump_run(shard);
    shard_stop_if_drained(shard);
}

void claim_new(
    struct bridge *bridge, const struct consumer_tag *tag, struct event *event, enum park_reason park_as, bool crowded)
{
    struct delivery_shard *shard = bridge->shard;
    const struct event_parts *parts = &event->parts;
    struct claim *claim = malloc(sizeof *claim);
    if (!claim) {
        event_unref(event);
        bridge_give_up(bridge);
        return;
    }
    claim->bridge = bridge;
    claim->tag = *tag;
    claim->stale = claim->gone = claim->takes_over = claim->received = claim->was_refused = false;
    claim->crowded = crowded;
    claim->ended = claim->left = 0;
    claim->event_number = 0;
    claim->since_mono_us = shard->loop.now_mono_us;
    list_init(&claim->jobs);
    list_init(&claim->in_claims);
    list_add_tail(&bridge->claims, &claim->in_claims);
    bridge->held_bytes += event->bytes;
    metrics_add(METRIC_CLAIMS, 1);
    metrics_add(METRIC_RECEIVING, 1);
    struct journal_receive *receive = &claim->receive;
    receive->event = event;
    receive->park_as = park_as;
    receive->endpoints_count = routing_choose(
        shard->directory, directory_account(shard->directory, parts->account), parts->type, receive->endpoints);
    if (parts->key.len)
        dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &receive->dedupe_key);
    submit_receive(claim);
}

/* The channel, the clock, the end. */

void claim_lose_channel(struct bridge *bridge, unsigned channel, uint32_t generation, bool is_gone)
{
    list_for_each_safe (node, following, &bridge->claims) {
        struct claim *claim = CONTAINER_OF(node, struct claim, in_claims);
        if (claim->tag.channel != channel || claim->tag.generation > generation || claim->stale)
            continue;
        claim->stale = true;
        claim->gone = is_gone; /* then this may be the only copy: it goes on to the journal */
        if (claim->stage == CLAIM_REFUSED && !is_gone)
            claim_free(claim);
        else if (claim->stage == CLAIM_HELD && had_started(claim))
            take_over(claim);
        else if (claim->stage == CLAIM_HELD && !claim->takes_over)
            claim_suspend(claim);
        else if (claim->takes_over && !had_started(claim))
            drop_jobs(claim);
    }
}

void claim_retry(struct bridge *bridge)
{
    list_for_each_safe (node, following, &bridge->claims) {
        struct claim *claim = CONTAINER_OF(node, struct claim, in_claims);
        if (claim->stage == CLAIM_REFUSED)
            submit_receive(claim);
        else if (claim->stage == CLAIM_HELD && claim->takes_over)
            take_over(claim);
    }
}

static bool waits_for_a_client(const struct claim *claim, int64_t now_mono_us)
{
    list_for_each (node, &claim->jobs)
        if (endpoint_queue_is_slow(CONTAINER_OF(node, struct job, in_claim)->queue, now_mono_us))
            return true;
    return false;
}

static bool is_in_the_way(const struct claim *claim, int64_t now_mono_us)
{
    const struct bridge *bridge = claim->bridge;
    unsigned unacked = consumer_unacked(bridge->consumer, claim->tag.channel);
    unsigned open = consumer_open(bridge->consumer, claim->tag.channel);
    return unacked > bridge->options.prefetch / 2 && (unacked - open > open || waits_for_a_client(claim, now_mono_us));
}

void claim_tick(struct bridge *bridge, int64_t now_mono_us)
{
    list_for_each_safe (node, following, &bridge->claims) {
        struct claim *claim = CONTAINER_OF(node, struct claim, in_claims);
        int64_t age_us = now_mono_us - claim->since_mono_us;
        if (age_us < CROWDED_AGE_US)
            break; /* they are in order of receipt */
        if (claim->stage == CLAIM_HELD && !claim->takes_over &&
            (age_us > CLAIM_AGE_US || is_in_the_way(claim, now_mono_us)))
            take_over(claim);
    }
}

/* Also while the journal is asked once more. */
bool claim_any_is_refused(const struct bridge *bridge)
{
    list_for_each (node, &bridge->claims) {
        const struct claim *claim = CONTAINER_OF(node, struct claim, in_claims);
        if (claim->was_refused && !claim->received)
            return true;
    }
    return false;
}

/* The connection is about to be closed: nothing is acked any more. */
void claim_lose_all(struct bridge *bridge)
{
    list_for_each (node, &bridge->claims)
        CONTAINER_OF(node, struct claim, in_claims)->stale = true;
}

void claim_forget_all(struct bridge *bridge)
{
    list_for_each_safe (node, following, &bridge->claims) {
        struct claim *claim = CONTAINER_OF(node, struct claim, in_claims);
        detach_jobs(claim);
        claim_free(claim);
    }
}
