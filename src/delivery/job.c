/* SPDX-License-Identifier: Apache-2.0 */
/* A job: its creation, its end, and the only function that moves it between its places. */
#include "delivery/job.h"

#include "base/memory.h"
#include "delivery/attempt.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/shard.h"
#include "runtime/metrics.h"

#include <assert.h>

static bool may_move(enum job_place from, enum job_place to)
{
    static const unsigned moves[] = {
        [JOB_NOWHERE] = 1u << JOB_QUEUED,
        [JOB_QUEUED] = 1u << JOB_STARTING | 1u << JOB_SENDING | 1u << JOB_RECORDING,
        [JOB_STARTING] = 1u << JOB_SENDING | 1u << JOB_QUEUED,
        [JOB_SENDING] = 1u << JOB_RECORDING | 1u << JOB_QUEUED,
        [JOB_RECORDING] = 0,
    };
    return moves[from] & 1u << to;
}

static void count_in_flight(struct job *job, int by)
{
    struct endpoint_queue *queue = job->queue;
    queue->in_flight += (unsigned)by;
    queue->shard->in_flight += (unsigned)by;
    queue->class_in_flight[job->delivery.event->parts.class] += (unsigned)by;
    if (job->delivery.attempts > 0 && job->delivery.lane != LANE_REPLAY)
        queue->retries_in_flight += (unsigned)by;
    metrics_add(METRIC_IN_FLIGHT, by);
}

static void leave_place(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    switch (job->place) {
    case JOB_QUEUED:
        queue->queued_in[job->lane]--;
        queue->queued--;
        break;
    case JOB_STARTING:
        count_in_flight(job, -1);
        break;
    case JOB_SENDING:
        count_in_flight(job, -1);
        queue->stuck -= job->is_stuck;
        job->is_stuck = false;
        endpoint_queue_count_ended(queue);
        break;
    case JOB_RECORDING:
        queue->shard->recording--;
        break;
    case JOB_NOWHERE:
        break;
    }
    list_remove(&job->in_lane);
}

static void enter_place(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    switch (job->place) {
    case JOB_QUEUED:
        list_add_tail(&queue->lanes[job->lane][job->delivery.event->parts.class], &job->in_lane);
        queue->queued_in[job->lane]++;
        queue->queued++;
        break;
    case JOB_STARTING:
        count_in_flight(job, 1);
        job->started_mono_us = queue->shard->loop.now_mono_us;
        break;
    case JOB_SENDING:
        count_in_flight(job, 1);
        job->started_mono_us = queue->shard->loop.now_mono_us;
        list_add_tail(&queue->sending, &job->in_lane);
        break;
    case JOB_RECORDING:
        queue->shard->recording++;
        break;
    case JOB_NOWHERE:
        break;
    }
}

void job_move(struct job *job, enum job_place place)
{
    assert(may_move(job->place, place));
    leave_place(job);
    job->place = place;
    job->sourced.started = place != JOB_QUEUED;
    enter_place(job);
    shard_touch(job->queue);
}

struct job *job_new(
    struct endpoint_queue *queue, const struct delivery *delivery, enum queue_lane lane)
{
    struct job *job = memory_new_raw(sizeof *job);
    *job = (struct job){.queue = queue,
        .delivery = *delivery,
        .place = JOB_NOWHERE,
        .lane = lane,
        .made_mono_us = queue->shard->loop.now_mono_us};
    list_init(&job->in_lane);
    list_init(&job->sourced.in_event);
    job->sourced.delivery = delivery->id;
    id_map_add(&queue->shard->jobs, &job->by_id, (uint64_t)delivery->id);
    queue->bytes_in_memory += delivery->event->bytes;
    metrics_add(METRIC_ACTIVE, 1);
    job_move(job, JOB_QUEUED);
    return job;
}

void job_free(struct job *job)
{
    flow_on_probe_lost(job);
    if (job->place != JOB_NOWHERE)
        leave_place(job);
    list_remove(&job->sourced.in_event);
    id_map_remove(&job->queue->shard->jobs, &job->by_id);
    job->queue->bytes_in_memory -= job->delivery.event->bytes;
    metrics_add(METRIC_ACTIVE, -1);
    event_unref(job->delivery.event);
    job_free_run(job->run);
    free(job);
}

struct job *job_find(struct delivery_shard *shard, int64_t delivery)
{
    struct id_map_node *node = id_map_find(&shard->jobs, (uint64_t)delivery);
    return node ? CONTAINER_OF(node, struct job, by_id) : NULL;
}

void job_free_run(struct attempt_run *run)
{
    if (!run)
        return;
    endpoint_policy_unref(run->policy);
    free(run);
}
