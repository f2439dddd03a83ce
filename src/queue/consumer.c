/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer's connections, and what a message is (consumer.h). */
#include "queue/consumer_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "model/event_fields.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdlib.h>

#define TICK_US (100 * US_PER_MS)
#define RETRY_US US_PER_SECOND
#define OWNERSHIP_EVERY_US (5 * US_PER_SECOND)
#define HANDOVER_US \
    (60 * US_PER_SECOND) /* after a forced take-over both gateways may consume for this long */
#define BUDGET_SHARE_PERCENT 90 /* the rest is for what partners post now */

static struct consumer *consumer_of_context(void *context)
{
    return context;
}

/* Messages. */

/* Fills in what is only in the body. Returns NULL, or why the message is not an event. */
static const char *complete(const struct consumer *consumer, const struct message *message,
    struct event_fields *fields, struct event_parts *ret_parts)
{
    static const char other[] = "its headers and its body have different accounts or "
                                "types";
    struct refusal refusal;
    if (!message->is_event)
        return message->why_not;
    *ret_parts = message->parts;
    if (event_fields_parse(
            &consumer->options.seed, message->body, (struct slice){0}, fields, &refusal) != OK)
        return "its body is not an event";
    if (!slice_equal(FIELD_SLICE(fields->account), ret_parts->account) ||
        !slice_equal(FIELD_SLICE(fields->type), ret_parts->type))
        return other;
    ret_parts->amount = FIELD_SLICE(fields->amount);
    ret_parts->currency = FIELD_SLICE(fields->currency);
    ret_parts->has_occurred_at = fields->has_occurred_at;
    ret_parts->occurred_us = fields->occurred_us;
    return NULL;
}

static enum park_reason park_reason_of(const struct consumer *consumer, unsigned channel,
    const struct event_parts *parts, bool redelivered)
{
    int64_t forced_us = consumer->options.forced_since_us;
    if (forced_us && redelivered) /* the other gateway may have received it before it noticed */
        forced_us += HANDOVER_US;
    unsigned partition =
        placement_partition(&consumer->options.seed, parts->account, consumer->options.partitions);
    if (partition != consumer_partition_of_channel(consumer, channel) ||
        event_id_partition(&parts->id) != partition)
        return PARK_MISMATCH;
    return parts->guarded && parts->accepted_us < forced_us ? PARK_TAKEN_OVER : PARK_NONE;
}

static void on_message(void *context, const struct message_tag *tag, const struct message *message)
{
    struct consumer *consumer = consumer_of_context(context);
    struct event_fields fields;
    struct event_parts parts = {0};
    struct event *event;
    if (consumer->taker->stopping)
        return; /* the broker keeps it */
    if (consumer_is_of_dropped(consumer, tag->channel))
        drops_note(consumer, tag->channel, message);
    if (losses_is_of_confirmed(consumer, tag->channel)) {
        losses_take_list(consumer, tag, message);
        return;
    }
    const char *why_not = complete(consumer, message, &fields, &parts);
    if (why_not) {
        poison_keep(consumer, tag, message, why_not);
        return;
    }
    enum err failed = event_new(&parts, consumer->taker->budget, BUDGET_SHARE_PERCENT, &event);
    bool crowded =
        failed == ERR_OVERLOADED || (!failed && consumer_is_of_dropped(consumer, tag->channel));
    if (failed == ERR_OVERLOADED)
        failed = event_new(&parts, NULL, 0, &event);
    if (failed) {
        consumer_give_up(consumer);
        return;
    }
    /* A dropped message may have been delivered before. */
    bool again = message->redelivered || consumer_is_of_dropped(consumer, tag->channel);
    unacked_new(
        consumer, tag, event, park_reason_of(consumer, tag->channel, &parts, again), crowded);
    consumer_update_reading(consumer);
}

/* The consuming connection. */

static void say(struct consumer *consumer, bool good, const char *why)
{
    broker_status_set(consumer->options.status, BROKER_ROLE_CONSUME, consumer->taker->shard, good,
        subscriber_peer(consumer->subscriber), why);
}

static void on_channel_open(void *context, unsigned channel, uint32_t generation)
{
    struct consumer *consumer = consumer_of_context(context);
    suspended_on_channel(consumer, channel);
    losses_on_channel_open(consumer, channel);
    unsigned consuming = subscriber_channels_consuming(consumer->subscriber);
    if (consuming < consumer->channels_count)
        return;
    log_info("the broker's queues are consumed shard=%u broker=%s queues=%u",
        consumer->taker->shard, subscriber_peer(consumer->subscriber), consuming);
    say(consumer, true, NULL);
}

