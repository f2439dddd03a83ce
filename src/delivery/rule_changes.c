/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of retry rules, which apply to what waits already.
 *
 * If a schedule or a horizon has become shorter, a walk gives the waiting deliveries of an endpoint
 * new due times, in steps (JOURNAL_REDUE). A longer one changes nothing that waits: its time was
 * promised. The journal answers requests in order, so an outcome of the old rules is before the
 * walk, or is made by the new ones. Endpoints are walked one after the other.
 *
 * The journal keeps which rules its due times follow: those of the gateway, and the version of the
 * endpoints. So a start notices
 *
 *   - a schedule or a horizon of the gateway that was made shorter while it was stopped
 *   - a walk that a stop or a crash has interrupted
 *   - a change of an endpoint that was committed right before a crash
 *
 * Then each affected endpoint that has waiting deliveries is walked. During the walks, the journal
 * keeps the previous rules, or none if the gateway's rules have changed. When the last walk has
 * ended, the present rules are recorded. So after a crash in between, the next start walks again.
 */
#include "delivery/rule_changes.h"

#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/refill.h"
#include "delivery/shard.h"
#include "runtime/log.h"

#include <assert.h>

#define REDUE_STEP_COUNT 100            /* rows: the journal's thread is held for some 5 ms */
#define REDUE_PAUSE_US (20 * US_PER_MS) /* between two steps: the journal has other work */
#define REDUE_AGAIN_US US_PER_SECOND    /* after the journal refused */
#define RECORD_AGAIN_US US_PER_SECOND   /* the same */

static struct retry_rules retry_rules_of(const struct delivery_rules *rules)
{
    return (struct retry_rules){.schedule = rules->schedule, .horizon_us = rules->horizon_us};
}

/* Which rules the journal has. */

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
        .gateway = retry_rules_of(&shard->policy.rules),
        .endpoints_version = self->endpoints_version};
    if (!shard->rule_changes.walking)
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
    list_init(&shard->rule_changes.waiting);
}

void rule_changes_begin(struct delivery_shard *shard)
{
    struct rule_changes *self = &shard->rule_changes;
    self->recorded = shard->taker.journal->found.rules;
    self->is_certain = true;
    if (self->endpoints_version < self->recorded.endpoints_version)
        self->endpoints_version = self->recorded.endpoints_version;
}

/* Walks. */

static int64_t due_us_by(
    const struct delivery *waiting, const struct retry_schedule *schedule, int64_t horizon_us)
{
    const struct event_parts *parts = &waiting->event->parts;
    const struct retry_wait wait = {
        .step = waiting->failures,
        .began_us = delivery_wait_began_us(waiting->due_us, waiting->wait_us),
        .due_us = waiting->due_us,
        .accepted_us = waiting->generation == 0 ? parts->accepted_us : 0,
    };
    /* Not a failure of the client: it waits for us. */
    return wait.step == 0 ? wait.due_us : retry_due_us(schedule, horizon_us, &wait);
}

static int64_t new_due_us(const struct delivery *waiting, const void *context)
{
    const struct retry_rules *rules = context;
    const struct retry_rules *of_class = &rules[waiting->event->parts.class];
    return due_us_by(waiting, &of_class->schedule, of_class->horizon_us);
}

static void ask(struct endpoint_queue *queue);

static void begin_walk(struct endpoint_queue *queue)
{
    struct redue_walk *walk = &queue->redue;
    walk->again = false;
    walk->running = true;
    walk->after_due_us = shard_wall_us(queue->shard); /* the rest is due already */
    walk->after_id = 0;
    queue->shard->rule_changes.walking = true;
    for (unsigned i = 0; i < EVENT_CLASSES; i++)
        walk->rules[i] = retry_rules_of(&queue->rules[i]);
    ask(queue);
}

/* The next queue's turn: one walk at a time holds the journal for little. */
static void begin_next_walk(struct delivery_shard *shard)
{
    struct endpoint_queue *next =
        LIST_TAKE_FIRST(&shard->rule_changes.waiting, struct endpoint_queue, redue.in_shard);
    shard->rule_changes.walking = false;
    if (next)
        begin_walk(next);
    else
        rule_changes_record(shard);
}

static void on_walk_timer(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, redue.timer);
    if (queue->shard->taker.stopping)
        return;
    if (queue->redue.again)
        begin_walk(queue);
    else
        ask(queue);
}

