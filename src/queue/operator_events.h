/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of operator events (model/operator_event.h). All parts of the gateway post to its
 * sink. For each one the thread
 *
 *   - writes a line in the log, unless the part that posted it has done so
 *   - counts it: penstock_operator_events_total
 *   - keeps it among the last OPERATOR_EVENTS_LISTED_MAX, for GET /api/v1/operator-events
 *   - makes it an event of the account "penstock", if an endpoint of that account takes its kind.
 *     It is appended to the journal of that account, also in rabbitmq mode, and delivered like any
 *     other event
 *
 * Once a second the thread also looks at the levels (model/operator_levels.h).
 *
 * Bounds. OPERATOR_EVENTS_WAITING_MAX may wait for the thread; more are dropped and counted. Of
 * each severity, at most 1000 are stored at once, and then one in 30 s. So endpoints that fail and
 * recover all the time leave room for errors, and for the recoveries. An operator's endpoint that
 * is down for days leaves some thousand waiting; one that is disabled leaves none. What is not
 * stored is logged, counted and listed.
 *
 * Failure: what the journal refuses is counted and logged, and not tried again. A gateway that does
 * not deliver stores none: its journals are outboxes.
 */
#ifndef PENSTOCK_QUEUE_OPERATOR_EVENTS_H
#define PENSTOCK_QUEUE_OPERATOR_EVENTS_H

#include "accounts/accounts.h"
#include "journal/journal.h"
#include "model/operator_levels.h"

#define OPERATOR_EVENTS_WAITING_MAX 1024
#define OPERATOR_EVENTS_STORED_BURST 1000
#define OPERATOR_EVENTS_STORED_EVERY_S 30

struct operator_events;

struct operator_events_options {
    struct accounts *accounts;       /* must outlive the thread */
    struct journal *const *journals; /* by shard; filled in before the start */
    struct hash_seed seed;           /* of placement */
    unsigned partitions, shards;
    bool stores; /* this gateway delivers */
    struct operator_limits limits;
};

/* From now on events may be posted. They wait until the start. ERR_SYSTEM. */
enum err operator_events_new(
    const struct operator_events_options *options, struct operator_events **ret_events) MUST_CHECK;
enum err operator_events_start(struct operator_events *events) MUST_CHECK;
struct operator_event_sink operator_events_sink(struct operator_events *events);

/* Any thread. */
void operator_events_set_limits(
    struct operator_events *events, const struct operator_limits *limits);
/* Copies the last ones, the newest first. Returns their number. Any thread. */
unsigned operator_events_list(
    struct operator_events *events, struct operator_event ret_events[OPERATOR_EVENTS_LISTED_MAX]);

/* Handles all that was posted, and ends the thread. The journals must live until then. What is
 * posted later is dropped. Takes NULL. */
void operator_events_stop(struct operator_events *events);
/* After the last thread that posts. Takes NULL. */
void operator_events_free(struct operator_events *events);

#endif
