/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shard's connections to the broker: one that consumes its partitions, one for the copies that taps get. Both are
 * asked of the connector, which may wait; when one is lost another is asked for, a little later each time.
 *
 * Consuming begins when the journal has been scanned and what the last run left is known. It ends when the connector
 * finds that another journal owns delivery: what is the journal's own goes on. Whether it is ours is asked every
 * UNACKED_EVERY_US, while a connection lasts and after that as well.
 *
 * Events take from the shard's byte budget, and get no job where that ends. What is unacked is bounded by the prefetch
 * (count) and by prefetch_bytes: beyond it nothing is read from the connection.
 */
#include "delivery/bridge_internal.h"

#include "base/clock.h"
#include "base/hash.h"
#include "model/event_fields.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>

#define TICK_US (100 * US_PER_MS)
#define RETRY_US US_PER_SECOND
#define DELAY_US_MIN (200 * US_PER_MS)
#define DELAY_US_MAX (5 * US_PER_SECOND)
#define UNACKED_EVERY_US (5 * US_PER_SECOND)
#define HANDOVER_US (60 * US_PER_SECOND) /* both may have consumed that long after a forced take-over */
#define BUDGET_SHARE_PERCENT 90          /* the rest is for what partners post now */

static struct bridge *bridge_of_context(void *context)
{
    return context;
}

unsigned bridge_channel_of_partition(const struct bridge *bridge, unsigned partition)
{
    unsigned channel = partition / bridge->options.shards;
    return channel < bridge->partitions_count ? channel : 0;
}

bool bridge_is_of_dropped(const struct bridge *bridge, unsigned channel)
{
    return channel >= bridge->partitions_count && channel < bridge->queues_count;
}

static unsigned partition_of_channel(const struct bridge *bridge, unsigned channel)
{
    return channel % bridge->partitions_count * bridge->options.shards + bridge->shard->number;
}

void bridge_update_reading(struct bridge *bridge)
{
    int64_t max = bridge->options.prefetch_bytes;
    bool reading = bridge->held_bytes < (bridge->reading ? max : max / 4 * 3);
    if (reading == bridge->reading || !bridge->subscriber)
        return;
    bridge->reading = reading;
    subscriber_set_reading(bridge->subscriber, reading);
}

/* Messages that are no events. */

struct poison {
    struct journal_keep_poison keep;
    struct bridge *bridge;
    struct list in_poison; /* while the journal refuses it */
    struct message_tag tag;
    char bytes[]; /* headers, body */
};

static void on_kept(struct journal_request *request, void *receiver)
{
    struct poison *poison = CONTAINER_OF(request, struct poison, keep.request);
    struct bridge *bridge = poison->bridge;
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    if (request->result == OK || shard->stopping) {
        bridge->held_bytes -= (int64_t)(poison->keep.headers.len + poison->keep.body.len);
        bridge_update_reading(bridge);
        if (request->result == OK && bridge->subscriber)
            subscriber_ack(bridge->subscriber, &poison->tag);
        free(poison);
    } else {
        list_add_tail(&bridge->poison, &poison->in_poison);
    }
    shard_stop_if_drained(shard);
}

static void submit_poison(struct poison *poison)
{
    struct delivery_shard *shard = poison->bridge->shard;
    poison->keep.request =
        (struct journal_request){.kind = JOURNAL_KEEP_POISON, .reply_to = &shard->mailbox, .on_done = on_kept};
    shard->requests_out++;
    journal_submit(shard->journal, &poison->keep.request);
}

static void keep_poison(
    struct bridge *bridge, const struct message_tag *tag, const struct message *message, const char *reason)
{
    const struct slice headers = message->headers_json, body = message->body;
    metrics_add(METRIC_RECEIVED_POISON, 1);
    log_error("a message that is no event came from the broker; it is kept as poison queue=%s reason=%s",
        bridge->queues[tag->channel], reason);
    struct poison *poison = malloc(sizeof *poison + headers.len + body.len);
    if (!poison) {
        bridge_give_up(bridge);
        return;
    }
    bridge->held_bytes += (int64_t)(headers.len + body.len);
    *poison = (struct poison){.bridge = bridge, .tag = *tag};
    list_init(&poison->in_poison);
    struct journal_keep_poison *keep = &poison->keep;
    snprintf(keep->queue, sizeof keep->queue, "%s", bridge->queues[tag->channel]);
    snprintf(keep->reason, sizeof keep->reason, "%s", reason);
    snprintf(keep->message_id, sizeof keep->message_id, "%.*s", SLICE_ARGS(message->message_id));
    if (headers.len)
        memcpy(poison->bytes, headers.data, headers.len);
    if (body.len)
        memcpy(poison->bytes + headers.len, body.data, body.len);
    keep->headers = slice_of(poison->bytes, headers.len);
    keep->body = slice_of(poison->bytes + headers.len, body.len);
    keep->body_bytes = message->body_bytes;
    submit_poison(poison);
}