static void on_channel_lost(
    void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why)
{
    struct consumer *consumer = consumer_of_context(context);
    suspended_on_channel(consumer, channel);
    if (is_gone && !consumer->taker->stopping) {
        log_error("a queue of the broker was deleted, with the messages in it: it "
                  "is declared again queue=%s reason=%s",
            consumer->queues[channel], why);
        broker_connector_doubt(consumer->options.connector);
        consumer->redeclare = true;
    }
    say(consumer, false, why);
    losses_on_channel_lost(consumer, channel);
    /* Sends nothing: when a connection is lost, its other channels are reported next. */
    unacked_lose_channel(consumer, channel, generation, is_gone);
    if (!is_gone)
        poison_drop(consumer, channel);
}

static void on_lost(void *context, const char *why)
{
    struct consumer *consumer = consumer_of_context(context);
    if (!consumer->taker->stopping)
        log_warn("the connection that consumes from the broker is lost shard=%u reason=%s",
            consumer->taker->shard, why);
    say(consumer, false, why);
}

static void on_depth(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    suspended_on_depth(consumer_of_context(context), channel, messages_ready, consumers);
    losses_on_depth(consumer_of_context(context), channel, messages_ready, consumers);
}

static void depose(struct consumer *consumer, const char *detail)
{
    if (!consumer->deposed)
        log_error("another journal owns delivery: this gateway consumes nothing, "
                  "and delivers only what its own journal has shard=%u %s",
            consumer->taker->shard, detail);
    consumer->deposed = true;
    subscriber_close(consumer->subscriber);
    consumer->subscriber_not_before_us = consumer->taker->loop->now_mono_us + OWNERSHIP_EVERY_US;
    say(consumer, false, detail);
}

static void on_subscriber_failed(void *context, enum err failed, const char *detail)
{
    struct consumer *consumer = consumer_of_context(context);
    if (consumer->taker->stopping)
        return;
    if (failed == ERR_NOT_OWNER) {
        depose(consumer, detail);
        return;
    }
    if (consumer->subscriber_failures++ % 16 == 0)
        log_warn("no connection to consume from the broker: tried again shard=%u "
                 "error=%s reason=%s",
            consumer->taker->shard, err_name(failed), detail);
    say(consumer, false, detail);
}

static void on_subscriber_link(void *context, struct broker_link *link)
{
    struct consumer *consumer = consumer_of_context(context);
    if (consumer->taker->stopping) {
        broker_link_free(link);
        return;
    }
    enum err failed = subscriber_open(consumer->subscriber, link);
    if (failed) {
        on_subscriber_failed(consumer, failed, err_title(failed));
        return; /* keep_subscriber connects again */
    }
    consumer->subscriber_failures = 0;
    consumer->deposed = false;
    consumer->redeclare = false;
    consumer->ownership_due_us = consumer->taker->loop->now_mono_us + OWNERSHIP_EVERY_US;
    subscriber_set_reading(consumer->subscriber, consumer->reading);
}

static void on_ownership_checked(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct consumer *consumer = CONTAINER_OF(request, struct consumer, ownership_request);
    consumer->asking_ownership = false;
    if (base->result == ERR_NOT_OWNER && !consumer->taker->stopping)
        depose(consumer, request->ret_detail);
}

static void ask_ownership(struct consumer *consumer, int64_t now_us)
{
    consumer->ownership_due_us = now_us + OWNERSHIP_EVERY_US;
    consumer->asking_ownership = true;
    consumer->ownership_request = (struct connector_request){.base.kind = CONNECTOR_CHECK_OWNERSHIP,
        .base.reply_to = consumer->taker->mailbox,
        .base.on_done = on_ownership_checked};
    broker_connector_submit(consumer->options.connector, &consumer->ownership_request);
}

static void keep_subscriber(struct consumer *consumer, int64_t now_us)
{
    if (subscriber_is_open(consumer->subscriber)) {
        if (!consumer->asking_ownership && now_us >= consumer->ownership_due_us)
            ask_ownership(consumer, now_us);
        return;
    }
    if (!consumer->listed || !consumer->losses.is_ready ||
        now_us < consumer->subscriber_not_before_us)
        return;
    reconnect_want(&consumer->subscriber_reconnect, now_us);
    reconnect_tick(&consumer->subscriber_reconnect, now_us);
}

