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

struct fake_published {
    struct publication *publication; /* NULL: ended, or forgotten */
    struct event_id id;
    unsigned partition;
    char reason[600]; /* of a refused one */
};

extern struct fake_broker {
    bool has_room;
    unsigned published_count; /* since fake_broker_begin, in order */
    struct fake_published published[FAKE_PUBLISHED_MAX];
    unsigned dials, doubts, publishers_made;
    unsigned acked;
    struct message_tag last_acked;
    bool subscriber_open, subscriber_reading;
} fake;

void fake_broker_begin(void);
/* What a gateway takes for a connector. */
struct broker_connector *fake_connector(void);

/* Answers the dial of this action that is out: by mail, which the owner of the mailbox works off.
 * */
bool fake_is_dialled(enum connector_task task);
void fake_answer_dial(enum connector_task task, enum err result);

/* What becomes of the index-th publish. */
void fake_end(unsigned index, enum publish_end end);
unsigned fake_unconfirmed(void); /* those that somebody waits for */
void fake_set_blocked(bool blocked);
void fake_lose_publisher(void);

/* The intake's subscriber. */
void fake_open_channel(void);
void fake_lose_channel(void);
/* The number-th message of the queue. */
void fake_deliver(
    uint64_t number, const char *body, const char *content_type, const char *message_id);

#endif
