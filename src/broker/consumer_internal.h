/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer and its channels. consumer.c has the connection and what the owner calls, consumer_channel.c what becomes
 * of one channel.
 */
#ifndef PENSTOCK_BROKER_CONSUMER_INTERNAL_H
#define PENSTOCK_BROKER_CONSUMER_INTERNAL_H

#include "base/buffer.h"
#include "base/list.h"
#include "broker/consumer.h"
#include "broker/link.h"
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

struct consumer_channel {
    struct consumer *consumer;
    unsigned index;
    enum channel_state state;
    bool loss_is_untold;   /* on_channel_lost is owed */
    bool refreshes;        /* closed and opened again by us: the owner believes that it is CONSUMING */
    int64_t since_mono_us; /* of the state; of CONSUMING: of the last message */
    uint32_t generation;   /* of this opening, or of the last */
    int64_t reopen_mono_us;
    unsigned backoff_s; /* 0: the next failure is the first */
    struct tag_window tags;
    int64_t offset;       /* of a stream */
    struct list ack_link; /* in acks_due */
    struct arrival arrival;
};

struct consumer {
    struct broker_host *host;
    struct consumer_options options;
    struct consumer_listener listener;
    struct broker_link *link; /* NULL: closed */
    bool reading;
    unsigned consuming;
    struct list acks_due;  /* channels with something ended since the last ack */
    struct buffer scratch; /* of message_decode */
    amqp_pool_t pool;      /* of the headers' tables */
    struct consumer_channel channels[];
};

void consumer_channel_init(struct consumer_channel *channel, struct consumer *consumer, unsigned index);
void consumer_channel_done(struct consumer_channel *channel);

void consumer_channel_open(struct consumer_channel *channel);
void consumer_channel_take_frame(struct consumer_channel *channel, const amqp_frame_t *frame);
void consumer_channel_ack(struct consumer_channel *channel, uint64_t number);
void consumer_channel_ack(struct consumer_channel *channel);
/* Opens it when its time has come; opens a quiet one anew. May lose the connection. */
void consumer_channel_tick(struct consumer_channel *channel, int64_t now_mono_us);
/* The connection is gone: what was open is closed, and its loss untold. */
void consumer_channel_drop(struct consumer_channel *channel);
void consumer_channel_tell_loss(struct consumer_channel *channel, bool is_gone, const char *why);

/* The connection can't be used any more. */
void consumer_lose(struct consumer *consumer, const char *why);

#endif
