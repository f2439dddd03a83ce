/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refill: loads deliveries of one endpoint from the journal into the backlog lane. These are
 * retries that are due, and pending deliveries that had no room in memory when they were accepted.
 *
 * Each queue has at most one load in flight. The journal answers requests in order, but handovers
 * and outcomes are committed while a load is in flight, so the answer may be older than what the
 * queue knows. Two cursors and two marks make this safe:
 *
 *   pending_after_id
 *      The pending deliveries up to this number have been loaded, or are in memory. The next load
 *      asks for later ones. When a new delivery has no room and stays in the journal, the cursor
 *      moves back before it (refill_leave_in_journal).
 *   left_after_id
 *      The same, for what was left in the journal while a load was in flight. The answer of that
 *      load may not contain it, and moves pending_after_id past it. So the cursor moves back to
 *      this mark when the answer arrives.
 *   waiting_after_due_us, waiting_after_id
 *      The waiting deliveries up to this (due time, id) have been loaded. Due times only grow,
 *      because they are made from a clock that is never set back (shard_wall_us), so the cursor
 *      only moves forward. The exception is an outcome that the disk refused: it is committed later
 *      with its old due time. Then the cursor starts from the beginning (endpoint_queue_expect).
 *   late_due_us
 *      The same, for an outcome that was committed while a load was in flight.
 *
 * An answer may contain deliveries that are in memory. A job keeps its id in shard->jobs until its
 * outcome is committed, so they are recognized and dropped. That is why nothing is sent twice.
 *
 * While there are pending and waiting deliveries in the journal, every second load asks for waiting
 * ones only. Otherwise a long backlog would hold the retries back.
 *
 * Limits: 256 deliveries for each load, half of active_per_endpoint in the backlog lane, and the
 * bytes that the endpoint may have in memory. A load that fails, or finds the byte budget used up,
 * is tried again after 200 ms.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/log.h"

#define LOAD_COUNT_MAX 256
#define LOAD_BUDGET_SHARE_PERCENT \
    90 /* of the byte budget; the rest is for events that partners post */
#define LOAD_AGAIN_US (200 * US_PER_MS)
#define RELEASE_COUNT_MAX 512
#define RELEASE_AGAIN_US US_PER_SECOND

/* Returns how many to ask for; 0 while a load would bring too few to be worth a transaction. */
static unsigned room_for_backlog(const struct endpoint_queue *queue)
{
    unsigned max = queue->shard->policy.active_per_endpoint / 2 + 1;
    unsigned room = queue->backlog_count < max ? max - queue->backlog_count : 0;
    if (queue->backlog_count > 0 && room < max / 4)
        return 0;
    return room < LOAD_COUNT_MAX ? room : LOAD_COUNT_MAX;
}

static void look_again_after(struct endpoint_queue *queue, int64_t delay_us)
{
    timer_arm(&queue->shard->loop, &queue->refill.due_timer, delay_us);
}

static void on_release_timer(struct timer *timer)
{
    refill_release(CONTAINER_OF(timer, struct endpoint_queue, refill.release_timer));
}

static void on_due(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, refill.due_timer);
    refill_queue(queue);
}

void refill_leave_in_journal(struct endpoint_queue *queue, int64_t id)
{
    if (!queue->refill.has_pending || queue->refill.pending_after_id >= id)
        queue->refill.pending_after_id = id - 1;
    if (queue->refill.left_after_id >= id)
        queue->refill.left_after_id = id - 1;
    queue->refill.has_pending = true;
}

void refill_expect_pending(struct delivery_shard *shard, uint64_t endpoint, int64_t delivery)
{
    struct endpoint_queue *queue = endpoint_queue_get(shard, endpoint);
    refill_leave_in_journal(queue, delivery);
    refill_queue(queue);
}

void refill_init_queue(struct endpoint_queue *queue)
{
    queue->refill.next_due_us = INT64_MAX;
    queue->refill.left_after_id = INT64_MAX;
    queue->refill.late_due_us = INT64_MAX;
    timer_init(&queue->refill.due_timer, on_due);
    timer_init(&queue->refill.release_timer, on_release_timer);
}

/* Turns what the load brought into jobs, and moves the cursors. */
static void take_loaded(struct endpoint_queue *queue, const struct journal_load *load)
{
    for (unsigned i = 0; i < load->ret_count; i++) {
        const struct delivery *delivery = &load->ret_deliveries[i];
        if (job_find(queue->shard, delivery->id))
            event_unref(delivery->event);
        else
            job_new(queue, delivery, JOB_BACKLOG);
        if (delivery->state == DELIVERY_PENDING) {
            queue->refill.pending_after_id = delivery->id;
        } else {
            queue->refill.waiting_after_due_us = delivery->due_us;
            queue->refill.waiting_after_id = delivery->id;
        }
    }
}

