/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/subscriber_internal.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "broker/message_internal.h"
#include "broker/reply.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>

#define BACKOFF_S_MAX 5
#define BACKOFF_JITTER_PERCENT 20
#define ACK_SHARE 8               /* of the prefetch: an ack is due when as many are ended */
#define BODY_KEPT_BYTES_MAX 65536 /* a larger buffer is freed */
#define QUIET_US_MAX (30 * US_PER_SECOND)
#define ANSWER_US_MAX (60 * US_PER_SECOND)

static amqp_channel_t number_of(const struct subscriber_channel *channel)
{
    return (amqp_channel_t)(channel->index + 1);
}

static void put(struct subscriber_channel *channel, amqp_method_number_t id, void *method)
{
    if (channel->subscriber->link)
        broker_link_put_method(channel->subscriber->link, number_of(channel), id, method);
}

/* States */

static void channel_move(struct subscriber_channel *channel, enum channel_state state)
{
    int change = (state == CHANNEL_CONSUMING) - (channel->state == CHANNEL_CONSUMING);
    channel->state = state;
    channel->since_mono_us = clock_mono_us();
    channel->subscriber->consuming += (unsigned)change;
    if (change)
        metrics_add(METRIC_CHANNELS_CONSUMING, change);
}

/* Drops the message that is arriving. */
static void forget(struct subscriber_channel *channel)
{
    list_remove(&channel->ack_link);
    tag_window_reset(&channel->tags);
    channel->arrival.awaits = ARRIVAL_NONE;
}

void subscriber_channel_open(struct subscriber_channel *channel)
{
    const struct subscriber_options *options = &channel->subscriber->options;
    unsigned prefetch = options->prefetch < UINT16_MAX ? options->prefetch : UINT16_MAX;
    channel->generation++;
    forget(channel);
    channel_move(channel, CHANNEL_OPENING);
    put(channel, AMQP_CHANNEL_OPEN_METHOD, &(amqp_channel_open_t){.out_of_band = amqp_empty_bytes});
    put(channel, AMQP_BASIC_QOS_METHOD, &(amqp_basic_qos_t){.prefetch_count = (uint16_t)prefetch});
    amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(options->queues[channel->index]),
        .consumer_tag = amqp_cstring_bytes("penstock")};
    amqp_table_entry_t offset = {.key = amqp_cstring_bytes("x-stream-offset"),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = channel->offset}};
    if (channel->index >= options->queues_count - options->streams_count)
        consume.arguments = (amqp_table_t){.num_entries = 1, .entries = &offset};
    put(channel, AMQP_BASIC_CONSUME_METHOD, &consume);
}

static void wait_before_reopening(struct subscriber_channel *channel)
{
    unsigned backoff_s = channel->backoff_s ? channel->backoff_s * 2 : 1;
    channel->backoff_s = backoff_s < BACKOFF_S_MAX ? backoff_s : BACKOFF_S_MAX;
    uint16_t random;
    crypto_random(&random, sizeof random);
    int64_t percent = 100 - BACKOFF_JITTER_PERCENT + random % (2 * BACKOFF_JITTER_PERCENT + 1);
    channel->reopen_mono_us = clock_mono_us() + channel->backoff_s * US_PER_SECOND * percent / 100;
}

void subscriber_channel_drop(struct subscriber_channel *channel)
{
    channel->loss_is_untold |= channel->state == CHANNEL_CONSUMING || channel->refreshes;
    channel->refreshes = false;
    forget(channel);
    channel->reopen_mono_us = 0;
    channel->backoff_s = 0;
    channel_move(channel, CHANNEL_CLOSED);
}

void subscriber_channel_tell_loss(struct subscriber_channel *channel, bool is_gone, const char *why)
{
    const struct subscriber_listener *listener = &channel->subscriber->listener;
    if (!channel->loss_is_untold)
        return;
    channel->loss_is_untold = false;
    listener->on_channel_lost(listener->context, channel->index, channel->generation, is_gone, why);
}

/* The broker has closed the channel, and the connection lives on. Also called for a failed opening.
 */
static void lose(
    struct subscriber_channel *channel, enum channel_state state, bool is_gone, const char *why)
{
    forget(channel);
    channel->refreshes = false;
    wait_before_reopening(channel);
    channel_move(channel, state);
    channel->loss_is_untold = true;
    subscriber_channel_tell_loss(channel, is_gone, why);
}

