/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishes events into the partitions' queues and says what became of each: persistent, mandatory,
 * through the default exchange, with confirms. One per ingress thread, on its loop.
 *
 *   publisher_publish -> window (slot of its delivery tag) -> ack          on_end(PUBLISHED)
 *                                                          -> nack         on_end(PUBLISH_NACKED)
 *                                                          -> return, ack  on_end(PUBLISH_RETURNED)
 *                                                          -> link lost    on_end(PUBLISH_LOST)
 *
 * Acks come out of order, and for many at once. The window is a span of delivery tags: it ends
 * `window` behind the oldest unconfirmed one. What its owner gives up (publisher_forget) keeps its
 * tag, and nobody hears of it any more.
 *
 * The ids of the events that were published are put on record in the broker (confirmed.h).
 *
 * The publisher knows nothing of time: how long to wait for a confirm, and what to do instead, is
 * its owner's.
 */
#ifndef PENSTOCK_BROKER_PUBLISHER_H
#define PENSTOCK_BROKER_PUBLISHER_H

#include "base/slice.h"
#include "broker/connector.h"
#include "broker/host.h"
#include "model/event.h"

struct publisher;

enum publish_end { PUBLISHED, PUBLISH_NACKED, PUBLISH_RETURNED, PUBLISH_LOST };

/* Embedded in what is published; the publisher's while `tag` is not 0. */
struct publication {
    uint64_t tag;
    void (*on_end)(
        struct publication *publication, enum publish_end end); /* may free it, and may publish */
    struct event_id id; /* how a returned message is known again */
};

struct publisher_listener {
    /* Open and not blocked, or not so any more. `why`, when not: for people, valid in the call.
     * Before the on_end of what was lost. */
    void (*on_state)(void *context, bool can_publish, const char *why);
    /* The answer to publisher_ask_depth. May be NULL. */
    void (*on_depth)(void *context, int64_t messages);
    /* The stream of what was confirmed does not exist. May be NULL. */
    void (*on_missing)(void *context);
    void *context;
};

/* Closed at first. `host` must outlive the publisher. */
enum err publisher_new(struct broker_host *host, const struct broker_options *options,
    unsigned window, const struct publisher_listener *listener,
    struct publisher **ret_publisher) MUST_CHECK;
/* What is in the window ends as lost. Takes NULL. */
void publisher_free(struct publisher *publisher);

/* A connection for publishing. The publisher must be closed; takes the link, also on failure. */
enum err publisher_open(struct publisher *publisher, struct broker_link *link) MUST_CHECK;
bool publisher_is_open(const struct publisher *publisher); /* there is a connection */
bool publisher_can_publish(
    const struct publisher *publisher); /* and the broker has not blocked it */
bool publisher_has_room(const struct publisher *publisher);
unsigned publisher_unconfirmed(const struct publisher *publisher);
const char *publisher_peer(const struct publisher *publisher); /* host:port, or "" */

/* To the partition's queue. The bytes are copied. ERR_UNAVAILABLE (closed, blocked), ERR_OVERLOADED
 * (no room). */
enum err publisher_publish(struct publisher *publisher, struct publication *publication,
    unsigned partition, const struct event_parts *parts) MUST_CHECK;
/* To the intake's errors: the message as it came, with the header x-penstock-reason. `publication`
 * has an id of its own. */
enum err publisher_publish_refused(struct publisher *publisher, struct publication *publication,
    struct slice body, struct slice content_type, struct slice message_id,
    const char *reason) MUST_CHECK;
/* How many messages wait in the queues of all partitions, with what was dropped from them, and
 * nobody has consumed. No answer when a queue is missing or the connection is lost. */
void publisher_ask_depth(struct publisher *publisher);
/* on_end is not to run any more; the publication is its owner's again. */
void publisher_forget(struct publisher *publisher, struct publication *publication);

/* What was confirmed to the other one, and is not on record in the broker, is this one's to record.
 * */
void publisher_inherit(struct publisher *publisher, struct publisher *other);

void publisher_tick(struct publisher *publisher, int64_t now_mono_us);

#endif
