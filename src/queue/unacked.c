/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unacked events: consumed from the broker, and not acked yet. The broker owns such an event. The
 * ack follows the commit after which the journal can answer for the event.
 *
 * An event is adopted by the journal, and then acked,
 *   - when it is not delivered UNACKED_AGE_US after it arrived, so that the broker's
 *     consumer_timeout never expires;
 *   - after CROWDED_AGE_US, if more than half of the channel's prefetch is used up because of slow
 *     clients. Acks are sent in order, so one slow client would block its whole partition.
 *     If all events are late alike, the machine is overloaded, and adopting would only cost more;
 *   - at once, if there is no room for its jobs in memory.
 *
 * If the disk refuses, the request is sent again every second. In the meantime the window fills up,
 * and the broker keeps the rest.
 *
 * The order of requests makes this safe. When a channel is lost, JOURNAL_ADOPT is submitted for an
 * event that had started, before its message can be delivered again. JOURNAL_RECEIVE for that
 * message then says that the journal owns the event.
 */
#include "queue/consumer_internal.h"

#include "accounts/routing.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "broker/lag.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#define UNACKED_AGE_US (5 * US_PER_SECOND)
#define CROWDED_AGE_US (250 * US_PER_MS)
#define REFUSED_SAID_EVERY_US (60 * US_PER_SECOND)

static void on_received(struct request *request, void *receiver);

static bool had_started(const struct sourced_event *unacked)
{
    if (unacked->ended > 0)
        return true;
    list_for_each (node, &unacked->jobs) {
        if (CONTAINER_OF(node, struct sourced, in_event)->started)
            return true;
    }
    return false;
}

static void detach_jobs(struct sourced_event *unacked)
{
    struct sourced *sourced;
    while ((sourced = LIST_TAKE_FIRST(&unacked->jobs, struct sourced, in_event)))
        sourced->event = NULL;
}

/* In METRIC_RECEIVING until the journal has it, or it is freed. */
static void note_received(struct sourced_event *unacked)
{
    if (!unacked->received)
        metrics_add(METRIC_RECEIVING, -1);
    unacked->received = true;
}

static void unacked_free(struct sourced_event *unacked)
{
    struct consumer *consumer = unacked->consumer;
    assert(list_is_empty(&unacked->jobs));
    if (unacked->stage == UNACKED_BROKER_OWNED || unacked->stage == UNACKED_ADOPTING)
        id_map_remove(&consumer->by_event, &unacked->by_event);
    list_remove(&unacked->in_list);
    note_received(unacked);
    consumer->bytes_in_memory -= unacked->receive.event->bytes;
    event_unref(unacked->receive.event);
    metrics_add(METRIC_UNACKED, -1);
    free(unacked);
    consumer_update_reading(consumer);
}

/* The message is not needed any more. */
static void unacked_end(struct sourced_event *unacked)
{
    failpoint_crash(CRASH_ACK_DUE);
    detach_jobs(unacked);
    if (!unacked->stale)
        subscriber_ack(unacked->consumer->subscriber, &unacked->tag);
    unacked_free(unacked);
}

/* Nothing of it has started, and its channel is lost: it must not be sent. */
static void drop_jobs(struct sourced_event *unacked)
{
    const struct journal_receive *receive = &unacked->receive;
    struct event_taker *taker = unacked->consumer->taker;
    struct sourced *sourced;
    while ((sourced = LIST_TAKE_FIRST(&unacked->jobs, struct sourced, in_event))) {
        for (unsigned i = 0; i < receive->ret_count; i++)
            if (receive->ret_deliveries[i].delivery == sourced->delivery)
                unacked->left |= 1u << i; /* loaded after the journal has adopted it */
        sourced->event = NULL;
        taker->ops->drop(taker, sourced);
    }
}

/* Its rows stay broker-owned until the broker delivers it again. */
static void unacked_suspend(struct sourced_event *unacked)
{
    struct consumer *consumer = unacked->consumer;
    drop_jobs(unacked);
    suspended_add(consumer, unacked->event_number, unacked->tag.channel);
    unacked_free(unacked);
}

/* Adopting. */

static void expect_left(struct sourced_event *unacked)
{
    struct event_taker *taker = unacked->consumer->taker;
    const struct journal_receive *receive = &unacked->receive;
    for (unsigned i = 0; i < receive->ret_count; i++)
        if (unacked->left & 1u << i)
            taker->ops->expect_pending(
                taker, receive->ret_deliveries[i].endpoint, receive->ret_deliveries[i].delivery);
}

