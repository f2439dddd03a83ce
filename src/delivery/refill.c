/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refill: loads deliveries of one endpoint from the journal into memory. There are five parts,
 * which take turns while they have something:
 *
 *   recent      pending deliveries that were accepted shortly before the endpoint recovered. They
 *               go to the fresh lane: a backlog of hours must not delay the events of this minute
 *   unsent      pending deliveries that had no room in memory when they were accepted
 *   replays     pending deliveries that an operator sends again
 *   recovered   waiting ones that failed because of the endpoint, before it recovered. They are due
 *               whatever their due time says, once for each recovery, the oldest first
 *   due         waiting ones whose time has come
 *
 * Each queue has at most one load in flight. The journal answers requests in order, but handovers
 * and outcomes are committed while a load is in flight, so the answer may be older than what the
 * queue knows. Cursors and marks make this safe:
 *
 *   after_id (of recent, unsent, replays and recovered)
 *      The deliveries up to this number have been loaded, or are in memory. The next load asks for
 *      later ones. When another one is to be loaded, the cursor moves back before it (leave).
 *   left_after_id (of the same)
 *      The same, for what was committed while a load was in flight. The answer of that load may not
 *      contain it, and moves after_id past it. So the cursor moves back to this mark when the
 *      answer arrives.
 *   recovered_us
 *      The recovery mark: the wall time of the last recovery. It makes due what began to wait
 *      before it, without changing a row. An outcome may be committed after the mark and have
 *      begun to wait before it. Then the cursor moves back (refill_expect_waiting).
 *   waiting_after_due_us, waiting_after_id
 *      The waiting deliveries up to this (due time, id) have been loaded. Due times only grow,
 *      because they are made from a clock that is never set back (shard_wall_us), so the cursor
 *      only moves forward. The exception is an outcome that is committed late, because the disk had
 *      refused it: then the cursor starts from the beginning.
 *   late_due_us
 *      The same, for an outcome that was committed while a load was in flight.
 *
 * An answer may contain deliveries that are in memory. A job keeps its id in shard->jobs until its
 * outcome is committed, so they are recognized and dropped. That is why nothing is sent twice, and
 * why a delivery may be both recovered and due.
 *
 * Limits: 256 deliveries for each load, half of active_per_endpoint in each of the other lanes, and
 * the bytes that the endpoint may have in memory. Nothing is loaded while the breaker is not
 * closed, and nothing that an operator has switched off. A load that fails, or finds the byte
 * budget used up, is tried again after 200 ms.
 */
#include "delivery/refill.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "delivery/endpoint_queue.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/shard.h"
#include "delivery/switches.h"
#include "runtime/log.h"

#define LOAD_COUNT_MAX 256
#define LOAD_BUDGET_SHARE_PERCENT \
    90 /* of the byte budget; the rest is for events that partners post */
#define LOAD_AGAIN_US (200 * US_PER_MS)
#define LOAD_PASSED_US (20 * US_PER_MS) /* after a load that has only passed deliveries over */
#define LOAD_FAILED_US US_PER_SECOND
#define RECENT_US (5 * US_PER_SECOND) /* recent: what this interval and the one before it left */
#define RELEASE_COUNT_MAX 512
#define RELEASE_AGAIN_US US_PER_SECOND

enum refill_part {
    REFILL_RECENT,
    REFILL_UNSENT,
    REFILL_RECOVERED,
    REFILL_DUE,
    REFILL_REPLAYS,
    REFILL_PARTS
};

static enum queue_lane lane_of(unsigned part)
{
    static const enum queue_lane lanes[REFILL_PARTS] = {[REFILL_RECENT] = QUEUE_FRESH,
        [REFILL_UNSENT] = QUEUE_UNSENT,
        [REFILL_RECOVERED] = QUEUE_RETRY,
        [REFILL_DUE] = QUEUE_RETRY,
        [REFILL_REPLAYS] = QUEUE_REPLAY};
    return lanes[part];
}

