/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shard's connections to the broker: one that consumes its partitions, one for the copies that
 * taps get. Both are asked of the connector, which may wait; when one is lost another is asked for,
 * a little later each time.
 *
 * Consuming begins when the journal has been scanned and what the last run left is known. It ends
 * when the connector finds that another journal owns delivery: what is the journal's own goes on.
 * Whether it is ours is asked every OWNERSHIP_EVERY_US, while a connection lasts and after that as
 * well.
 *
 * Events take from the shard's byte budget, and get no job where that ends. What is unacked is
 * bounded by the prefetch (count) and by prefetch_bytes: beyond it nothing is read from the
 * connection.
 */
#include "delivery/consumer_internal.h"

#include "base/clock.h"
#include "base/hash.h"
#include "model/event_fields.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>

#define TICK_US (100 * US_PER_MS)
#define RETRY_US US_PER_SECOND
#define DELAY_US_MIN (200 * US_PER_MS)
#define DELAY_US_MAX (5 * US_PER_SECOND)
#define OWNERSHIP_EVERY_US (5 * US_PER_SECOND)
#define HANDOVER_US \
    (60 * US_PER_SECOND)        /* both may have consumed that long after a forced take-over */
#define BUDGET_SHARE_PERCENT 90 /* the rest is for what partners post now */

static struct consumer *consumer_of_context(void *context)
{
    return context;
}

unsigned consumer_channel_of_partition(const struct consumer *consumer, unsigned partition)
{
    unsigned channel = partition / consumer->options.shards;
    return channel < consumer->partitions_count ? channel : 0;
}

bool consumer_is_of_dropped(const struct consumer *consumer, unsigned channel)
{
    return channel >= consumer->partitions_count && channel < consumer->queues_count;
}

static unsigned partition_of_channel(const struct consumer *consumer, unsigned channel)
{
    return placement_partition_of_shard(
        consumer->shard->number, channel % consumer->partitions_count, consumer->options.shards);
}

void consumer_update_reading(struct consumer *consumer)
{
    int64_t max = consumer->options.prefetch_bytes;
    bool reading = consumer->bytes_in_memory < (consumer->reading ? max : max / 4 * 3);
    if (reading == consumer->reading || !consumer->subscriber)
        return;
    consumer->reading = reading;
    subscriber_set_reading(consumer->subscriber, reading);
}

/* Messages that are no events. */

struct poison {
    struct journal_keep_poison keep;
    struct consumer *consumer;
    struct list in_poison; /* while the journal refuses it */
    struct message_tag tag;
    char bytes[]; /* headers, body */
};

static void on_kept(struct request *request, void *receiver)
{
    struct poison *poison = CONTAINER_OF(request, struct poison, keep.request);
    struct consumer *consumer = poison->consumer;
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    if (request->result == OK || shard->stopping) {
        consumer->bytes_in_memory -= (int64_t)(poison->keep.headers.len + poison->keep.body.len);
        consumer_update_reading(consumer);
        if (request->result == OK && consumer->subscriber)
            subscriber_ack(consumer->subscriber, &poison->tag);
        free(poison);
    } else {
        list_add_tail(&consumer->poison, &poison->in_poison);
    }
    shard_stop_if_drained(shard);
}

static void submit_poison(struct poison *poison)
{
    struct delivery_shard *shard = poison->consumer->shard;
    poison->keep.request = (struct request){
        .kind = JOURNAL_KEEP_POISON, .reply_to = &shard->mailbox, .on_done = on_kept};
    shard->requests_out++;
    journal_submit(shard->journal, &poison->keep.request);
}

