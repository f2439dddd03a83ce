/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard of delivery, and what all files of the folder need of it: its clock, its journal, its end
 * of turn. Everything in this folder is owned by the shard's thread.
 *
 *   delivery.c         the thread: mail, the event source, the end of each turn, start and stop
 *   backlog.c          what the journal has at the start
 *   queues.c           the queues of the shard
 *   endpoint_queue.c   one endpoint's lanes, bounds and turn
 *   shard.c            clock, random numbers, requests to the journal
 *   settings.c         an endpoint's settings
 *   rule_changes.c     changes of retry rules, which apply to what waits already
 *   flow.c             what an endpoint takes: concurrency, rate, breaker, retry budget
 *   flow_notice.c      what is reported to operators of it
 *   switches.c         what operators have switched off
 *   probe.c            the event that tests whether an endpoint is back
 *   probe_doubt.c      when a guarded event may be sent as a probe
 *   job.c              one delivery in memory, and where it is
 *   status_probe.c     asks a client what became of a delivery in doubt
 *   refill.c           loads from the journal what is due or has room again
 *   attempt.c          one HTTP request
 *   request_headers.c  its headers, and the signature
 *   outcome.c          judge the answer, record it
 *   end_log.c          what is reported to operators of deliveries that end without success
 *   unrouted.c         finds an endpoint for what is unrouted
 *   decision.c         moves one delivery as an operator or a status probe has decided
 *   operator_action.c  what operators do to one delivery
 *   replay.c           what operators do to many deliveries: the steps
 *   replay_orders.c    ... and what they ask for
 *   queue_look.c       what the queues do at present, for operators
 *   endpoint_test.c    a marked event that an operator sends to test an endpoint
 */
#ifndef PENSTOCK_DELIVERY_SHARD_H
#define PENSTOCK_DELIVERY_SHARD_H

#include "base/id_map.h"
#include "delivery/delivery.h"
#include "delivery/end_log.h"
#include "delivery/replay.h"
#include "delivery/rule_changes.h"
#include "model/fair_queue.h"
#include "model/notice_board.h"
#include "queue/event_source.h"
#include "runtime/thread.h"

#include <semaphore.h>

struct endpoint_queue;
struct unrouted_walk;

struct delivery_shard {
    /* Number, loop, mailbox, journal, directory and byte budget: for the event source and for all
     * files here. */
    struct event_taker taker;
    struct event_source *source;

    /* immutable after init */
    struct accounts *accounts;
    struct client_options client_options;
    void (*on_report)(const struct delivery_report *report);
    struct operator_event_sink operator_events;

    struct mailbox mailbox;
    struct thread thread;
    sem_t drained; /* shared: posted once, when nothing is in flight any more */

    /* owned by the shard's thread */
    struct loop loop;
    struct client *client;
    struct delivery_policy policy;
    struct id_map jobs, queues;
    struct fair_queue fair; /* the queues that have something to send and may send it */
    /* Of struct endpoint_queue: they would be ready, but other endpoints need the free slots. */
    struct list short_of_slots;
    struct list touched;    /* of struct endpoint_queue: something has changed in this turn */
    struct id_map deciding; /* deliveries that must not get a job: decision.c, replay.c */
    struct replay_runs replays;
    struct rule_changes rule_changes;
    unsigned status_walks;         /* of all queues, see status_probe.c */
    unsigned tests;                /* in flight, see endpoint_test.c */
    struct list unrecorded;        /* of struct job: RECORDING, and the disk refused the outcome */
    unsigned in_flight, recording; /* jobs in these places */
    struct timer record_timer, scan_timer, unrouted_timer, drain_timer;
    struct unrouted_walk *walk; /* NULL: none is running */
    bool walk_again;            /* an endpoint appeared after the walk began */
    bool scanned;               /* the backlog is known */
    bool is_joined;             /* somebody waits for the end of the thread */
    /* The journal refused a `sending` or an outcome. Nothing is sent until it accepts one again. */
    bool journal_refuses;
    uint64_t switch_changes; /* of the directory, when its switches were read */
    int64_t wall_offset_us;
    int64_t shortage_logged_mono_us;      /* 0: never */
    unsigned shortages;                   /* since then */
    int64_t refusal_logged_mono_us;       /* of the journal; 0: never */
    unsigned refusals;                    /* since then */
    struct notice_board unrouted_notices; /* end_log.h */
    struct timer unrouted_notice_timer;
    int64_t late_told_mono_us; /* the last sample of a late delivery; 0: none */
    uint64_t random_state;
};

/* Returns whether the journal has a decision about this waiting delivery (decision.c, replay.c): it
 * must not get a job. */
bool shard_decides(const struct delivery_shard *shard, int64_t delivery);
/* Something of the queue has changed: at the end of the turn it loads and sends what it may. */
void shard_touch(struct endpoint_queue *queue);
/* Returns whether the shard may send anything now: it has a free slot, and the journal takes
 * outcomes. */
bool shard_may_send(const struct delivery_shard *shard);
/*
 * Returns wall time that a change of the clock does not move: the wall clock of the start plus the
 * monotonic time since. Due times are in it.
 */
int64_t shard_wall_us(const struct delivery_shard *shard);
uint32_t shard_random(struct delivery_shard *shard); /* for jitter, not for secrets */
/* Logs that the journal refused a request, once a minute for all of them. */
void shard_log_refused(struct delivery_shard *shard, const char *what, enum err error);
/* Sends a request to the shard's journal. The only way to it. */
void shard_ask(struct delivery_shard *shard, struct request *request, enum journal_kind kind,
    void (*on_done)(struct request *request, void *receiver));

#endif
