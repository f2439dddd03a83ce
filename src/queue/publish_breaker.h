/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publish breaker of an ingress thread: whether an event is published to the broker, or written
 * to the journal (the direct path). It owns the thread's publishing connection, and has one circuit
 * for that connection and one for each partition, so that a queue that is full or missing does not
 * close the broker to the other partitions.
 *
 *                  connected           no confirm in time
 *   DISCONNECTED ------------> CLOSED -------------------> OPEN
 *       ^                       ^  |  ^                      |  after 1 s, then 2, 4 and 5 s:
 *       |              unblocked|  |  '-- probe confirmed -- half-open: one probe is published
 *       |                       |  v      (or rejected: the broker answers)
 *       |                     BLOCKED
 *       '---- the connection is lost or renewed: from every state
 *
 *   A partition:  closed --nack, return, no confirm in time--> open --probe confirmed--> closed
 *
 * Closed: events are published. Open: they are written to the journal. A probe is a real event that
 * is written to the journal as well, so that nothing depends on it.
 *
 * New events of a partition that is behind are also written to the journal (lag_watch.h). Some of
 * them are published as well, as lag probes.
 *
 * A returned message means that a queue is missing. The connection is then renewed, because opening
 * one declares all queues. It is also renewed when unconfirmed tags that nobody waits for keep the
 * window full, and when the probes of a partition have been rejected for 30 s. It is renewed at
 * most once in 5 s.
 *
 * Every change of state is logged once and shown on the status board. Owned by the ingress thread.
 */
#ifndef PENSTOCK_QUEUE_PUBLISH_BREAKER_H
#define PENSTOCK_QUEUE_PUBLISH_BREAKER_H

#include "broker/publisher.h"
#include "broker/status.h"

struct publish_breaker;

struct publish_breaker_options {
    struct broker_host *host; /* must outlive it, as the next two */
    struct broker_connector *connector;
    const struct broker_options *broker;
    struct mailbox *reply_to;     /* the thread's */
    struct broker_status *status; /* may be NULL */
    unsigned number;              /* of the thread */
    unsigned window;
    int64_t confirm_timeout_us;
    /* It must outlive the breaker. NULL: how long events wait in the broker does not matter. */
    struct broker_lag *lag;
    int64_t lag_us_max;
};

/* Begins to connect. */
enum err publish_breaker_new(
    const struct publish_breaker_options *options, struct publish_breaker **ret_breaker) MUST_CHECK;
/* The thread is about to end: what is in the window ends as lost, and the breaker is of no more
 * use. */
void publish_breaker_stop(struct publish_breaker *breaker);
void publish_breaker_free(struct publish_breaker
        *breaker); /* after publish_breaker_stop and the connector's end. Takes NULL */
/* `nothing_waits`: no event of an owner waits for its confirm. */
void publish_breaker_tick(struct publish_breaker *breaker, int64_t now_mono_us, bool nothing_waits);

bool publish_breaker_is_closed(const struct publish_breaker *breaker, unsigned partition);
/* Its events wait in the broker for too long: a new one is delivered sooner by the direct path. */
bool publish_breaker_is_behind(
    struct publish_breaker *breaker, unsigned partition, int64_t now_mono_us);
/* It was published, and may be the one to show how long events wait. */
void publish_breaker_mark(
    struct publish_breaker *breaker, const struct event_id *id, int64_t now_mono_us);
/* Returns whether the breaker is open and half of the window is free. */
bool publish_breaker_has_half(const struct publish_breaker *breaker);
/* As publisher_publish; ERR_UNAVAILABLE unless the breaker is closed. */
enum err publish_breaker_publish(struct publish_breaker *breaker, struct publication *publication,
    unsigned partition, const struct event_parts *parts) MUST_CHECK;
enum err publish_breaker_publish_refused(struct publish_breaker *breaker,
    struct publication *publication, struct slice body, struct slice content_type,
    struct slice message_id, const char *reason) MUST_CHECK;
void publish_breaker_forget(struct publish_breaker *breaker, struct publication *publication);

/* Whether a probe of the connection is due; false while it is closed or blocked. */
bool publish_breaker_wants_probe(const struct publish_breaker *breaker);
/* Publishes the event as a probe if one is due. It is in the journal, or will be there soon. */
void publish_breaker_probe(
    struct publish_breaker *breaker, unsigned partition, const struct event_parts *parts);

/* What the users of publish_breaker_publish saw. */
/* Nacked or returned. Does nothing for other ends. */
void publish_breaker_on_refused(
    struct publish_breaker *breaker, unsigned partition, enum publish_end end);
/* A message waits for its confirm for suspiciously long. */
void publish_breaker_on_silence(struct publish_breaker *breaker, unsigned partition);
/* A confirm did not arrive in time: the whole window is given up. */
void publish_breaker_on_timeout(struct publish_breaker *breaker);
/* The missing queue is not a partition's. */
void publish_breaker_on_queue_missing(struct publish_breaker *breaker);

#endif