static void on_consuming(struct subscriber_channel *channel)
{
    const struct subscriber_listener *listener = &channel->subscriber->listener;
    channel->backoff_s = 0;
    channel_move(channel, CHANNEL_CONSUMING);
    if (channel->refreshes) { /* the owner did not notice the close */
        channel->refreshes = false;
        return;
    }
    listener->on_channel_open(listener->context, channel->index, channel->generation);
}

static void on_closed(struct subscriber_channel *channel, const amqp_channel_close_t *close)
{
    char why[BROKER_DETAIL_BYTES];
    bool is_gone = close->reply_code == BROKER_CODE_NOT_FOUND;
    snprintf(why, sizeof why, "the broker closed the channel of %s: %.*s",
        channel->subscriber->options.queues[channel->index], (int)close->reply_text.len,
        (const char *)close->reply_text.bytes);
    put(channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
    if (channel->state == CHANNEL_OPENING || channel->state == CHANNEL_CONSUMING)
        lose(channel, CHANNEL_CLOSED, is_gone, why);
}

static void close_channel(struct subscriber_channel *channel, const char *why)
{
    put(channel, AMQP_CHANNEL_CLOSE_METHOD,
        &(amqp_channel_close_t){
            .reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes(why)});
}

/* The channel still exists, but without a consumer it is useless. */
static void on_cancelled(struct subscriber_channel *channel)
{
    char why[BROKER_DETAIL_BYTES];
    snprintf(why, sizeof why,
        "the broker cancelled the consumer of %s: the queue was deleted, or its node is down",
        channel->subscriber->options.queues[channel->index]);
    close_channel(channel, "cancelled");
    lose(channel, CHANNEL_CLOSING, true, why);
}

/*
 * If a queue is deleted and declared again within milliseconds, the broker keeps the consumer
 * without a word. Messages that it gives to that consumer are lost until the channel is closed
 * (RabbitMQ 3.10). So a channel that was quiet for a while, without an open message, is closed and
 * opened again. The owner does not notice that.
 */
static void refresh(struct subscriber_channel *channel)
{
    close_channel(channel, "quiet");
    forget(channel);
    channel->refreshes = true;
    channel->reopen_mono_us = 0;
    channel_move(channel, CHANNEL_CLOSING);
}

void subscriber_channel_tick(struct subscriber_channel *channel, int64_t now_mono_us)
{
    int64_t age_us = now_mono_us - channel->since_mono_us;
    switch (channel->state) {
    case CHANNEL_CLOSED:
        if (channel->reopen_mono_us <= now_mono_us)
            subscriber_channel_open(channel);
        break;
    case CHANNEL_CONSUMING:
        if (age_us > QUIET_US_MAX && tag_window_out(&channel->tags) == 0 &&
            channel->arrival.awaits == ARRIVAL_NONE && channel->subscriber->reading)
            refresh(channel);
        break;
    case CHANNEL_OPENING:
    case CHANNEL_CLOSING:
        if (age_us > ANSWER_US_MAX)
            subscriber_lose(
                channel->subscriber, "opening or closing a channel took more than 60 s");
        break;
    }
}

/* Acks */

void subscriber_channel_send_ack(struct subscriber_channel *channel)
{
    list_remove(&channel->ack_link);
    uint64_t number = tag_window_take_ack(&channel->tags);
    if (number)
        put(channel, AMQP_BASIC_ACK_METHOD,
            &(amqp_basic_ack_t){.delivery_tag = number, .multiple = 1});
}

void subscriber_channel_ack(struct subscriber_channel *channel, uint64_t number)
{
    if (!tag_window_end(&channel->tags, number))
        return;
    if (channel->tags.ended >= channel->subscriber->options.prefetch / ACK_SHARE) {
        subscriber_channel_send_ack(channel);
    } else {
        list_remove(&channel->ack_link);
        list_add_tail(&channel->subscriber->acks_due, &channel->ack_link);
    }
}

/* Messages */

static void on_deliver(struct subscriber_channel *channel, const amqp_basic_deliver_t *deliver)
{
    struct arrival *arrival = &channel->arrival;
    arrival->awaits = ARRIVAL_HEADER;
    channel->since_mono_us = clock_mono_us();
    arrival->number = deliver->delivery_tag;
    arrival->redelivered = deliver->redelivered;
}

static void arrive(struct subscriber_channel *channel, struct slice body)
{
    struct subscriber *subscriber = channel->subscriber;
    struct arrival *arrival = &channel->arrival;
    struct message_tag tag = {
        .channel = channel->index, .generation = channel->generation, .number = arrival->number};
    void *properties = NULL;
    arrival->awaits = ARRIVAL_NONE;
    recycle_amqp_pool(&subscriber->pool);
    if (buffer_status(&arrival->header) || buffer_status(&arrival->body) ||
        amqp_decode_properties(AMQP_BASIC_CLASS, &subscriber->pool,
            message_bytes(buffer_slice(&arrival->header)), &properties) < 0 ||
        !tag_window_add(&channel->tags, arrival->number)) {
        subscriber_lose(
            subscriber, "a message was rejected: out of memory, or its header or tag is not valid");
        return;
    }
    struct message message;
    message_decode(properties, body, arrival->body_bytes, arrival->redelivered,
        &subscriber->scratch, &message);
    subscriber->listener.on_message(subscriber->listener.context, &tag, &message);
    if (arrival->body.capacity > BODY_KEPT_BYTES_MAX)
        buffer_done(&arrival->body);
}

static void on_header(struct subscriber_channel *channel, const amqp_frame_t *frame)
{
    struct arrival *arrival = &channel->arrival;
    if (arrival->awaits != ARRIVAL_HEADER)
        return;
    buffer_clear(&arrival->header);
    buffer_add_slice(&arrival->header, message_slice(frame->payload.properties.raw));
    buffer_clear(&arrival->body);
    arrival->body_bytes = frame->payload.properties.body_size;
    arrival->body_came = 0;
    arrival->awaits = ARRIVAL_BODY;
    if (arrival->body_bytes == 0)
        arrive(channel, SLICE_LITERAL(""));
}

static void on_body(struct subscriber_channel *channel, amqp_bytes_t part)
{
    struct arrival *arrival = &channel->arrival;
    if (arrival->awaits != ARRIVAL_BODY)
        return;
    bool is_whole = part.len == arrival->body_bytes && part.len <= BROKER_BODY_BYTES_MAX;
    size_t room = BROKER_BODY_BYTES_MAX - arrival->body.len;
    if (!is_whole)
        buffer_add(&arrival->body, part.bytes, part.len < room ? part.len : room);
    arrival->body_came += part.len;
    if (arrival->body_came >= arrival->body_bytes)
        arrive(channel, is_whole ? message_slice(part) : buffer_slice(&arrival->body));
}

/* Frames */

static void on_depth(struct subscriber_channel *channel, const amqp_queue_declare_ok_t *declared)
{
    const struct subscriber_listener *listener = &channel->subscriber->listener;
    if (listener->on_depth)
        listener->on_depth(
            listener->context, channel->index, declared->message_count, declared->consumer_count);
}

static void on_method(struct subscriber_channel *channel, const amqp_method_t *method)
{
    switch (method->id) {
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_closed(channel, method->decoded);
        return;
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
        if (channel->state == CHANNEL_CLOSING)
            channel_move(channel, CHANNEL_CLOSED);
        return;
    case AMQP_BASIC_CONSUME_OK_METHOD:
        if (channel->state == CHANNEL_OPENING)
            on_consuming(channel);
        return;
    default:
        break;
    }
    if (channel->state != CHANNEL_CONSUMING)
        return;
    if (method->id == AMQP_BASIC_DELIVER_METHOD)
        on_deliver(channel, method->decoded);
    else if (method->id == AMQP_BASIC_CANCEL_METHOD)
        on_cancelled(channel);
    else if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD)
        on_depth(channel, method->decoded);
}

void subscriber_channel_take_frame(struct subscriber_channel *channel, const amqp_frame_t *frame)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        on_method(channel, &frame->payload.method);
        break;
    case AMQP_FRAME_HEADER:
        on_header(channel, frame);
        break;
    case AMQP_FRAME_BODY:
        on_body(channel, frame->payload.body_fragment);
        break;
    default:
        break;
    }
}

void subscriber_channel_init(
    struct subscriber_channel *channel, struct subscriber *subscriber, unsigned index)
{
    channel->subscriber = subscriber;
    channel->index = index;
    channel->tags = TAG_WINDOW_EMPTY;
    list_init(&channel->ack_link);
}

void subscriber_channel_done(struct subscriber_channel *channel)
{
    tag_window_done(&channel->tags);
    buffer_done(&channel->arrival.header);
    buffer_done(&channel->arrival.body);
}
