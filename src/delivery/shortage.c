/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What could not be sent since this machine is short of something of its own (descriptors, memory,
 * local ports, a route to anywhere, name servers): that says nothing of the client, so it is no
 * attempt, and stands in nobody's history. The delivery goes back to its lane, and its endpoint
 * rests for a moment; endpoints that have connections go on.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#define REST_US US_PER_SECOND
#define SAY_US (60 * US_PER_SECOND)

static void on_rested(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, rest_timer);
    endpoint_queue_update_ready(queue);
    pump_run(queue->shard);
}

void shortage_init_queue(struct endpoint_queue *queue)
{
    timer_init(&queue->rest_timer, on_rested);
}

bool shortage_ended(const struct attempt_run *run)
{
    return run->client.end.error == ERR_SHORTAGE && !run->client.end.request_begun;
}

/* Once a minute while it lasts. */
static void say(struct delivery_shard *shard, const char *what)
{
    int64_t now_us = clock_mono_us();
    shard->shortages++;
    metrics_add(METRIC_SHORTAGES, 1);
    if (shard->shortage_said_mono_us != 0 && now_us - shard->shortage_said_mono_us < SAY_US)
        return;
    log_error("this machine has no %s: deliveries wait, and no attempt of theirs is counted "
              "shard=%u times=%u",
        what ? what : "room", shard->number, shard->shortages);
    shard->shortage_said_mono_us = now_us;
    shard->shortages = 0;
}

void shortage_put_off(struct attempt_run *run)
{
    struct job *job = run->job;
    struct endpoint_queue *queue = job->queue;
    struct delivery_shard *shard = queue->shard;
    say(shard, run->client.shortage);
    if (!timer_is_armed(&queue->rest_timer))
        timer_arm(&shard->loop, &queue->rest_timer, REST_US);
    if (shard->stopping) {
        outcome_cut_short(run);
    } else if (job->delivery.state == DELIVERY_SENDING) {
        outcome_withdraw(run, REST_US);
    } else {
        free(TAKE(job->run));
        job_move(job, JOB_BACKLOG);
    }
    pump_run(shard);
    shard_stop_if_drained(shard);
}
