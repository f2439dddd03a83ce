/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/consumer_internal.h"

#include <assert.h>
#include <stdlib.h>

#define POOL_PAGE_BYTES 4096

static void ack_all(struct consumer *consumer)
{
    struct consumer_channel *channel;
    while ((channel = LIST_TAKE_FIRST(&consumer->acks_due, struct consumer_channel, ack_link)))
        consumer_channel_ack(channel);
}

/* All of them are stale before the owner hears of the first. */
static void drop_channels(struct consumer *consumer)
{
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        consumer_channel_drop(&consumer->channels[i]);
}

static void tell_losses(struct consumer *consumer, const char *why)
{
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        consumer_channel_tell_loss(&consumer->channels[i], false, why);
}

void consumer_lose(struct consumer *consumer, const char *why)
{
    struct broker_link *link = TAKE(consumer->link);
    if (!link)
        return;
    broker_link_free(link);
    drop_channels(consumer);
    tell_losses(consumer, why);
    consumer->listener.on_lost(consumer->listener.context, why);
}

/* The link's callbacks. What was read before consumer_close comes to nobody. */

static void on_frame(struct broker_link *link, const amqp_frame_t *frame)
{
    struct consumer *consumer = link->owner;
    if (consumer->link != link || frame->channel == 0 || frame->channel > consumer->options.queues_count)
        return;
    consumer_channel_take_frame(&consumer->channels[frame->channel - 1], frame);
}

static void on_frames_done(struct broker_link *link)
{
    struct consumer *consumer = link->owner;
    if (consumer->link == link)
        ack_all(consumer);
}

static void on_dead(struct broker_link *link, const char *why)
{
    struct consumer *consumer = link->owner;
    if (consumer->link == link)
        consumer_lose(consumer, why);
}

static bool has_enough_channels(const struct consumer *consumer, const struct broker_link *link)
{
    unsigned channels_max = (unsigned)amqp_get_channel_max(link->connection); /* 0: no limit */
    return channels_max == 0 || consumer->options.queues_count <= channels_max;
}

enum err consumer_open(struct consumer *consumer, struct broker_link *link)
{
    assert(!consumer->link);
    link->owner = consumer;
    link->on_frame = on_frame;
    link->on_frames_done = on_frames_done;
    link->on_dead = on_dead;
    enum err failed = has_enough_channels(consumer, link) ? OK : ERR_CONFIG;
    if (!failed)
        failed = broker_link_attach(link, consumer->host);
    if (failed) {
        broker_link_free(link);
        return failed;
    }
    consumer->link = link;
    broker_link_set_reading(link, consumer->reading);
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        consumer_channel_open(&consumer->channels[i]);
    return OK;
}

/* What is ended is acked; the link sends it with its farewell. */
static void let_go(struct consumer *consumer)
{
    ack_all(consumer);
    broker_link_free(TAKE(consumer->link));
    drop_channels(consumer);
}

void consumer_close(struct consumer *consumer)
{
    if (!consumer->link)
        return;
    let_go(consumer);
    tell_losses(consumer, "closed");
}

bool consumer_is_open(const struct consumer *consumer)
{
    return consumer->link;
}

unsigned consumer_channels_consuming(const struct consumer *consumer)
{
    return consumer->consuming;
}

const char *consumer_peer(const struct consumer *consumer)
{
    return consumer->link ? consumer->link->peer : "";
}

unsigned consumer_unacked(const struct consumer *consumer, unsigned channel)
{
    return (unsigned)tag_window_out(&consumer->channels[channel].tags);
}

unsigned consumer_open(const struct consumer *consumer, unsigned channel)
{
    return consumer->channels[channel].tags.open;
}

bool consumer_tag_is_current(const struct consumer *consumer, const struct consumer_tag *tag)
{
    if (tag->number == 0 || tag->channel >= consumer->options.queues_count)
        return false;
    const struct consumer_channel *channel = &consumer->channels[tag->channel];
    return channel->state == CHANNEL_CONSUMING && channel->generation == tag->generation;
}

void consumer_ack(struct consumer *consumer, const struct consumer_tag *tag)
{
    if (consumer_tag_is_current(consumer, tag))
        consumer_channel_ack(&consumer->channels[tag->channel], tag->number);
}

void consumer_set_offset(struct consumer *consumer, unsigned channel, int64_t offset)
{
    consumer->channels[channel].offset = offset;
}

void consumer_set_reading(struct consumer *consumer, bool reading)
{
    consumer->reading = reading;
    if (consumer->link)
        broker_link_set_reading(consumer->link, reading);
}

void consumer_ask_depth(struct consumer *consumer, unsigned channel)
{
    if (!consumer->link || consumer->channels[channel].state != CHANNEL_CONSUMING)
        return;
    amqp_queue_declare_t declare = {.queue = amqp_cstring_bytes(consumer->options.queues[channel]), .passive = 1};
    broker_link_put_method(consumer->link, (amqp_channel_t)(channel + 1), AMQP_QUEUE_DECLARE_METHOD, &declare);
}

void consumer_tick(struct consumer *consumer, int64_t now_mono_us)
{
    if (!consumer->link)
        return;
    broker_link_tick(consumer->link, now_mono_us);
    if (!consumer->link)
        return;
    ack_all(consumer);
    for (unsigned i = 0; i < consumer->options.queues_count && consumer->link; i++)
        consumer_channel_tick(&consumer->channels[i], now_mono_us);
}

enum err consumer_new(struct broker_host *host, const struct consumer_options *options,
    const struct consumer_listener *listener, struct consumer **ret_consumer)
{
    struct consumer *consumer = calloc(1, sizeof *consumer + options->queues_count * sizeof *consumer->channels);
    if (!consumer)
        return ERR_NO_MEMORY;
    consumer->host = host;
    consumer->options = *options;
    consumer->listener = *listener;
    consumer->reading = true;
    list_init(&consumer->acks_due);
    init_amqp_pool(&consumer->pool, POOL_PAGE_BYTES);
    for (unsigned i = 0; i < options->queues_count; i++)
        consumer_channel_init(&consumer->channels[i], consumer, i);
    *ret_consumer = consumer;
    return OK;
}

void consumer_free(struct consumer *consumer)
{
    if (!consumer)
        return;
    let_go(consumer); /* its owner knows */
    for (unsigned i = 0; i < consumer->options.queues_count; i++)
        consumer_channel_done(&consumer->channels[i]);
    empty_amqp_pool(&consumer->pool);
    buffer_done(&consumer->scratch);
    free(consumer);
}
