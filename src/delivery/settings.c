/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of an endpoint as its queue uses them: its own, and the gateway's for the rest. They
 * are read when the queue is made, when the endpoint changes, and when the gateway's change.
 *
 * A change applies to what waits already (rule_changes.c).
 */
#include "delivery/settings.h"

#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/rule_changes.h"
#include "delivery/shard.h"

void settings_read(struct endpoint_queue *queue)
{
    const struct event_taker *taker = &queue->shard->taker;
    /* After a stop the directory may be gone. */
    const struct endpoint *endpoint =
        taker->stopping ? NULL : directory_endpoint(taker->directory, queue->endpoint);
    const struct endpoint_policy *policy = endpoint ? endpoint->policy : NULL;
    queue->flow.rate_max = endpoint_policy_rate_max(policy);
    queue->flow.in_flight_max = 1;
    for (unsigned i = 0; i < EVENT_CLASSES; i++) {
        struct delivery_rules *rules = &queue->rules[i];
        endpoint_policy_rules(policy, (enum event_class)i, &queue->shard->policy.rules, rules);
        if (rules->in_flight_max > queue->flow.in_flight_max)
            queue->flow.in_flight_max = rules->in_flight_max;
    }
}

void settings_changed(struct endpoint_queue *queue)
{
    struct delivery_rules before[EVENT_CLASSES];
    memcpy(before, queue->rules, sizeof before);
    settings_read(queue);
    timer_disarm(&queue->shard->loop, &queue->flow.rate_timer); /* by the rate of before */
    rule_changes_on_settings(queue, before);
}

const struct delivery_rules *settings_of(const struct job *job)
{
    return &job->queue->rules[job->delivery.event->parts.class];
}
