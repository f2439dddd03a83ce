/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way an ingress thread's events go: through the broker, or the direct way, through the journal. It owns the
 * thread's connection for publishing and says, for each partition, whether it may be used.
 *
 * The connection:
 *                 dialled (dial.h)               no confirm in time
 *     CLOSED ------------------------> OPEN ------------------------> DIVERTED
 *       ^                              |  ^      a trial confirmed       |
 *       |                      blocked |  '------------------------------'
 *       |                              v
 *       |                           BLOCKED   (unblocked: back to what it was)
 *       '---- lost, or renewed: from all of them
 *
 * Each partition beside it, so that one full or missing queue doesn't take the others' way:
 *
 *     straight --nack, return, no confirm in time--> diverted --its trial confirmed--> straight
 *
 * A trial is an event that is in the journal as well, so that nothing depends on it. One is made of the next event
 * 1 s after the diversion began, and after each trial that failed twice as long later, up to 5 s. One that is refused
 * shows that the broker answers: then the connection is open, and only the partition is not.
 *
 * A partition is behind while its events wait in the broker for longer than `lag_us_max` (broker/lag.h): the broker,
 * the link or consuming has more to do than it can, or is broken. A new event would stand behind those that wait; by
 * the direct way, which costs less, it is delivered at once.
 *
 *     straight --its marked event has waited for too long--> behind --a probe came in half the time--> straight
 *
 * A probe is a trial that is marked, the first one after 1 s. While probes are slow, or the partition falls behind
 * again within 30 s, the next one comes twice as long later, up to 30 s: few events cost a broker almost as much as
 * many, and a peak that is too much for it comes back with each return. Without a probe for another 30 s it counts as
 * straight. All this is no state of the connection, and is said every 10 s at most.
 *
 * A returned message means that a queue is missing: the connection is renewed, since what opens one declares all
 * queues. So it is when tags that nobody confirms keep the window shut, and when a partition's trials have been refused
 * for 30 s. At most once every 5 s.
 *
 * Each change is logged once and goes to the status board. Owned by the ingress thread.
 */
#ifndef PENSTOCK_INGRESS_WAY_H
#define PENSTOCK_INGRESS_WAY_H

#include "broker/publisher.h"
#include "broker/status.h"

struct way;

struct way_options {
    struct broker_host *host; /* must outlive it, as the next two */
    struct broker_connector *connector;
    const struct broker_options *broker;
    struct mailbox *reply_to;     /* the thread's */
    struct broker_status *status; /* may be NULL */
    unsigned number;              /* of the thread */
    unsigned window;
    int64_t confirm_timeout_us;
    struct broker_lag *lag; /* must outlive it; NULL: how long events wait in the broker does not matter */
    int64_t lag_us_max;
};

/* Begins to dial. */
enum err way_new(const struct way_options *options, struct way **ret_way) MUST_CHECK;
/* The thread is about to end: what is in the window ends as lost, and the way is of no more use. */
void way_stop(struct way *way);
void way_free(struct way *way); /* after way_stop and the connector's end. Takes NULL */
/* `nothing_waits`: no event of an owner waits for its confirm. */
void way_tick(struct way *way, int64_t now_mono_us, bool nothing_waits);

bool way_is_open(const struct way *way, unsigned partition);
/* Its events wait in the broker for too long: a new one is delivered sooner by the direct way. */
bool way_is_behind(struct way *way, unsigned partition, int64_t now_mono_us);
/* It was published, and may be the one to show how long events wait. */
void way_mark(struct way *way, const struct event_id *id, int64_t now_mono_us);
bool way_has_half(const struct way *way); /* it is open, and half of the window is free */
/* As publisher_publish; ERR_UNAVAILABLE while the way is not open. */
enum err way_publish(
    struct way *way, struct publication *publication, unsigned partition, const struct event_parts *parts) MUST_CHECK;
enum err way_publish_refused(struct way *way, struct publication *publication, struct slice body,
    struct slice content_type, struct slice message_id, const char *reason) MUST_CHECK;
void way_forget(struct way *way, struct publication *publication);

/* Whether a trial of the connection is due; false while it is closed or blocked. */
bool way_wants_trial(const struct way *way);
/* Publishes the event as a trial if one is due. It is in the journal, or on its way there. */
void way_try(struct way *way, unsigned partition, const struct event_parts *parts);

/* What the users of way_publish saw. */
void way_on_refused(
    struct way *way, unsigned partition, enum publish_end end); /* nacked or returned; others: nothing */
void way_on_silence(
    struct way *way, unsigned partition);   /* something that waits for its confirm for suspiciously long */
void way_on_timeout(struct way *way);       /* it did not come in time: the whole window is given up */
void way_on_queue_missing(struct way *way); /* one that is not a partition's */

#endif
