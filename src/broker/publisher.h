/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishes events to the partitions' queues and reports the result of each: persistent, mandatory,
 * through the default exchange, with confirms. Each ingress thread has one, on its loop.
 *
 *   publisher_publish -> window (slot of its delivery tag) -> ack          on_end(PUBLISHED)
 *                                                          -> nack         on_end(PUBLISH_NACKED)
 *                                                          -> return, ack  on_end(PUBLISH_RETURNED)
 *                                                          -> link lost    on_end(PUBLISH_LOST)
 *
 * Acks arrive in any order, and one ack may cover many messages. The window is a range of delivery
 * tags: it is full when it reaches `window` tags from the oldest unconfirmed one. A publication
 * that the owner gives up (publisher_forget) keeps its tag, and its result is not reported.
 *
 * The ids of published events are recorded in the broker (confirmed_ids.h).
 *
 * The publisher has no timeouts: its owner decides how long to wait for a confirm, and what to do
 * then.
 */
#ifndef PENSTOCK_BROKER_PUBLISHER_H
#define PENSTOCK_BROKER_PUBLISHER_H

#include "base/slice.h"
#include "broker/connector.h"
#include "broker/host.h"
#include "model/event.h"

struct publisher;

enum publish_end { PUBLISHED, PUBLISH_NACKED, PUBLISH_RETURNED, PUBLISH_LOST };

/* Embedded in the published object. Owned by the publisher while `tag` is not 0. */
struct publication {
    uint64_t tag;
    /* May free the publication, and may publish. */
    void (*on_end)(struct publication *publication, enum publish_end end);
    struct event_id id; /* identifies a returned message */
};

struct publisher_listener {
    /* The publisher is open and not blocked, or no longer. `why` is for people and valid during the
     * call. Runs before the on_end of lost publications. */
    void (*on_state)(void *context, bool can_publish, const char *why);
    /* The answer to publisher_ask_depth. May be NULL. */
    void (*on_depth)(void *context, int64_t messages);
    /* The stream of confirmed ids does not exist. May be NULL. */
    void (*on_missing)(void *context);
    void *context;
};

/* Returns a closed publisher. `host` must outlive it. */
struct publisher *publisher_new(struct broker_host *host, const struct broker_options *options,
    unsigned window, const struct publisher_listener *listener);
/* Publications in the window end as lost. Takes NULL. */
void publisher_free(struct publisher *publisher);

/* Opens a closed publisher with a connection. Owns the link, also on failure. */
enum err publisher_open(struct publisher *publisher, struct broker_link *link) MUST_CHECK;
bool publisher_is_open(const struct publisher *publisher); /* there is a connection */
/* There is a connection, and the broker has not blocked it. */
bool publisher_can_publish(const struct publisher *publisher);
bool publisher_has_room(const struct publisher *publisher);
unsigned publisher_unconfirmed(const struct publisher *publisher);
const char *publisher_peer(const struct publisher *publisher); /* host:port, or "" */

/* Publishes to the partition's queue. The bytes are copied. ERR_UNAVAILABLE: closed or blocked.
 * ERR_OVERLOADED: the window is full. */
enum err publisher_publish(struct publisher *publisher, struct publication *publication,
    unsigned partition, const struct event_parts *parts) MUST_CHECK;
/* Publishes to the intake's errors: the received message, unchanged, with the header
 * x-penstock-reason. With a NULL reason: to the end of the intake itself, without the header.
 * `publication` has an id of its own. */
enum err publisher_publish_refused(struct publisher *publisher, struct publication *publication,
    struct slice body, struct slice content_type, struct slice message_id,
    const char *reason) MUST_CHECK;
/* Asks how many messages wait in the queues of all partitions, dropped ones included. There is no
 * answer if a queue is missing or the connection is lost. */
void publisher_ask_depth(struct publisher *publisher);
/* on_end does not run any more, and the owner owns the publication again. */
void publisher_forget(struct publisher *publisher, struct publication *publication);

/* Takes the ids that were confirmed to the other publisher and are not recorded in the broker
 * yet. */
void publisher_inherit(struct publisher *publisher, struct publisher *other);

void publisher_tick(struct publisher *publisher, int64_t now_mono_us);

#endif
