/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads queues: one connection, one channel for each queue, on its owner's loop. The delivering gateway has one for the
 * partitions of each shard; the intake has one.
 *
 * A channel opens itself and opens itself again a little later when the broker closes it or cancels the consumer (the
 * queue was deleted, the consumer was too slow); so does the broker's connection take all channels with it. Each
 * opening is another generation, and a tag of an older one is thrown away: its message will come again.
 *
 *   closed --channel.open--> opening --qos, consume--> consuming
 *      ^                                                   |  channel.close, basic.cancel, connection lost:
 *      '---------------------------------------------------'  on_channel_lost
 *
 * Acks: the owner ends tags in any order; the channel acks up to the contiguous ended prefix, for many at once:
 * behind each reading, when an eighth of the prefetch is ended, and with each tick.
 *
 * The link's silence is judged by one of the configured heartbeats (connector.c agrees upon half of it).
 *
 * Memory: the prefetch bounds what is unacked by count; the owner bounds bytes with consumer_set_reading. A body of
 * more than BROKER_BODY_BYTES_MAX is cut there, and says so.
 */
#ifndef PENSTOCK_BROKER_CONSUMER_H
#define PENSTOCK_BROKER_CONSUMER_H

#include "broker/connector.h"
#include "broker/host.h"
#include "broker/message.h"

#define BROKER_BODY_BYTES_MAX (1024 * 1024)

struct consumer;

/* Which message, on which opening of its channel. */
struct consumer_tag {
    unsigned channel; /* index of its queue */
    uint32_t generation;
    uint64_t number; /* 0: none */
};

struct consumer_listener {
    /* What the message points to is valid in the call. The owner owes a consumer_ack. */
    void (*on_message)(void *context, const struct consumer_tag *tag, const struct message *message);
    /* Tags of this channel up to `generation` are stale from now on: those messages come again, if the queue still has
     * them. `is_gone`: the broker said that the queue does not exist (any more). Also when the broker refuses to open
     * the channel, each time. */
    void (*on_channel_lost)(void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why);
    void (*on_channel_open)(void *context, unsigned channel, uint32_t generation);
    /* The connection is gone, behind on_channel_lost of its channels: the owner asks the connector for another. */
    void (*on_lost)(void *context, const char *why);
    /* The answer to consumer_ask_depth: `consumers` with us. May be NULL. */
    void (*on_depth)(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers);
    void *context;
};

struct consumer_options {
    unsigned queues_count;
    unsigned streams_count;    /* so many of the last ones are streams, read from consumer_set_offset on */
    const char *const *queues; /* names; must outlive the consumer */
    unsigned prefetch;         /* messages per channel */
};

/* Closed at first. `host` must outlive the consumer. */
enum err consumer_new(struct broker_host *host, const struct consumer_options *options,
    const struct consumer_listener *listener, struct consumer **ret_consumer) MUST_CHECK;
/* Unacked messages go back to their queues; nothing is called. Not from a callback. Takes NULL. */
void consumer_free(struct consumer *consumer);

/* The consumer must be closed; takes the link, also on failure: ERR_SYSTEM, ERR_CONFIG (the broker allows fewer
 * channels than there are queues). */
enum err consumer_open(struct consumer *consumer, struct broker_link *link) MUST_CHECK;
void consumer_close(struct consumer *consumer); /* on_channel_lost of each, no on_lost */
bool consumer_is_open(const struct consumer *consumer);
unsigned consumer_channels_consuming(const struct consumer *consumer);
const char *consumer_peer(const struct consumer *consumer);

/* The message is done with; a stale tag is thrown away. */
void consumer_ack(struct consumer *consumer, const struct consumer_tag *tag);
/* What the channel's prefetch is used up by: open messages, and ended ones behind them. */
unsigned consumer_unacked(const struct consumer *consumer, unsigned channel);
/* The open ones among them. */
unsigned consumer_open(const struct consumer *consumer, unsigned channel);
bool consumer_tag_is_current(const struct consumer *consumer, const struct consumer_tag *tag);

/* Where a stream is read from when its channel is opened the next time; 0: from its beginning. */
void consumer_set_offset(struct consumer *consumer, unsigned channel, int64_t offset);

/* While not reading nothing comes; the connection is kept, and silence is not held against it. */
void consumer_set_reading(struct consumer *consumer, bool reading);
/* How many messages wait in the channel's queue, and who else consumes it; nothing comes when the channel is lost. */
void consumer_ask_depth(struct consumer *consumer, unsigned channel);

/* Opens channels again whose time has come, and those anew that have been quiet for 30 s with nothing out: a queue that
 * was deleted and made again may hold messages for a consumer that never gets them. The owner does not hear of that. */
void consumer_tick(struct consumer *consumer, int64_t now_mono_us);

#endif
