/* SPDX-License-Identifier: Apache-2.0 */
/* The structs that the files of delivery/ share. Everything here is owned by the shard's thread. */
#ifndef PENSTOCK_DELIVERY_DELIVERY_INTERNAL_H
#define PENSTOCK_DELIVERY_DELIVERY_INTERNAL_H

#include "base/id_map.h"
#include "base/list.h"
#include "delivery/delivery.h"
#include "queue/event_source.h"
#include "runtime/thread.h"

struct endpoint_queue;
struct route_walk;

/*
 * Where a job is. One function moves it (job_move), which keeps the lists and counts that belong to
 * each place.
 *
 *   FRESH, BACKLOG --> STARTING --> SENDING --> RECORDING --> (gone)
 *                          '-(unguarded: at once)-^   ^  '---> RECORDING again, when the disk refused
 *   FRESH, BACKLOG ---------------------------------' parked without an attempt
 *   STARTING --> BACKLOG    the journal could not write `sending`
 *   SENDING ---> BACKLOG    this machine was short of something: no attempt was made
 */
enum job_place {
    JOB_NOWHERE,
    JOB_FRESH,    /* in its queue's fresh lane */
    JOB_BACKLOG,  /* in its queue's backlog lane: retries and what had no room before */
    JOB_STARTING, /* guarded: `sending` is on its way to the disk */
    JOB_SENDING,  /* with the client */
    JOB_RECORDING /* the outcome is on its way to the disk */
};

/* A delivery in memory. */
struct job {
    struct id_map_node by_id; /* in shard->jobs, from birth to death */
    struct list in_lane;
    enum job_place place;
    struct endpoint_queue *queue;
    struct delivery delivery;
    struct attempt_run *run; /* from STARTING or RECORDING on */
    struct sourced sourced;  /* its event, while a source still owns that (queue/event_source.h) */
};

/* What one attempt needs: made when it begins, kept until its outcome is committed. */
struct attempt_run {
    struct journal_record record;
    struct client_request client;
    struct job *job;
    int64_t started_wall_us;
    char url[URL_BYTES_MAX + 1];
    char endpoint_name[NAME_BYTES_MAX + 1];
    bool idempotent, final_4xx; /* the endpoint's, as the attempt began */
    char header_texts[896];
};

/* One endpoint's deliveries in memory, and what is known of those in the journal. */
struct endpoint_queue {
    struct id_map_node by_id; /* in shard->queues */
    struct delivery_shard *shard;
    uint64_t endpoint;

    struct list fresh, backlog; /* of struct job */
    unsigned fresh_count, backlog_count;
    int64_t bytes_in_memory;      /* of its jobs' events */
    int64_t pace_interval;        /* of half a second each, since the clock began */
    unsigned ended, ended_before; /* attempts that ended in it, and in the one before it */
    unsigned in_flight;           /* STARTING and SENDING */
    unsigned fresh_in_turn;       /* sent from the fresh lane since the backlog lane had its turn */
    struct list in_ready;         /* in shard->ready: something to send and a free place for it */
    struct timer
        /* armed: it rests, since this machine was short of something when it was its turn */
        rest_timer;

    /* what lies in the journal and not in memory */
    bool pending_in_journal;
    int64_t pending_after_id;     /* pending ones up to here have been loaded */
    int64_t next_due_us;          /* the earliest waiting one; INT64_MAX: none */
    int64_t waiting_after_due_us; /* waiting ones up to here (due, id) have been loaded */
    int64_t waiting_after_id;
    int64_t
        /* While loading: the earliest that was committed behind the cursor; INT64_MAX: none. */
        late_due_us;
    struct journal_load load;
    bool loading;
    bool retries_turn; /* the next load is for waiting ones, if any are due */
    /* While loading: what was left in the journal meanwhile lies behind this; INT64_MAX: nothing
     * was. */
    int64_t left_after_id;
    struct timer due_timer;
    struct journal_release release;
    bool releasing, release_again;
    struct timer release_timer; /* the journal refused: again a little later */
    unsigned disabling;         /* 410s on their way to the accounts */

    /* the endpoint's secrets, keyed once (crypto.h) */
    int64_t macs_version;
    unsigned macs_count;
    struct hmac *macs[ENDPOINT_SECRETS_MAX];
};

struct delivery_shard {
    /* What a source may use, and everybody here: the shard's number, loop, journal, directory and
     * budget. */
    struct event_taker taker;
    struct event_source *source;

    /* immutable after init */
    struct accounts *accounts;
    struct client_options client_options;
    void (*on_report)(const struct delivery_report *report);

    struct mailbox mailbox;
    struct thread thread;