void bridge_keep_event_as_poison(struct bridge *bridge, const struct message_tag *tag, const struct event *event)
{
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&event->parts.id, id);
    const struct message message = {
        .body = event->parts.body, .body_bytes = event->parts.body.len, .message_id = slice_from_string(id)};
    keep_poison(bridge, tag, &message, "another event has its id");
}

/* Those that come again. */
static void drop_poison(struct bridge *bridge, unsigned channel)
{
    list_for_each_safe (node, following, &bridge->poison) {
        struct poison *poison = CONTAINER_OF(node, struct poison, in_poison);
        if (poison->tag.channel != channel)
            continue;
        list_remove(&poison->in_poison);
        bridge->held_bytes -= (int64_t)(poison->keep.headers.len + poison->keep.body.len);
        free(poison);
    }
}

static void retry_poison(struct bridge *bridge)
{
    struct list again;
    list_init(&again);
    for (struct poison *poison; (poison = LIST_TAKE_FIRST(&bridge->poison, struct poison, in_poison));)
        list_add_tail(&again, &poison->in_poison);
    for (struct poison *poison; (poison = LIST_TAKE_FIRST(&again, struct poison, in_poison));)
        submit_poison(poison);
}

/* Messages. */

/* Fills in what stands in the body only. NULL, or why it is no event of ours. */
static const char *complete(const struct bridge *bridge, const struct message *message, struct event_fields *fields,
    struct event_parts *ret_parts)
{
    static const char other[] = "its headers and its body tell of different accounts or types";
    struct refusal refusal;
    if (!message->is_event)
        return message->why_not;
    *ret_parts = message->parts;
    if (event_fields_parse(&bridge->options.seed, message->body, (struct slice){0}, fields, &refusal) != OK)
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

static enum park_reason park_reason_of(
    const struct bridge *bridge, unsigned channel, const struct event_parts *parts, bool redelivered)
{
    int64_t forced_us = bridge->options.forced_since_us;
    if (forced_us && redelivered) /* the other gateway had it, until it noticed */
        forced_us += HANDOVER_US;
    unsigned partition = (unsigned)(hash_siphash(&bridge->options.seed, parts->account) % bridge->options.partitions);
    if (partition != partition_of_channel(bridge, channel) || event_id_partition(&parts->id) != partition)
        return PARK_MISMATCH;
    return parts->guarded && parts->accepted_us < forced_us ? PARK_TAKEN_OVER : PARK_NONE;
}

static void on_message(void *context, const struct message_tag *tag, const struct message *message)
{
    struct bridge *bridge = bridge_of_context(context);
    struct event_fields fields;
    struct event_parts parts = {0};
    struct event *event;
    if (bridge->shard->stopping)
        return; /* the broker keeps it */
    if (bridge_is_of_dropped(bridge, tag->channel))
        drops_note(bridge, tag->channel, message);
    if (check_is_of_confirmed(bridge, tag->channel)) {
        check_take_list(bridge, tag, message);
        return;
    }
    const char *why_not = complete(bridge, message, &fields, &parts);
    if (why_not) {
        keep_poison(bridge, tag, message, why_not);
        return;
    }
    enum err failed = event_new(&parts, bridge->shard->budget, BUDGET_SHARE_PERCENT, &event);
    bool crowded = failed == ERR_OVERLOADED || (!failed && bridge_is_of_dropped(bridge, tag->channel));
    if (failed == ERR_OVERLOADED)
        failed = event_new(&parts, NULL, 0, &event);
    if (failed) {
        bridge_give_up(bridge);
        return;
    }
    /* What was dropped may have been delivered before. */
    bool again = message->redelivered || bridge_is_of_dropped(bridge, tag->channel);
    unacked_new(bridge, tag, event, park_reason_of(bridge, tag->channel, &parts, again), crowded);
    bridge_update_reading(bridge);
}

/* The consuming connection. */

static void say(struct bridge *bridge, bool good, const char *why)
{
    broker_status_set(bridge->options.status, BROKER_ROLE_CONSUME, bridge->shard->number, good,
        subscriber_peer(bridge->subscriber), why);
}

static void on_channel_open(void *context, unsigned channel, uint32_t generation)
{
    struct bridge *bridge = bridge_of_context(context);
    suspended_on_channel(bridge, channel);
    check_on_channel_open(bridge, channel);
    unsigned consuming = subscriber_channels_consuming(bridge->subscriber);
    if (consuming < bridge->channels_count)
        return;
    log_info("the broker's queues are consumed shard=%u broker=%s queues=%u", bridge->shard->number,
        subscriber_peer(bridge->subscriber), consuming);
    bridge->subscriber_delay_us = DELAY_US_MIN;
    say(bridge, true, NULL);
}

static void on_channel_lost(void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why)
{
    struct bridge *bridge = bridge_of_context(context);
    suspended_on_channel(bridge, channel);
    if (is_gone && !bridge->shard->stopping) {
        log_error("a queue of the broker is gone, with what was in it and not yet consumed: it is declared again "
                  "queue=%s reason=%s",
            bridge->queues[channel], why);
        broker_connector_doubt(bridge->options.connector);
        bridge->redeclare = true;
    }
    say(bridge, false, why);
    check_on_channel_lost(bridge, channel);
    /* Nothing is sent from here: when a connection is lost, the unacked events of its other channels are told next. */
    unacked_lose_channel(bridge, channel, generation, is_gone);
    if (!is_gone)
        drop_poison(bridge, channel);
}

static void on_lost(void *context, const char *why)
{
    struct bridge *bridge = bridge_of_context(context);
    if (!bridge->shard->stopping)
        log_warn("the connection that consumes from the broker is lost shard=%u reason=%s", bridge->shard->number, why);
    bridge->subscriber_due_us = bridge->shard->loop.now_mono_us + bridge->subscriber_delay_us;
    say(bridge, false, why);
}

static void on_depth(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    suspended_on_depth(bridge_of_context(context), channel, messages_ready, consumers);
    check_on_depth(bridge_of_context(context), channel, messages_ready, consumers);
}

void bridge_give_up(struct bridge *bridge)
{
    log_error("no memory for a message of the broker: the connection is closed, and it comes again shard=%u",
        bridge->shard->number);
    bridge->subscriber_due_us = bridge->shard->loop.now_mono_us + RETRY_US;
    subscriber_close(bridge->subscriber);
}

/* A failed try: the next one comes later, up to a bound. */
static int64_t back_off(struct bridge *bridge, int64_t *delay_us)
{
    int64_t jitter_us = (int64_t)shard_random(bridge->shard) % (*delay_us / 4 + 1);
    int64_t due_us = bridge->shard->loop.now_mono_us + *delay_us + jitter_us;
    *delay_us = *delay_us * 2 < DELAY_US_MAX ? *delay_us * 2 : DELAY_US_MAX;
    return due_us;
}

static void depose(struct bridge *bridge, const struct connector_request *request)
{
    if (!bridge->deposed)
        log_error("another journal owns delivery: this gateway consumes nothing any more, and delivers only what its "
                  "own journal holds shard=%u %s",
            bridge->shard->number, request->ret_detail);
    bridge->deposed = true;
    subscriber_close(bridge->subscriber);
    bridge->subscriber_due_us = bridge->shard->loop.now_mono_us + UNACKED_EVERY_US;
    say(bridge, false, request->ret_detail);
}

static void on_subscriber_link(struct connector_request *request, void *receiver)
{
    struct bridge *bridge = CONTAINER_OF(request, struct bridge, subscriber_request);
    struct delivery_shard *shard = receiver;
    bridge->asking_subscriber = false;
    if (shard->stopping) {
        broker_link_free(request->ret_link);
        return;
    }
    enum err failed = request->result ? request->result : subscriber_open(bridge->subscriber, request->ret_link);
    if (!failed) {
        bridge->subscriber_failures = 0;
        bridge->deposed = false;
        bridge->redeclare = false;
        bridge->ownership_due_us = shard->loop.now_mono_us + UNACKED_EVERY_US;
        subscriber_set_reading(bridge->subscriber, bridge->reading);
        return;
    }
    bridge->subscriber_due_us = back_off(bridge, &bridge->subscriber_delay_us);
    if (failed == ERR_NOT_OWNER) {
        depose(bridge, request);
        return;
    }
    if (bridge->subscriber_failures++ % 16 == 0)
        log_warn("no connection to consume from the broker, tried again shard=%u error=%s reason=%s", shard->number,
            err_name(failed), request->ret_detail);
    say(bridge, false, request->ret_detail);
}

static void on_ownership_checked(struct connector_request *request, void *receiver)
{
    struct bridge *bridge = CONTAINER_OF(request, struct bridge, ownership_request);
    bridge->asking_ownership = false;
    if (request->result == ERR_NOT_OWNER && !((struct delivery_shard *)receiver)->stopping)
        depose(bridge, request);
}

static void ask(struct bridge *bridge, struct connector_request *request, enum connector_task task, bool *asking,
    void (*on_done)(struct connector_request *request, void *receiver))
{
    *request = (struct connector_request){.action = action, .reply_to = &bridge->shard->mailbox, .on_done = on_done};
    *asking = true;
    broker_connector_submit(bridge->options.connector, request);
}

static void keep_subscriber(struct bridge *bridge, int64_t now_us)
{
    if (subscriber_is_open(bridge->subscriber)) {
        if (!bridge->asking_ownership && now_us >= bridge->ownership_due_us) {
            bridge->ownership_due_us = now_us + UNACKED_EVERY_US;
            ask(bridge, &bridge->ownership_request, CONNECTOR_CHECK_OWNERSHIP, &bridge->asking_ownership,
                on_ownership_checked);
        }
        return;
    }
    if (!bridge->asking_subscriber && bridge->listed && bridge->check.is_ready && now_us >= bridge->subscriber_due_us)
        ask(bridge, &bridge->subscriber_request, CONNECTOR_OPEN_SUBSCRIBER, &bridge->asking_subscriber,
            on_subscriber_link);
}

/* The connection of the taps. */

static void on_tap_lost(void *context, const char *why)
{
    struct bridge *bridge = bridge_of_context(context);
    bridge->tap_due_us = back_off(bridge, &bridge->tap_delay_us);
    broker_status_set(bridge->options.status, BROKER_ROLE_TAP, bridge->shard->number, false, NULL, why);
}

static void on_tap_link(struct connector_request *request, void *receiver)
{
    struct bridge *bridge = CONTAINER_OF(request, struct bridge, tap_request);
    struct delivery_shard *shard = receiver;
    bridge->asking_tap = false;
    if (shard->stopping) {
        broker_link_free(request->ret_link);
        return;
    }
    bool open = request->result == OK && tap_open(bridge->tap, request->ret_link) == OK;
    if (open)
        bridge->tap_delay_us = DELAY_US_MIN;
    else
        bridge->tap_due_us = back_off(bridge, &bridge->tap_delay_us);
    broker_status_set(bridge->options.status, BROKER_ROLE_TAP, shard->number, open, NULL, request->ret_detail);
}

static void keep_tap(struct bridge *bridge, int64_t now_us)
{
    if (!bridge->tap || tap_is_open(bridge->tap) || bridge->asking_tap || now_us < bridge->tap_due_us)
        return;
    ask(bridge, &bridge->tap_request, CONNECTOR_OPEN_TAP, &bridge->asking_tap, on_tap_link);
}

/* A queue is gone: the connector declares all of them with the next connection that it opens. */
static void redeclare(struct bridge *bridge, int64_t now_us)
{
    if (!bridge->redeclare || bridge->asking_ownership || !subscriber_is_open(bridge->subscriber))
        return;
    bridge->redeclare = false;
    bridge->ownership_due_us = now_us + UNACKED_EVERY_US;
    ask(bridge, &bridge->ownership_request, CONNECTOR_CHECK_OWNERSHIP, &bridge->asking_ownership, on_ownership_checked);
}

static void arm_tick(struct bridge *bridge)
{
    if (timer_arm(&bridge->shard->loop, &bridge->tick_timer, TICK_US) != OK)
        log_error("no memory for a timer: the broker is not watched any more shard=%u", bridge->shard->number);
}

static void on_tick(struct timer *timer)
{
    struct bridge *bridge = CONTAINER_OF(timer, struct bridge, tick_timer);
    int64_t now_us = bridge->shard->loop.now_mono_us;
    subscriber_tick(bridge->subscriber, now_us);
    if (bridge->tap)
        tap_tick(bridge->tap, now_us);
    if (!bridge->shard->stopping) {
        suspended_tick(bridge, now_us);
        drops_tick(bridge, now_us);
        check_tick(bridge, now_us);
        redeclare(bridge, now_us);
        keep_subscriber(bridge, now_us);
        keep_tap(bridge, now_us);
        unacked_tick(bridge, now_us);
        if (now_us >= bridge->retry_due_us) {
            bridge->retry_due_us = now_us + RETRY_US;
            unacked_retry(bridge);
            retry_poison(bridge);
        }
    }
    arm_tick(bridge);
}

void bridge_start(struct bridge *bridge)
{
    suspended_list(bridge);
    drops_start(bridge);
    arm_tick(bridge);
}

void bridge_tap(struct bridge *bridge, const struct event *event)
{
    if (bridge->tap)
        tap_publish(bridge->tap, &event->parts);
}

void bridge_close(struct bridge *bridge)
{
    if (!bridge)
        return;
    unacked_lose_all(bridge);
    subscriber_free(TAKE(bridge->subscriber));
    tap_free(TAKE(bridge->tap));
}

/* Life. */

static enum err name_queues(struct bridge *bridge)
{
    unsigned partitions = 0;
    for (unsigned p = bridge->shard->number; p < bridge->options.partitions; p += bridge->options.shards)
        partitions++;
    assert(partitions > 0); /* there are no more shards than partitions */
    if (partitions == 0)
        return ERR_BUG;
    const unsigned count = 2 * partitions + bridge->options.checks;
    bridge->queue_names = calloc(count, sizeof *bridge->queue_names);
    bridge->queues = calloc(count, sizeof *bridge->queues);
    bridge->suspended_count = calloc(count, sizeof *bridge->suspended_count);
    bridge->empty_seen = calloc(count, sizeof *bridge->empty_seen);
    if (!bridge->queue_names || !bridge->queues || !bridge->suspended_count || !bridge->empty_seen)
        return ERR_NO_MEMORY;
    bridge->partitions_count = partitions;
    bridge->queues_count = 2 * partitions;
    bridge->channels_count = count;
    if (bridge->options.checks)
        bridge->queues[count - 1] = BROKER_CONFIRMED_STREAM;
    for (unsigned i = 0; i < bridge->queues_count; i++) {
        unsigned partition = partition_of_channel(bridge, i);
        if (bridge_is_of_dropped(bridge, i))
            broker_dropped_queue_name(bridge->options.partitions, partition, bridge->queue_names[i]);
        else
            broker_queue_name(bridge->options.partitions, partition, bridge->queue_names[i]);
        bridge->queues[i] = bridge->queue_names[i];
    }
    return OK;
}

static enum err make_links(struct bridge *bridge)
{
    const struct subscriber_options options = {.queues_count = bridge->channels_count,
        .streams_count = bridge->options.checks,
        .queues = bridge->queues,
        .prefetch = bridge->options.prefetch};
    const struct subscriber_listener listener = {.on_message = on_message,
        .on_channel_lost = on_channel_lost,
        .on_channel_open = on_channel_open,
        .on_lost = on_lost,
        .on_depth = on_depth,
        .context = bridge};
    enum err failed = subscriber_new(&bridge->subscriber_host.host, &options, &listener, &bridge->subscriber);
    if (!failed && bridge->options.taps)
        failed = tap_new(&bridge->tap_host.host, on_tap_lost, bridge, &bridge->tap);
    return failed;
}

enum err bridge_new(
    struct delivery_shard *shard, const struct delivery_bridge_options *options, struct bridge **ret_bridge)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    if (!bridge)
        return ERR_NO_MEMORY;
    bridge->shard = shard;
    bridge->options = *options;
    bridge->reading = true;
    bridge->subscriber_delay_us = bridge->tap_delay_us = DELAY_US_MIN;
    list_init(&bridge->unacked_events);
    list_init(&bridge->poison);
    timer_init(&bridge->tick_timer, on_tick);
    broker_loop_host_init(&bridge->subscriber_host, &shard->loop);
    broker_loop_host_init(&bridge->tap_host, &shard->loop);
    enum err failed = name_queues(bridge);
    if (!failed)
        failed = check_init(bridge);
    if (!failed)
        failed = make_links(bridge);
    if (failed) {
        bridge_free(bridge);
        return failed;
    }
    *ret_bridge = bridge;
    return OK;
}

void bridge_free(struct bridge *bridge)
{
    if (!bridge)
        return;
    bridge_close(bridge);
    timer_disarm(&bridge->shard->loop, &bridge->tick_timer);
    unacked_forget_all(bridge);
    suspended_free_all(bridge);
    check_done(bridge);
    list_for_each_safe (node, following, &bridge->poison)
        free(CONTAINER_OF(node, struct poison, in_poison));
    broker_loop_host_done(&bridge->subscriber_host);
    broker_loop_host_done(&bridge->tap_host);
    id_map_done(&bridge->by_event);
    id_map_done(&bridge->suspended);
    free(bridge->queue_names);
    free(bridge->queues);
    free(bridge->suspended_count);
    free(bridge->empty_seen);
    free(bridge);
}
