/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs replays: one operator action on all deliveries that a filter selects (model/replay.h).
 *
 *   find --> look --> move --> look --> move ... --> done
 *            one endpoint after the other, in turn
 *
 * The journal stores how far a replay has come (journal/replays.h). Here is the order of its steps,
 * and what the owner of the deliveries knows: the directory and the jobs in memory. Between look
 * and move, a waiting delivery is taken out of memory and gets no new job (shard->deciding). One
 * that is being sent is stronger than the replay, and is counted as moved on.
 *
 * Pace:
 *   rate       a token bucket lets so many deliveries move each second
 *   lead       an endpoint gets no more while it has REPLAY_LEAD_MAX pending replays. So a cancel
 *              leaves little behind, and an endpoint that is down holds up only itself: the others
 *              have their turns. While it is full, it is looked at more and more seldom
 *   requests   a replay has one request in flight. The replays of a shard look in turn, with rests,
 *              so that the journal's writer has time for other requests
 *   brake      an endpoint that fails gets one replayed delivery at a time (replay_brake.h). Then
 *              it is soon full, and moves no more
 *
 * Bounds: REPLAYS_OPEN_MAX replays of a shard, each with REPLAY_WINDOW endpoints. More endpoints
 * follow when less than WINDOW_LOW of these are at work. If REPLAY_WINDOW endpoints are full at the
 * same time, the rest waits until one of them takes something.
 *
 * Failure: a step that the journal refuses is made again after a second, from the stored cursor.
 */
#include "delivery/replay_run.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/delivery.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/queues.h"
#include "delivery/refill.h"
#include "delivery/shard.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP_AGAIN_US US_PER_SECOND
/* Until a full endpoint is looked at again: twice as long each time. */
#define FULL_REST_US (100 * US_PER_MS)
#define FULL_REST_US_MAX (5 * US_PER_SECOND)
/* Between two looks of a shard: of the time that the first one took. And while one is in flight. */
#define LOOK_REST_FACTOR 3
#define LOOK_TURN_US (5 * US_PER_MS)
/* A walk that selects nothing stores its cursor so often. */
#define STORE_US US_PER_SECOND
/* Of the rate: what may be moved at once. */
#define BURST_US (250 * US_PER_MS)
#define WINDOW_LOW (REPLAY_WINDOW / 2) /* with fewer endpoints, more are looked for */

static int64_t now_of(const struct replay_run *run)
{
    return run->shard->loop.now_mono_us;
}

static void on_timer(struct timer *timer)
{
    replay_run_go_on(CONTAINER_OF(timer, struct replay_run, timer));
}

static void rest(struct replay_run *run, int64_t rest_us)
{
    if (!run->shard->taker.stopping)
        timer_arm(&run->shard->loop, &run->timer, rest_us);
}

/* Runs. */

struct replay_run *replay_run_find(struct delivery_shard *shard, const struct event_id *id)
{
    list_for_each (link, &shard->replays.open) {
        struct replay_run *run = CONTAINER_OF(link, struct replay_run, in_open);
        if (memcmp(&run->replay.order.id, id, sizeof *id) == 0)
            return run;
    }
    return NULL;
}

void replay_run_set_rate(struct replay_run *run, unsigned rate)
{
    double own = (double)rate * run->replay.order.share_ppm / REPLAY_SHARE_ALL;
    run->replay.order.rate = rate;
    token_bucket_set(&run->bucket, own, own * BURST_US / US_PER_SECOND, now_of(run));
}

struct replay_run *replay_run_add(struct delivery_shard *shard, const struct replay *replay)
{
    struct replay_run *run;
    MEMORY_NEW(run);
    run->shard = shard;
    run->replay = *replay;
    run->from_start = true;
    timer_init(&run->timer, on_timer);
    token_bucket_init(&run->bucket);
    replay_run_set_rate(run, replay->order.rate);
    list_init(&run->in_open);
    list_add_tail(&shard->replays.open, &run->in_open);
    return run;
}

