/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces broker/subscriber.h: the gateway's end of the consuming connection. Messages from the
 * broker are on the wire until the shard's loop reads them. Acks are kept here until the broker
 * takes them.
 *
 * A channel: closed --requested--> asked --the broker accepts--> granted --read from the wire-->
 * consuming
 */
#include "base/clock.h"
#include "fake_broker_internal.h"
#include "sim.h"
#include "sim_loop.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REOPEN_US_MAX (2 * US_PER_SECOND)

enum end_state { END_CLOSED, END_ASKED, END_GRANTED, END_CONSUMING };

struct channel_end {
    enum end_state state;
    uint32_t generation;
    int64_t reopen_us;
    unsigned depths_asked;
    uint64_t number_first; /* the tag number of given[0] */
    struct message_list given;
    struct {
        unsigned count;
        bool done[PREFETCH_MAX];
    } acked; /* parallel to `given` */
};

struct subscriber {
    struct loop *loop;
    struct loop_watch watch;
    struct subscriber_options options;
    struct subscriber_listener listener;
    bool is_open, reading;
    struct broker_connection *connection; /* the broker's end; NULL: the wire is cut */
    struct channel_end channels[FAKE_QUEUES_MAX];
    struct wire_item *wire;
    unsigned wire_count, wire_room;
};

static struct subscriber *living; /* at most one */

/* The wire. */

struct broker_connection *subscriber_connection(void)
{
    return living ? living->connection : NULL;
}

static void append_item(struct subscriber *subscriber, const struct wire_item *item)
{
    if (subscriber->wire_count == subscriber->wire_room) {
        subscriber->wire_room = subscriber->wire_room ? subscriber->wire_room * 2 : 16;
        subscriber->wire =
            realloc(subscriber->wire, subscriber->wire_room * sizeof *subscriber->wire);
        assert(subscriber->wire);
    }
    subscriber->wire[subscriber->wire_count++] = *item;
    sim_loop_ring(subscriber->loop, &subscriber->watch);
}

void subscriber_push(const struct wire_item *item)
{
    struct wire_item numbered = *item;
    numbered.generation = living->channels[item->channel].generation;
    append_item(living, &numbered);
}

static void forget(struct channel_end *end)
{
    end->given.count = end->acked.count = 0;
    end->depths_asked = 0;
}

static void read_message(struct subscriber *subscriber, const struct wire_item *item)
{
    struct channel_end *end = &subscriber->channels[item->channel];
    fail_unless(
        end->given.count < PREFETCH_MAX, BROKEN_SIM, "more messages than the prefetch permits");
    struct message_tag tag = {.channel = item->channel,
        .generation = end->generation,
        .number = end->number_first + end->given.count};
    end->acked.done[end->given.count] = false;
    message_list_insert(&end->given, end->given.count, item->message);
    /* The content is valid only during the call, as in broker/subscriber.h. */
    struct message content = item->message->content;
    char *body = malloc(content.body.len);
    assert(body);
    memcpy(body, content.body.data, content.body.len);
    content.body = slice_of(body, content.body.len);
    if (content.is_event && item->message->post)
        content.parts.body = content.body;
    subscriber->listener.on_message(subscriber->listener.context, &tag, &content);
    free(body);
}

static void lose_end(struct subscriber *subscriber, unsigned channel, bool is_gone, const char *why)
{
    struct channel_end *end = &subscriber->channels[channel];
    forget(end);
    end->state = END_CLOSED;
    end->reopen_us = sim_mono_us() + sim_below(STREAM_DRIVER, REOPEN_US_MAX);
    subscriber->listener.on_channel_lost(
        subscriber->listener.context, channel, end->generation, is_gone, why);
}

/* Closes all channels before it notifies the owner of the first one. */
static void lose_all_ends(struct subscriber *subscriber, bool told, const char *why)
{
    bool was_consuming[FAKE_QUEUES_MAX];
    for (unsigned i = 0; i < subscriber->options.queues_count; i++) {
        was_consuming[i] = subscriber->channels[i].state == END_CONSUMING;
        subscriber->channels[i].state = END_CLOSED;
        forget(&subscriber->channels[i]);
    }
    for (unsigned i = 0; i < subscriber->options.queues_count && told; i++)
        if (was_consuming[i])
            lose_end(subscriber, i, false, why);
}

static void lose_open(struct subscriber *subscriber)
{
    subscriber->is_open = false;
    subscriber->wire_count = 0;
    lose_all_ends(subscriber, true, "the connection is lost");
    subscriber->listener.on_lost(subscriber->listener.context, "the connection is lost");
}

