/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscriber and its channels. subscriber.c has the connection and what the owner calls,
 * subscriber_channel.c what becomes of one channel.
 */
#ifndef PENSTOCK_BROKER_SUBSCRIBER_INTERNAL_H
#define PENSTOCK_BROKER_SUBSCRIBER_INTERNAL_H

#include "base/buffer.h"
#include "base/list.h"
#include "broker/link.h"
#include "broker/subscriber.h"
#include "broker/tag_window.h"

/*
 *   CLOSED --channel.open, basic.qos, basic.consume in one go--> OPENING --consume-ok--> CONSUMING
 *     ^  ^                                                          |                       |
 *     |  '-------------- channel.close (we answer it) --------------+-----------------------+
 *     |                                                                                     | basic.cancel
 *     '---- channel.close-ok ---- CLOSING <---- we close what is left of it, or a quiet one -'
 *
 * Without a connection all are CLOSED.
 */
enum channel_state { CHANNEL_CLOSED, CHANNEL_OPENING, CHANNEL_CONSUMING, CHANNEL_CLOSING };

/* A message whose frames are coming: basic.deliver, the header, bodies. */
struct arrival {
    enum { ARRIVAL_NONE, ARRIVAL_HEADER, ARRIVAL_BODY } awaits;
    uint64_t number;
    bool redelivered;
    uint64_t body_bytes, body_came;
    struct buffer header; /* encoded: what librabbitmq decoded is gone when the body comes */
    struct buffer body;   /* when it comes in pieces */
};

struct subscriber_channel {
    struct subscriber *subscriber;
    unsigned index;
    enum channel_state state;
    bool loss_is_untold; /* on_channel_lost is owed */
    bool refreshes; /* closed and opened again by us: the owner believes that it is CONSUMING */
    int64_t since_mono_us; /* of the state; of CONSUMING: of the last message */
    uint32_t generation;   /* of this opening, or of the last */
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
    struct list acks_due;  /* channels with something ended since the last ack */
    struct buffer scratch; /* of message_decode */
    amqp_pool_t pool;      /* of the headers' tables */
    struct subscriber_channel channels[];
};

void subscriber_channel_init(
    struct subscriber_channel *channel, struct subscriber *subscriber, unsigned index);
void subscriber_channel_done(struct subscriber_channel *channel);

void subscriber_channel_open(struct subscriber_channel *channel);
void subscriber_channel_take_frame(struct subscriber_channel *channel, const amqp_frame_t *frame);
void subscriber_channel_ack(struct subscriber_channel *channel, uint64_t number);
void subscriber_channel_send_ack(struct subscriber_channel *channel);
/* Opens it when its time has come; opens a quiet one anew. May lose the connection. */
void subscriber_channel_tick(struct subscriber_channel *channel, int64_t now_mono_us);
/* The connection is gone: what was open is closed, and its loss untold. */
void subscriber_channel_drop(struct subscriber_channel *channel);
void subscriber_channel_tell_loss(
    struct subscriber_channel *channel, bool is_gone, const char *why);

/* The connection can't be used any more. */
void subscriber_lose(struct subscriber *subscriber, const char *why);

#endif
