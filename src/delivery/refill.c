/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes back from the journal: retries that are due, and what had no room. At most one load
 * per queue is under way; its answer may hold deliveries that are in memory already (they were
 * recorded, or handed over, while it was on its way): those are dropped.
 *
 * Cursors keep a load from reading again what is in memory: pending ones by id, waiting ones by
 * (due, id). Both only move forward while due times do, which shard_wall_us sees to.
 */
#include "delivery/delivery_internal.h"

#include "base/clock.h"
#include "runtime/log.h"

#define LOAD_COUNT_MAX 256
#define LOAD_BUDGET_SHARE_PERCENT 90 /* the rest is for what partners post now */
#define LOAD_AGAIN_US (200 * US_PER_MS)
#define RELEASE_COUNT_MAX 512
#define RELEASE_AGAIN_US US_PER_SECOND

/* How many to ask for; 0 while a load is not worth its transaction yet. */
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
    timer_arm(&queue->shard->loop, &queue->due_timer, delay_us);
}

static void on_release_timer(struct timer *timer)
{
    refill_release(CONTAINER_OF(timer, struct endpoint_queue, release_timer));
}

static void on_due(struct timer *timer)
{
    struct endpoint_queue *queue = CONTAINER_OF(timer, struct endpoint_queue, due_timer);
    refill_queue(queue);
}

void refill_leave_in_journal(struct endpoint_queue *queue, int64_t id)
{
    if (!queue->pending_in_journal || queue->pending_after_id >= id)
        queue->pending_after_id = id - 1;
    if (queue->left_after_id >= id)
        queue->left_after_id = id - 1;
    queue->pending_in_journal = true;
}

void refill_expect_pending(struct delivery_shard *shard, uint64_t endpoint, int64_t delivery)
{
    struct endpoint_queue *queue = endpoint_queue_get(shard, endpoint);
    refill_leave_in_journal(queue, delivery);
    refill_queue(queue);
}

void refill_init_queue(struct endpoint_queue *queue)
{
    queue->next_due_us = INT64_MAX;
    queue->left_after_id = INT64_MAX;
    queue->late_due_us = INT64_MAX;
    timer_init(&queue->due_timer, on_due);
    timer_init(&queue->release_timer, on_release_timer);
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
            queue->pending_after_id = delivery->id;
        } else {
            queue->waiting_after_due_us = delivery->due_us;
            queue->waiting_after_id = delivery->id;
        }
    }
}

static void on_loaded(struct request *request, void *receiver)
{
    struct endpoint_queue *queue = CONTAINER_OF(request, struct endpoint_queue, load.request);
    queue->loading = false;
    bool complete = request->result == OK;
    if (complete)
        take_loaded(queue, &queue->load);
    bool brought_something = queue->load.ret_count > 0;
    free(TAKE(queue->load.ret_deliveries));
    if (queue->left_after_id < queue->pending_after_id)
        queue->pending_after_id = queue->left_after_id;
    if (queue->late_due_us !=
        INT64_MAX) { /* the load began behind it, and has moved the cursor on */
        queue->waiting_after_due_us = INT64_MIN;
        queue->waiting_after_id = 0;
    }

    if (!complete || (queue->load.ret_more && !brought_something)) {
        look_again_after(queue, LOAD_AGAIN_US); /* the disk refused, or the budget is used up */
    } else {
        if (!queue->load.ret_more) {
            /* What had no room since the load was sent off may have been committed behind its back.
             * */
            if (queue->load.after_pending_id != INT64_MAX)
                queue->pending_in_journal = queue->left_after_id != INT64_MAX;
            queue->next_due_us = queue->load.ret_next_due_us;
            if (queue->late_due_us < queue->next_due_us)
                queue->next_due_us = queue->late_due_us;
        }
        refill_queue(queue);
    }
}

/* Pending ones come before waiting ones in an answer: while both lie there, every second load asks
 * for the waiting only. */
