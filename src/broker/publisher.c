/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window is an array of slots, indexed by delivery tag modulo its size (a power of two). Tags
 * are counted here as the broker counts them: from 1 for each connection.
 *
 * A returned message arrives as basic.return, header and body, before its ack. It is identified by
 * its message_id, or by its correlation_id if the message_id belongs to another program.
 *
 * on_end runs after its slot is free and the window has moved, so it may publish at once.
 */
#include "broker/publisher.h"

#include "base/clock.h"
#include "base/memory.h"
#include "broker/confirmed_ids.h"
#include "broker/link.h"
#include "broker/message_internal.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PUBLISH_CHANNEL 1
#define DEPTH_CHANNEL 2 /* separate: the broker closes it when a queue is missing */
/* Bounds the memory if the broker stops reading: the whole window may not fit. */
#define UNSENT_BYTES_MAX (8 * 1024 * 1024)

struct slot {
    uint64_t tag;                    /* 0: free */
    struct publication *publication; /* NULL: forgotten */
    int64_t published_mono_us;
    bool returned, is_event;
};

struct publisher {
    struct broker_host *host;
    struct publisher_listener listener;
    struct broker_link *link; /* NULL: closed */
    bool can_publish;
    unsigned window, slots_count; /* the latter a power of two, at least the window */
    struct slot *slots;
    uint64_t next_tag, oldest_tag; /* of the window; equal when it is empty */
    unsigned unconfirmed;
    int64_t turn_mono_us; /* the time of the first publish in this turn */
    bool return_is_coming;
    struct {
        bool is_open;
        unsigned answers_due;
        int64_t messages; /* sum of the answers so far */
        bool in_doubt;    /* an answer may mean that the broker does not know */
    } depth;
    struct confirmed confirmed;
    unsigned partitions;
    char (*queue_names)[BROKER_QUEUE_NAME_BYTES];
};

static struct slot *slot_of(const struct publisher *publisher, uint64_t tag)
{
    return &publisher->slots[tag & (publisher->slots_count - 1)];
}

/* State */

static void set_can_publish(struct publisher *publisher, bool can_publish, const char *why)
{
    if (publisher->can_publish == can_publish)
        return;
    publisher->can_publish = can_publish;
    metrics_add(METRIC_PUBLISHERS_OPEN, can_publish ? 1 : -1);
    if (publisher->listener.on_state)
        publisher->listener.on_state(publisher->listener.context, can_publish, why);
}

static void count_end(const struct slot *slot, enum publish_end end, int64_t now_mono_us)
{
    static const enum metric metrics[] = {
        [PUBLISHED] = METRIC_PUBLISH_ACKED,
        [PUBLISH_NACKED] = METRIC_PUBLISH_NACKED,
        [PUBLISH_RETURNED] = METRIC_PUBLISH_RETURNED,
        [PUBLISH_LOST] = METRIC_PUBLISH_LOST,
    };
    metrics_add(end == PUBLISHED && !slot->publication ? METRIC_PUBLISH_LATE : metrics[end], 1);
    if (end != PUBLISH_LOST)
        metrics_observe(HISTOGRAM_CONFIRM, now_mono_us - slot->published_mono_us);
}

/* The only function that removes from the window. A tag that is not in it is the broker's error and
 * is ignored. */
static void end_publish(
    struct publisher *publisher, uint64_t tag, enum publish_end end, int64_t now_mono_us)
{
    struct slot *slot = slot_of(publisher, tag);
    if (tag == 0 || slot->tag != tag)
        return;
    if (end == PUBLISHED && slot->returned)
        end = PUBLISH_RETURNED;
    count_end(slot, end, now_mono_us);
    struct publication *publication = slot->publication;
    if (end == PUBLISHED && publication && slot->is_event)
        confirmed_add(&publisher->confirmed, &publication->id, now_mono_us);
    *slot = (struct slot){0};
    publisher->unconfirmed--;
    while (publisher->oldest_tag < publisher->next_tag &&
           slot_of(publisher, publisher->oldest_tag)->tag == 0)
        publisher->oldest_tag++;
    if (!publication)
        return;
    publication->tag = 0;
    publication->on_end(publication, end);
}