static void on_loaded(struct request *request, void *receiver)
{
    struct endpoint_queue *queue =
        CONTAINER_OF(request, struct endpoint_queue, refill.load.request);
    queue->refill.loading = false;
    bool complete = request->result == OK;
    if (complete)
        take_loaded(queue, &queue->refill.load);
    bool brought_something = queue->refill.load.ret_count > 0;
    free(TAKE(queue->refill.load.ret_deliveries));
    if (queue->refill.left_after_id < queue->refill.pending_after_id)
        queue->refill.pending_after_id = queue->refill.left_after_id;
    if (queue->refill.late_due_us != INT64_MAX) { /* the load has moved the cursor past it */
        queue->refill.waiting_after_due_us = INT64_MIN;
        queue->refill.waiting_after_id = 0;
    }

    if (!complete || (queue->refill.load.ret_more && !brought_something)) {
        look_again_after(queue, LOAD_AGAIN_US); /* the load failed, or the budget is used up */
    } else {
        if (!queue->refill.load.ret_more) {
            /* What had no room after the load was sent may be committed after it. */
            if (queue->refill.load.after_pending_id != INT64_MAX)
                queue->refill.has_pending = queue->refill.left_after_id != INT64_MAX;
            queue->refill.next_due_us = queue->refill.load.ret_next_due_us;
            if (queue->refill.late_due_us < queue->refill.next_due_us)
                queue->refill.next_due_us = queue->refill.late_due_us;
        }
        refill_queue(queue);
    }
}

/* An answer has pending deliveries before waiting ones: while there are both, every second load
 * asks for waiting ones only. */
static void load(struct endpoint_queue *queue, unsigned room)
{
    struct journal_load *request = &queue->refill.load;
    struct delivery *deliveries = memory_new_raw(room * sizeof *deliveries);
    int64_t now_us = shard_wall_us(queue->shard);
    int64_t bytes_left = endpoint_queue_bytes_left(queue);
    bool due = queue->refill.next_due_us <= now_us;
    bool ask_pending = queue->refill.has_pending && !(due && queue->refill.retries_turn);
    queue->refill.retries_turn = ask_pending;
    *request = (struct journal_load){
        .endpoint = queue->endpoint,
        .after_pending_id = ask_pending ? queue->refill.pending_after_id : INT64_MAX,
        .after_waiting_due_us = queue->refill.waiting_after_due_us,
        .after_waiting_id = queue->refill.waiting_after_id,
        .due_by_us = due ? now_us : INT64_MIN,
        .count_max = room,
        /* Room for one event at least, or the load would never advance. */
        .bytes_max = bytes_left > EVENT_BYTES_MAX ? bytes_left : EVENT_BYTES_MAX,
        .budget = queue->shard->taker.budget,
        .budget_share_percent = LOAD_BUDGET_SHARE_PERCENT,
        .ret_deliveries = deliveries,
    };
    queue->refill.loading = true;
    queue->refill.left_after_id = INT64_MAX;
    queue->refill.late_due_us = INT64_MAX;
    shard_ask(queue->shard, &request->request, JOURNAL_LOAD, on_loaded);
}

void refill_queue(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    if (queue->refill.loading || shard->taker.stopping || !shard->scanned || shard->policy.paused)
        return;
    int64_t now_us = shard_wall_us(shard);
    bool due = queue->refill.next_due_us <= now_us;
    if (!queue->refill.has_pending && !due) {
        if (queue->refill.next_due_us != INT64_MAX)
            look_again_after(queue, queue->refill.next_due_us - now_us);
        return;
    }
    unsigned room = room_for_backlog(queue);
    if (room == 0 || endpoint_queue_bytes_left(queue) == 0)
        return; /* the next job that ends calls this again */
    load(queue, room);
}

static void submit_release(struct endpoint_queue *queue, enum park_reason reason);

static void on_released(struct request *request, void *receiver)
{
    struct endpoint_queue *queue =
        CONTAINER_OF(request, struct endpoint_queue, refill.release.request);
    struct delivery_shard *shard = receiver;
    queue->refill.releasing = false;
    const struct journal_release *release = &queue->refill.release;
    if (request->result != OK) {
        log_error(
            "parked deliveries could not be released: tried again in a second shard=%u error=%s",
            shard->taker.shard, err_name(request->result));
        timer_arm(&shard->loop, &queue->refill.release_timer, RELEASE_AGAIN_US);
    } else {
        if (release->ret_count > 0)
            refill_leave_in_journal(queue, 1); /* they may be older than what was loaded */
        if (release->ret_count == release->count_max)
            submit_release(queue, release->reason);
        else if (release->reason == PARK_DISABLED)
            submit_release(queue, PARK_GONE);
        else if (queue->refill.release_again)
            submit_release(queue, PARK_DISABLED);
    }
    refill_queue(queue);
}

static void submit_release(struct endpoint_queue *queue, enum park_reason reason)
{
    if (queue->shard->taker.stopping)
        return;
    if (reason == PARK_DISABLED)
        queue->refill.release_again = false;
    queue->refill.release = (struct journal_release){
        .endpoint = queue->endpoint,
        .reason = reason,
        .count_max = RELEASE_COUNT_MAX,
    };
    queue->refill.releasing = true;
    shard_ask(queue->shard, &queue->refill.release.request, JOURNAL_RELEASE, on_released);
}

void refill_release(struct endpoint_queue *queue)
{
    const struct endpoint *endpoint =
        directory_endpoint(queue->shard->taker.directory, queue->endpoint);
    if (!endpoint || !endpoint->enabled || queue->disabling > 0)
        return;
    if (queue->refill.releasing)
        queue->refill.release_again = true; /* the endpoint has changed again */
    else
        submit_release(queue, PARK_DISABLED);
}
