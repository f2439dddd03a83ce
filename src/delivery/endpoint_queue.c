/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of one endpoint, and its turn among the queues of the shard.
 *
 *   lanes     fresh : retry : replay = 4 : 2 : 1, while they have something. Fresh: accepted now.
 *             Retry: loaded from the journal (refill.c), half of it never sent, half sent again.
 *             Replay: what an operator sends again
 *   classes   critical : important : optional = 8 : 3 : 1 within a lane, so that nothing starves
 *   turns     deficit round robin among the queues, by requests and bytes. A queue whose next event
 *             is critical has a longer turn
 *   slots     the shard has a bounded number of attempts in flight. An endpoint that succeeded a
 *             moment ago may hold an eighth of what is free. Of any other nothing is known: while
 *             more than half of the slots are free, it may hold a 32nd of them, and then one. So
 *             endpoints that hang take half of the slots together, and one slot each of the rest
 *
 * A queue is bounded by count and by bytes. What has no room stays in the journal. So an endpoint
 * that hangs or is slow takes neither the memory nor the turns of the others. While the breaker of
 * the endpoint is not closed, nothing is added, and only probes are sent.
 */
#include "delivery/endpoint_queue.h"

#include "base/clock.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/shard.h"

#define FLOOR_BYTES (256 * 1024) /* four of the largest events */
#define BUDGET_SHARE_PERCENT \
    50 /* of the byte budget taken: beyond it an endpoint gets the floor only */
#define ENDPOINTS_PER_BUDGET 8
#define SLOT_SHARE 8 /* an endpoint may hold one of so many free slots */
#define SLOT_SHARE_UNPROVED 32
#define QUANTUM 8 /* of a turn, in units of cost, for an optional event */
#define PACE_US (500 * US_PER_MS)
#define SLOW_INTERVALS 4
#define SHORT_PER_TURN 32 /* queues that get freed slots in one turn of the loop */

/* fresh, retry, replay */
static const unsigned lane_weights[] = {4, 2, 1};
static const unsigned class_weights[EVENT_CLASSES] = {
    [CLASS_CRITICAL] = 8, [CLASS_IMPORTANT] = 3, [CLASS_OPTIONAL] = 1};

int64_t endpoint_queue_bytes_left(const struct endpoint_queue *queue)
{
    struct byte_budget *budget = queue->shard->taker.budget;
    int64_t share = budget->bytes_max / ENDPOINTS_PER_BUDGET;
    if (share < FLOOR_BYTES || !byte_budget_is_within(budget, BUDGET_SHARE_PERCENT))
        share = FLOOR_BYTES;
    return queue->bytes_in_memory < share ? share - queue->bytes_in_memory : 0;
}

bool endpoint_queue_has_room(const struct endpoint_queue *queue, const struct delivery *delivery)
{
    const struct delivery_policy *policy = &queue->shard->policy;
    return !switches_hold(queue, delivery) && !flow_is_open(queue) &&
           queue->queued_in[QUEUE_FRESH] < policy->active_per_endpoint &&
           endpoint_queue_bytes_left(queue) > 0;
}

/* The classes of a lane with something that may be sent now, as a mask. */
static unsigned classes_with_work(const struct endpoint_queue *queue, enum queue_lane lane)
{
    unsigned mask = 0;
    if (queue->queued_in[lane] == 0 || queue->off.deliveries ||
        (queue->off.retries && lane == QUEUE_RETRY))
        return 0;
    for (unsigned i = 0; i < EVENT_CLASSES; i++)
        if (!list_is_empty(&queue->lanes[lane][i]) &&
            !(queue->off.optional && i == CLASS_OPTIONAL) &&
            queue->class_in_flight[i] < queue->rules[i].in_flight_max)
            mask |= 1u << i;
    return mask;
}

/* The lanes with something that may be sent now, as a mask of lane_weights. */
static unsigned lanes_with_work(struct endpoint_queue *queue)
{
    unsigned mask = 0;
    if (classes_with_work(queue, QUEUE_FRESH))
        mask |= 1u << 0;
    if (classes_with_work(queue, QUEUE_UNSENT) ||
        (classes_with_work(queue, QUEUE_RETRY) && flow_may_retry(queue)))
        mask |= 1u << 1;
    if (classes_with_work(queue, QUEUE_REPLAY) && replay_brake_allows(queue))
        mask |= 1u << 2;
    return mask;
}

static unsigned share_of_slots(const struct endpoint_queue *queue)
{
    const struct delivery_shard *shard = queue->shard;
    unsigned max = shard->policy.in_flight_per_shard;
    unsigned free = shard->in_flight < max ? max - shard->in_flight : 0;
    if (flow_has_proved_itself(queue))
        return (free + SLOT_SHARE - 1) / SLOT_SHARE;
    if (free > max / 2)
        return (free + SLOT_SHARE_UNPROVED - 1) / SLOT_SHARE_UNPROVED;
    return free > 0;
}

static bool has_slot(const struct endpoint_queue *queue)
{
    return queue->in_flight < share_of_slots(queue);
}