static void end_publishes(struct publisher *publisher, uint64_t tag, bool multiple,
    enum publish_end end, int64_t now_mono_us)
{
    if (!multiple) {
        end_publish(publisher, tag, end, now_mono_us);
        return;
    }
    uint64_t last = tag == 0 || tag >= publisher->next_tag ? publisher->next_tag - 1 : tag;
    for (uint64_t each = publisher->oldest_tag; each <= last; each++)
        end_publish(publisher, each, end, now_mono_us);
}

static void close_publisher(struct publisher *publisher, const char *why)
{
    broker_link_free(TAKE(publisher->link));
    publisher->return_is_coming = false;
    confirmed_lose_link(&publisher->confirmed);
    memset(&publisher->depth, 0, sizeof publisher->depth);
    set_can_publish(publisher, false, why);
    end_publishes(publisher, 0, true, PUBLISH_LOST, 0);
}

/* Frames from the broker */

static void on_channel_close(struct publisher *publisher, const amqp_channel_close_t *close)
{
    struct slice text = message_slice(close->reply_text);
    char why[BROKER_DETAIL_BYTES];
    snprintf(why, sizeof why, "the broker closed the channel: %u %.*s", close->reply_code,
        SLICE_ARGS(text));
    broker_link_put_method(publisher->link, PUBLISH_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD,
        &(amqp_channel_close_ok_t){0});
    close_publisher(publisher, why);
}

static void on_connection_method(struct publisher *publisher, const amqp_method_t *method)
{
    if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        struct slice reason =
            message_slice(((const amqp_connection_blocked_t *)method->decoded)->reason);
        char why[BROKER_DETAIL_BYTES];
        snprintf(why, sizeof why, "the broker blocks publishes: %.*s", SLICE_ARGS(reason));
        set_can_publish(publisher, false, why);
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        set_can_publish(publisher, true, NULL);
    }
}

static void on_channel_method(struct publisher *publisher, const amqp_method_t *method)
{
    int64_t now_mono_us = publisher->link->heard_mono_us;
    switch (method->id) {
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method->decoded;
        end_publishes(publisher, ack->delivery_tag, ack->multiple, PUBLISHED, now_mono_us);
        break;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = method->decoded;
        end_publishes(publisher, nack->delivery_tag, nack->multiple, PUBLISH_NACKED, now_mono_us);
        break;
    }
    case AMQP_BASIC_RETURN_METHOD:
        publisher->return_is_coming = true;
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_channel_close(publisher, method->decoded);
        break;
    default:
        break;
    }
}

/* A linear search is enough: a missing queue is rare, and after the first return events are soon
 * written to the journal. */
static void on_returned(struct publisher *publisher, const amqp_basic_properties_t *properties)
{
    bool is_refused = properties->_flags & AMQP_BASIC_CORRELATION_ID_FLAG;
    struct event_id id;
    if (!event_id_parse(
            message_slice(is_refused ? properties->correlation_id : properties->message_id), &id))
        return;
    for (uint64_t tag = publisher->oldest_tag; tag < publisher->next_tag; tag++) {
        struct slot *slot = slot_of(publisher, tag);
        if (slot->publication && !slot->returned &&
            memcmp(&slot->publication->id, &id, sizeof id) == 0) {
            slot->returned = true;
            return;
        }
    }
}

/* The result needs all answers: a missing queue closes the channel, and the next question opens it
 * again. */
