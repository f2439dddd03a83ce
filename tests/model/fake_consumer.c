/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's end of its connection: broker/consumer.h, as it promises it. What the broker sends lies on the wire
 * until the shard's loop reads it; what is acked lies here until the broker takes the acks.
 *
 * A channel: closed --asked--> asked --the broker has heard it--> granted --read from the wire--> consuming
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
    uint64_t number_first; /* the tag of given[0] */
    struct message_list given;
    struct {
        unsigned count;
        bool done[PREFETCH_MAX];
    } acked; /* beside `given` */
};

struct consumer {
    struct loop *loop;
    struct loop_watch watch;
    struct consumer_options options;
    struct consumer_listener listener;
    bool is_open, reading;
    struct broker_connection *connection; /* the broker's end; NULL: cut */
    struct channel_end channels[FAKE_QUEUES_MAX];
    struct wire_item *wire;
    unsigned wire_count, wire_room;
};

static struct consumer *living; /* one at a time */

/* The wire. */

struct broker_connection *consumer_connection(void)
{
    return living ? living->connection : NULL;
}

static void append_item(struct consumer *consumer, const struct wire_item *item)
{
    if (consumer->wire_count == consumer->wire_room) {
        consumer->wire_room = consumer->wire_room ? consumer->wire_room * 2 : 16;
        consumer->wire = realloc(consumer->wire, consumer->wire_room * sizeof *consumer->wire);
        assert(consumer->wire);
    }
    consumer->wire[consumer->wire_count++] = *item;
    sim_loop_ring(consumer->loop, &consumer->watch);
}

void consumer_push(const struct wire_item *item)
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

static void read_message(struct consumer *consumer, const struct wire_item *item)
{
    struct channel_end *end = &consumer->channels[item->channel];
    fail_unless(end->given.count < PREFETCH_MAX, BROKEN_SIM, "more messages than the prefetch permits");
    struct consumer_tag tag = {
        .channel = item->channel, .generation = end->generation, .number = end->number_first + end->given.count};
    end->acked.done[end->given.count] = false;
    message_list_insert(&end->given, end->given.count, item->message);
    /* What it points to is valid in the call only. */
    struct message content = item->message->content;
    char *body = malloc(content.body.len);
    assert(body);
    memcpy(body, content.body.data, content.body.len);
    content.body = slice_of(body, content.body.len);
    if (content.is_event && item->message->post)
        content.parts.body = content.body;
    consumer->listener.on_message(consumer->listener.context, &tag, &content);
    free(body);
}

static void lose_end(struct consumer *consumer, unsigned channel, bool is_gone, const char *why)
{
    struct channel_end *end = &consumer->channels[channel];
    forget(end);
    end->state = END_CLOSED;
    end->reopen_us = sim_mono_us() + sim_below(STREAM_DRIVER, REOPEN_US_MAX);
    consumer->listener.on_channel_lost(consumer->listener.context, channel, end->generation, is_gone, why);
}

/* All are closed before the owner hears of the first. */
static void lose_all_ends(struct consumer *consumer, bool told, const char *why)
{
    bool was_consuming[FAKE_QUEUES_MAX];
    for (unsigned i = 0; i < consumer->options.queues_count; i++) {
        was_consuming[i] = consumer->channels[i].state == END_CONSUMING;
        consumer->channels[i].state = END_CLOSED;
        forget(&consumer->channels[i]);
    }
    for (unsigned i = 0; i < consumer->options.queues_count && told; i++)
        if (was_consuming[i])
            lose_end(consumer, i, false, why);
}

static void lose_open(struct consumer *consumer)
{
    consumer->is_open = false;
    consumer->wire_count = 0;
    lose_all_ends(consumer, true, "the connection is lost");
    consumer->listener.on_lost(consumer->listener.context, "the connection is lost");
}

static void read_item(struct consumer *consumer, const struct wire_item *item)
{
    struct channel_end *end = &consumer->channels[item->channel];
    void *context = consumer->listener.context;
    switch (item->kind) {
    case WIRE_OPEN:
        end->state = END_CONSUMING;
        end->number_first = 1;
        consumer->listener.on_channel_open(context, item->channel, end->generation);
        break;
    case WIRE_MESSAGE:
        read_message(consumer, item);
        break;
    case WIRE_CHANNEL_LOST:
        lose_end(consumer, item->channel, item->is_gone, item->is_gone ? "no queue" : "the broker closed it");
        break;
    case WIRE_DEPTH:
        consumer->listener.on_depth(context, item->channel, item->ready, item->consumers);
        break;
    case WIRE_LOST:
        lose_open(consumer);
        break;
    }
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct consumer *consumer = CONTAINER_OF(watch, struct consumer, watch);
    (void)events;
    while (consumer->wire_count > 0 && consumer->reading) {
        struct wire_item item = consumer->wire[0];
        memmove(consumer->wire, consumer->wire + 1, --consumer->wire_count * sizeof *consumer->wire);
        fail_unless(item.kind == WIRE_LOST || item.generation == consumer->channels[item.channel].generation,
            BROKEN_SIM, "something of an older channel is on the wire");
        read_item(consumer, &item);
    }
}