static bool load(struct endpoint_queue *queue, unsigned room)
{
    struct journal_load *request = &queue->load;
    struct delivery *deliveries = malloc(room * sizeof *deliveries);
    if (!deliveries)
        return false;
    int64_t now_us = shard_wall_us(queue->shard);
    int64_t bytes_left = endpoint_queue_bytes_left(queue);
    bool due = queue->next_due_us <= now_us;
    bool ask_pending = queue->pending_in_journal && !(due && queue->retries_turn);
    queue->retries_turn = ask_pending;
    *request = (struct journal_load){
        .endpoint = queue->endpoint,
        .after_pending_id = ask_pending ? queue->pending_after_id : INT64_MAX,
        .after_waiting_due_us = queue->waiting_after_due_us,
        .after_waiting_id = queue->waiting_after_id,
        .due_by_us = due ? now_us : INT64_MIN,
        .count_max = room,
        /* One event fits at least, or the load would never advance. */
        .bytes_max = bytes_left > EVENT_BYTES_MAX ? bytes_left : EVENT_BYTES_MAX,
        .budget = queue->shard->taker.budget,
        .budget_share_percent = LOAD_BUDGET_SHARE_PERCENT,
        .ret_deliveries = deliveries,
    };
    queue->loading = true;
    queue->left_after_id = INT64_MAX;
    queue->late_due_us = INT64_MAX;
    shard_ask(queue->shard, &request->request, JOURNAL_LOAD, on_loaded);
    return true;
}

void refill_queue(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    if (queue->loading || shard->taker.stopping || !shard->scanned || shard->policy.paused)
        return;
    int64_t now_us = shard_wall_us(shard);
    bool due = queue->next_due_us <= now_us;
    if (!queue->pending_in_journal && !due) {
        if (queue->next_due_us != INT64_MAX)
            look_again_after(queue, queue->next_due_us - now_us);
        return;
    }
    unsigned room = room_for_backlog(queue);
    if (room == 0 || endpoint_queue_bytes_left(queue) == 0)
        return; /* the next ended job looks again */
    if (!load(queue, room))
        look_again_after(queue, LOAD_AGAIN_US);
}

static void submit_release(struct endpoint_queue *queue, enum park_reason reason);

static void on_released(struct request *request, void *receiver)
{
    struct endpoint_queue *queue = CONTAINER_OF(request, struct endpoint_queue, release.request);
    struct delivery_shard *shard = receiver;
    queue->releasing = false;
    const struct journal_release *release = &queue->release;
    if (request->result != OK) {
        log_error("parked deliveries could not be released; again in a second shard=%u error=%s",
            shard->taker.shard, err_name(request->result));
        timer_arm(&shard->loop, &queue->release_timer, RELEASE_AGAIN_US);
    } else {
        if (release->ret_count > 0)
            refill_leave_in_journal(
                queue, 1); /* they may be older than everything that was loaded */
        if (release->ret_count == release->count_max)
            submit_release(queue, release->reason);
        else if (release->reason == PARK_DISABLED)
            submit_release(queue, PARK_GONE);
        else if (queue->release_again)
            submit_release(queue, PARK_DISABLED);
    }
    refill_queue(queue);
}

static void submit_release(struct endpoint_queue *queue, enum park_reason reason)
{
    if (queue->shard->taker.stopping)
        return;
    if (reason == PARK_DISABLED)
        queue->release_again = false;
    queue->release = (struct journal_release){
        .endpoint = queue->endpoint,
        .reason = reason,
        .count_max = RELEASE_COUNT_MAX,
    };
    queue->releasing = true;
    shard_ask(queue->shard, &queue->release.request, JOURNAL_RELEASE, on_released);
}

void refill_release(struct endpoint_queue *queue)
{
    const struct endpoint *endpoint =
        directory_endpoint(queue->shard->taker.directory, queue->endpoint);
    if (!endpoint || !endpoint->enabled || queue->disabling > 0)
        return;
    if (queue->releasing)
        queue->release_again = true; /* the endpoint changed once more meanwhile */
    else
        submit_release(queue, PARK_DISABLED);
}