static int64_t quantum_of(const struct endpoint_queue *queue)
{
    for (unsigned i = 0; i < EVENT_CLASSES; i++)
        for (unsigned lane = 0; lane < QUEUE_LANES; lane++)
            if (!list_is_empty(&queue->lanes[lane][i]))
                return QUANTUM * (int64_t)class_weights[i];
    return QUANTUM;
}

void endpoint_queue_update_ready(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    bool ready = queue->queued > 0 && flow_has_place(queue) &&
                 !timer_is_armed(&queue->rest_timer) && lanes_with_work(queue) != 0 &&
                 flow_may_send(queue);
    bool is_short = ready && !has_slot(queue);
    if (is_short && list_is_empty(&queue->in_short))
        list_add_tail(&shard->short_of_slots, &queue->in_short);
    else if (!is_short)
        list_remove(&queue->in_short);
    if (!ready || is_short)
        fair_queue_remove(&shard->fair, &queue->fair);
    else if (!fair_flow_is_listed(&queue->fair))
        fair_queue_add(&shard->fair, &queue->fair, quantum_of(queue));
}

void endpoint_queue_share_slots(struct delivery_shard *shard)
{
    for (unsigned i = 0; i < SHORT_PER_TURN; i++) {
        struct endpoint_queue *queue =
            LIST_TAKE_FIRST(&shard->short_of_slots, struct endpoint_queue, in_short);
        if (!queue)
            return;
        endpoint_queue_update_ready(queue);
    }
}

/* The lane of the next job. The halves of the retry lane take turns. */
static enum queue_lane next_lane(struct endpoint_queue *queue, unsigned with_work)
{
    static const enum queue_lane lanes[] = {QUEUE_FRESH, QUEUE_RETRY, QUEUE_REPLAY};
    enum queue_lane lane = lanes[weighted_turn_next(
        &queue->lane_turn, lane_weights, ARRAY_LENGTH(lane_weights), with_work)];
    if (lane != QUEUE_RETRY)
        return lane;
    bool unsent = classes_with_work(queue, QUEUE_UNSENT);
    bool both = unsent && classes_with_work(queue, QUEUE_RETRY) && flow_may_retry(queue);
    queue->unsent_turn = both ? !queue->unsent_turn : unsent;
    return queue->unsent_turn ? QUEUE_UNSENT : QUEUE_RETRY;
}

static struct job *next_job(struct endpoint_queue *queue, unsigned lanes)
{
    enum queue_lane lane = next_lane(queue, lanes);
    unsigned class = weighted_turn_next(
        &queue->class_turn, class_weights, EVENT_CLASSES, classes_with_work(queue, lane));
    return CONTAINER_OF(queue->lanes[lane][class].next, struct job, in_lane);
}

struct job *endpoint_queue_next(struct endpoint_queue *queue)
{
    unsigned lanes = lanes_with_work(queue);
    if (lanes == 0) /* the window of the retry budget has moved on since it became ready */
        return NULL;
    struct job *job = next_job(queue, lanes);
    fair_queue_charge(&queue->shard->fair, &queue->fair,
        fair_cost(job->delivery.event->parts.body.len), quantum_of(queue));
    return job;
}

/* A probe: unguarded before guarded, critical before the rest, then the oldest. */
static bool is_better_probe(const struct job *job, const struct job *best)
{
    const struct event_parts *parts = &job->delivery.event->parts;
    if (!best)
        return true;
    const struct event_parts *other = &best->delivery.event->parts;
    if (parts->guarded != other->guarded)
        return !parts->guarded;
    if ((parts->class == CLASS_CRITICAL) != (other->class == CLASS_CRITICAL))
        return parts->class == CLASS_CRITICAL;
    return job->delivery.id < best->delivery.id;
}

struct job *endpoint_queue_oldest(struct endpoint_queue *queue)
{
    struct job *best = NULL;
    for (unsigned lane = 0; lane < QUEUE_LANES; lane++)
        for (unsigned i = 0; i < EVENT_CLASSES; i++)
            list_for_each (node, &queue->lanes[lane][i]) {
                struct job *job = CONTAINER_OF(node, struct job, in_lane);
                if (!switches_hold(queue, &job->delivery) && is_better_probe(job, best))
                    best = job;
            }
    return best;
}

/* The pace: how many attempts have ended lately, and whether the queue needs long for the rest. */

/* Counts in two intervals: the present one and the one before it. */
static void turn_pace(struct endpoint_queue *queue, int64_t now_mono_us)
{
    int64_t interval = now_mono_us / PACE_US;
    if (interval == queue->pace_interval)
        return;
    queue->ended_before = interval == queue->pace_interval + 1 ? queue->ended : 0;
    queue->ended = 0;
    queue->pace_interval = interval;
}

void endpoint_queue_count_ended(struct endpoint_queue *queue)
{
    turn_pace(queue, queue->shard->loop.now_mono_us);
    queue->ended++;
}

bool endpoint_queue_is_slow(struct endpoint_queue *queue, int64_t now_mono_us)
{
    turn_pace(queue, now_mono_us);
    unsigned pace = queue->ended > queue->ended_before ? queue->ended : queue->ended_before;
    return flow_is_open(queue) || queue->off.deliveries ||
           queue->queued + queue->in_flight > pace * SLOW_INTERVALS;
}
