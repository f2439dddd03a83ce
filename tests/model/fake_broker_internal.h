/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the broker (fake_broker.c) and the gateway's ends of its connections
 * (fake_subscriber.c, fake_connector.c). */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_BROKER_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_FAKE_BROKER_INTERNAL_H

#include "fake_broker.h"

#define PREFETCH_MAX 16

/* One message in one queue. */
struct broker_message {
    struct model_post *post; /* NULL: poison */
    unsigned poison;         /* its number */
    struct message content;
    bool acked; /* the subscriber has acked it; the broker may not have the ack yet */
};

struct message_list {
    struct broker_message **messages;
    unsigned count, room;
};

void message_list_insert(struct message_list *list, unsigned at, struct broker_message *message);
struct broker_message *message_list_take(struct message_list *list, unsigned at);

/* The broker's end of a channel. */
struct broker_channel {
    bool consuming;
    struct message_list unacked; /* in order of delivery */
};

/* The broker's end of a connection. */
struct broker_connection {
    bool is_ghost;
    unsigned prefetch;
    struct broker_channel channels[FAKE_QUEUES_MAX];
};

/* An item on the wire to the gateway; items arrive in order. */
enum wire_kind { WIRE_OPEN, WIRE_MESSAGE, WIRE_CHANNEL_LOST, WIRE_LOST, WIRE_DEPTH };

struct wire_item {
    enum wire_kind kind;
    unsigned channel;
    uint32_t generation; /* of the gateway's end, when it was sent */
    struct broker_message *message;
    bool is_gone;
    uint32_t ready, consumers;
};

/* fake_broker.c */
bool broker_queue_exists(unsigned partition);
uint32_t broker_queue_ready(unsigned partition);
uint32_t broker_queue_consumers(unsigned partition);
struct broker_connection *broker_connect(unsigned prefetch);
/* The gateway has closed the connection. `known`: the broker detects it at once. */
void broker_disconnect(struct broker_connection *connection, bool known);
/* Returns the unacked messages to the queue; the channel stops consuming. */
void broker_close_channel(struct broker_connection *connection, unsigned channel);
void broker_declare_missing(void);

/* fake_subscriber.c: the gateway's end of the one connection that consumes; NULL: there is none. */
struct broker_connection *subscriber_connection(void);
bool subscriber_is_living(void);                    /* created and not freed */
void subscriber_push(const struct wire_item *item); /* fills in the generation */
bool subscriber_channel_is_opening(unsigned channel);
bool subscriber_channel_asks_depth(unsigned channel);
bool subscriber_channel_has_acks(unsigned channel);
void consumer_begin_consuming(unsigned channel);
void subscriber_grant(unsigned channel); /* the broker has received the request to open it */
void subscriber_answer_depth(unsigned channel);
void subscriber_take_acks(unsigned channel);
bool subscriber_has_given(const struct model_post *post);
void subscriber_lose_connection(bool with_acks); /* cuts the wire; the gateway detects it later */
void subscriber_crashed(void);

/* fake_connector.c */
bool connector_has_request(void);
enum connector_answer { CONNECTOR_WELL, CONNECTOR_DOWN, CONNECTOR_REFUSES, CONNECTOR_NOT_OWNER };
/* Answers the first request. Returns true when the queues must be declared. */
bool connector_answer_one(enum connector_answer answer);
void tap_lose(void);
void fake_connector_crashed(void);

#endif