    /* owned by the shard's thread */
    struct loop loop;
    struct client *client;
    struct delivery_policy policy;
    struct id_map jobs, queues;
    struct list ready;      /* of struct endpoint_queue */
    struct list unrecorded; /* jobs whose outcome the disk refused */
    unsigned in_flight, recording;
    struct timer record_timer, scan_timer, route_timer, drain_timer;
    struct route_walk *walk; /* through what is unrouted; NULL: none is in flight */
    bool walk_again;         /* an endpoint has appeared since it began */
    bool scanned;
    /* The journal refused a `sending` or an outcome: nothing is sent until it takes one again. */
    bool journal_refuses;
    int64_t wall_offset_us;
    int64_t shortage_said_mono_us; /* 0: not yet */
    unsigned shortages;            /* since then */
    uint64_t random_state;
};

/* Wall time that no clock change moves: the wall clock of the start plus the monotonic time since.
 * Due times are made of it. */
int64_t shard_wall_us(const struct delivery_shard *shard);
uint32_t shard_random(struct delivery_shard *shard); /* for jitter, not for secrets */
/* The one way to the journal. */
void shard_ask(struct delivery_shard *shard, struct request *request, enum journal_kind kind,
    void (*on_done)(struct request *request, void *receiver));

/* backlog.c */
/* Asks the journal which queues have something, as at the start: what is known already stays as it
 * is. */
void backlog_scan(struct delivery_shard *shard);
void backlog_init(struct delivery_shard *shard);

/* job.c */
/* Takes the delivery's reference of its event over. */
struct job *job_new(
    struct endpoint_queue *queue, const struct delivery *delivery, enum job_place place);
void job_move(struct job *job, enum job_place place);
void job_free(struct job *job);
struct job *job_find(struct delivery_shard *shard, int64_t delivery);

/* endpoint_queue.c */
/* Makes it if there is none. */
struct endpoint_queue *endpoint_queue_get(struct delivery_shard *shard, uint64_t endpoint);
struct endpoint_queue *endpoint_queue_find(struct delivery_shard *shard, uint64_t endpoint);
void endpoint_queue_free(struct endpoint_queue *queue);
bool endpoint_queue_has_room(const struct endpoint_queue *queue); /* for another fresh one */
void endpoint_queue_take_handover(struct delivery_shard *shard, const struct delivery *delivery);
/* Nothing is sent from it for so long: this machine is short of something. */
void endpoint_queue_rest(struct endpoint_queue *queue, int64_t rest_us);
void endpoint_queue_count_ended(struct endpoint_queue *queue); /* an attempt */
/* At the pace of this half second, or of the one before it, what it has here would take more than
 * two seconds. */
bool endpoint_queue_is_slow(struct endpoint_queue *queue, int64_t now_mono_us);
/*
 * How many more bytes the endpoint may hold in memory: a small floor always, an eighth of the
 * shard's byte budget while half of it is free. So clients that hang with large bodies never use up
 * what the others and ingress need.
 */
int64_t endpoint_queue_bytes_left(const struct endpoint_queue *queue);
void endpoint_queue_update_ready(struct endpoint_queue *queue);
struct job *endpoint_queue_next(struct endpoint_queue *queue);
/* The outcome `waiting` has been committed. */
void endpoint_queue_expect(struct endpoint_queue *queue, int64_t due_us);

/* refill.c */
void refill_queue(struct endpoint_queue
        *queue); /* asks the journal for more, if there may be more and there is room */
/* What is parked as disabled or gone goes on, if the endpoint is enabled (again). */
void refill_release(struct endpoint_queue *queue);
/* A pending delivery, of this id or a later one, is in the journal only. */
void refill_leave_in_journal(struct endpoint_queue *queue, int64_t id);
void refill_init_queue(struct endpoint_queue *queue);

/* The journal has made this delivery pending: it is to be loaded. */
void refill_expect_pending(struct delivery_shard *shard, uint64_t endpoint, int64_t delivery);

/* route.c */
void route_init(struct delivery_shard *shard);
void route_walk(struct delivery_shard *shard); /* looks through what is unrouted */
/* It was handed over unrouted: an endpoint may have appeared since it was judged. */
void route_look_again(struct delivery_shard *shard, const struct event *event);

/* attempt.c */
void attempt_begin(struct job *job);

/* outcome.c */
void outcome_init(struct delivery_shard *shard);
void outcome_of_attempt(struct attempt_run *run);
/* Its last attempt was lost with a kept connection: this one is made at once, and on a new
 * connection. */
bool outcome_was_repeated(const struct delivery *delivery);
void outcome_park(struct job *job, enum park_reason reason);      /* without an attempt */
void outcome_pause(struct delivery_shard *shard, enum err error); /* the journal refused */
void outcome_cut_short(struct attempt_run *run); /* shutdown, in place of an outcome */
/* Its row could not be moved: it leaves memory, and whoever owns its event decides. */
void outcome_forget_in_doubt(struct job *job);

#endif
