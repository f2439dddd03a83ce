/* SPDX-License-Identifier: Apache-2.0 */
/* A job: its creation, its end, and the only function that moves it between its places. */
#include "delivery/delivery_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

static bool may_move(enum job_place from, enum job_place to)
{
    static const unsigned moves[] = {
        [JOB_NOWHERE] = 1u << JOB_FRESH | 1u << JOB_BACKLOG,
        [JOB_FRESH] = 1u << JOB_STARTING | 1u << JOB_SENDING | 1u << JOB_RECORDING,
        [JOB_BACKLOG] = 1u << JOB_STARTING | 1u << JOB_SENDING | 1u << JOB_RECORDING,
        [JOB_STARTING] = 1u << JOB_SENDING | 1u << JOB_BACKLOG,
        [JOB_SENDING] = 1u << JOB_RECORDING | 1u << JOB_BACKLOG,
        [JOB_RECORDING] = 0,
    };
    return moves[from] & 1u << to;
}

static void leave_place(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    switch (job->place) {
    case JOB_FRESH:
        queue->fresh_count--;
        break;
    case JOB_BACKLOG:
        queue->backlog_count--;
        break;
    case JOB_STARTING:
    case JOB_SENDING:
        queue->in_flight--;
        queue->shard->in_flight--;
        endpoint_queue_count_ended(queue);
        metrics_add(METRIC_IN_FLIGHT, -1);
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
    case JOB_FRESH:
        list_add_tail(&queue->fresh, &job->in_lane);
        queue->fresh_count++;
        break;
    case JOB_BACKLOG:
        list_add_tail(&queue->backlog, &job->in_lane);
        queue->backlog_count++;
        break;
    case JOB_STARTING:
    case JOB_SENDING:
        queue->in_flight++;
        queue->shard->in_flight++;
        metrics_add(METRIC_IN_FLIGHT, 1);
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
    job->sourced.started = place != JOB_FRESH && place != JOB_BACKLOG;
    enter_place(job);
    endpoint_queue_update_ready(job->queue);
}

struct job *job_new(
    struct endpoint_queue *queue, const struct delivery *delivery, enum job_place place)
{
    struct job *job = memory_new_raw(sizeof *job);
    *job = (struct job){.queue = queue, .delivery = *delivery, .place = JOB_NOWHERE};
    list_init(&job->in_lane);
    list_init(&job->sourced.in_event);
    job->sourced.delivery = delivery->id;
    id_map_add(&queue->shard->jobs, &job->by_id, (uint64_t)delivery->id);
    queue->bytes_in_memory += delivery->event->bytes;
    metrics_add(METRIC_ACTIVE, 1);
    job_move(job, place);
    return job;
}

void job_free(struct job *job)
{
    if (job->place != JOB_NOWHERE)
        leave_place(job);
    list_remove(&job->sourced.in_event);
    id_map_remove(&job->queue->shard->jobs, &job->by_id);
    job->queue->bytes_in_memory -= job->delivery.event->bytes;
    metrics_add(METRIC_ACTIVE, -1);
    event_unref(job->delivery.event);
    free(job->run);
    free(job);
}

struct job *job_find(struct delivery_shard *shard, int64_t delivery)
{
    struct id_map_node *node = id_map_find(&shard->jobs, (uint64_t)delivery);
    return node ? CONTAINER_OF(node, struct job, by_id) : NULL;
}