/* The connection of the taps. */

static void show_tap(struct consumer *consumer, bool good, const char *why)
{
    broker_status_set(
        consumer->options.status, BROKER_ROLE_TAP, consumer->taker->shard, good, NULL, why);
}

static void on_tap_lost(void *context, const char *why)
{
    show_tap(consumer_of_context(context), false, why);
}

static void on_tap_failed(void *context, enum err failed, const char *detail)
{
    show_tap(consumer_of_context(context), false, detail);
}

static void on_tap_link(void *context, struct broker_link *link)
{
    struct consumer *consumer = consumer_of_context(context);
    if (consumer->taker->stopping) {
        broker_link_free(link);
        return;
    }
    bool open = tap_open(consumer->tap, link) == OK;
    show_tap(consumer, open, "");
}

static void keep_tap(struct consumer *consumer, int64_t now_us)
{
    if (!consumer->tap)
        return;
    if (!tap_is_open(consumer->tap))
        reconnect_want(&consumer->tap_reconnect, now_us);
    reconnect_tick(&consumer->tap_reconnect, now_us);
}

/* A queue was deleted: the connector declares all queues with the next connection. */
static void redeclare(struct consumer *consumer, int64_t now_us)
{
    if (!consumer->redeclare || consumer->asking_ownership ||
        !subscriber_is_open(consumer->subscriber))
        return;
    consumer->redeclare = false;
    ask_ownership(consumer, now_us);
}

static void arm_tick(struct consumer *consumer)
{
    timer_arm(consumer->taker->loop, &consumer->tick_timer, TICK_US);
}

static void on_tick(struct timer *timer)
{
    struct consumer *consumer = CONTAINER_OF(timer, struct consumer, tick_timer);
    int64_t now_us = consumer->taker->loop->now_mono_us;
    subscriber_tick(consumer->subscriber, now_us);
    if (consumer->tap)
        tap_tick(consumer->tap, now_us);
    if (!consumer->taker->stopping) {
        suspended_tick(consumer, now_us);
        drops_tick(consumer, now_us);
        losses_tick(consumer, now_us);
        redeclare(consumer, now_us);
        keep_subscriber(consumer, now_us);
        keep_tap(consumer, now_us);
        unacked_tick(consumer, now_us);
        if (now_us >= consumer->retry_due_us) {
            consumer->retry_due_us = now_us + RETRY_US;
            unacked_retry(consumer);
            poison_retry(consumer);
        }
    }
    arm_tick(consumer);
}

/* As an event source. */

static struct consumer *consumer_of(struct event_source *source)
{
    return CONTAINER_OF(source, struct consumer, source);
}

static void start(struct event_source *source)
{
    struct consumer *consumer = consumer_of(source);
    suspended_list(consumer);
    drops_show(consumer);
    arm_tick(consumer);
}

/* What the journal has accepted, also of events that the broker has: the journal owns them now. */
static void on_handover(struct event_source *source, struct journal_handover *handover)
{
    struct consumer *consumer = consumer_of(source);
    for (unsigned i = 0; i < handover->count; i++) {
        const struct delivery *delivery = &handover->deliveries[i];
        if (consumer->tap && placement_index(delivery->id) == 0 &&
            !operator_event_is_account(delivery->event->parts.account)) /* nobody has posted it */
            tap_publish(consumer->tap, &delivery->event->parts);
        unacked_adopt(consumer, placement_event(delivery->id));
        event_source_pass_on(source, delivery);
    }
    free(handover);
}

static void on_end(struct event_source *source, struct sourced *sourced, bool adopted)
{
    unacked_end_job(sourced, adopted);
}

static void on_doubt(struct event_source *source, struct sourced *sourced)
{
    unacked_doubt_job(sourced);
}

static void close_links(struct event_source *source)
{
    struct consumer *consumer = consumer_of(source);
    unacked_lose_all(consumer);
    reconnect_stop(&consumer->subscriber_reconnect);
    reconnect_stop(&consumer->tap_reconnect);
    subscriber_free(TAKE(consumer->subscriber));
    tap_free(TAKE(consumer->tap));
}