/* Returns how many to ask for; 0 while a load would bring too few to be worth a transaction. Each
 * lane has a room of its own: the retry budget may hold its lane back for long. */
static unsigned room_for(const struct endpoint_queue *queue, unsigned part)
{
    unsigned max = queue->shard->policy.active_per_endpoint / 2 + 1;
    unsigned queued = queue->queued_in[lane_of(part)];
    unsigned room = queued < max ? max - queued : 0;
    if (flow_is_open(queue) || (queued > 0 && room < max / 4))
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
    refill_queue(CONTAINER_OF(timer, struct endpoint_queue, refill.due_timer));
}

/* A delivery with this number is to be loaded. */
static void leave(struct refill_cursor *cursor, int64_t id)
{
    if (!cursor->has_some || cursor->after_id >= id)
        cursor->after_id = id - 1;
    if (cursor->left_after_id >= id)
        cursor->left_after_id = id - 1;
    cursor->has_some = true;
}

void refill_leave_in_journal(struct endpoint_queue *queue, int64_t delivery)
{
    leave(&queue->refill.unsent, delivery);
}

void refill_leave_replay_in_journal(struct endpoint_queue *queue, int64_t delivery)
{
    leave(&queue->refill.replays, delivery);
}

void refill_expect_pending(struct endpoint_queue *queue, int64_t delivery)
{
    refill_leave_in_journal(queue, delivery);
    refill_queue(queue);
}

void refill_expect_replay(struct endpoint_queue *queue, int64_t delivery)
{
    refill_leave_replay_in_journal(queue, delivery);
    refill_queue(queue);
}

void refill_expect_due(struct endpoint_queue *queue, int64_t due_us)
{
    struct refill *refill = &queue->refill;
    if (due_us < refill->next_due_us)
        refill->next_due_us = due_us;
    if (due_us > refill->waiting_after_due_us)
        return;
    /* Committed late: the cursor has passed it and starts again. */
    refill->waiting_after_due_us = INT64_MIN;
    refill->waiting_after_id = 0;
    if (due_us < refill->late_due_us)
        refill->late_due_us = due_us;
}

void refill_expect_waiting(struct endpoint_queue *queue, const struct journal_record *record)
{
    struct refill *refill = &queue->refill;
    refill_expect_due(queue, record->due_us);
    if (record->wait_cause == WAIT_ENDPOINT &&
        delivery_wait_began_us(record->due_us, record->wait_us) <= refill->recovered_us)
        leave(&refill->recovered, record->delivery);
    refill_queue(queue);
}

void refill_expect_again(struct endpoint_queue *queue, int64_t delivery)
{
    refill_expect_due(queue, INT64_MIN);
    leave(&queue->refill.recovered, delivery);
    refill_queue(queue);
}

static void leave_job(const struct job *job)
{
    struct endpoint_queue *queue = job->queue;
    const struct delivery *delivery = &job->delivery;
    struct refill *refill = &queue->refill;
    if (delivery->state == DELIVERY_WAITING) {
        refill_expect_due(queue, delivery->due_us);
        if (delivery->wait_cause == WAIT_ENDPOINT &&
            delivery_wait_began_us(delivery->due_us, delivery->wait_us) <= refill->recovered_us)
            leave(&refill->recovered, delivery->id);
    } else if (delivery->lane == LANE_REPLAY) { /* a probe may have made a job of it */
        leave(&refill->replays, delivery->id);
    } else {
        leave(&refill->unsent, delivery->id);
    }
}

/* Keeps the first delivery that each of two intervals left in the journal. */
static void turn_recent(struct refill *refill, int64_t now_mono_us)
{
    int64_t interval = now_mono_us / RECENT_US;
    if (interval == refill->recent_interval)
        return;
    refill->recent_before_id =
        interval == refill->recent_interval + 1 ? refill->recent_present_id : 0;
    refill->recent_present_id = 0;
    refill->recent_interval = interval;
}