static void on_depth_method(struct publisher *publisher, const amqp_method_t *method)
{
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        broker_link_put_method(publisher->link, DEPTH_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD,
            &(amqp_channel_close_ok_t){0});
        memset(&publisher->depth, 0, sizeof publisher->depth);
    } else if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD && publisher->depth.answers_due > 0) {
        const amqp_queue_declare_ok_t *answer = method->decoded;
        publisher->depth.messages += answer->message_count;
        /* RabbitMQ answers this also for a quorum queue whose leader does not answer. */
        publisher->depth.in_doubt |= answer->message_count == 0 && answer->consumer_count == 0;
        bool is_known = publisher->depth.messages > 0 || !publisher->depth.in_doubt;
        if (--publisher->depth.answers_due == 0 && is_known && publisher->listener.on_depth)
            publisher->listener.on_depth(publisher->listener.context, publisher->depth.messages);
    }
}

static void on_frame(struct broker_link *link, const amqp_frame_t *frame)
{
    struct publisher *publisher = link->owner;
    if (frame->frame_type == AMQP_FRAME_METHOD && frame->channel == 0) {
        on_connection_method(publisher, &frame->payload.method);
    } else if (frame->frame_type == AMQP_FRAME_METHOD && frame->channel == DEPTH_CHANNEL) {
        on_depth_method(publisher, &frame->payload.method);
    } else if (frame->channel == CONFIRMED_CHANNEL) {
        if (!confirmed_take_frame(&publisher->confirmed, link, frame) &&
            publisher->listener.on_missing)
            publisher->listener.on_missing(publisher->listener.context);
    } else if (frame->channel != PUBLISH_CHANNEL) {
        return;
    } else if (frame->frame_type == AMQP_FRAME_METHOD) {
        on_channel_method(publisher, &frame->payload.method);
    } else if (frame->frame_type == AMQP_FRAME_HEADER && publisher->return_is_coming) {
        publisher->return_is_coming = false;
        on_returned(publisher, frame->payload.properties.decoded);
    }
}

static void on_dead(struct broker_link *link, const char *why)
{
    close_publisher(link->owner, why);
}

/* Calls of the owner */

struct publisher *publisher_new(struct broker_host *host, const struct broker_options *options,
    unsigned window, const struct publisher_listener *listener)
{
    struct publisher *publisher = memory_new(sizeof *publisher);
    *publisher = (struct publisher){
        .host = host,
        .listener = *listener,
        .window = window,
        .slots_count = 1,
        .next_tag = 1,
        .oldest_tag = 1,
        .partitions = options->partitions,
    };
    while (publisher->slots_count < window)
        publisher->slots_count *= 2;
    publisher->slots = memory_new_array(publisher->slots_count, sizeof *publisher->slots);
    publisher->queue_names = memory_new_array(options->partitions, sizeof *publisher->queue_names);
    for (unsigned i = 0; i < options->partitions; i++)
        broker_queue_name(options->partitions, i, publisher->queue_names[i]);
    return publisher;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    publisher->listener.on_state = NULL; /* the owner frees it, so it is not told */
    if (publisher->can_publish)
        confirmed_send_last(&publisher->confirmed, publisher->link);
    if (publisher->link)
        close_publisher(publisher, "the gateway closed it");
    confirmed_done(&publisher->confirmed);
    free(publisher->slots);
    free(publisher->queue_names);
    free(publisher);
}

enum err publisher_open(struct publisher *publisher, struct broker_link *link)
{
    assert(!publisher->link && publisher->unconfirmed == 0);
    link->owner = publisher;
    link->on_frame = on_frame;
    link->on_frames_done = NULL;
    link->on_dead = on_dead;
    enum err err = broker_link_attach(link, publisher->host);
    if (err) {
        broker_link_free(link);
        return err;
    }
    publisher->link = link;
    publisher->next_tag = publisher->oldest_tag = 1;
    set_can_publish(publisher, !link->blocked, NULL);
    return OK;
}

bool publisher_is_open(const struct publisher *publisher)
{
    return publisher->link;
}

bool publisher_can_publish(const struct publisher *publisher)
{
    return publisher->can_publish;
}

bool publisher_has_room(const struct publisher *publisher)
{
    return publisher->next_tag - publisher->oldest_tag < publisher->window &&
           (!publisher->link || broker_link_unsent(publisher->link) < UNSENT_BYTES_MAX);
}

