/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doubt of an endpoint's probes: when a guarded event may be sent as a probe.
 *
 * A guarded probe that is not answered leaves its delivery in doubt, for a person to resolve. While
 * one is in flight, and after it has ended in doubt, no other guarded one is sent: the next probe
 * is an unguarded event, also one that was tried already. Only if there is none, another guarded
 * one is sent, 10 s after the last one: a longer pause would leave fewer of them in doubt, but the
 * return of an endpoint must be noticed within 15 s. After UNGUARDED_FIRST_US a guarded one may
 * also be sent when all unguarded ones were tried, because these events may themselves be the
 * reason why they fail.
 *
 * The doubt ends when a later attempt has an answer or could not be sent, because a guarded one
 * would end in the same way, and with the recovery.
 */
#include "delivery/probe_doubt.h"

#include "base/clock.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/shard.h"

#define UNGUARDED_FIRST_US (120 * US_PER_SECOND)

static int64_t now_of(const struct endpoint_queue *queue)
{
    return queue->shard->loop.now_mono_us;
}

void probe_doubt_begin(struct endpoint_queue *queue)
{
    queue->doubt.is_open = true;
    queue->doubt.began_mono_us = now_of(queue);
}

void probe_doubt_end(struct endpoint_queue *queue)
{
    queue->doubt.is_open = false;
    queue->doubt.unguarded_after_id = 0;
}

void probe_doubt_note_certain_end(const struct job *job)
{
    if (job->started_mono_us >= job->queue->doubt.began_mono_us)
        probe_doubt_end(job->queue);
}

int64_t probe_doubt_left_us(const struct endpoint_queue *queue)
{
    int64_t left_us =
        queue->doubt.began_mono_us + breaker_policy_default.probe_us_max - now_of(queue);
    return !queue->doubt.is_open || left_us < 0 ? 0 : left_us;
}

bool probe_doubt_prefers_unguarded(const struct endpoint_queue *queue)
{
    return queue->doubt.is_open && now_of(queue) - queue->doubt.began_mono_us < UNGUARDED_FIRST_US;
}
