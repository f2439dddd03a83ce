/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structs and functions that the files of delivery/ share. Everything is owned by the shard's
 * thread.
 *
 *   delivery.c         the thread: mail, the event source, the end of each turn, start and stop
 *   backlog.c          what the journal has at the start
 *   endpoint_queue.c   one endpoint's lanes, bounds and turn
 *   job.c              one delivery in memory, and where it is
 *   refill.c           loads from the journal what is due or has room again
 *   attempt.c          one HTTP request: sign, send
 *   outcome.c          judge the answer, record it
 *   unrouted.c         finds an endpoint for what is unrouted
 *   operator_action.c  what operators do to one delivery
 */
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
 * Where a job is. job_move is the only function that changes it. It keeps the list and the counts
 * of each place.
 *
 *   FRESH, BACKLOG --> STARTING --> SENDING --> RECORDING --> (freed)
 *          |               |           |  ^        |   ^
 *          |               |           |  |        '---' the disk refused: recorded again later
 *          |               |           |  '-- unguarded: from FRESH, BACKLOG at once
 *          |               |           '----> BACKLOG: this machine lacks something
 *          |               '----------------> BACKLOG: the journal could not write `sending`
 *          '--------------------------------> RECORDING: parked without an attempt
 */
enum job_place {
    JOB_NOWHERE,
    JOB_FRESH,    /* in its queue's fresh lane */
    JOB_BACKLOG,  /* in its queue's backlog lane: retries, and what had no room before */
    JOB_STARTING, /* guarded: the journal is writing `sending` */
    JOB_SENDING,  /* the HTTP client has it */
    JOB_RECORDING /* the journal is writing the outcome */
};

/* A delivery in memory. */
struct job {
    struct id_map_node by_id; /* in shard->jobs */
    struct list in_lane;
    enum job_place place;
    struct endpoint_queue *queue;
    struct delivery delivery;
    struct attempt_run *run; /* from STARTING or RECORDING on */
    struct sourced sourced;  /* while the event source owns its event (queue/event_source.h) */
};

/* One attempt: from its beginning until its outcome is committed. */
struct attempt_run {
    struct journal_record record;
    struct client_request client;
    struct job *job;
    int64_t started_wall_us;
    char url[URL_BYTES_MAX + 1];
    char endpoint_name[NAME_BYTES_MAX + 1];
    bool idempotent, final_4xx; /* the endpoint's settings when the attempt began */
    char header_texts[896];
};

/* The deliveries that an endpoint has in the journal but not in memory, and the requests that load
 * them (refill.c). */
struct refill {
    bool has_pending;         /* pending deliveries after `pending_after_id` are in the journal */
    int64_t pending_after_id; /* pending ones up to here have been loaded */
    int64_t next_due_us;      /* when the earliest waiting one is due; INT64_MAX: none waits */
    /* Waiting ones up to here, in order of (due time, id), have been loaded. */
    int64_t waiting_after_due_us, waiting_after_id;
    bool retries_turn; /* the next load asks for waiting ones only, if any are due */
    struct timer due_timer;

    struct journal_load load;
    bool loading;
    /* While loading: a pending delivery after this one was left in the journal; INT64_MAX: none
     * was. */
    int64_t left_after_id;
    /* While loading: the earliest due time that was committed behind the cursor; INT64_MAX:
     * none. */
    int64_t late_due_us;

    struct journal_release release;
    bool releasing, release_again;
    struct timer release_timer; /* the journal refused: release again later */
};

/* One endpoint's queue. */
struct endpoint_queue {
    struct id_map_node by_id; /* in shard->queues */
    struct delivery_shard *shard;
    uint64_t endpoint;

    struct list fresh, backlog; /* of struct job */
    unsigned fresh_count, backlog_count;
    int64_t bytes_in_memory; /* of the events of its jobs */
    unsigned in_flight;      /* jobs that are STARTING or SENDING */
    unsigned fresh_in_turn;  /* sent from the fresh lane since the last one from the backlog lane */
    struct list in_ready;    /* in shard->ready: it has something to send, and a free place */
    struct timer rest_timer; /* armed: nothing is sent until it fires */
    unsigned disabling;      /* requests to disable the endpoint (410) without an answer */
    struct refill refill;

    /* Its pace: attempts that ended in this half second and in the one before it. */
    int64_t pace_interval;
    unsigned ended, ended_before;

    /* The endpoint's secrets as keyed MACs. Keyed again when the endpoint's version changes. */
    int64_t macs_version;
    unsigned macs_count;
    struct hmac *macs[ENDPOINT_SECRETS_MAX];
};