static void on_adopted(struct request *request, void *receiver)
{
    struct sourced_event *unacked = CONTAINER_OF(request, struct sourced_event, adopt.request);
    struct event_taker *taker = unacked->consumer->taker;
    if (request->result == OK) {
        metrics_add(METRIC_ADOPTED, 1);
        if (!taker->stopping)
            expect_left(unacked);
        unacked_end(unacked);
    } else {
        unacked->stage = UNACKED_BROKER_OWNED; /* unacked_retry tries again */
    }
}

static void adopt(struct sourced_event *unacked)
{
    struct event_taker *taker = unacked->consumer->taker;
    unacked->adopts = true;
    if (unacked->stage != UNACKED_BROKER_OWNED || !taker->journal)
        return; /* without a journal (it has ended) the next start adopts what has started */
    unacked->stage = UNACKED_ADOPTING;
    unacked->adopt.count = 1;
    unacked->adopt.events = &unacked->event_number;
    unacked->adopt.park_guarded_before_us = 0;
    event_taker_ask(taker, taker->journal, &unacked->adopt.request, JOURNAL_ADOPT, on_adopted);
}

/* Jobs that have ended. */

static struct sourced_event *leave_event(struct sourced *sourced)
{
    struct sourced_event *unacked = sourced->event;
    list_remove(&sourced->in_event);
    sourced->event = NULL;
    unacked->ended++;
    return unacked;
}

void unacked_end_job(struct sourced *sourced, bool adopted)
{
    struct sourced_event *unacked = leave_event(sourced);
    if (unacked->stage != UNACKED_BROKER_OWNED)
        return; /* ADOPTING: its answer ends the unacked event */
    if (adopted)
        expect_left(unacked);
    if (adopted || (list_is_empty(&unacked->jobs) && unacked->left == 0))
        unacked_end(unacked);
}

void unacked_doubt_job(struct sourced *sourced)
{
    adopt(leave_event(sourced));
}

void unacked_adopt(struct consumer *consumer, int64_t event_number)
{
    struct id_map_node *node = id_map_find(&consumer->by_event, (uint64_t)event_number);
    struct sourced_event *unacked =
        node ? CONTAINER_OF(node, struct sourced_event, by_event) : NULL;
    suspended_remove(consumer, event_number);
    if (unacked && unacked->stage == UNACKED_BROKER_OWNED) /* ADOPTING: its answer ends it */
        unacked_end(unacked);
}

/* Receiving. */

/* The journal of its id: of another shard, if it is in a wrong partition (and parked). */
static struct journal *journal_of(const struct sourced_event *unacked)
{
    const struct consumer *consumer = unacked->consumer;
    if (unacked->receive.park_as != PARK_MISMATCH)
        return consumer->taker->journal;
    return consumer->options.journals[placement_shard(
        event_id_partition(&unacked->receive.event->parts.id), consumer->options.shards)];
}

static void submit_receive(struct sourced_event *unacked)
{
    struct event_taker *taker = unacked->consumer->taker;
    unacked->stage = UNACKED_RECEIVING;
    event_taker_ask(
        taker, journal_of(unacked), &unacked->receive.request, JOURNAL_RECEIVE, on_received);
}

/* Makes a job of one of its deliveries. False if there is no room: the journal is to adopt the
 * event. */
static bool make_job(
    struct sourced_event *unacked, const struct journal_received_delivery *received)
{
    struct event_taker *taker = unacked->consumer->taker;
    if (unacked->crowded)
        return false;
    const struct delivery delivery = {
        .id = received->delivery,
        .endpoint = received->endpoint,
        .state = DELIVERY_PENDING,
        .lane = LANE_FRESH,
        .due_us = unacked->receive.event->parts.accepted_us,
        .event = unacked->receive.event,
    };
    event_ref(delivery.event); /* the job's own */
    struct sourced *sourced = taker->ops->add(taker, &delivery);
    if (!sourced) {
        event_unref(delivery.event);
        return false;
    }
    sourced->event = unacked;
    list_add_tail(&unacked->jobs, &sourced->in_event);
    failpoint_crash(CRASH_JOB_MADE);
    return true;
}

static void make_jobs(struct sourced_event *unacked)
{
    const struct journal_receive *receive = &unacked->receive;
    for (unsigned i = 0; i < receive->ret_count; i++)
        if (!make_job(unacked, &receive->ret_deliveries[i]))
            unacked->left |= 1u << i;
    if (unacked->left)
        adopt(unacked);
}