static void keep_poison(struct consumer *consumer, const struct message_tag *tag,
    const struct message *message, const char *reason)
{
    const struct slice headers = message->headers_json, body = message->body;
    metrics_add(METRIC_RECEIVED_POISON, 1);
    log_error(
        "a message that is no event came from the broker; it is kept as poison queue=%s reason=%s",
        consumer->queues[tag->channel], reason);
    struct poison *poison = malloc(sizeof *poison + headers.len + body.len);
    if (!poison) {
        consumer_give_up(consumer);
        return;
    }
    consumer->bytes_in_memory += (int64_t)(headers.len + body.len);
    *poison = (struct poison){.consumer = consumer, .tag = *tag};
    list_init(&poison->in_poison);
    struct journal_keep_poison *keep = &poison->keep;
    snprintf(keep->queue, sizeof keep->queue, "%s", consumer->queues[tag->channel]);
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

void consumer_keep_event_as_poison(
    struct consumer *consumer, const struct message_tag *tag, const struct event *event)
{
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&event->parts.id, id);
    const struct message message = {.body = event->parts.body,
        .body_bytes = event->parts.body.len,
        .message_id = slice_from_string(id)};
    keep_poison(consumer, tag, &message, "another event has its id");
}

/* Those that come again. */
static void drop_poison(struct consumer *consumer, unsigned channel)
{
    list_for_each_safe (node, following, &consumer->poison) {
        struct poison *poison = CONTAINER_OF(node, struct poison, in_poison);
        if (poison->tag.channel != channel)
            continue;
        list_remove(&poison->in_poison);
        consumer->bytes_in_memory -= (int64_t)(poison->keep.headers.len + poison->keep.body.len);
        free(poison);
    }
}

static void retry_poison(struct consumer *consumer)
{
    struct list again;
    list_init(&again);
    for (struct poison *poison;
         (poison = LIST_TAKE_FIRST(&consumer->poison, struct poison, in_poison));)
        list_add_tail(&again, &poison->in_poison);
    for (struct poison *poison; (poison = LIST_TAKE_FIRST(&again, struct poison, in_poison));)
        submit_poison(poison);
}

/* Messages. */

