/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of an endpoint as its queue uses them: its own, and the gateway's for the rest. They
 * are read when the queue is made, when the endpoint changes, and when the gateway's change.
 *
 * A change applies to what waits already. If a schedule or a horizon has become shorter, the
 * journal gives the waiting deliveries new due times, in steps (JOURNAL_REDUE). A longer one
 * changes nothing that waits: its time was promised. The journal answers requests in order, so an
 * outcome of the old rules is before the walk, or is made by the new ones.
 *
 * What was changed while the gateway was stopped is noticed at the start (rule_changes.c).
 */
#include "delivery/delivery_internal.h"

#include "runtime/log.h"

#define REDUE_STEP_COUNT 100            /* rows: the journal's thread is held for some 5 ms */
#define REDUE_PAUSE_US (20 * US_PER_MS) /* between two steps: the journal has other work */
#define REDUE_AGAIN_US US_PER_SECOND    /* after the journal refused */

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

static struct retry_rules retry_rules_of(const struct delivery_rules *rules)
{
    return (struct retry_rules){.schedule = rules->schedule, .horizon_us = rules->horizon_us};
}

static void ask(struct endpoint_queue *queue);

static void begin_walk(struct endpoint_queue *queue)
{
    struct redue_walk *walk = &queue->redue;
    walk->again = false;
    walk->running = true;
    walk->after_due_us = shard_wall_us(queue->shard); /* the rest is due already */
    walk->after_id = 0;
    queue->shard->redueing = true;
    for (unsigned i = 0; i < EVENT_CLASSES; i++)
        walk->rules[i] = retry_rules_of(&queue->rules[i]);
    ask(queue);
}

/* The next queue's turn: one walk at a time holds the journal for little. */
static void begin_next_walk(struct delivery_shard *shard)
{
    struct endpoint_queue *next =
        LIST_TAKE_FIRST(&shard->redues, struct endpoint_queue, redue.in_shard);
    shard->redueing = false;
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

static void read_settings(struct endpoint_queue *queue)
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

void settings_init(struct endpoint_queue *queue)
{
    timer_init(&queue->redue.timer, on_walk_timer);
    list_init(&queue->redue.in_shard);
    queue->redue.ended_mono_us = INT64_MIN;
    read_settings(queue);
}

void settings_redue(struct endpoint_queue *queue)
{
    struct redue_walk *walk = &queue->redue;
    if (walk->running)
        walk->again = true;
    else if (!queue->shard->redueing)
        begin_walk(queue);
    else if (list_is_empty(&walk->in_shard))
        list_add_tail(&queue->shard->redues, &walk->in_shard);
}

void settings_changed(struct endpoint_queue *queue)
{
    bool shorter = false;
    struct retry_rules before[EVENT_CLASSES];
    for (unsigned i = 0; i < EVENT_CLASSES; i++)
        before[i] = retry_rules_of(&queue->rules[i]);
    read_settings(queue);
    timer_disarm(&queue->shard->loop, &queue->flow.rate_timer); /* by the rate of before */
    for (unsigned i = 0; i < EVENT_CLASSES; i++) {
        const struct retry_rules after = retry_rules_of(&queue->rules[i]);
        shorter = shorter || retry_rules_are_shorter(&before[i], &after);
    }
    if (shorter && !queue->shard->taker.stopping)
        settings_redue(queue);
}

const struct delivery_rules *settings_of(const struct job *job)
{
    return &job->queue->rules[job->delivery.event->parts.class];
}

int64_t settings_due_us(const struct job *job)
{
    const struct delivery_rules *rules = settings_of(job);
    const struct delivery *delivery = &job->delivery;
    const struct redue_walk *walk = &job->queue->redue;
    bool is_walked = walk->running || !list_is_empty(&walk->in_shard) ||
                     job->made_mono_us <= walk->ended_mono_us;
    if (!is_walked)
        return delivery->due_us;
    return due_us_by(delivery, &rules->schedule, rules->horizon_us);
}

void settings_done(struct endpoint_queue *queue)
{
    assert(!queue->redue.asking);
    timer_disarm(&queue->shard->loop, &queue->redue.timer);
    list_remove(&queue->redue.in_shard);
}