/* The event is broker-owned. */
static void hold(struct sourced_event *unacked)
{
    struct consumer *consumer = unacked->consumer;
    unacked->event_number = placement_event(unacked->receive.ret_deliveries[0].delivery);
    suspended_remove(consumer, unacked->event_number);
    struct id_map_node *node = id_map_find(&consumer->by_event, (uint64_t)unacked->event_number);
    if (node) {
        struct sourced_event *first = CONTAINER_OF(node, struct sourced_event, by_event);
        if (first->stale &&
            !unacked->stale) { /* the same message, delivered again: it has a new tag */
            first->tag = unacked->tag;
            first->stale = false;
            unacked->stale = true;
        }
        unacked_end(unacked); /* a second copy */
    } else if (unacked->stale || consumer->taker->stopping) {
        suspended_add(consumer, unacked->event_number, unacked->tag.channel);
        unacked_free(unacked);
    } else {
        id_map_add(&consumer->by_event, &unacked->by_event, (uint64_t)unacked->event_number);
        unacked->stage = UNACKED_BROKER_OWNED;
        make_jobs(unacked);
    }
}

static void count(const struct journal_receive *receive)
{
    static const enum metric metrics[] = {[RECEIVED_BROKER_OWNED] = METRIC_RECEIVED_AGAIN,
        [RECEIVED_JOURNAL_OWNED] = METRIC_RECEIVED_AGAIN,
        [RECEIVED_ALIAS] = METRIC_RECEIVED_ALIAS,
        [RECEIVED_CONFLICT] = METRIC_RECEIVED_CONFLICT};
    metrics_add(receive->ret_is_new && receive->ret_received != RECEIVED_CONFLICT
                    ? METRIC_RECEIVED_NEW
                    : metrics[receive->ret_received],
        1);
}

static void take_received(struct sourced_event *unacked)
{
    struct event_taker *taker = unacked->consumer->taker;
    const struct journal_receive *receive = &unacked->receive;
    count(receive);
    losses_see(unacked->consumer, &receive->event->parts.id);
    if (unacked->consumer->options.lag)
        broker_lag_arrived(
            unacked->consumer->options.lag, &receive->event->parts.id, clock_mono_us());
    if (receive->ret_is_new && unacked->consumer->tap)
        tap_publish(unacked->consumer->tap, &receive->event->parts);
    if (receive->ret_received == RECEIVED_BROKER_OWNED && receive->park_as != PARK_MISMATCH) {
        hold(unacked);
        return;
    }
    if (receive->ret_is_new && receive->ret_received == RECEIVED_JOURNAL_OWNED &&
        receive->park_as == PARK_NONE && receive->endpoints_count == 0)
        taker->ops->look_again(taker, receive->event); /* unrouted */
    unacked_end(unacked);
}

/* Logged once a minute: consuming stops when the window is full of such events. */
static void refused(struct sourced_event *unacked)
{
    struct consumer *consumer = unacked->consumer;
    enum err error = unacked->receive.request.result;
    unacked->stage = UNACKED_REFUSED;
    unacked->was_refused = true;
    if (consumer->taker->loop->now_mono_us < consumer->refusal_due_us)
        return;
    consumer->refusal_due_us = consumer->taker->loop->now_mono_us + REFUSED_SAID_EVERY_US;
    log_error("the journal refuses events from the broker, which keeps them: tried "
              "again every second shard=%u error=%s%s",
        consumer->taker->shard, err_name(error),
        error == ERR_DAMAGED ? " (the dedupe store is damaged: a restart repairs it from the "
                               "history)"
                             : "");
}

static void on_received(struct request *request, void *receiver)
{
    struct sourced_event *unacked = CONTAINER_OF(request, struct sourced_event, receive.request);
    struct event_taker *taker = unacked->consumer->taker;
    failpoint_crash(CRASH_RECEIVED);
    if (request->result == OK) {
        note_received(unacked);
        take_received(unacked);
    } else if ((unacked->stale && !unacked->gone) || taker->stopping) {
        unacked_free(unacked); /* the journal does not have it; the broker still does */
    } else if (request->result == ERR_UNAVAILABLE) {
        poison_keep_event(unacked->consumer, &unacked->tag, unacked->receive.event);
        unacked->stale = true; /* the message is acked when it is kept as poison */
        unacked_end(unacked);
    } else {
        refused(unacked);
    }
}