static void free_run(struct replay_run *run)
{
    timer_disarm(&run->shard->loop, &run->timer);
    list_remove(&run->in_open);
    free(run);
}

static void log_end(const struct replay_run *run)
{
    char id[REPLAY_ID_TEXT_BYTES];
    replay_id_format(&run->replay.order.id, id);
    log_info("a replay has ended: %s shard=%u replay=%s action=%s moved=%lld refused=%lld",
        replay_state_name(run->replay.state), run->shard->taker.shard, id,
        replay_action_name(run->replay.order.action), (long long)run->replay.progress.moved,
        (long long)replay_progress_refused(&run->replay.progress));
    struct operator_event event = {
        .kind = OPERATOR_REPLAY_ENDED, .count = run->replay.progress.moved, .is_logged = true};
    char detail[OPERATOR_DETAIL_BYTES];
    snprintf(event.subject, sizeof event.subject, "%s", id);
    snprintf(event.cause, sizeof event.cause, "%s", replay_state_name(run->replay.state));
    snprintf(detail, sizeof detail, "%s in shard %u: %lld moved, %lld refused",
        replay_action_name(run->replay.order.action), run->shard->taker.shard,
        (long long)run->replay.progress.moved,
        (long long)replay_progress_refused(&run->replay.progress));
    operator_event_set_detail(&event, detail);
    operator_event_post(&run->shard->operator_events, &event);
}

/* The request of a step has been answered. */
static void end_request(struct replay_run *run)
{
    run->busy = false;
    replay_run_go_on(run);
}

/* The journal refused a step, or the replay does not run any more. */
static void end_failed(struct replay_run *run, enum err error)
{
    run->busy = false;
    if (replay_state_is_end(run->replay.state)) {
        replay_run_go_on(run);
        return;
    }
    if (error != ERR_MOVED_ON && !run->shard->taker.stopping)
        shard_log_refused(run->shard, "a step of a replay was not done", error);
    rest(run, STEP_AGAIN_US);
}

/* The end. */

static void on_ended(struct request *request, void *receiver)
{
    struct replay_run *run = CONTAINER_OF(request, struct replay_run, end.request);
    (void)receiver;
    if (request->result == OK)
        run->replay.state = REPLAY_DONE;
    if (request->result == OK || request->result == ERR_MOVED_ON)
        end_request(run);
    else
        end_failed(run, request->result);
}

static void finish(struct replay_run *run)
{
    run->busy = true;
    run->end = (struct journal_replay_change){
        .id = run->replay.order.id, .has_state = true, .state = REPLAY_DONE};
    shard_ask(run->shard, &run->end.request, JOURNAL_REPLAY_CHANGE, on_ended);
}

/* Finding endpoints. */

static void on_found(struct request *request, void *receiver)
{
    struct replay_run *run = CONTAINER_OF(request, struct replay_run, find.request);
    const struct journal_replay_find *find = &run->find;
    (void)receiver;
    if (request->result != OK) {
        end_failed(run, request->result);
        return;
    }
    for (unsigned i = 0; i < find->ret_count; i++)
        run->window[run->window_count++] =
            (struct replay_place){.cursor = find->ret_cursors[i], .stored_us = now_of(run)};
    run->from_start = false;
    run->found_all = find->ret_all;
    end_request(run);
}

/* Delivered ones are in no index: the endpoints of the account are looked at. */
static void give_endpoints(const struct replay_run *run, struct journal_replay_find *find)
{
    const struct replay_order *order = &run->replay.order;
    const struct account *account = order->force && *order->filter.account
                                        ? directory_account(run->shard->taker.directory,
                                              slice_from_string(order->filter.account))
                                        : NULL;
    for (unsigned i = 0; account && i < account->endpoints_count; i++)
        find->given[find->given_count++] = account->endpoints[i];
}

static void find_endpoints(struct replay_run *run)
{
    run->busy = true;
    run->find = (struct journal_replay_find){.id = run->replay.order.id,
        .from_start = run->from_start,
        .count_max = REPLAY_WINDOW - run->window_count};
    give_endpoints(run, &run->find);
    shard_ask(run->shard, &run->find.request, JOURNAL_REPLAY_FIND, on_found);
}