static void note_left(struct endpoint_queue *queue, int64_t delivery)
{
    struct refill *refill = &queue->refill;
    turn_recent(refill, queue->shard->loop.now_mono_us);
    if (refill->recent_present_id == 0)
        refill->recent_present_id = delivery;
}

/* What was accepted shortly before goes to the fresh lane. */
static void leave_recent(struct endpoint_queue *queue)
{
    struct refill *refill = &queue->refill;
    turn_recent(refill, queue->shard->loop.now_mono_us);
    int64_t recent_id =
        refill->recent_before_id ? refill->recent_before_id : refill->recent_present_id;
    if (recent_id != 0)
        leave(&refill->recent, recent_id);
}

void refill_recover(struct endpoint_queue *queue)
{
    queue->refill.recovered_us = shard_wall_us(queue->shard);
    leave(&queue->refill.recovered, 1);
    leave_recent(queue);
    refill_queue(queue);
}

void refill_look_at_all(struct endpoint_queue *queue)
{
    struct refill *refill = &queue->refill;
    leave(&refill->unsent, 1);
    leave(&refill->replays, 1);
    if (refill->recovered_us != 0)
        leave(&refill->recovered, 1);
    refill_expect_due(queue, INT64_MIN);
    leave_recent(queue);
}

static void init_cursor(struct refill_cursor *cursor)
{
    *cursor = (struct refill_cursor){.left_after_id = INT64_MAX};
}

void refill_init_queue(struct endpoint_queue *queue)
{
    init_cursor(&queue->refill.recent);
    init_cursor(&queue->refill.unsent);
    init_cursor(&queue->refill.replays);
    init_cursor(&queue->refill.recovered);
    queue->refill.part = REFILL_PARTS - 1; /* the first part is next */
    queue->refill.next_due_us = INT64_MAX;
    queue->refill.late_due_us = INT64_MAX;
    timer_init(&queue->refill.due_timer, on_due);
    timer_init(&queue->refill.release_timer, on_release_timer);
}

/* Turns what the load brought into jobs. */
static void take_loaded(struct endpoint_queue *queue, const struct journal_load *load)
{
    for (unsigned i = 0; i < load->ret_count; i++) {
        const struct delivery *delivery = &load->ret_deliveries[i];
        if (job_find(queue->shard, delivery->id) || shard_decides(queue->shard, delivery->id) ||
            switches_hold(queue, delivery))
            event_unref(delivery->event);
        else
            job_new(queue, delivery, lane_of(queue->refill.part));
    }
}

/* Moves a cursor past what the load has brought, and back to what was left meanwhile. */
static void end_load_of_cursor(struct refill_cursor *cursor, int64_t after_id, bool more)
{
    if (after_id > cursor->after_id)
        cursor->after_id = after_id;
    if (cursor->left_after_id < cursor->after_id)
        cursor->after_id = cursor->left_after_id;
    cursor->has_some = more || cursor->left_after_id != INT64_MAX;
}

static void end_load_of_due(struct refill *refill)
{
    const struct journal_load *load = &refill->load;
    if (load->without) {
        refill->waiting_after_due_us = load->ret_after_waiting_due_us;
        refill->waiting_after_id = load->ret_after_waiting_id;
    } else if (load->ret_count > 0) {
        const struct delivery *last = &load->ret_deliveries[load->ret_count - 1];
        refill->waiting_after_due_us = last->due_us;
        refill->waiting_after_id = last->id;
    }
    if (!load->ret_more)
        refill->next_due_us = load->ret_next_due_us;
    if (refill->late_due_us != INT64_MAX) { /* the load has moved the cursor past it */
        refill->waiting_after_due_us = INT64_MIN;
        refill->waiting_after_id = 0;
        if (refill->late_due_us < refill->next_due_us)
            refill->next_due_us = refill->late_due_us;
    }
}