static void free_consumer(struct event_source *source)
{
    struct consumer *consumer = consumer_of(source);
    close_links(source);
    timer_disarm(consumer->taker->loop, &consumer->tick_timer);
    unacked_forget_all(consumer);
    suspended_free_all(consumer);
    losses_done(consumer);
    poison_free_all(consumer);
    broker_loop_host_done(&consumer->subscriber_host);
    broker_loop_host_done(&consumer->tap_host);
    id_map_done(&consumer->by_event);
    id_map_done(&consumer->suspended);
    free(consumer->queue_names);
    free(consumer->queues);
    free(consumer->suspended_count);
    free(consumer->empty_seen);
    free(consumer);
}

/* Life. */

static void name_queues(struct consumer *consumer)
{
    const struct consumer_options *options = &consumer->options;
    unsigned partitions = 0;
    for (unsigned p = consumer->taker->shard; p < options->partitions; p += options->shards)
        partitions++;
    assert(partitions > 0); /* there are no more shards than partitions */
    const unsigned count = 2 * partitions + options->checks;
    consumer->queue_names = memory_new_array(count, sizeof *consumer->queue_names);
    consumer->queues = memory_new_array(count, sizeof *consumer->queues);
    consumer->suspended_count = memory_new_array(count, sizeof *consumer->suspended_count);
    consumer->empty_seen = memory_new_array(count, sizeof *consumer->empty_seen);
    consumer->partitions_count = partitions;
    consumer->queues_count = 2 * partitions;
    consumer->channels_count = count;
    if (options->checks)
        consumer->queues[count - 1] = BROKER_CONFIRMED_STREAM;
    for (unsigned i = 0; i < consumer->queues_count; i++) {
        unsigned partition = consumer_partition_of_channel(consumer, i);
        if (consumer_is_of_dropped(consumer, i))
            broker_dropped_queue_name(options->partitions, partition, consumer->queue_names[i]);
        else
            broker_queue_name(options->partitions, partition, consumer->queue_names[i]);
        consumer->queues[i] = consumer->queue_names[i];
    }
}

static void init_reconnects(struct consumer *consumer)
{
    const struct reconnect_listener of_subscriber = {
        .on_link = on_subscriber_link, .on_failed = on_subscriber_failed, .context = consumer};
    const struct reconnect_listener of_tap = {
        .on_link = on_tap_link, .on_failed = on_tap_failed, .context = consumer};
    struct broker_connector *connector = consumer->options.connector;
    struct mailbox *reply_to = consumer->taker->mailbox;
    reconnect_init(&consumer->subscriber_reconnect, connector, CONNECTOR_OPEN_SUBSCRIBER, reply_to,
        &of_subscriber);
    reconnect_init(&consumer->tap_reconnect, connector, CONNECTOR_OPEN_TAP, reply_to, &of_tap);
}

static void make_links(struct consumer *consumer)
{
    const struct subscriber_options options = {.queues_count = consumer->channels_count,
        .streams_count = consumer->options.checks,
        .queues = consumer->queues,
        .prefetch = consumer->options.prefetch};
    const struct subscriber_listener listener = {.on_message = on_message,
        .on_channel_lost = on_channel_lost,
        .on_channel_open = on_channel_open,
        .on_lost = on_lost,
        .on_depth = on_depth,
        .context = consumer};
    consumer->subscriber = subscriber_new(&consumer->subscriber_host.host, &options, &listener);
    if (consumer->options.taps)
        consumer->tap = tap_new(&consumer->tap_host.host, on_tap_lost, consumer);
}

struct event_source *consumer_new(struct event_taker *taker, const struct consumer_options *options)
{
    static const struct event_source_ops ops = {.start = start,
        .on_handover = on_handover,
        .on_end = on_end,
        .on_doubt = on_doubt,
        .close = close_links,
        .free = free_consumer};
    struct consumer *consumer;
    MEMORY_NEW(consumer);
    consumer->source = (struct event_source){.ops = &ops, .taker = taker};
    consumer->taker = taker;
    consumer->options = *options;
    consumer->reading = true;
    list_init(&consumer->unacked_events);
    list_init(&consumer->poison);
    timer_init(&consumer->tick_timer, on_tick);
    broker_loop_host_init(&consumer->subscriber_host, taker->loop);
    broker_loop_host_init(&consumer->tap_host, taker->loop);
    name_queues(consumer);
    losses_init(consumer);
    init_reconnects(consumer);
    make_links(consumer);
    return &consumer->source;
}
