/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads queues: one connection, one channel for each queue, on its owner's loop. The delivering
 * gateway has one for the partitions of each shard; the intake has one.
 *
 * A channel opens itself and opens itself again a little later when the broker closes it or cancels
 * its consumer (the queue was deleted, it acked too late); so does the broker's connection take all
 * channels with it. Each opening is another generation, and a tag of an older one is thrown away:
 * its message will come again.
 *
 *   closed --channel.open--> opening --qos, consume--> consuming
 *      ^                                                   |  channel.close, basic.cancel, connection lost:
 *      '---------------------------------------------------'  on_channel_lost
 *
 * Acks: the owner ends tags in any order; the channel acks up to the contiguous ended prefix, for
 * many at once: behind each reading, when an eighth of the prefetch is ended, and with each tick.
 *
 * The link's silence is judged by one of the configured heartbeats (connector.c agrees upon half of
 * it).
 *
 * Memory: the prefetch bounds what is unacked by count; the owner bounds bytes with
 * subscriber_set_reading. A body of more than BROKER_BODY_BYTES_MAX is cut there, and says so.
 */
#ifndef PENSTOCK_BROKER_SUBSCRIBER_H
#define PENSTOCK_BROKER_SUBSCRIBER_H

#include "broker/connector.h"
#include "broker/host.h"
#include "broker/message.h"

#define BROKER_BODY_BYTES_MAX (1024 * 1024)

struct subscriber;

/* Which message, on which opening of its channel. */
struct message_tag {
    unsigned channel; /* index of its queue */
    uint32_t generation;
    uint64_t number; /* 0: none */
};

struct subscriber_listener {
    /* What the message points to is valid in the call. The owner owes a subscriber_ack. */
    void (*on_message)(void *context, const struct message_tag *tag, const struct message *message);
    /* Tags of this channel up to `generation` are stale from now on: those messages come again, if
     * the queue still has them. `is_gone`: the broker said that the queue does not exist (any
     * more). Also when the broker refuses to open the channel, each time. */
    void (*on_channel_lost)(
        void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why);
    void (*on_channel_open)(void *context, unsigned channel, uint32_t generation);
    /* The connection is gone, behind on_channel_lost of its channels: the owner asks the connector
     * for another. */
    void (*on_lost)(void *context, const char *why);
    /* The answer to subscriber_ask_depth: `consumers` with us. May be NULL. */
    void (*on_depth)(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers);
    void *context;
};

struct subscriber_options {
    unsigned queues_count;
    unsigned
        /* so many of the last ones are streams, read from subscriber_set_offset on */
        streams_count;
    const char *const *queues; /* names; must outlive the subscriber */
    unsigned prefetch;         /* messages per channel */
};

/* Closed at first. `host` must outlive the subscriber. */
enum err subscriber_new(struct broker_host *host, const struct subscriber_options *options,
    const struct subscriber_listener *listener, struct subscriber **ret_subscriber) MUST_CHECK;
/* Unacked messages go back to their queues; nothing is called. Not from a callback. Takes NULL. */
void subscriber_free(struct subscriber *subscriber);

/* The subscriber must be closed; takes the link, also on failure: ERR_SYSTEM, ERR_CONFIG (the
 * broker allows fewer channels than there are queues). */
enum err subscriber_open(struct subscriber *subscriber, struct broker_link *link) MUST_CHECK;
void subscriber_close(struct subscriber *subscriber); /* on_channel_lost of each, no on_lost */
bool subscriber_is_open(const struct subscriber *subscriber);
unsigned subscriber_channels_consuming(const struct subscriber *subscriber);
const char *subscriber_peer(const struct subscriber *subscriber);

/* The message is done with; a stale tag is thrown away. */
void subscriber_ack(struct subscriber *subscriber, const struct message_tag *tag);
/* What the channel's prefetch is used up by: open messages, and ended ones behind them. */
unsigned subscriber_unacked(const struct subscriber *subscriber, unsigned channel);
/* The open ones among them. */
unsigned subscriber_open_messages(const struct subscriber *subscriber, unsigned channel);
bool message_tag_is_current(const struct subscriber *subscriber, const struct message_tag *tag);

/* Where a stream is read from when its channel is opened the next time; 0: from its beginning. */
void subscriber_set_offset(struct subscriber *subscriber, unsigned channel, int64_t offset);

/* While not reading nothing comes; the connection is kept, and silence is not held against it. */
void subscriber_set_reading(struct subscriber *subscriber, bool reading);
/* How many messages wait in the channel's queue, and who else consumes it; nothing comes when the
 * channel is lost. */
void subscriber_ask_depth(struct subscriber *subscriber, unsigned channel);

/* Opens channels again whose time has come, and those anew that have been quiet for 30 s with
 * nothing out: a queue that was deleted and made again may hold messages for a consumer that never
 * gets them. The owner does not hear of that. */
void subscriber_tick(struct subscriber *subscriber, int64_t now_mono_us);

#endif