/* For the broker. */

bool consumer_is_living(void)
{
    return living != NULL;
}

static struct channel_end *end_of(unsigned channel)
{
    return living && living->connection ? &living->channels[channel] : NULL;
}

bool consumer_channel_is_opening(unsigned channel)
{
    const struct channel_end *end = end_of(channel);
    return end && end->state == END_ASKED;
}

void consumer_begin_consuming(unsigned channel)
{
    living->connection->channels[channel].consuming = true;
}

void consumer_grant(unsigned channel)
{
    living->channels[channel].state = END_GRANTED;
}

bool consumer_channel_asks_depth(unsigned channel)
{
    const struct channel_end *end = end_of(channel);
    return end && end->depths_asked > 0;
}

void consumer_answer_depth(unsigned channel)
{
    struct channel_end *end = end_of(channel);
    end->depths_asked--;
    if (!living->connection->channels[channel].consuming)
        return; /* the channel is closed, and that is on the wire */
    consumer_push(&(struct wire_item){.kind = WIRE_DEPTH,
        .channel = channel,
        .ready = broker_queue_ready(channel),
        .consumers = broker_queue_consumers(channel)});
}

bool consumer_channel_has_acks(unsigned channel)
{
    const struct channel_end *end = end_of(channel);
    return end && living->connection->channels[channel].consuming && end->given.count > 0 && end->acked.done[0];
}

/* Some of the acked prefix, or all of it. */
void consumer_take_acks(unsigned channel)
{
    struct channel_end *end = &living->channels[channel];
    unsigned count = 0;
    while (count < end->given.count && end->acked.done[count])
        count++;
    if (count > 0)
        count = 1 + sim_below(STREAM_DRIVER, count);
    for (; count > 0; count--) {
        struct broker_message *given = message_list_take(&end->given, 0);
        memmove(end->acked.done, end->acked.done + 1, sizeof end->acked.done - sizeof end->acked.done[0]);
        end->number_first++;
        struct broker_message *acked = message_list_take(&living->connection->channels[channel].unacked, 0);
        fail_unless(given == acked, BROKEN_SIM, "another message is acked");
        tally(TALLY_ACKED);
    }
}

bool consumer_has_given(const struct model_post *post)
{
    for (unsigned i = 0; living && i < living->options.queues_count; i++) {
        const struct channel_end *end = &living->channels[i];
        for (unsigned j = 0; j < end->given.count; j++)
            if (end->given.messages[j]->post == post && !end->acked.done[j])
                return true;
    }
    return false;
}

void consumer_lose_connection(bool with_acks)
{
    for (unsigned i = 0; i < living->options.queues_count && with_acks; i++)
        if (consumer_channel_has_acks(i))
            consumer_take_acks(i);
    living->connection = NULL;
    /* The end of what was on the wire is lost with it. */
    living->wire_count = sim_below(STREAM_DRIVER, living->wire_count + 1);
    append_item(living, &(struct wire_item){.kind = WIRE_LOST});
}

void consumer_crashed(void)
{
    living = NULL;
}

/* broker/consumer.h */

enum err consumer_new(struct broker_host *host, const struct consumer_options *options,
    const struct consumer_listener *listener, struct consumer **ret_consumer)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    assert(consumer && !living && options->queues_count == fake_broker_queues());
    assert(options->prefetch > 0 && options->prefetch < PREFETCH_MAX);
    consumer->loop = CONTAINER_OF(host, struct broker_loop_host, host)->loop;
    consumer->watch.on_ready = on_ready;
    consumer->options = *options;
    consumer->listener = *listener;
    consumer->reading = true;
    *ret_consumer = living = consumer;
    return OK;
}

static void let_go(struct consumer *consumer)
{
    struct broker_connection *connection = consumer->connection;
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        if (consumer_channel_has_acks(i))
            consumer_take_acks(i);
    consumer->connection = NULL;
    consumer->is_open = false;
    consumer->wire_count = 0;
    if (connection)
        broker_disconnect(connection, sim_chance(STREAM_DRIVER, 500));
}

