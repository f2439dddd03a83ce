/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which retry rules the due times in the journal follow. The journal keeps the rules of the gateway
 * and the version of the endpoints, so that a start notices
 *
 *   - a schedule or a horizon of the gateway that was made shorter while it was stopped
 *   - a walk of settings.c that a stop or a crash has interrupted
 *   - a change of an endpoint that was committed right before a crash
 *
 * Each affected endpoint that has waiting deliveries is walked, one after the other. During the
 * walks, the journal keeps the previous rules, or none if the gateway's rules have changed. When
 * the last walk has ended, the present rules are recorded. So after a crash in between, the next
 * start walks again.
 */
#include "delivery/delivery_internal.h"

#include "runtime/log.h"

#define RECORD_AGAIN_US US_PER_SECOND /* after the journal refused */

static struct retry_rules gateway_rules(const struct delivery_shard *shard)
{
    const struct delivery_rules *rules = &shard->policy.rules;
    return (struct retry_rules){.schedule = rules->schedule, .horizon_us = rules->horizon_us};
}

static bool are_equal(const struct journal_retry_rules *a, const struct journal_retry_rules *b)
{
    if (!a->known || !b->known)
        return a->known == b->known;
    return a->endpoints_version == b->endpoints_version &&
           retry_rules_are_equal(&a->gateway, &b->gateway);
}

/* Returns what the journal must have now. */
static struct journal_retry_rules wanted(const struct delivery_shard *shard)
{
    const struct rule_changes *self = &shard->rule_changes;
    struct journal_retry_rules rules = {.known = true,
        .gateway = gateway_rules(shard),
        .endpoints_version = self->endpoints_version};
    if (!shard->redueing)
        return rules;
    if (!self->recorded.known || !retry_rules_are_equal(&self->recorded.gateway, &rules.gateway))
        return (struct journal_retry_rules){0};
    return self->recorded;
}

static void on_recorded(struct request *request, void *receiver)
{
    struct delivery_shard *shard = receiver;
    struct rule_changes *self = &shard->rule_changes;
    self->asking = false;
    self->is_certain = request->result == OK;
    if (shard->taker.stopping)
        return;
    if (request->result == OK) {
        rule_changes_record(shard);
        return;
    }
    shard_log_refused(shard, "the retry rules could not be recorded", request->result);
    timer_arm(&shard->loop, &self->timer, RECORD_AGAIN_US);
}

void rule_changes_record(struct delivery_shard *shard)
{
    struct rule_changes *self = &shard->rule_changes;
    if (!shard->scanned || shard->taker.stopping || self->asking)
        return;
    const struct journal_retry_rules rules = wanted(shard);
    if (self->is_certain && are_equal(&rules, &self->recorded))
        return;
    self->recorded = rules;
    self->request = (struct journal_record_retry_rules){.rules = rules};
    self->asking = true;
    shard_ask(shard, &self->request.request, JOURNAL_RECORD_RETRY_RULES, on_recorded);
}

static void on_timer(struct timer *timer)
{
    rule_changes_record(CONTAINER_OF(timer, struct delivery_shard, rule_changes.timer));
}

void rule_changes_init(struct delivery_shard *shard)
{
    timer_init(&shard->rule_changes.timer, on_timer);
}

void rule_changes_begin(struct delivery_shard *shard)
{
    struct rule_changes *self = &shard->rule_changes;
    self->recorded = shard->taker.journal->found.rules;
    self->is_certain = true;
    if (self->endpoints_version < self->recorded.endpoints_version)
        self->endpoints_version = self->recorded.endpoints_version;
}

/* Returns whether a change of the gateway's rules makes deliveries of the endpoint due earlier. */
static bool are_shorter(const struct endpoint_queue *queue, const struct endpoint *endpoint)
{
    const struct delivery_shard *shard = queue->shard;
    struct delivery_rules defaults = shard->policy.rules;
    defaults.schedule = shard->rule_changes.recorded.gateway.schedule;
    defaults.horizon_us = shard->rule_changes.recorded.gateway.horizon_us;
    for (unsigned i = 0; i < EVENT_CLASSES; i++) {
        struct delivery_rules rules;
        endpoint_policy_rules(endpoint->policy, (enum event_class)i, &defaults, &rules);
        const struct retry_rules before = {rules.schedule, rules.horizon_us};
        const struct retry_rules after = {queue->rules[i].schedule, queue->rules[i].horizon_us};
        if (retry_rules_are_shorter(&before, &after))
            return true;
    }
    return false;
}

void rule_changes_check_backlog(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    const struct journal_retry_rules *recorded = &shard->rule_changes.recorded;
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, queue->endpoint);
    if (!endpoint) /* what waits is parked when it is due */
        return;
    if (!recorded->known || endpoint->version > recorded->endpoints_version ||
        are_shorter(queue, endpoint))
        settings_redue(queue);
    rule_changes_on_endpoint(shard, endpoint->version);
}

void rule_changes_on_endpoint(struct delivery_shard *shard, int64_t version)
{
    if (shard->rule_changes.endpoints_version < version)
        shard->rule_changes.endpoints_version = version;
}
