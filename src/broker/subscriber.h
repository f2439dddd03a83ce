/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads queues: one connection with one channel per queue, on its owner's loop. The delivering
 * gateway has one for the partitions of each shard. The intake has one.
 *
 * A channel opens itself. It opens again a little later if the broker closes it or cancels its
 * consumer (the queue was deleted, or an ack was too late). A lost connection closes all channels.
 * Each opening is a new generation. Tags of older generations are ignored, because their messages
 * are delivered again.
 *
 *   closed -- channel.open --> opening -- qos, consume --> consuming
 *      ^                                                      |
 *      '-- channel.close, basic.cancel, connection lost ------'  on_channel_lost
 *
 * Acks: the owner acks tags in any order. The channel acks to the broker up to the first open one,
 * for many at once: after each reading, when an eighth of the prefetch is ended, and with each
 * tick.
 *
 * The link is dead after one configured heartbeat of silence (connector.c negotiates half of it).
 *
 * Memory: the prefetch bounds the number of unacked messages. The owner bounds their bytes with
 * subscriber_set_reading. A body of more than BROKER_BODY_BYTES_MAX is cut and marked.
 */
#ifndef PENSTOCK_BROKER_SUBSCRIBER_H
#define PENSTOCK_BROKER_SUBSCRIBER_H

#include "broker/connector.h"
#include "broker/host.h"
#include "broker/message.h"

#define BROKER_BODY_BYTES_MAX (1024 * 1024)

struct subscriber;

/* A message, and the opening of its channel. */
struct message_tag {
    unsigned channel; /* the index of its queue */
    uint32_t generation;
    uint64_t number; /* 0: none */
};

struct subscriber_listener {
    /* The message is valid during the call. The owner must call subscriber_ack later. */
    void (*on_message)(void *context, const struct message_tag *tag, const struct message *message);
    /* Tags of this channel up to `generation` are stale: their messages are delivered again if the
     * queue still has them. `is_gone`: the broker says that the queue does not exist. Also called
     * each time the broker refuses to open the channel. */
    void (*on_channel_lost)(
        void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why);
    void (*on_channel_open)(void *context, unsigned channel, uint32_t generation);
    /* The connection is lost. Called after on_channel_lost of its channels. The owner asks the
     * connector for another. */
    void (*on_lost)(void *context, const char *why);
    /* The answer to subscriber_ask_depth. `consumers` includes this one. May be NULL. */
    void (*on_depth)(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers);
    void *context;
};

struct subscriber_options {
    unsigned queues_count;
    unsigned streams_count;    /* the last ones are streams, read from subscriber_set_offset on */
    const char *const *queues; /* names; must outlive the subscriber */
    unsigned prefetch;         /* messages per channel */
};

/* Returns a closed subscriber. `host` must outlive it. */
struct subscriber *subscriber_new(struct broker_host *host,
    const struct subscriber_options *options, const struct subscriber_listener *listener);
/* Unacked messages return to their queues. Calls no callback. Not from a callback. Takes NULL. */
void subscriber_free(struct subscriber *subscriber);

/* Opens a closed subscriber with a connection. Owns the link, also on failure: ERR_SYSTEM,
 * ERR_CONFIG (the broker allows fewer channels than there are queues). */
enum err subscriber_open(struct subscriber *subscriber, struct broker_link *link) MUST_CHECK;
void subscriber_close(struct subscriber *subscriber); /* calls on_channel_lost, not on_lost */
bool subscriber_is_open(const struct subscriber *subscriber);
unsigned subscriber_channels_consuming(const struct subscriber *subscriber);
const char *subscriber_peer(const struct subscriber *subscriber);

/* Ends the message. A stale tag is ignored. */
void subscriber_ack(struct subscriber *subscriber, const struct message_tag *tag);
/* The used part of the channel's prefetch: open messages, and ended ones that are not acked yet. */
unsigned subscriber_unacked(const struct subscriber *subscriber, unsigned channel);
/* The open messages among them. */
unsigned subscriber_open_messages(const struct subscriber *subscriber, unsigned channel);
bool message_tag_is_current(const struct subscriber *subscriber, const struct message_tag *tag);

/* Sets where a stream is read from at the next opening of its channel; 0: from its beginning. */
void subscriber_set_offset(struct subscriber *subscriber, unsigned channel, int64_t offset);

/* While not reading, no message arrives. The connection is kept, and silence does not end it. */
void subscriber_set_reading(struct subscriber *subscriber, bool reading);
/* Asks how many messages wait in the channel's queue, and who else consumes it. There is no answer
 * if the channel is lost. */
void subscriber_ask_depth(struct subscriber *subscriber, unsigned channel);

/* Opens channels that are due. Also reopens channels that were quiet for 30 s without an open
 * message: a queue that was deleted and declared again may keep messages from the old consumer. The
 * owner does not notice that. */
void subscriber_tick(struct subscriber *subscriber, int64_t now_mono_us);

#endif
