/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber and its channels. subscriber.c has the connection and the owner's calls,
 * subscriber_channel.c has the states of one channel.
 */
#ifndef PENSTOCK_BROKER_SUBSCRIBER_INTERNAL_H
#define PENSTOCK_BROKER_SUBSCRIBER_INTERNAL_H

#include "base/buffer.h"
#include "base/list.h"
#include "broker/link.h"
#include "broker/subscriber.h"
#include "broker/tag_window.h"

/*
 *   CLOSED -- channel.open, basic.qos, basic.consume --> OPENING -- consume-ok --> CONSUMING
 *     ^  ^                                                  |                          |
 *     |  '----------- channel.close by the broker ----------+--------------------------+
 *     |                                                                                |
 *     '-- channel.close-ok -- CLOSING <-- basic.cancel, or it is quiet: closed by us --'
 *
 * Without a connection all channels are CLOSED.
 */
enum channel_state { CHANNEL_CLOSED, CHANNEL_OPENING, CHANNEL_CONSUMING, CHANNEL_CLOSING };

/* A message whose frames are arriving: basic.deliver, the header, bodies. */
struct arrival {
    enum { ARRIVAL_NONE, ARRIVAL_HEADER, ARRIVAL_BODY } awaits;
    uint64_t number;
    bool redelivered;
    uint64_t body_bytes, body_came;
    struct buffer header; /* encoded: librabbitmq's decoded header is freed before the body */
    struct buffer body;   /* if it arrives in several frames */
};

struct subscriber_channel {
    struct subscriber *subscriber;
    unsigned index;
    enum channel_state state;
    bool loss_is_untold;   /* on_channel_lost must be called */
    bool refreshes;        /* being reopened: the owner still sees CONSUMING */
    int64_t since_mono_us; /* of the state; for CONSUMING: of the last message */
    uint32_t generation;   /* of this opening, or of the last one */
    int64_t reopen_mono_us;
    unsigned backoff_s; /* 0: the next failure is the first */
    struct tag_window tags;
    int64_t offset;       /* of a stream */
    struct list ack_link; /* in acks_due */
    struct arrival arrival;
};

struct subscriber {
    struct broker_host *host;
    struct subscriber_options options;
    struct subscriber_listener listener;
    struct broker_link *link; /* NULL: closed */
    bool reading;
    unsigned consuming;
    struct list acks_due;  /* channels with messages ended since the last ack */
    struct buffer scratch; /* for message_decode */
    amqp_pool_t pool;      /* for the headers' tables */
    struct subscriber_channel channels[];
};

void subscriber_channel_init(
    struct subscriber_channel *channel, struct subscriber *subscriber, unsigned index);
void subscriber_channel_done(struct subscriber_channel *channel);

void subscriber_channel_open(struct subscriber_channel *channel);
void subscriber_channel_take_frame(struct subscriber_channel *channel, const amqp_frame_t *frame);
void subscriber_channel_ack(struct subscriber_channel *channel, uint64_t number);
void subscriber_channel_send_ack(struct subscriber_channel *channel);
/* Opens it when it is due. Reopens a quiet one. May lose the connection. */
void subscriber_channel_tick(struct subscriber_channel *channel, int64_t now_mono_us);
/* The connection is lost. Closes the channel, and marks that its loss must be reported. */
void subscriber_channel_drop(struct subscriber_channel *channel);
void subscriber_channel_tell_loss(
    struct subscriber_channel *channel, bool is_gone, const char *why);

/* Ends a connection that cannot be used any more. */
void subscriber_lose(struct subscriber *subscriber, const char *why);

#endif