unsigned publisher_unconfirmed(const struct publisher *publisher)
{
    return publisher->unconfirmed;
}

const char *publisher_peer(const struct publisher *publisher)
{
    return publisher->link ? publisher->link->peer : "";
}

static enum err check_publish(const struct publisher *publisher)
{
    if (!publisher->can_publish)
        return ERR_UNAVAILABLE;
    return publisher_has_room(publisher) ? OK : ERR_OVERLOADED;
}

static void publish(struct publisher *publisher, struct publication *publication, bool is_event,
    const char *queue, const struct message_encoding *encoding, struct slice body)
{
    if (!publisher->link->flush_is_due)
        publisher->turn_mono_us = clock_mono_us();
    uint64_t tag = publisher->next_tag++;
    *slot_of(publisher, tag) = (struct slot){.tag = tag,
        .publication = publication,
        .published_mono_us = publisher->turn_mono_us,
        .is_event = is_event};
    publisher->unconfirmed++;
    publication->tag = tag;
    const amqp_basic_publish_t method = {
        .routing_key = message_bytes(slice_from_string(queue)), .mandatory = 1};
    broker_link_put_message(publisher->link, PUBLISH_CHANNEL, &method, &encoding->properties, body);
}

enum err publisher_publish(struct publisher *publisher, struct publication *publication,
    unsigned partition, const struct event_parts *parts)
{
    assert(partition < publisher->partitions);
    enum err err = check_publish(publisher);
    if (err)
        return err;
    struct message_encoding encoding;
    message_encode(parts, &encoding);
    publish(
        publisher, publication, true, publisher->queue_names[partition], &encoding, parts->body);
    return OK;
}

enum err publisher_publish_refused(struct publisher *publisher, struct publication *publication,
    struct slice body, struct slice content_type, struct slice message_id, const char *reason)
{
    enum err err = check_publish(publisher);
    if (err)
        return err;
    struct message_encoding encoding;
    message_encode_refused(&publication->id, content_type, message_id, reason, &encoding);
    publish(publisher, publication, false,
        reason ? BROKER_INTAKE_ERRORS_QUEUE : BROKER_INTAKE_QUEUE, &encoding, body);
    return OK;
}

static void ask_depth(struct publisher *publisher, const char *queue)
{
    amqp_queue_declare_t declare = {.queue = amqp_cstring_bytes(queue), .passive = 1};
    broker_link_put_method(publisher->link, DEPTH_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

void publisher_ask_depth(struct publisher *publisher)
{
    if (!publisher->can_publish || publisher->depth.answers_due > 0)
        return;
    if (!publisher->depth.is_open)
        broker_link_put_method(publisher->link, DEPTH_CHANNEL, AMQP_CHANNEL_OPEN_METHOD,
            &(amqp_channel_open_t){.out_of_band = amqp_empty_bytes});
    publisher->depth.is_open = true;
    publisher->depth.messages = 0;
    publisher->depth.in_doubt = false;
    publisher->depth.answers_due = 2 * publisher->partitions;
    for (unsigned i = 0; i < publisher->partitions; i++) {
        char dropped[BROKER_QUEUE_NAME_BYTES];
        broker_dropped_queue_name(publisher->partitions, i, dropped);
        ask_depth(publisher, publisher->queue_names[i]);
        ask_depth(publisher, dropped);
    }
}

void publisher_forget(struct publisher *publisher, struct publication *publication)
{
    struct slot *slot = slot_of(publisher, publication->tag);
    if (publication->tag != 0 && slot->publication == publication)
        slot->publication = NULL;
    publication->tag = 0;
}

void publisher_tick(struct publisher *publisher, int64_t now_mono_us)
{
    if (publisher->can_publish)
        confirmed_tick(&publisher->confirmed, publisher->link, now_mono_us);
    if (publisher->link)
        broker_link_tick(publisher->link, now_mono_us);
}

void publisher_inherit(struct publisher *publisher, struct publisher *other)
{
    confirmed_inherit(&publisher->confirmed, &other->confirmed);
}