static void move_cursors(struct refill *refill)
{
    const struct journal_load *load = &refill->load;
    int64_t last_id = load->ret_count > 0 ? load->ret_deliveries[load->ret_count - 1].id : 0;
    if (load->without && load->ret_after_pending_id > last_id)
        last_id = load->ret_after_pending_id;
    switch (refill->part) {
    case REFILL_RECENT:
        end_load_of_cursor(&refill->recent, last_id, load->ret_more);
        break;
    case REFILL_UNSENT:
        end_load_of_cursor(&refill->unsent, last_id, load->ret_more);
        break;
    case REFILL_REPLAYS:
        end_load_of_cursor(&refill->replays, last_id, load->ret_more);
        break;
    case REFILL_RECOVERED:
        end_load_of_cursor(&refill->recovered, load->ret_after_recovered_id, load->ret_more);
        break;
    default:
        end_load_of_due(refill);
    }
}

/* Returns whether the load has moved a cursor without bringing anything. */
static bool has_passed_over(const struct refill *refill)
{
    const struct journal_load *load = &refill->load;
    switch (refill->part) {
    case REFILL_RECOVERED:
        return load->ret_after_recovered_id > load->after_recovered_id;
    case REFILL_DUE:
        return load->without && (load->ret_after_waiting_id != load->after_waiting_id ||
                                    load->ret_after_waiting_due_us != load->after_waiting_due_us);
    default:
        return load->without && load->ret_after_pending_id > load->after_pending_id;
    }
}

static void on_loaded(struct request *request, void *receiver)
{
    struct endpoint_queue *queue =
        CONTAINER_OF(request, struct endpoint_queue, refill.load.request);
    struct refill *refill = &queue->refill;
    const struct journal_load *load = &refill->load;
    refill->loading = false;
    bool complete = request->result == OK, brought = load->ret_count > 0;
    bool advanced = brought || (complete && has_passed_over(refill));
    if (complete) {
        take_loaded(queue, load);
        move_cursors(refill);
    }
    free(TAKE(refill->load.ret_deliveries));
    if (!complete && !queue->shard->taker.stopping)
        shard_log_refused(queue->shard, "deliveries could not be loaded", request->result);
    if (!complete)
        look_again_after(queue, LOAD_FAILED_US);
    else if (load->ret_more && !advanced)
        look_again_after(queue, LOAD_AGAIN_US); /* the budget is used up */
    else if (load->ret_more && !brought && load->without)
        look_again_after(queue, LOAD_PASSED_US); /* the journal has other work */
    else
        refill_queue(queue);
}

static void load(struct endpoint_queue *queue, enum refill_part part, unsigned room)
{
    struct refill *refill = &queue->refill;
    struct journal_load *request = &refill->load;
    int64_t bytes_left = endpoint_queue_bytes_left(queue);
    refill->part = part;
    *request = (struct journal_load){
        .endpoint = queue->endpoint,
        .without = switches_hold_classes(queue),
        .pending_lanes = part == REFILL_REPLAYS ? PENDING_REPLAY : PENDING_FRESH_AND_RETRY,
        .after_pending_id = part == REFILL_RECENT    ? refill->recent.after_id
                            : part == REFILL_UNSENT  ? refill->unsent.after_id
                            : part == REFILL_REPLAYS ? refill->replays.after_id
                                                     : INT64_MAX,
        .recovered_us = part == REFILL_RECOVERED ? refill->recovered_us : 0,
        .after_recovered_id = refill->recovered.after_id,
        .after_waiting_due_us = refill->waiting_after_due_us,
        .after_waiting_id = refill->waiting_after_id,
        .due_by_us = part == REFILL_DUE ? shard_wall_us(queue->shard) : INT64_MIN,
        .count_max = room,
        /* Room for one event at least, or the load would never advance. */
        .bytes_max = bytes_left > EVENT_BYTES_MAX ? bytes_left : EVENT_BYTES_MAX,
        .budget = queue->shard->taker.budget,
        .budget_share_percent = LOAD_BUDGET_SHARE_PERCENT,
        .ret_deliveries = memory_new_raw(room * sizeof *request->ret_deliveries),
    };
    refill->loading = true;
    refill->recent.left_after_id = INT64_MAX;
    refill->unsent.left_after_id = INT64_MAX;
    refill->replays.left_after_id = INT64_MAX;
    refill->recovered.left_after_id = INT64_MAX;
    refill->late_due_us = INT64_MAX;
    shard_ask(queue->shard, &request->request, JOURNAL_LOAD, on_loaded);
}