static void read_item(struct subscriber *subscriber, const struct wire_item *item)
{
    struct channel_end *end = &subscriber->channels[item->channel];
    void *context = subscriber->listener.context;
    switch (item->kind) {
    case WIRE_OPEN:
        end->state = END_CONSUMING;
        end->number_first = 1;
        subscriber->listener.on_channel_open(context, item->channel, end->generation);
        break;
    case WIRE_MESSAGE:
        read_message(subscriber, item);
        break;
    case WIRE_CHANNEL_LOST:
        lose_end(subscriber, item->channel, item->is_gone,
            item->is_gone ? "the queue does not exist" : "the broker closed the channel");
        break;
    case WIRE_DEPTH:
        subscriber->listener.on_depth(context, item->channel, item->ready, item->consumers);
        break;
    case WIRE_LOST:
        lose_open(subscriber);
        break;
    }
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct subscriber *subscriber = CONTAINER_OF(watch, struct subscriber, watch);
    (void)events;
    while (subscriber->wire_count > 0 && subscriber->reading) {
        struct wire_item item = subscriber->wire[0];
        memmove(subscriber->wire, subscriber->wire + 1,
            --subscriber->wire_count * sizeof *subscriber->wire);
        fail_unless(item.kind == WIRE_LOST ||
                        item.generation == subscriber->channels[item.channel].generation,
            BROKEN_SIM, "an item of an older channel is on the wire");
        read_item(subscriber, &item);
    }
}

/* Called by the broker. */

bool subscriber_is_living(void)
{
    return living != NULL;
}

static struct channel_end *end_of(unsigned channel)
{
    return living && living->connection ? &living->channels[channel] : NULL;
}

bool subscriber_channel_is_opening(unsigned channel)
{
    const struct channel_end *end = end_of(channel);
    return end && end->state == END_ASKED;
}

void consumer_begin_consuming(unsigned channel)
{
    living->connection->channels[channel].consuming = true;
}

void subscriber_grant(unsigned channel)
{
    living->channels[channel].state = END_GRANTED;
}

bool subscriber_channel_asks_depth(unsigned channel)
{
    const struct channel_end *end = end_of(channel);
    return end && end->depths_asked > 0;
}

void subscriber_answer_depth(unsigned channel)
{
    struct channel_end *end = end_of(channel);
    end->depths_asked--;
    if (!living->connection->channels[channel].consuming)
        return; /* the channel is closed: that item is already on the wire */
    subscriber_push(&(struct wire_item){.kind = WIRE_DEPTH,
        .channel = channel,
        .ready = broker_queue_ready(channel),
        .consumers = broker_queue_consumers(channel)});
}

bool subscriber_channel_has_acks(unsigned channel)
{
    const struct channel_end *end = end_of(channel);
    return end && living->connection->channels[channel].consuming && end->given.count > 0 &&
           end->acked.done[0];
}

/* Takes a random part of the acked prefix. */
void subscriber_take_acks(unsigned channel)
{
    struct channel_end *end = &living->channels[channel];
    unsigned count = 0;
    while (count < end->given.count && end->acked.done[count])
        count++;
    if (count > 0)
        count = 1 + sim_below(STREAM_DRIVER, count);
    for (; count > 0; count--) {
        struct broker_message *given = message_list_take(&end->given, 0);
        memmove(end->acked.done, end->acked.done + 1,
            sizeof end->acked.done - sizeof end->acked.done[0]);
        end->number_first++;
        struct broker_message *acked =
            message_list_take(&living->connection->channels[channel].unacked, 0);
        fail_unless(given == acked, BROKEN_SIM, "the ack is for another message");
        tally(TALLY_ACKED);
    }
}

bool subscriber_has_given(const struct model_post *post)
{
    for (unsigned i = 0; living && i < living->options.queues_count; i++) {
        const struct channel_end *end = &living->channels[i];
        for (unsigned j = 0; j < end->given.count; j++)
            if (end->given.messages[j]->post == post && !end->acked.done[j])
                return true;
    }
    return false;
}

void subscriber_lose_connection(bool with_acks)
{
    for (unsigned i = 0; i < living->options.queues_count && with_acks; i++)
        if (subscriber_channel_has_acks(i))
            subscriber_take_acks(i);
    living->connection = NULL;
    /* The last items on the wire are lost with it. */
    living->wire_count = sim_below(STREAM_DRIVER, living->wire_count + 1);
    append_item(living, &(struct wire_item){.kind = WIRE_LOST});
}

void subscriber_crashed(void)
{
    living = NULL;
}

/* broker/subscriber.h */

struct subscriber *subscriber_new(struct broker_host *host,
    const struct subscriber_options *options, const struct subscriber_listener *listener)
{
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    assert(subscriber && !living && options->queues_count == fake_broker_queues());
    assert(options->prefetch > 0 && options->prefetch < PREFETCH_MAX);
    subscriber->loop = CONTAINER_OF(host, struct broker_loop_host, host)->loop;
    subscriber->watch.on_ready = on_ready;
    subscriber->options = *options;
    subscriber->listener = *listener;
    subscriber->reading = true;
    living = subscriber;
    return subscriber;
}

static void release_connection(struct subscriber *subscriber)
{
    struct broker_connection *connection = subscriber->connection;
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        if (subscriber_channel_has_acks(i))
            subscriber_take_acks(i);
    subscriber->connection = NULL;
    subscriber->is_open = false;
    subscriber->wire_count = 0;
    if (connection)
        broker_disconnect(connection, sim_chance(STREAM_DRIVER, 500));
}

