/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/subscriber_internal.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define POOL_PAGE_BYTES 4096

static void ack_all(struct subscriber *subscriber)
{
    struct subscriber_channel *channel;
    while ((channel = LIST_TAKE_FIRST(&subscriber->acks_due, struct subscriber_channel, ack_link)))
        subscriber_channel_send_ack(channel);
}

/* Makes all of them stale before the owner is called for the first. */
static void drop_channels(struct subscriber *subscriber)
{
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        subscriber_channel_drop(&subscriber->channels[i]);
}

static void tell_losses(struct subscriber *subscriber, const char *why)
{
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        subscriber_channel_tell_loss(&subscriber->channels[i], false, why);
}

void subscriber_lose(struct subscriber *subscriber, const char *why)
{
    struct broker_link *link = TAKE(subscriber->link);
    if (!link)
        return;
    broker_link_free(link);
    drop_channels(subscriber);
    tell_losses(subscriber, why);
    subscriber->listener.on_lost(subscriber->listener.context, why);
}

/* The link's callbacks. Frames read before subscriber_close are dropped. */

static void on_frame(struct broker_link *link, const amqp_frame_t *frame)
{
    struct subscriber *subscriber = link->owner;
    if (subscriber->link != link || frame->channel == 0 ||
        frame->channel > subscriber->options.queues_count)
        return;
    subscriber_channel_take_frame(&subscriber->channels[frame->channel - 1], frame);
}

static void on_frames_done(struct broker_link *link)
{
    struct subscriber *subscriber = link->owner;
    if (subscriber->link == link)
        ack_all(subscriber);
}

static void on_dead(struct broker_link *link, const char *why)
{
    struct subscriber *subscriber = link->owner;
    if (subscriber->link == link)
        subscriber_lose(subscriber, why);
}

static bool has_enough_channels(const struct subscriber *subscriber, const struct broker_link *link)
{
    unsigned channels_max = (unsigned)amqp_get_channel_max(link->connection); /* 0: no limit */
    return channels_max == 0 || subscriber->options.queues_count <= channels_max;
}

enum err subscriber_open(struct subscriber *subscriber, struct broker_link *link)
{
    assert(!subscriber->link);
    link->owner = subscriber;
    link->on_frame = on_frame;
    link->on_frames_done = on_frames_done;
    link->on_dead = on_dead;
    enum err failed = has_enough_channels(subscriber, link) ? OK : ERR_CONFIG;
    if (!failed)
        failed = broker_link_attach(link, subscriber->host);
    if (failed) {
        broker_link_free(link);
        return failed;
    }
    subscriber->link = link;
    broker_link_set_reading(link, subscriber->reading);
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        subscriber_channel_open(&subscriber->channels[i]);
    return OK;
}

/* Acks what is ended. The link sends it before connection.close. */
static void let_go(struct subscriber *subscriber)
{
    ack_all(subscriber);
    broker_link_free(TAKE(subscriber->link));
    drop_channels(subscriber);
}

void subscriber_close(struct subscriber *subscriber)
{
    if (!subscriber->link)
        return;
    let_go(subscriber);
    tell_losses(subscriber, "closed");
}

bool subscriber_is_open(const struct subscriber *subscriber)
{
    return subscriber->link;
}

unsigned subscriber_channels_consuming(const struct subscriber *subscriber)
{
    return subscriber->consuming;
}

const char *subscriber_peer(const struct subscriber *subscriber)
{
    return subscriber->link ? subscriber->link->peer : "";
}

unsigned subscriber_unacked(const struct subscriber *subscriber, unsigned channel)
{
    return (unsigned)tag_window_out(&subscriber->channels[channel].tags);
}

unsigned subscriber_open_messages(const struct subscriber *subscriber, unsigned channel)
{
    return subscriber->channels[channel].tags.open;
}

bool message_tag_is_current(const struct subscriber *subscriber, const struct message_tag *tag)
{
    if (tag->number == 0 || tag->channel >= subscriber->options.queues_count)
        return false;
    const struct subscriber_channel *channel = &subscriber->channels[tag->channel];
    return channel->state == CHANNEL_CONSUMING && channel->generation == tag->generation;
}

void subscriber_ack(struct subscriber *subscriber, const struct message_tag *tag)
{
    if (message_tag_is_current(subscriber, tag))
        subscriber_channel_ack(&subscriber->channels[tag->channel], tag->number);
}

void subscriber_set_offset(struct subscriber *subscriber, unsigned channel, int64_t offset)
{
    subscriber->channels[channel].offset = offset;
}

void subscriber_set_reading(struct subscriber *subscriber, bool reading)
{
    subscriber->reading = reading;
    if (subscriber->link)
        broker_link_set_reading(subscriber->link, reading);
}

void subscriber_ask_depth(struct subscriber *subscriber, unsigned channel)
{
    if (!subscriber->link || subscriber->channels[channel].state != CHANNEL_CONSUMING)
        return;
    amqp_queue_declare_t declare = {
        .queue = amqp_cstring_bytes(subscriber->options.queues[channel]), .passive = 1};
    broker_link_put_method(
        subscriber->link, (amqp_channel_t)(channel + 1), AMQP_QUEUE_DECLARE_METHOD, &declare);
}

void subscriber_tick(struct subscriber *subscriber, int64_t now_mono_us)
{
    if (!subscriber->link)
        return;
    broker_link_tick(subscriber->link, now_mono_us);
    if (!subscriber->link)
        return;
    ack_all(subscriber);
    for (unsigned i = 0; i < subscriber->options.queues_count && subscriber->link; i++)
        subscriber_channel_tick(&subscriber->channels[i], now_mono_us);
}

struct subscriber *subscriber_new(struct broker_host *host,
    const struct subscriber_options *options, const struct subscriber_listener *listener)
{
    struct subscriber *subscriber =
        memory_new(sizeof *subscriber + options->queues_count * sizeof *subscriber->channels);
    subscriber->host = host;
    subscriber->options = *options;
    subscriber->listener = *listener;
    subscriber->reading = true;
    list_init(&subscriber->acks_due);
    init_amqp_pool(&subscriber->pool, POOL_PAGE_BYTES);
    for (unsigned i = 0; i < options->queues_count; i++)
        subscriber_channel_init(&subscriber->channels[i], subscriber, i);
    return subscriber;
}

void subscriber_free(struct subscriber *subscriber)
{
    if (!subscriber)
        return;
    let_go(subscriber); /* the owner frees it, so it is not told */
    for (unsigned i = 0; i < subscriber->options.queues_count; i++)
        subscriber_channel_done(&subscriber->channels[i]);
    empty_amqp_pool(&subscriber->pool);
    buffer_done(&subscriber->scratch);
    free(subscriber);
}
