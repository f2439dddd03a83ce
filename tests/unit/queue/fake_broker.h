/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that does what the test says: it takes the place of broker/'s publisher, subscriber and
 * connector in this program. What the gateway's thread calls is called on that thread; a test that
 * runs one calls these from it as well.
 */
#ifndef PENSTOCK_TESTS_UNIT_QUEUE_FAKE_BROKER_H
#define PENSTOCK_TESTS_UNIT_QUEUE_FAKE_BROKER_H

#include "broker/connector.h"
#include "broker/publisher.h"
#include "broker/status.h"
#include "broker/subscriber.h"

#define FAKE_PUBLISHED_MAX 8192
#define FAKE_CHANNELS_MAX 8
#define FAKE_MESSAGES_MAX 1024
#define FAKE_ACKS_MAX 4096
#define FAKE_BACK_TO_THE_INTAKE "to the end of the intake"

struct fake_published {
    struct publication *publication; /* NULL: ended, or forgotten */
    struct event_id id;
    unsigned partition;
    char reason[600]; /* of a refused one, or FAKE_BACK_TO_THE_INTAKE */
};

/* A channel of the consumer's subscriber. */
struct fake_channel {
    bool is_open;
    unsigned sent; /* by fake_send since it was opened; numbered from 1 */
    bool ended[FAKE_MESSAGES_MAX + 1];
    unsigned depth_asked;
    int64_t offset;
};

extern struct fake_broker {
    bool has_room;
    unsigned published_count; /* since fake_broker_begin, in order */
    struct fake_published published[FAKE_PUBLISHED_MAX];
    unsigned dials, doubts, publishers_made;
    bool deposed;
    unsigned publisher_depth_asked, links_freed;
    unsigned acked;
    struct message_tag last_acked, acks[FAKE_ACKS_MAX]; /* the latter in order */
    bool subscriber_open, subscriber_reading;
    struct fake_channel channels[FAKE_CHANNELS_MAX];
    bool tap_open;
    unsigned tapped;
    struct event_id last_tapped;
} fake;

void fake_broker_begin(void);
/* What a gateway takes for a connector. */
struct broker_connector *fake_connector(void);

/* Answers the open dial of this action, by mail. The owner of the mailbox works it off. */
bool fake_is_dialled(enum connector_task task);
void fake_answer_dial(enum connector_task task, enum err result);

/* What becomes of the index-th publish. */
void fake_end(unsigned index, enum publish_end end);
unsigned fake_unconfirmed(void); /* those that somebody waits for */
void fake_set_blocked(bool blocked);
void fake_lose_publisher(void);
void fake_miss_queue(void);                 /* one that is not a partition's */
void fake_answer_waiting(int64_t messages); /* the depth that the publisher asked for */

/* The intake's subscriber. */
void fake_open_channel(void);
void fake_lose_channel(void);
/* The number-th message of the queue. */
void fake_deliver(
    uint64_t number, const char *body, const char *content_type, const char *message_id);

/* The consumer's subscriber. All of its channels: */
void fake_open_channels(void);
void fake_open_one(unsigned channel);
void fake_lose_one(unsigned channel, bool is_gone);
void fake_lose_connection(void);
/* Returns the tag of the message. */
struct message_tag fake_send(unsigned channel, const struct message *message);
bool fake_is_acked(const struct message_tag *tag);
void fake_answer_depth(unsigned channel, uint32_t messages_ready, uint32_t consumers);

void fake_lose_tap(void);

#endif