struct delivery_shard {
    /* Number, loop, mailbox, journal, directory and byte budget: for the event source and for all
     * files here. */
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
    struct list ready;             /* of struct endpoint_queue */
    struct list unrecorded;        /* of struct job: RECORDING, and the disk refused the outcome */
    unsigned in_flight, recording; /* jobs in these places */
    struct timer record_timer, scan_timer, route_timer, drain_timer;
    struct route_walk *walk; /* NULL: none is running */
    bool walk_again;         /* an endpoint appeared after the walk began */
    bool scanned;            /* the backlog is known */
    /* The journal refused a `sending` or an outcome. Nothing is sent until it accepts one again. */
    bool journal_refuses;
    int64_t wall_offset_us;
    int64_t shortage_logged_mono_us; /* 0: never */
    unsigned shortages;              /* since then */
    uint64_t random_state;
};

/* shard.c */
/*
 * Returns wall time that a change of the clock does not move: the wall clock of the start plus the
 * monotonic time since. Due times are in it.
 */
int64_t shard_wall_us(const struct delivery_shard *shard);
uint32_t shard_random(struct delivery_shard *shard); /* for jitter, not for secrets */
/* Sends a request to the shard's journal. The only way to it. */
void shard_ask(struct delivery_shard *shard, struct request *request, enum journal_kind kind,
    void (*on_done)(struct request *request, void *receiver));

/* backlog.c */
void backlog_init(struct delivery_shard *shard);
/* Asks the journal which endpoints have something to deliver. What is known already is kept. */
void backlog_scan(struct delivery_shard *shard);

/* job.c */
/* Takes over the delivery's reference to its event. */
struct job *job_new(
    struct endpoint_queue *queue, const struct delivery *delivery, enum job_place place);
void job_move(struct job *job, enum job_place place);
void job_free(struct job *job);
/* Returns NULL if the delivery is not in memory. */
struct job *job_find(struct delivery_shard *shard, int64_t delivery);

/* endpoint_queue.c */
/* Creates the queue if there is none. */
struct endpoint_queue *endpoint_queue_get(struct delivery_shard *shard, uint64_t endpoint);
struct endpoint_queue *endpoint_queue_find(struct delivery_shard *shard, uint64_t endpoint);
void endpoint_queue_free(struct endpoint_queue *queue);
bool endpoint_queue_has_room(const struct endpoint_queue *queue); /* for another fresh delivery */
/* Makes a job of the delivery, or leaves it in the journal. Takes over the reference to its
 * event. */
void endpoint_queue_take_handover(struct delivery_shard *shard, const struct delivery *delivery);
/* Sends nothing from the queue for this time, because this machine lacks something. */
void endpoint_queue_rest(struct endpoint_queue *queue, int64_t rest_us);
void endpoint_queue_count_ended(struct endpoint_queue *queue); /* one attempt */
/* True if the queue would need more than two seconds for what it has, at its present pace. */
bool endpoint_queue_is_slow(struct endpoint_queue *queue, int64_t now_mono_us);
/*
 * Returns how many more bytes of events the endpoint may have in memory. It is an eighth of the
 * shard's byte budget while half of the budget is free, and otherwise a small floor. So clients
 * that hang with large bodies cannot use up what other endpoints and ingress need.
 */
int64_t endpoint_queue_bytes_left(const struct endpoint_queue *queue);
void endpoint_queue_update_ready(struct endpoint_queue *queue);
struct job *endpoint_queue_next(struct endpoint_queue *queue); /* the job to send now */
/* A delivery of the queue is waiting until this time: its outcome was committed. */
void endpoint_queue_expect(struct endpoint_queue *queue, int64_t due_us);

/* refill.c */
void refill_init_queue(struct endpoint_queue *queue);
/* Loads more from the journal, if there may be more and there is room. */
void refill_queue(struct endpoint_queue *queue);
/* Makes what is parked as disabled or gone pending again, if the endpoint is enabled. */
void refill_release(struct endpoint_queue *queue);
/* A pending delivery with this number is in the journal only. */
void refill_leave_in_journal(struct endpoint_queue *queue, int64_t delivery);
/* As above, by the endpoint; and loads it. */
void refill_expect_pending(struct delivery_shard *shard, uint64_t endpoint, int64_t delivery);

/* unrouted.c */
void route_init(struct delivery_shard *shard);
/* Looks through all unrouted deliveries for those that an endpoint wants now. */
void route_walk(struct delivery_shard *shard);
/* The event was committed as unrouted. Starts a walk if an endpoint takes it now. */
void route_look_again(struct delivery_shard *shard, const struct event *event);

/* attempt.c */
void attempt_begin(struct job *job);

/* outcome.c */
void outcome_init(struct delivery_shard *shard);
void outcome_of_attempt(struct attempt_run *run);                 /* the HTTP client has finished */
void outcome_park(struct job *job, enum park_reason reason);      /* without an attempt */
void outcome_pause(struct delivery_shard *shard, enum err error); /* the journal refused to write */
void outcome_cut_short(struct attempt_run *run); /* the shard stops: as a crash would leave it */
/* The row could not be moved. The job leaves memory, and the owner of the event decides. */
void outcome_forget_in_doubt(struct job *job);
/* True if the last attempt was lost with a kept connection, so that this one needs a new
 * connection. */
bool outcome_was_repeated(const struct delivery *delivery);

#endif