/* Moving. */

static void end_deciding(struct replay_run *run)
{
    for (unsigned i = 0; i < run->move.count; i++) {
        if (run->is_deciding[i])
            id_map_remove(&run->shard->deciding, &run->deciding[i]);
        run->is_deciding[i] = false;
    }
}

/* Says to the queue what became of its deliveries. `is_moved`: the transaction was committed. */
static void tell_queue(struct replay_run *run, bool is_moved)
{
    const struct journal_replay_move *move = &run->move;
    bool retries = run->replay.order.action == REPLAY_ACTION_RETRY;
    struct endpoint_queue *queue = NULL;
    for (unsigned i = 0; i < move->count && move->cursor.endpoint; i++) {
        const struct replay_item *item = &move->items[i];
        bool has_moved = is_moved && item->ret_moved;
        bool is_left = has_moved ? retries : item->state == DELIVERY_WAITING;
        if (is_left && !queue)
            queue = queues_get(run->shard, move->cursor.endpoint);
        if (is_left && has_moved)
            refill_leave_replay_in_journal(queue, item->delivery);
        else if (is_left)
            refill_expect_again(queue, item->delivery);
    }
    if (queue)
        refill_queue(queue);
}

static void remove_place(struct replay_run *run, unsigned at)
{
    run->window[at] = run->window[--run->window_count];
}

static void on_moved(struct request *request, void *receiver)
{
    struct replay_run *run = CONTAINER_OF(request, struct replay_run, move.request);
    bool is_moved = request->result == OK;
    (void)receiver;
    end_deciding(run);
    if (!run->shard->taker.stopping)
        tell_queue(run, is_moved);
    if (!is_moved) {
        end_failed(run, request->result);
        return;
    }
    run->replay.progress = run->move.ret_progress;
    if (run->move.over)
        remove_place(run, run->turn);
    else
        run->window[run->turn++] =
            (struct replay_place){.cursor = run->move.cursor, .stored_us = now_of(run)};
    end_request(run);
}

static void submit_move(struct replay_run *run)
{
    shard_ask(run->shard, &run->move.request, JOURNAL_REPLAY_MOVE, on_moved);
}

/* Why the endpoint of the step cannot take anything. */
static enum replay_refusal judge_endpoint(const struct replay_run *run, uint64_t id)
{
    const struct endpoint *endpoint = directory_endpoint(run->shard->taker.directory, id);
    if (run->replay.order.action != REPLAY_ACTION_RETRY)
        return REPLAY_NOT_REFUSED;
    if (!endpoint)
        return REPLAY_ENDPOINT_GONE;
    return endpoint->enabled ? REPLAY_NOT_REFUSED : REPLAY_ENDPOINT_DISABLED;
}

/* Takes a delivery out of memory until the move has ended. False: it is being sent, or somebody
 * else decides about it. */
static bool take_out(struct replay_run *run, unsigned at)
{
    struct delivery_shard *shard = run->shard;
    int64_t delivery = run->move.items[at].delivery;
    struct job *job = job_find(shard, delivery);
    if (shard_decides(shard, delivery) || (job && job->place != JOB_QUEUED))
        return false;
    if (job) {
        shard_touch(job->queue);
        refill_unload_job(job);
    }
    run->is_deciding[at] = true;
    id_map_add(&shard->deciding, &run->deciding[at], (uint64_t)delivery);
    return true;
}

/* The look has found nothing, and is not at the end. Its cursor need not be stored each time: a
 * crash repeats a walk that has selected nothing. */
static bool walk_on(struct replay_run *run)
{
    struct replay_place *place = &run->window[run->turn];
    if (run->look.ret_count > 0 || run->look.ret_over || now_of(run) - place->stored_us >= STORE_US)
        return false;
    place->cursor = run->look.ret_cursor;
    place->rest_us = 0;
    run->turn++;
    return true;
}

