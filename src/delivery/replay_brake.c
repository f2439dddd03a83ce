/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery/replay_brake.h"

#include "base/clock.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/shard.h"
#include "runtime/log.h"

#define LOGGED_EVERY_US (60 * US_PER_SECOND)

const struct breaker_policy replay_brake_policy = {
    .window_us = 10 * US_PER_SECOND,
    .count_min = 5,
    .failures_percent = 50,
    .probe_us_first = 1 * US_PER_SECOND,
    .probe_us_max = 60 * US_PER_SECOND,
};

static int64_t now_of(const struct endpoint_queue *queue)
{
    return queue->shard->loop.now_mono_us;
}

static struct replay_brake *brake_of(struct endpoint_queue *queue)
{
    return &queue->flow.brake;
}

static void on_timer(struct timer *timer)
{
    shard_touch(CONTAINER_OF(timer, struct endpoint_queue, flow.brake.timer));
}

void replay_brake_init(struct endpoint_queue *queue)
{
    struct replay_brake *brake = brake_of(queue);
    breaker_init(&brake->breaker);
    timer_init(&brake->timer, on_timer);
}

void replay_brake_done(struct endpoint_queue *queue)
{
    timer_disarm(&queue->shard->loop, &brake_of(queue)->timer);
}

bool replay_brake_is_on(const struct endpoint_queue *queue)
{
    return queue->flow.brake.breaker.state != BREAKER_CLOSED;
}

bool replay_brake_allows(struct endpoint_queue *queue)
{
    struct replay_brake *brake = brake_of(queue);
    if (breaker_allows(&brake->breaker, now_of(queue)))
        return true;
    int64_t next_us = breaker_next_probe_us(&brake->breaker);
    if (next_us != INT64_MAX && !timer_is_armed(&brake->timer))
        timer_arm(&queue->shard->loop, &brake->timer, next_us - now_of(queue));
    return false;
}

static bool is_replay(const struct job *job)
{
    return job->delivery.lane == LANE_REPLAY;
}

void replay_brake_on_sent(struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    if (!is_replay(job) || !replay_brake_is_on(queue))
        return;
    job->tries_brake = true;
    breaker_on_probe_sent(&brake_of(queue)->breaker, &replay_brake_policy, now_of(queue));
}

static void log_rest(struct endpoint_queue *queue)
{
    struct replay_brake *brake = brake_of(queue);
    int64_t now_us = now_of(queue);
    char id[ENDPOINT_ID_TEXT_BYTES];
    if (brake->logged_mono_us != 0 && now_us - brake->logged_mono_us < LOGGED_EVERY_US)
        return;
    brake->logged_mono_us = now_us;
    endpoint_id_format(queue->endpoint, id);
    log_warn("replays to an endpoint rest, since their attempts fail: one at a time tests whether "
             "it takes them shard=%u endpoint=%s",
        queue->shard->taker.shard, id);
}

static void take_off(struct endpoint_queue *queue)
{
    timer_disarm(&queue->shard->loop, &brake_of(queue)->timer);
    shard_touch(queue);
}

void replay_brake_on_end(struct job *job, bool failed)
{
    struct endpoint_queue *queue = job->queue;
    if (!is_replay(job))
        return;
    bool was_on = replay_brake_is_on(queue);
    const struct breaker_result result = {
        .failed = failed, .was_probe = job->tries_brake, .sent_us = job->started_mono_us};
    job->tries_brake = false;
    if (breaker_on_result(&brake_of(queue)->breaker, &replay_brake_policy, &result,
            now_of(queue)) == BREAKER_OPENED)
        log_rest(queue);
    if (was_on && !replay_brake_is_on(queue))
        take_off(queue);
}

void replay_brake_on_lost(struct job *job)
{
    if (!job->tries_brake)
        return;
    job->tries_brake = false;
    breaker_on_probe_lost(&brake_of(job->queue)->breaker, job->started_mono_us);
}

void replay_brake_reset(struct endpoint_queue *queue)
{
    if (!replay_brake_is_on(queue))
        return;
    breaker_reset(&brake_of(queue)->breaker, now_of(queue));
    take_off(queue);
}