void consumer_free(struct consumer *consumer)
{
    if (!consumer)
        return;
    let_go(consumer);
    loop_watch_remove(consumer->loop, &consumer->watch);
    for (unsigned i = 0; i < FAKE_QUEUES_MAX; i++)
        free(consumer->channels[i].given.messages);
    free(consumer->wire);
    free(consumer);
    living = NULL;
}

static void ask_to_open(struct channel_end *end)
{
    end->state = END_ASKED;
    end->generation++;
}

enum err consumer_open(struct consumer *consumer, struct broker_link *link)
{
    assert(!consumer->is_open);
    broker_link_free(link);
    consumer->is_open = true;
    consumer->wire_count = 0;
    tally(TALLY_CONNECTIONS);
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        ask_to_open(&consumer->channels[i]);
    if (fake_broker_is_up())
        consumer->connection = broker_connect(consumer->options.prefetch);
    else
        append_item(consumer, &(struct wire_item){.kind = WIRE_LOST});
    return OK;
}

void consumer_close(struct consumer *consumer)
{
    if (!consumer->is_open)
        return;
    let_go(consumer);
    lose_all_ends(consumer, true, "closed");
}

bool consumer_is_open(const struct consumer *consumer)
{
    return consumer->is_open;
}

unsigned consumer_channels_consuming(const struct consumer *consumer)
{
    unsigned count = 0;
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        count += consumer->channels[i].state == END_CONSUMING;
    return count;
}

const char *consumer_peer(const struct consumer *consumer)
{
    return consumer->is_open ? "fake:5672" : "";
}

bool consumer_tag_is_current(const struct consumer *consumer, const struct consumer_tag *tag)
{
    const struct channel_end *end = &consumer->channels[tag->channel];
    return tag->number != 0 && end->state == END_CONSUMING && end->generation == tag->generation;
}

unsigned consumer_unacked(const struct consumer *consumer, unsigned channel)
{
    return consumer->connection ? consumer->connection->channels[channel].unacked.count : 0;
}

/* The fake acks each by itself. */
unsigned consumer_open(const struct consumer *consumer, unsigned channel)
{
    return consumer_unacked(consumer, channel);
}

/* The broker may have taken it back: then it comes again, whatever is said here. */
static bool is_unacked(const struct consumer *consumer, unsigned channel, const struct broker_message *message)
{
    const struct broker_connection *connection = consumer->connection;
    for (unsigned i = 0; connection && i < connection->channels[channel].unacked.count; i++)
        if (connection->channels[channel].unacked.messages[i] == message)
            return true;
    return false;
}

void consumer_ack(struct consumer *consumer, const struct consumer_tag *tag)
{
    if (!consumer_tag_is_current(consumer, tag)) {
        tally(TALLY_STALE_TAGS);
        return;
    }
    struct channel_end *end = &consumer->channels[tag->channel];
    uint64_t at = tag->number - end->number_first;
    fail_unless(tag->number >= end->number_first && at < end->given.count && !end->acked.done[at], BROKEN_CREDIT,
        "tag %llu of channel %u is acked twice, or was never given", (unsigned long long)tag->number, tag->channel);
    struct broker_message *message = end->given.messages[at];
    end->acked.done[at] = true;
    message->acked = is_unacked(consumer, tag->channel, message);
    model_message_acked(message->post, message->poison);
}

void consumer_set_reading(struct consumer *consumer, bool reading)
{
    if (!reading)
        tally(TALLY_NOT_READING);
    consumer->reading = reading;
    if (reading && consumer->wire_count > 0)
        sim_loop_ring(consumer->loop, &consumer->watch);
}

/* There are no streams here. */
void consumer_set_offset(struct consumer *consumer, unsigned channel, int64_t offset)
{
    (void)consumer, (void)channel, (void)offset;
}

void consumer_ask_depth(struct consumer *consumer, unsigned channel)
{
    struct channel_end *end = &consumer->channels[channel];
    if (consumer->is_open && end->state == END_CONSUMING)
        end->depths_asked++;
}

void consumer_tick(struct consumer *consumer, int64_t now_mono_us)
{
    for (unsigned i = 0; i < consumer->options.queues_count && consumer->is_open; i++)
        if (consumer->channels[i].state == END_CLOSED && consumer->channels[i].reopen_us <= now_mono_us)
            ask_to_open(&consumer->channels[i]);
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