/* Fills in what stands in the body only. NULL, or why it is no event of ours. */
static const char *complete(const struct consumer *consumer, const struct message *message,
    struct event_fields *fields, struct event_parts *ret_parts)
{
    static const char other[] = "its headers and its body tell of different accounts or types";
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
    if (forced_us && redelivered) /* the other gateway had it, until it noticed */
        forced_us += HANDOVER_US;
    unsigned partition =
        placement_partition(&consumer->options.seed, parts->account, consumer->options.partitions);
    if (partition != partition_of_channel(consumer, channel) ||
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
    if (consumer->shard->stopping)
        return; /* the broker keeps it */
    if (consumer_is_of_dropped(consumer, tag->channel))
        drops_note(consumer, tag->channel, message);
    if (check_is_of_confirmed(consumer, tag->channel)) {
        check_take_list(consumer, tag, message);
        return;
    }
    const char *why_not = complete(consumer, message, &fields, &parts);
    if (why_not) {
        keep_poison(consumer, tag, message, why_not);
        return;
    }
    enum err failed = event_new(&parts, consumer->shard->budget, BUDGET_SHARE_PERCENT, &event);
    bool crowded =
        failed == ERR_OVERLOADED || (!failed && consumer_is_of_dropped(consumer, tag->channel));
    if (failed == ERR_OVERLOADED)
        failed = event_new(&parts, NULL, 0, &event);
    if (failed) {
        consumer_give_up(consumer);
        return;
    }
    /* What was dropped may have been delivered before. */
    bool again = message->redelivered || consumer_is_of_dropped(consumer, tag->channel);
    unacked_new(
        consumer, tag, event, park_reason_of(consumer, tag->channel, &parts, again), crowded);
    consumer_update_reading(consumer);
}

/* The consuming connection. */

static void say(struct consumer *consumer, bool good, const char *why)
{
    broker_status_set(consumer->options.status, BROKER_ROLE_CONSUME, consumer->shard->number, good,
        subscriber_peer(consumer->subscriber), why);
}

static void on_channel_open(void *context, unsigned channel, uint32_t generation)
{
    struct consumer *consumer = consumer_of_context(context);
    suspended_on_channel(consumer, channel);
    check_on_channel_open(consumer, channel);
    unsigned consuming = subscriber_channels_consuming(consumer->subscriber);
    if (consuming < consumer->channels_count)
        return;
    log_info("the broker's queues are consumed shard=%u broker=%s queues=%u",
        consumer->shard->number, subscriber_peer(consumer->subscriber), consuming);
    consumer->subscriber_delay_us = DELAY_US_MIN;
    say(consumer, true, NULL);
}

static void on_channel_lost(
    void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why)
{
    struct consumer *consumer = consumer_of_context(context);
    suspended_on_channel(consumer, channel);
    if (is_gone && !consumer->shard->stopping) {
        log_error("a queue of the broker is gone, with what was in it and not yet consumed: it is "
                  "declared again "
                  "queue=%s reason=%s",
            consumer->queues[channel], why);
        broker_connector_doubt(consumer->options.connector);
        consumer->redeclare = true;
    }
    say(consumer, false, why);
    check_on_channel_lost(consumer, channel);
    /* Nothing is sent from here: when a connection is lost, the unacked events of its other
     * channels are told next. */
    unacked_lose_channel(consumer, channel, generation, is_gone);
    if (!is_gone)
        drop_poison(consumer, channel);
}

static void on_lost(void *context, const char *why)
{
    struct consumer *consumer = consumer_of_context(context);
    if (!consumer->shard->stopping)
        log_warn("the connection that consumes from the broker is lost shard=%u reason=%s",
            consumer->shard->number, why);
    consumer->subscriber_due_us = consumer->shard->loop.now_mono_us + consumer->subscriber_delay_us;
    say(consumer, false, why);
}

static void on_depth(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    suspended_on_depth(consumer_of_context(context), channel, messages_ready, consumers);
    check_on_depth(consumer_of_context(context), channel, messages_ready, consumers);
}

void consumer_give_up(struct consumer *consumer)
{
    log_error("no memory for a message of the broker: the connection is closed, and it comes again "
              "shard=%u",
        consumer->shard->number);
    consumer->subscriber_due_us = consumer->shard->loop.now_mono_us + RETRY_US;
    subscriber_close(consumer->subscriber);
}

/* A failed try: the next one comes later, up to a bound. */
static int64_t back_off(struct consumer *consumer, int64_t *delay_us)
{
    int64_t jitter_us = (int64_t)shard_random(consumer->shard) % (*delay_us / 4 + 1);
    int64_t due_us = consumer->shard->loop.now_mono_us + *delay_us + jitter_us;
    *delay_us = *delay_us * 2 < DELAY_US_MAX ? *delay_us * 2 : DELAY_US_MAX;
    return due_us;
}

static void depose(struct consumer *consumer, const struct connector_request *request)
{
    if (!consumer->deposed)
        log_error("another journal owns delivery: this gateway consumes nothing any more, and "
                  "delivers only what its "
                  "own journal holds shard=%u %s",
            consumer->shard->number, request->ret_detail);
    consumer->deposed = true;
    subscriber_close(consumer->subscriber);
    consumer->subscriber_due_us = consumer->shard->loop.now_mono_us + OWNERSHIP_EVERY_US;
    say(consumer, false, request->ret_detail);
}

static void on_subscriber_link(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct consumer *consumer = CONTAINER_OF(request, struct consumer, subscriber_request);
    struct delivery_shard *shard = receiver;
    consumer->asking_subscriber = false;
    if (shard->stopping) {
        broker_link_free(request->ret_link);
        return;
    }
    enum err failed = request->base.result
                          ? request->base.result
                          : subscriber_open(consumer->subscriber, request->ret_link);
    if (!failed) {
        consumer->subscriber_failures = 0;
        consumer->deposed = false;
        consumer->redeclare = false;
        consumer->ownership_due_us = shard->loop.now_mono_us + OWNERSHIP_EVERY_US;
        subscriber_set_reading(consumer->subscriber, consumer->reading);
        return;
    }
    consumer->subscriber_due_us = back_off(consumer, &consumer->subscriber_delay_us);
    if (failed == ERR_NOT_OWNER) {
        depose(consumer, request);
        return;
    }
    if (consumer->subscriber_failures++ % 16 == 0)
        log_warn(
            "no connection to consume from the broker, tried again shard=%u error=%s reason=%s",
            shard->number, err_name(failed), request->ret_detail);
    say(consumer, false, request->ret_detail);
}

static void on_ownership_checked(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct consumer *consumer = CONTAINER_OF(request, struct consumer, ownership_request);
    consumer->asking_ownership = false;
    if (request->base.result == ERR_NOT_OWNER && !((struct delivery_shard *)receiver)->stopping)
        depose(consumer, request);
}

static void ask(struct consumer *consumer, struct connector_request *request,
    enum connector_task task, bool *asking,
    void (*on_done)(struct request *request, void *receiver))
{
    *request = (struct connector_request){
        .base.kind = task, .base.reply_to = &consumer->shard->mailbox, .base.on_done = on_done};
    *asking = true;
    broker_connector_submit(consumer->options.connector, request);
}

static void keep_subscriber(struct consumer *consumer, int64_t now_us)
{
    if (subscriber_is_open(consumer->subscriber)) {
        if (!consumer->asking_ownership && now_us >= consumer->ownership_due_us) {
            consumer->ownership_due_us = now_us + OWNERSHIP_EVERY_US;
            ask(consumer, &consumer->ownership_request, CONNECTOR_CHECK_OWNERSHIP,
                &consumer->asking_ownership, on_ownership_checked);
        }
        return;
    }
    if (!consumer->asking_subscriber && consumer->listed && consumer->check.is_ready &&
        now_us >= consumer->subscriber_due_us)
        ask(consumer, &consumer->subscriber_request, CONNECTOR_OPEN_SUBSCRIBER,
            &consumer->asking_subscriber, on_subscriber_link);
}

/* The connection of the taps. */

static void on_tap_lost(void *context, const char *why)
{
    struct consumer *consumer = consumer_of_context(context);
    consumer->tap_due_us = back_off(consumer, &consumer->tap_delay_us);
    broker_status_set(
        consumer->options.status, BROKER_ROLE_TAP, consumer->shard->number, false, NULL, why);
}

static void on_tap_link(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct consumer *consumer = CONTAINER_OF(request, struct consumer, tap_request);
    struct delivery_shard *shard = receiver;
    consumer->asking_tap = false;
    if (shard->stopping) {
        broker_link_free(request->ret_link);
        return;
    }
    bool open = request->base.result == OK && tap_open(consumer->tap, request->ret_link) == OK;
    if (open)
        consumer->tap_delay_us = DELAY_US_MIN;
    else
        consumer->tap_due_us = back_off(consumer, &consumer->tap_delay_us);
    broker_status_set(
        consumer->options.status, BROKER_ROLE_TAP, shard->number, open, NULL, request->ret_detail);
}

static void keep_tap(struct consumer *consumer, int64_t now_us)
{
    if (!consumer->tap || tap_is_open(consumer->tap) || consumer->asking_tap ||
        now_us < consumer->tap_due_us)
        return;
    ask(consumer, &consumer->tap_request, CONNECTOR_OPEN_TAP, &consumer->asking_tap, on_tap_link);
}

/* A queue is gone: the connector declares all of them with the next connection that it opens. */
static void redeclare(struct consumer *consumer, int64_t now_us)
{
    if (!consumer->redeclare || consumer->asking_ownership ||
        !subscriber_is_open(consumer->subscriber))
        return;
    consumer->redeclare = false;
    consumer->ownership_due_us = now_us + OWNERSHIP_EVERY_US;
    ask(consumer, &consumer->ownership_request, CONNECTOR_CHECK_OWNERSHIP,
        &consumer->asking_ownership, on_ownership_checked);
}

static void arm_tick(struct consumer *consumer)
{
    timer_arm(&consumer->shard->loop, &consumer->tick_timer, TICK_US);
}

static void on_tick(struct timer *timer)
{
    struct consumer *consumer = CONTAINER_OF(timer, struct consumer, tick_timer);
    int64_t now_us = consumer->shard->loop.now_mono_us;
    subscriber_tick(consumer->subscriber, now_us);
    if (consumer->tap)
        tap_tick(consumer->tap, now_us);
    if (!consumer->shard->stopping) {
        suspended_tick(consumer, now_us);
        drops_tick(consumer, now_us);
        check_tick(consumer, now_us);
        redeclare(consumer, now_us);
        keep_subscriber(consumer, now_us);
        keep_tap(consumer, now_us);
        unacked_tick(consumer, now_us);
        if (now_us >= consumer->retry_due_us) {
            consumer->retry_due_us = now_us + RETRY_US;
            unacked_retry(consumer);
            retry_poison(consumer);
        }
    }
    arm_tick(consumer);
}

void consumer_start(struct consumer *consumer)
{
    suspended_list(consumer);
    drops_start(consumer);
    arm_tick(consumer);
}

void consumer_tap(struct consumer *consumer, const struct event *event)
{
    if (consumer->tap)
        tap_publish(consumer->tap, &event->parts);
}

void consumer_close(struct consumer *consumer)
{
    if (!consumer)
        return;
    unacked_lose_all(consumer);
    subscriber_free(TAKE(consumer->subscriber));
    tap_free(TAKE(consumer->tap));
}

/* Life. */

static enum err name_queues(struct consumer *consumer)
{
    unsigned partitions = 0;
    for (unsigned p = consumer->shard->number; p < consumer->options.partitions;
         p += consumer->options.shards)
        partitions++;
    assert(partitions > 0); /* there are no more shards than partitions */
    if (partitions == 0)
        return ERR_BUG;
    const unsigned count = 2 * partitions + consumer->options.checks;
    consumer->queue_names = calloc(count, sizeof *consumer->queue_names);
    consumer->queues = calloc(count, sizeof *consumer->queues);
    consumer->suspended_count = calloc(count, sizeof *consumer->suspended_count);
    consumer->empty_seen = calloc(count, sizeof *consumer->empty_seen);
    if (!consumer->queue_names || !consumer->queues || !consumer->suspended_count ||
        !consumer->empty_seen)
        return ERR_NO_MEMORY;
    consumer->partitions_count = partitions;
    consumer->queues_count = 2 * partitions;
    consumer->channels_count = count;
    if (consumer->options.checks)
        consumer->queues[count - 1] = BROKER_CONFIRMED_STREAM;
    for (unsigned i = 0; i < consumer->queues_count; i++) {
        unsigned partition = partition_of_channel(consumer, i);
        if (consumer_is_of_dropped(consumer, i))
            broker_dropped_queue_name(
                consumer->options.partitions, partition, consumer->queue_names[i]);
        else
            broker_queue_name(consumer->options.partitions, partition, consumer->queue_names[i]);
        consumer->queues[i] = consumer->queue_names[i];
    }
    return OK;
}

static enum err make_links(struct consumer *consumer)
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
    enum err failed =
        subscriber_new(&consumer->subscriber_host.host, &options, &listener, &consumer->subscriber);
    if (!failed && consumer->options.taps)
        failed = tap_new(&consumer->tap_host.host, on_tap_lost, consumer, &consumer->tap);
    return failed;
}

