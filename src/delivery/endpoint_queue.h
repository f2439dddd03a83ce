/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of one endpoint: what it has in memory, and its turn among the queues of the shard. */
#ifndef PENSTOCK_DELIVERY_ENDPOINT_QUEUE_H
#define PENSTOCK_DELIVERY_ENDPOINT_QUEUE_H

#include "accounts/directory.h"
#include "base/id_map.h"
#include "base/list.h"
#include "delivery/end_log.h"
#include "delivery/flow.h"
#include "delivery/probe.h"
#include "delivery/probe_doubt.h"
#include "delivery/refill.h"
#include "delivery/rule_changes.h"
#include "delivery/status_probe.h"
#include "delivery/switches.h"
#include "model/class.h"
#include "model/endpoint_policy.h"
#include "model/fair_queue.h"
#include "model/recent_causes.h"
#include "model/weighted_turn.h"

struct delivery_shard;
struct job;

/*
 * The lanes of a queue. UNSENT and RETRY are the two halves of the retry lane: what had no room
 * when it was accepted, and what is sent again. The retry budget holds back the second half only.
 */
enum queue_lane { QUEUE_FRESH, QUEUE_UNSENT, QUEUE_RETRY, QUEUE_REPLAY, QUEUE_LANES };

struct endpoint_queue {
    struct id_map_node by_id; /* in shard->queues */
    struct delivery_shard *shard;
    uint64_t endpoint;

    struct list lanes[QUEUE_LANES][EVENT_CLASSES]; /* of struct job, in order of arrival */
    unsigned queued_in[QUEUE_LANES];
    unsigned queued;
    struct list sending;     /* of struct job: SENDING, the longest first */
    int64_t bytes_in_memory; /* of the events of its jobs */
    unsigned in_flight;      /* jobs that are STARTING or SENDING */
    unsigned stuck;          /* of these */
    unsigned retries_in_flight;
    unsigned class_in_flight[EVENT_CLASSES];
    struct weighted_turn lane_turn, class_turn;
    bool unsent_turn;       /* the other half of the retry lane was served last */
    struct fair_flow fair;  /* its turn among the shard's queues */
    struct list in_short;   /* in shard->short_of_slots */
    struct list in_touched; /* in shard->touched */
    struct flow flow;
    struct delivery_rules rules[EVENT_CLASSES]; /* settings.c */
    struct redue_walk redue;
    struct timer rest_timer; /* armed: nothing is sent until it fires */
    unsigned disabling;      /* requests to disable the endpoint (410) without an answer */
    struct refill refill;
    struct queue_switches off;

    struct status_probes status;
    struct probe_search probe;
    struct probe_doubt doubt;

    struct end_notice dead, in_doubt,
        parked; /* what is reported to operators of such deliveries (end_log.h) */

    struct recent_causes causes; /* how its attempts ended lately, for operators */

    /* Its pace: attempts that ended in this half second and in the one before it. */
    int64_t pace_interval;
    unsigned ended, ended_before;

    /* The endpoint's secrets as keyed MACs. Keyed again when the endpoint's version changes. */
    int64_t macs_version;
    unsigned macs_count;
    struct hmac *macs[ENDPOINT_SECRETS_MAX];
};

/* For another fresh delivery: this one. A delivery that is held by a switch has none. */
bool endpoint_queue_has_room(const struct endpoint_queue *queue, const struct delivery *delivery);
/*
 * Returns how many more bytes of events the endpoint may have in memory. It is an eighth of the
 * shard's byte budget while half of the budget is free, and otherwise a small floor. So clients
 * that hang with large bodies cannot use up what other endpoints and ingress need.
 */
int64_t endpoint_queue_bytes_left(const struct endpoint_queue *queue);
void endpoint_queue_update_ready(struct endpoint_queue *queue);
/* Returns the next job to send, and ends the queue's turn when it has had its share. NULL: none may
 * be sent now. The queue is to be updated after it. */
struct job *endpoint_queue_next(struct endpoint_queue *queue);
/* Slots were freed: the queues that were short of them may be ready. */
void endpoint_queue_share_slots(struct delivery_shard *shard);
/* Returns the queued job that is the best probe: the oldest unguarded one of critical class, else
 * the oldest unguarded one, else the oldest. NULL: nothing is queued that may be sent. */
struct job *endpoint_queue_oldest(struct endpoint_queue *queue);
void endpoint_queue_count_ended(struct endpoint_queue *queue); /* one attempt */
/* True if the queue would need more than two seconds for what it has, at its present pace. */
bool endpoint_queue_is_slow(struct endpoint_queue *queue, int64_t now_mono_us);

#endif