/* Moves what the look has found. */
static void move(struct replay_run *run)
{
    const struct journal_replay_look *look = &run->look;
    struct journal_replay_move *move = &run->move;
    enum replay_refusal refusal = judge_endpoint(run, look->cursor.endpoint);
    unsigned taken = 0;
    *move = (struct journal_replay_move){.id = run->replay.order.id,
        .cursor = look->ret_cursor,
        .over = look->ret_over,
        .count = look->ret_count};
    memcpy(move->items, look->ret_items, look->ret_count * sizeof move->items[0]);
    for (unsigned i = 0; i < move->count; i++) {
        struct replay_item *item = &move->items[i];
        if (item->refusal == REPLAY_NOT_REFUSED)
            item->refusal = refusal;
        if (item->refusal == REPLAY_NOT_REFUSED && !take_out(run, i))
            item->refusal = REPLAY_MOVED_ON;
        taken += item->refusal == REPLAY_NOT_REFUSED;
    }
    token_bucket_take_many(&run->bucket, taken, now_of(run));
    submit_move(run);
}

/* Looking. */

/* The endpoint cannot get more now. */
static void rest_place(struct replay_run *run)
{
    struct replay_place *place = &run->window[run->turn++];
    int64_t rest_us = place->rest_us ? 2 * place->rest_us : FULL_REST_US;
    place->rest_us = rest_us < FULL_REST_US_MAX ? rest_us : FULL_REST_US_MAX;
    place->rests_until_us = now_of(run) + place->rest_us;
}

/* The replays of a shard look one after the other, with pauses: the writer is for other requests as
 * well. */
static bool may_look(struct replay_run *run)
{
    const struct replay_runs *runs = &run->shard->replays;
    int64_t wait_us = runs->looking ? LOOK_TURN_US : runs->look_from_us - now_of(run);
    if (wait_us > 0)
        rest(run, wait_us);
    return wait_us <= 0;
}

static void note_looked(struct replay_run *run)
{
    struct replay_runs *runs = &run->shard->replays;
    runs->looking = false;
    runs->look_from_us = now_of(run) + LOOK_REST_FACTOR * run->look.ret_took_us;
}

static bool is_not_moved(struct replay_run *run)
{
    if (run->replay.state != REPLAY_RUNNING || run->shard->taker.stopping)
        return true;
    if (run->look.ret_is_full) {
        rest_place(run);
        return true;
    }
    return walk_on(run);
}

static void on_looked(struct request *request, void *receiver)
{
    struct replay_run *run = CONTAINER_OF(request, struct replay_run, look.request);
    (void)receiver;
    note_looked(run);
    if (request->result != OK) {
        end_failed(run, request->result);
    } else if (is_not_moved(run)) {
        end_request(run);
    } else {
        move(run);
    }
}

/* The endpoint is another account's: none of its deliveries is selected. */
static bool is_foreign(const struct replay_run *run, uint64_t id)
{
    const struct delivery_filter *filter = &run->replay.order.filter;
    const struct endpoint *endpoint = directory_endpoint(run->shard->taker.directory, id);
    return *filter->account && endpoint && strcmp(endpoint->account, filter->account) != 0;
}

static void look(struct replay_run *run, unsigned count_max)
{
    const struct replay_cursor *cursor = &run->window[run->turn].cursor;
    run->busy = true;
    if (is_foreign(run, cursor->endpoint)) {
        run->move = (struct journal_replay_move){
            .id = run->replay.order.id, .cursor = *cursor, .over = true};
        submit_move(run);
        return;
    }
    run->look.id = run->replay.order.id;
    run->look.replay = run->replay;
    run->look.cursor = *cursor;
    run->look.count_max = count_max;
    run->look.ret_took_us = 0;
    run->shard->replays.looking = true;
    shard_ask(run->shard, &run->look.request, JOURNAL_REPLAY_LOOK, on_looked);
}