enum err consumer_new(struct delivery_shard *shard, const struct delivery_consumer_options *options,
    struct consumer **ret_consumer)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        return ERR_NO_MEMORY;
    consumer->shard = shard;
    consumer->options = *options;
    consumer->reading = true;
    consumer->subscriber_delay_us = consumer->tap_delay_us = DELAY_US_MIN;
    list_init(&consumer->unacked_events);
    list_init(&consumer->poison);
    timer_init(&consumer->tick_timer, on_tick);
    broker_loop_host_init(&consumer->subscriber_host, &shard->loop);
    broker_loop_host_init(&consumer->tap_host, &shard->loop);
    enum err failed = name_queues(consumer);
    if (!failed)
        failed = check_init(consumer);
    if (!failed)
        failed = make_links(consumer);
    if (failed) {
        consumer_free(consumer);
        return failed;
    }
    *ret_consumer = consumer;
    return OK;
}

void consumer_free(struct consumer *consumer)
{
    if (!consumer)
        return;
    consumer_close(consumer);
    timer_disarm(&consumer->shard->loop, &consumer->tick_timer);
    unacked_forget_all(consumer);
    suspended_free_all(consumer);
    check_done(consumer);
    list_for_each_safe (node, following, &consumer->poison)
        free(CONTAINER_OF(node, struct poison, in_poison));
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
