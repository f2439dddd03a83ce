/* SPDX-License-Identifier: Apache-2.0 */
/* A job: a delivery in memory. */
#ifndef PENSTOCK_DELIVERY_JOB_H
#define PENSTOCK_DELIVERY_JOB_H

#include "delivery/endpoint_queue.h"
#include "queue/event_source.h"

struct attempt_run;

/*
 * Where a job is. job_move is the only function that changes it. It keeps the list and the counts
 * of each place.
 *
 *   QUEUED --> STARTING --> SENDING --> RECORDING --> (freed)
 *     |            |           |  ^        |   ^
 *     |            |           |  |        '---' the disk refused: recorded again later
 *     |            |           |  '-- unguarded: from QUEUED at once
 *     |            |           '----> QUEUED: this machine lacks something
 *     |            '----------------> QUEUED: the journal could not write `sending`
 *     '-----------------------------> RECORDING: parked without an attempt
 */
enum job_place {
    JOB_NOWHERE,
    JOB_QUEUED,   /* in a lane of its queue */
    JOB_STARTING, /* guarded: the journal is writing `sending` */
    JOB_SENDING,  /* the HTTP client has it */
    JOB_RECORDING /* the journal is writing the outcome */
};

struct job {
    struct id_map_node by_id; /* in shard->jobs */
    struct list in_lane;      /* QUEUED: in its lane; SENDING: in queue->sending */
    enum job_place place;
    enum queue_lane lane;    /* of a queued one */
    bool is_probe;           /* STARTING, SENDING: it tests whether the endpoint is back */
    bool tries_brake;        /* the same, while the replay lane rests (replay_brake.h) */
    bool is_stuck;           /* SENDING: it takes no part of the endpoint's limit (flow.c) */
    int64_t made_mono_us;    /* when it was handed over or loaded */
    int64_t started_mono_us; /* STARTING, SENDING: since when */
    struct endpoint_queue *queue;
    struct delivery delivery;
    struct attempt_run *run; /* from STARTING or RECORDING on */
    struct sourced sourced;  /* while the event source owns its event (queue/event_source.h) */
};

/* Queues it in this lane. Takes over the delivery's reference to its event. */
struct job *job_new(
    struct endpoint_queue *queue, const struct delivery *delivery, enum queue_lane lane);
void job_move(struct job *job, enum job_place place);
void job_free(struct job *job);
void job_free_run(struct attempt_run *run); /* takes NULL */
/* Returns NULL if the delivery is not in memory. */
struct job *job_find(struct delivery_shard *shard, int64_t delivery);

#endif