/* Sets the turn to the next endpoint that does not rest. Otherwise rests as long as all do. */
static bool take_turn(struct replay_run *run)
{
    int64_t earliest_us = INT64_MAX, now_us = now_of(run);
    for (unsigned i = 0; i < run->window_count; i++) {
        unsigned at = (run->turn + i) % run->window_count;
        if (run->window[at].rests_until_us <= now_us) {
            run->turn = at;
            return true;
        }
        if (run->window[at].rests_until_us < earliest_us)
            earliest_us = run->window[at].rests_until_us;
    }
    rest(run, earliest_us - now_us);
    return false;
}

/* Endpoints that are full may stay so for long, so others are looked for beside them. */
static bool wants_endpoints(const struct replay_run *run)
{
    unsigned at_work = 0;
    if (run->from_start)
        return true;
    for (unsigned i = 0; i < run->window_count; i++)
        at_work += run->window[i].rest_us == 0;
    return !run->found_all && run->window_count < REPLAY_WINDOW && at_work < WINDOW_LOW;
}

void replay_run_go_on(struct replay_run *run)
{
    if (run->busy)
        return;
    if (replay_state_is_end(run->replay.state)) {
        log_end(run);
        free_run(run);
        return;
    }
    if (run->shard->taker.stopping || !run->shard->replays.loaded ||
        run->replay.state != REPLAY_RUNNING)
        return;
    if (wants_endpoints(run)) {
        find_endpoints(run);
        return;
    }
    if (run->window_count == 0) {
        finish(run);
        return;
    }
    double tokens = token_bucket_count(&run->bucket, now_of(run));
    int64_t wait_us = token_bucket_wait_us(&run->bucket, now_of(run));
    if (wait_us > 0)
        rest(run, wait_us > BURST_US / 4 ? wait_us : BURST_US / 4);
    else if (may_look(run) && take_turn(run))
        look(run, tokens < REPLAY_STEP_MAX ? (unsigned)tokens : REPLAY_STEP_MAX);
}

/* The start. */

struct replay_loading {
    struct journal_replay_list list;
    struct replay replays[REPLAYS_OPEN_MAX];
};

static void on_loaded(struct request *request, void *receiver)
{
    struct replay_loading *loading = CONTAINER_OF(request, struct replay_loading, list.request);
    struct delivery_shard *shard = receiver;
    shard->replays.loading = false;
    if (request->result == OK) {
        shard->replays.loaded = true;
        for (unsigned i = 0; i < loading->list.ret_count; i++)
            if (!replay_run_find(shard, &loading->replays[i].order.id))
                (void)replay_run_add(shard, &loading->replays[i]);
        list_for_each_safe (link, next, &shard->replays.open)
            replay_run_go_on(CONTAINER_OF(link, struct replay_run, in_open));
    } else if (!shard->taker.stopping) {
        shard_log_refused(shard, "replays could not be read", request->result);
        timer_arm(&shard->loop, &shard->replays.timer, STEP_AGAIN_US);
    }
    free(loading);
}

void replay_load(struct delivery_shard *shard)
{
    if (shard->replays.loaded || shard->replays.loading || shard->taker.stopping)
        return;
    struct replay_loading *loading;
    MEMORY_NEW(loading);
    loading->list.open_only = true;
    loading->list.count_max = REPLAYS_OPEN_MAX;
    loading->list.ret_replays = loading->replays;
    shard->replays.loading = true;
    shard_ask(shard, &loading->list.request, JOURNAL_REPLAY_LIST, on_loaded);
}

static void on_load_timer(struct timer *timer)
{
    replay_load(CONTAINER_OF(timer, struct delivery_shard, replays.timer));
}

void replay_init(struct delivery_shard *shard)
{
    list_init(&shard->replays.open);
    timer_init(&shard->replays.timer, on_load_timer);
}

void replay_done(struct delivery_shard *shard)
{
    timer_disarm(&shard->loop, &shard->replays.timer);
    list_for_each_safe (link, next, &shard->replays.open) {
        struct replay_run *run = CONTAINER_OF(link, struct replay_run, in_open);
        end_deciding(run);
        free_run(run);
    }
}