static bool has_some(const struct endpoint_queue *queue, enum refill_part part, int64_t now_us)
{
    const struct refill *refill = &queue->refill;
    if (queue->off.retries && lane_of(part) == QUEUE_RETRY)
        return false;
    switch (part) {
    case REFILL_RECENT:
        return refill->recent.has_some;
    case REFILL_UNSENT:
        return refill->unsent.has_some;
    case REFILL_REPLAYS:
        return refill->replays.has_some;
    case REFILL_RECOVERED:
        return refill->recovered.has_some;
    default:
        return refill->next_due_us <= now_us;
    }
}

void refill_queue(struct endpoint_queue *queue)
{
    struct delivery_shard *shard = queue->shard;
    struct refill *refill = &queue->refill;
    if (refill->loading || shard->taker.stopping || !shard->scanned || queue->off.deliveries)
        return;
    int64_t now_us = shard_wall_us(shard);
    for (unsigned i = 1; i <= REFILL_PARTS; i++) {
        enum refill_part part = (refill->part + i) % REFILL_PARTS;
        unsigned room = has_some(queue, part, now_us) ? room_for(queue, part) : 0;
        if (room == 0)
            continue; /* the next job that ends calls this again */
        if (endpoint_queue_bytes_left(queue) > 0)
            load(queue, part, room);
        return;
    }
    if (refill->next_due_us > now_us && refill->next_due_us != INT64_MAX)
        look_again_after(queue, refill->next_due_us - now_us);
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
        shard_log_refused(shard, "parked deliveries could not be released", request->result);
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

void refill_release_later(struct endpoint_queue *queue)
{
    if (!queue->refill.releasing)
        timer_arm(&queue->shard->loop, &queue->refill.release_timer, RELEASE_AGAIN_US);
}

void refill_take_handover(struct endpoint_queue *queue, const struct delivery *delivery)
{
    /* The broker has delivered it before, and the source has adopted it. */
    if (job_find(queue->shard, delivery->id)) {
        event_unref(delivery->event);
        return;
    }
    if (endpoint_queue_has_room(queue, delivery)) {
        job_new(queue, delivery, QUEUE_FRESH); /* takes over the reference to the event */
        failpoint_crash(CRASH_JOB_MADE);
        return;
    }
    note_left(queue, delivery->id);
    if (!switches_hold(queue, delivery)) { /* else it is found when the switch is on again */
        refill_leave_in_journal(queue, delivery->id);
        refill_queue(queue);
    }
    event_unref(delivery->event);
}

void refill_unload_job(struct job *job)
{
    leave_job(job);
    job_free(job);
}

void refill_unload(struct endpoint_queue *queue)
{
    for (unsigned lane = 0; lane < QUEUE_LANES; lane++)
        for (unsigned i = 0; i < EVENT_CLASSES; i++)
            list_for_each_safe (node, next, &queue->lanes[lane][i]) {
                struct job *job = CONTAINER_OF(node, struct job, in_lane);
                if (!job->sourced.event) /* otherwise only the broker has it */
                    refill_unload_job(job);
            }
    shard_touch(queue);
}

void refill_done(struct endpoint_queue *queue)
{
    timer_disarm(&queue->shard->loop, &queue->refill.due_timer);
    timer_disarm(&queue->shard->loop, &queue->refill.release_timer);
}