static void on_step(struct request *request, void *receiver)
{
    struct endpoint_queue *queue = CONTAINER_OF(request, struct endpoint_queue, redue.step.request);
    struct delivery_shard *shard = receiver;
    struct redue_walk *walk = &queue->redue;
    const struct journal_redue *step = &walk->step;
    walk->asking = false;
    if (shard->taker.stopping)
        return;
    if (request->result != OK) {
        shard_log_refused(
            shard, "waiting deliveries could not be given new due times", request->result);
        timer_arm(&shard->loop, &walk->timer, REDUE_AGAIN_US);
        return;
    }
    if (step->ret_earliest_due_us != INT64_MAX)
        refill_expect_due(queue, step->ret_earliest_due_us);
    walk->after_due_us = step->ret_after_due_us;
    walk->after_id = step->ret_after_id;
    if (walk->again || step->ret_more) {
        timer_arm(&shard->loop, &walk->timer, REDUE_PAUSE_US);
    } else {
        walk->running = false;
        walk->ended_mono_us = shard->loop.now_mono_us;
        begin_next_walk(shard);
    }
    refill_queue(queue);
}

static void ask(struct endpoint_queue *queue)
{
    struct redue_walk *walk = &queue->redue;
    walk->step = (struct journal_redue){
        .endpoint = queue->endpoint,
        .new_due_us = new_due_us,
        .context = walk->rules,
        .after_due_us = walk->after_due_us,
        .after_id = walk->after_id,
        .count_max = REDUE_STEP_COUNT,
    };
    walk->asking = true;
    shard_ask(queue->shard, &walk->step.request, JOURNAL_REDUE, on_step);
}

void rule_changes_init_queue(struct endpoint_queue *queue)
{
    timer_init(&queue->redue.timer, on_walk_timer);
    list_init(&queue->redue.in_shard);
    queue->redue.ended_mono_us = INT64_MIN;
}

void rule_changes_done_queue(struct endpoint_queue *queue)
{
    assert(!queue->redue.asking);
    timer_disarm(&queue->shard->loop, &queue->redue.timer);
    list_remove(&queue->redue.in_shard);
}

/* Walks the endpoint after those that wait for their turn. */
static void begin_walk_in_turn(struct endpoint_queue *queue)
{
    struct redue_walk *walk = &queue->redue;
    if (walk->running)
        walk->again = true;
    else if (!queue->shard->rule_changes.walking)
        begin_walk(queue);
    else if (list_is_empty(&walk->in_shard))
        list_add_tail(&queue->shard->rule_changes.waiting, &walk->in_shard);
}

int64_t rule_changes_due_us(const struct job *job)
{
    const struct delivery *delivery = &job->delivery;
    const struct delivery_rules *rules = &job->queue->rules[delivery->event->parts.class];
    const struct redue_walk *walk = &job->queue->redue;
    bool is_walked = walk->running || !list_is_empty(&walk->in_shard) ||
                     job->made_mono_us <= walk->ended_mono_us;
    if (!is_walked)
        return delivery->due_us;
    return due_us_by(delivery, &rules->schedule, rules->horizon_us);
}

/* Changes. */

/* Returns whether the present rules make deliveries of the endpoint due earlier than those before
 * did, of which there is one for each class. */
static bool are_shorter(const struct endpoint_queue *queue, const struct delivery_rules *before)
{
    for (unsigned i = 0; i < EVENT_CLASSES; i++) {
        const struct retry_rules old = retry_rules_of(&before[i]);
        const struct retry_rules new = retry_rules_of(&queue->rules[i]);
        if (retry_rules_are_shorter(&old, &new))
            return true;
    }
    return false;
}

void rule_changes_on_settings(struct endpoint_queue *queue, const struct delivery_rules *before)
{
    if (!queue->shard->taker.stopping && are_shorter(queue, before))
        begin_walk_in_turn(queue);
}

void rule_changes_check_backlog(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    const struct journal_retry_rules *recorded = &shard->rule_changes.recorded;
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, queue->endpoint);
    if (!endpoint) /* what waits is parked when it is due */
        return;
    /* Of the endpoint, as they were with the gateway's rules that are recorded. */
    struct delivery_rules before[EVENT_CLASSES], defaults = shard->policy.rules;
    defaults.schedule = recorded->gateway.schedule;
    defaults.horizon_us = recorded->gateway.horizon_us;
    for (unsigned i = 0; i < EVENT_CLASSES; i++)
        endpoint_policy_rules(endpoint->policy, (enum event_class)i, &defaults, &before[i]);
    if (!recorded->known || endpoint->version > recorded->endpoints_version ||
        are_shorter(queue, before))
        begin_walk_in_turn(queue);
    rule_changes_on_endpoint(shard, endpoint->version);
}

void rule_changes_on_endpoint(struct delivery_shard *shard, int64_t version)
{
    if (shard->rule_changes.endpoints_version < version)
        shard->rule_changes.endpoints_version = version;
}
