/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drops: what the broker dropped from the queue of a partition, because of a policy's limit
 * (maxlen), a time to live (expired), a delivery limit (delivery_limit), or a reject. The queues
 * are declared so that dropped messages are moved to a second queue, which is consumed too. Nothing
 * is lost, but it is late, and the policy may apply to the second queue as well. So it is logged
 * once a minute, counted, and shown in the status until nothing was dropped for ten minutes.
 */
#include "queue/consumer_internal.h"

#include "base/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>

#define SAID_EVERY_US (60 * US_PER_SECOND)
#define QUIET_US (600 * US_PER_SECOND)

void drops_show(struct consumer *consumer)
{
    const struct drops *drops = &consumer->drops;
    char why[BROKER_STATUS_TEXT_BYTES] = "";
    if (consumer->losses.lost > 0)
        snprintf(why, sizeof why, "%lld confirmed events are lost: \"penstock audit\" names them",
            (long long)consumer->losses.lost);
    else if (drops->count > 0)
        snprintf(why, sizeof why,
            "%lld were dropped from queues such as %s (%s), and delivered: see rabbitmqctl "
            "list_policies and list_operator_policies",
            (long long)drops->count, drops->queue, drops->reason);
    broker_status_set(consumer->options.status, BROKER_ROLE_KEEP, consumer->taker->shard, !*why,
        "nothing dropped", why);
}

static void say(struct consumer *consumer, int64_t now_mono_us)
{
    struct drops *drops = &consumer->drops;
    log_error("the broker dropped events from a queue that must keep them. They "
              "arrived through the queue of dropped messages and are delivered. A policy"
              " is wrong: see rabbitmqctl list_policies and list_operator_policies "
              "shard=%u queue=%s reason=%s count=%lld",
        consumer->taker->shard, drops->queue, drops->reason, (long long)drops->unsaid);
    drops->said_mono_us = now_mono_us;
    drops->unsaid = 0;
    drops_show(consumer);
}

/* A header names the queue that dropped the message. It may be missing if a person put it there. */
void drops_note(struct consumer *consumer, unsigned channel, const struct message *message)
{
    struct drops *drops = &consumer->drops;
    const struct slice queue = message->death_queue.len
                                   ? message->death_queue
                                   : slice_from_string(consumer->queues[channel]);
    const struct slice reason =
        message->death_reason.len ? message->death_reason : SLICE_LITERAL("unknown");
    snprintf(drops->queue, sizeof drops->queue, "%.*s", SLICE_ARGS(queue));
    snprintf(drops->reason, sizeof drops->reason, "%.*s", SLICE_ARGS(reason));
    drops->last_mono_us = consumer->taker->loop->now_mono_us;
    drops->count++;
    drops->unsaid++;
    metrics_add(METRIC_DROPPED, 1);
}

void drops_tick(struct consumer *consumer, int64_t now_mono_us)
{
    struct drops *drops = &consumer->drops;
    if (drops->unsaid > 0 &&
        (drops->said_mono_us == 0 || now_mono_us - drops->said_mono_us >= SAID_EVERY_US))
        say(consumer, now_mono_us);
    if (drops->last_mono_us == 0 || now_mono_us - drops->last_mono_us < QUIET_US)
        return;
    *drops = (struct drops){.said_mono_us = drops->said_mono_us};
    drops_show(consumer);
}