void unacked_new(struct consumer *consumer, const struct message_tag *tag, struct event *event,
    enum park_reason park_as, bool crowded)
{
    struct event_taker *taker = consumer->taker;
    const struct event_parts *parts = &event->parts;
    struct sourced_event *unacked = memory_new_raw(sizeof *unacked);
    unacked->consumer = consumer;
    unacked->tag = *tag;
    unacked->stale = unacked->gone = unacked->adopts = unacked->received = unacked->was_refused =
        false;
    unacked->crowded = crowded;
    unacked->ended = unacked->left = 0;
    unacked->event_number = 0;
    unacked->since_mono_us = taker->loop->now_mono_us;
    list_init(&unacked->jobs);
    list_init(&unacked->in_list);
    list_add_tail(&consumer->unacked_events, &unacked->in_list);
    consumer->bytes_in_memory += event->bytes;
    metrics_add(METRIC_UNACKED, 1);
    metrics_add(METRIC_RECEIVING, 1);
    struct journal_receive *receive = &unacked->receive;
    receive->event = event;
    receive->park_as = park_as;
    receive->endpoints_count = routing_choose(taker->directory,
        directory_account(taker->directory, parts->account), parts->type, receive->endpoints);
    if (parts->key.len)
        dedupe_key_of(
            parts->partner, parts->account, parts->type, parts->key, &receive->dedupe_key);
    submit_receive(unacked);
}

/* Lost channels, time, and the end. */

void unacked_lose_channel(
    struct consumer *consumer, unsigned channel, uint32_t generation, bool is_gone)
{
    list_for_each_safe (node, following, &consumer->unacked_events) {
        struct sourced_event *unacked = CONTAINER_OF(node, struct sourced_event, in_list);
        if (unacked->tag.channel != channel || unacked->tag.generation > generation ||
            unacked->stale)
            continue;
        unacked->stale = true;
        unacked->gone = is_gone; /* this may be the only copy: it is sent to the journal */
        if (unacked->stage == UNACKED_REFUSED && !is_gone)
            unacked_free(unacked);
        else if (unacked->stage == UNACKED_BROKER_OWNED && had_started(unacked))
            adopt(unacked);
        else if (unacked->stage == UNACKED_BROKER_OWNED && !unacked->adopts)
            unacked_suspend(unacked);
        else if (unacked->adopts && !had_started(unacked))
            drop_jobs(unacked);
    }
}

void unacked_retry(struct consumer *consumer)
{
    list_for_each_safe (node, following, &consumer->unacked_events) {
        struct sourced_event *unacked = CONTAINER_OF(node, struct sourced_event, in_list);
        if (unacked->stage == UNACKED_REFUSED)
            submit_receive(unacked);
        else if (unacked->stage == UNACKED_BROKER_OWNED && unacked->adopts)
            adopt(unacked);
    }
}

static bool waits_for_a_client(const struct sourced_event *unacked, int64_t now_mono_us)
{
    struct event_taker *taker = unacked->consumer->taker;
    list_for_each (node, &unacked->jobs)
        if (taker->ops->is_slow(taker, CONTAINER_OF(node, struct sourced, in_event), now_mono_us))
            return true;
    return false;
}

static bool is_in_the_way(const struct sourced_event *unacked, int64_t now_mono_us)
{
    const struct consumer *consumer = unacked->consumer;
    unsigned used = subscriber_unacked(consumer->subscriber, unacked->tag.channel);
    unsigned open = subscriber_open_messages(consumer->subscriber, unacked->tag.channel);
    return used > consumer->options.prefetch / 2 &&
           (used - open > open || waits_for_a_client(unacked, now_mono_us));
}

void unacked_tick(struct consumer *consumer, int64_t now_mono_us)
{
    list_for_each_safe (node, following, &consumer->unacked_events) {
        struct sourced_event *unacked = CONTAINER_OF(node, struct sourced_event, in_list);
        int64_t age_us = now_mono_us - unacked->since_mono_us;
        if (age_us < CROWDED_AGE_US)
            break; /* the list is in order of arrival */
        if (unacked->stage == UNACKED_BROKER_OWNED && !unacked->adopts &&
            (age_us > UNACKED_AGE_US || is_in_the_way(unacked, now_mono_us)))
            adopt(unacked);
    }
}

/* Also true while the journal is being asked again. */
bool unacked_any_is_refused(const struct consumer *consumer)
{
    list_for_each (node, &consumer->unacked_events) {
        const struct sourced_event *unacked = CONTAINER_OF(node, struct sourced_event, in_list);
        if (unacked->was_refused && !unacked->received)
            return true;
    }
    return false;
}

/* The connection is about to be closed: no more acks. */
void unacked_lose_all(struct consumer *consumer)
{
    list_for_each (node, &consumer->unacked_events)
        CONTAINER_OF(node, struct sourced_event, in_list)->stale = true;
}

void unacked_forget_all(struct consumer *consumer)
{
    list_for_each_safe (node, following, &consumer->unacked_events) {
        struct sourced_event *unacked = CONTAINER_OF(node, struct sourced_event, in_list);
        detach_jobs(unacked);
        unacked_free(unacked);
    }
}