void subscriber_free(struct subscriber *subscriber)
{
    if (!subscriber)
        return;
    release_connection(subscriber);
    loop_watch_remove(subscriber->loop, &subscriber->watch);
    for (unsigned i = 0; i < FAKE_QUEUES_MAX; i++)
        free(subscriber->channels[i].given.messages);
    free(subscriber->wire);
    free(subscriber);
    living = NULL;
}

static void ask_to_open(struct channel_end *end)
{
    end->state = END_ASKED;
    end->generation++;
}

enum err subscriber_open(struct subscriber *subscriber, struct broker_link *link)
{
    assert(!subscriber->is_open);
    broker_link_free(link);
    subscriber->is_open = true;
    subscriber->wire_count = 0;
    tally(TALLY_CONNECTIONS);
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        ask_to_open(&subscriber->channels[i]);
    if (fake_broker_is_up())
        subscriber->connection = broker_connect(subscriber->options.prefetch);
    else
        append_item(subscriber, &(struct wire_item){.kind = WIRE_LOST});
    return OK;
}

void subscriber_close(struct subscriber *subscriber)
{
    if (!subscriber->is_open)
        return;
    release_connection(subscriber);
    lose_all_ends(subscriber, true, "closed");
}

bool subscriber_is_open(const struct subscriber *subscriber)
{
    return subscriber->is_open;
}

unsigned subscriber_channels_consuming(const struct subscriber *subscriber)
{
    unsigned count = 0;
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        count += subscriber->channels[i].state == END_CONSUMING;
    return count;
}

const char *subscriber_peer(const struct subscriber *subscriber)
{
    return subscriber->is_open ? "fake:5672" : "";
}

bool message_tag_is_current(const struct subscriber *subscriber, const struct message_tag *tag)
{
    const struct channel_end *end = &subscriber->channels[tag->channel];
    return tag->number != 0 && end->state == END_CONSUMING && end->generation == tag->generation;
}

unsigned subscriber_unacked(const struct subscriber *subscriber, unsigned channel)
{
    return subscriber->connection ? subscriber->connection->channels[channel].unacked.count : 0;
}

/* This subscriber acks each message by itself. */
unsigned subscriber_open_messages(const struct subscriber *subscriber, unsigned channel)
{
    return subscriber_unacked(subscriber, channel);
}

/* Returns false when the broker has taken the message back: it is delivered again in any case. */
static bool is_unacked(
    const struct subscriber *subscriber, unsigned channel, const struct broker_message *message)
{
    const struct broker_connection *connection = subscriber->connection;
    for (unsigned i = 0; connection && i < connection->channels[channel].unacked.count; i++)
        if (connection->channels[channel].unacked.messages[i] == message)
            return true;
    return false;
}

void subscriber_ack(struct subscriber *subscriber, const struct message_tag *tag)
{
    if (!message_tag_is_current(subscriber, tag)) {
        tally(TALLY_STALE_TAGS);
        return;
    }
    struct channel_end *end = &subscriber->channels[tag->channel];
    uint64_t at = tag->number - end->number_first;
    fail_unless(tag->number >= end->number_first && at < end->given.count && !end->acked.done[at],
        BROKEN_CREDIT, "tag %llu of channel %u is acked twice, or was never given",
        (unsigned long long)tag->number, tag->channel);
    struct broker_message *message = end->given.messages[at];
    end->acked.done[at] = true;
    message->acked = is_unacked(subscriber, tag->channel, message);
    model_message_acked(message->post, message->poison);
}

void subscriber_set_reading(struct subscriber *subscriber, bool reading)
{
    if (!reading)
        tally(TALLY_NOT_READING);
    subscriber->reading = reading;
    if (reading && subscriber->wire_count > 0)
        sim_loop_ring(subscriber->loop, &subscriber->watch);
}

/* There are no streams in the simulation. */
void subscriber_set_offset(struct subscriber *subscriber, unsigned channel, int64_t offset)
{
    (void)subscriber, (void)channel, (void)offset;
}

void subscriber_ask_depth(struct subscriber *subscriber, unsigned channel)
{
    struct channel_end *end = &subscriber->channels[channel];
    if (subscriber->is_open && end->state == END_CONSUMING)
        end->depths_asked++;
}

void subscriber_tick(struct subscriber *subscriber, int64_t now_mono_us)
{
    for (unsigned i = 0; i < subscriber->options.queues_count && subscriber->is_open; i++)
        if (subscriber->channels[i].state == END_CLOSED &&
            subscriber->channels[i].reopen_us <= now_mono_us)
            ask_to_open(&subscriber->channels[i]);
}

/* broker/host.h */

void broker_loop_host_init(struct broker_loop_host *host, struct loop *loop)
{
    *host = (struct broker_loop_host){.loop = loop};
}

void broker_loop_host_done(struct broker_loop_host *host)
{
    (void)host;
}
