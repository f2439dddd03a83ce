/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_REPLAY_LOOK and JOURNAL_REPLAY_MOVE: one step of a replay within one endpoint.
 *
 * The cursor goes through the states of the endpoint in the order of `places`. Within parked ones
 * it goes from reason to reason, since only within a reason can SQLite seek to a row's number.
 */
#include "journal/replay_steps.h"

#include "base/clock.h"
#include "journal/event_range.h"
#include "journal/replay_rows.h"
#include "journal/store.h"
#include "model/placement.h"

#include <assert.h>
#include <stdio.h>

#define LOOK_US_MAX (5 * US_PER_MS)
#define ROWS_PER_CLOCK 16
#define NOTE_BYTES (ACTION_NOTE_BYTES_MAX + 1)
_Static_assert(REPLAY_REASON_BYTES_MAX + REPLAY_ID_TEXT_BYTES + 3 <= NOTE_BYTES, "it fits");

static const struct event_reading without_body = {.without_body = true};

static const struct {
    enum delivery_state state;
    enum replay_statement statement;
} places[] = {
    {DELIVERY_DEAD, REPLAYS_LOOK_DEAD},
    {DELIVERY_PARKED, REPLAYS_LOOK_PARKED},
    {DELIVERY_WAITING, REPLAYS_LOOK_WAITING},
    {DELIVERY_DELIVERED, REPLAYS_LOOK_DELIVERED},
};
#define PLACES ARRAY_LENGTH(places)

unsigned replay_states_of(const struct replay_order *order)
{
    unsigned possible = replay_states(order->action, order->force);
    return order->filter.states ? order->filter.states & possible : possible;
}

/* Cursors. */

/* Puts the cursor before the first row of an event that the filter may select. Its key is the last
 * such row. */
static enum err enter_delivered(
    struct store *store, const struct delivery_filter *filter, struct replay_cursor *cursor)
{
    int64_t until_us = filter->until_us ? filter->until_us : INT64_MAX;
    int64_t after = 0, last = INT64_MAX;
    enum err result = filter->since_us || filter->until_us
                          ? event_range_find(store->db, filter->since_us, until_us, &after, &last)
                          : OK;
    cursor->id = placement_last_delivery(after);
    cursor->key = last == INT64_MAX ? INT64_MAX : placement_last_delivery(last);
    return result;
}

/* Puts the cursor before the first row of the next place from index `at` on. False: there is
 * none. */
static enum err enter_place(struct store *store, const struct replay_order *order, size_t at,
    struct replay_cursor *cursor, bool *ret_found)
{
    unsigned states = replay_states_of(order);
    while (at < PLACES && !(states & 1u << places[at].state))
        at++;
    *ret_found = at < PLACES;
    if (at == PLACES)
        return OK;
    const enum park_reason reason = order->filter.park_reason;
    cursor->place = places[at].state;
    cursor->key = cursor->place == DELIVERY_PARKED    ? (int64_t)(reason ? reason : PARK_UNROUTED)
                  : cursor->place == DELIVERY_WAITING ? INT64_MIN
                                                      : 0;
    cursor->id = -1;
    return cursor->place == DELIVERY_DELIVERED ? enter_delivered(store, &order->filter, cursor)
                                               : OK;
}

enum err replay_begin_cursor(struct store *store, const struct replay *replay, uint64_t endpoint,
    struct replay_cursor *ret_cursor)
{
    bool found;
    *ret_cursor = (struct replay_cursor){.endpoint = endpoint};
    /* Without a place the first LOOK finds nothing. */
    ret_cursor->place = DELIVERY_STATES;
    return enter_place(store, &replay->order, 0, ret_cursor, &found);
}

static size_t place_of(const struct replay_cursor *cursor)
{
    size_t at = 0;
    while (at < PLACES && places[at].state != cursor->place)
        at++;
    return at;
}

/* Behind the rows of the present place. */
static enum err leave_place(
    struct store *store, const struct replay_order *order, struct journal_replay_look *look)
{
    struct replay_cursor *cursor = &look->ret_cursor;
    if (cursor->place == DELIVERY_PARKED && !order->filter.park_reason &&
        cursor->key < PARK_DOUBTFUL) {
        cursor->key++;
        cursor->id = -1;
        return OK;
    }
    bool found;
    enum err result = enter_place(store, order, place_of(cursor) + 1, cursor, &found);
    look->ret_over = !result && !found;
    return result;
}

/* JOURNAL_REPLAY_LOOK. */

/* A row that the walk has come to. */
struct looked {
    struct delivery_row row;
    bool damaged;
};

static bool row_fits(const struct replay *replay, const struct replay_cursor *cursor,
    const struct looked *looked, int64_t now_us)
{
    const struct delivery_row *row = &looked->row;
    const struct delivery_filter_row parts = {
        .endpoint = row->endpoint, .state = row->state, .reason = row->reason};
    if (row->endpoint != cursor->endpoint || row->state != cursor->place)
        return false;
    if (row->id > replay->last_delivery ||
        (row->changed_us > replay->created_us && row->changed_us <= now_us))
        return false;
    return delivery_filter_matches_row(&replay->order.filter, &parts);
}

/* Whether the filter selects it, and what is known of it. */
static enum err judge(struct store *store, const struct replay *replay, const struct looked *looked,
    bool *ret_fits, enum replay_refusal *ret_refusal)
{
    const struct replay_order *order = &replay->order;
    const struct delivery_row *row = &looked->row;
    struct replay_candidate candidate = {.state = row->state,
        .reason = row->reason,
        .routed = row->endpoint != 0,
        .damaged = looked->damaged || row->reason == PARK_DAMAGED};
    struct event *event = NULL;
    int64_t seq = placement_event(row->id);
    enum err result = event_rows_read(&store->events, seq, &without_body, &event, NULL);
    if (result && result != ERR_DAMAGED && result != ERR_NOT_FOUND)
        return result;
    *ret_fits = event ? delivery_filter_matches_event(&order->filter, &event->parts)
                      : !delivery_filter_asks_for_event(&order->filter);
    candidate.damaged |= !event;
    candidate.guarded = event && event->parts.guarded;
    event_unref(event);
    result = OK;
    if (*ret_fits && order->action == REPLAY_ACTION_RETRY)
        result = event_rows_has_body(&store->events, seq, &candidate.has_body);
    *ret_refusal = replay_judge(order, &candidate);
    return result;
}

/* Adds the row to the candidates, if it is one. */
static enum err offer(
    struct store *store, struct journal_replay_look *look, const struct looked *looked)
{
    struct replay_item *item = &look->ret_items[look->ret_count];
    bool fits, moved = false;
    if (!row_fits(&look->replay, &look->ret_cursor, looked, store->now_us))
        return OK;
    /* It has been moved by somebody: by this replay, if the clock was set back since. */
    if (looked->row.generation > 0) {
        enum err failed = replay_rows_find_move(&store->replays, &look->id, looked->row.id, &moved);
        if (failed || moved)
            return failed;
    }
    *item = (struct replay_item){.delivery = looked->row.id,
        .generation = looked->row.generation,
        .state = looked->row.state};
    enum err result = judge(store, &look->replay, looked, &fits, &item->refusal);
    /* It changed at a time ahead of the clock, which was set back. It is unknown what was first. */
    if (!result && looked->row.changed_us > look->replay.created_us)
        item->refusal = REPLAY_MOVED_ON;
    look->ret_count += !result && fits;
    return result;
}

/* How far a look has come. */
struct look_effort {
    unsigned rows, count_max;
    int64_t until_us; /* monotonic */
};

static bool must_stop(const struct journal_replay_look *look, struct look_effort *effort)
{
    effort->rows++;
    return look->ret_count == effort->count_max || effort->rows >= REPLAY_ROWS_MAX ||
           (effort->rows % ROWS_PER_CLOCK == 0 && clock_mono_us() >= effort->until_us);
}

/* Reads the rows of one place. *ret_end: there are no more. */
static enum err look_in_place(struct store *store, struct journal_replay_look *look,
    struct look_effort *effort, bool *ret_end)
{
    struct replay_cursor *cursor = &look->ret_cursor;
    struct sql_use use = sql_use(store->replays.statements[places[place_of(cursor)].statement]);
    bool there = false, stop = false;
    enum err result = OK;
    sql_bind_int(&use, (int64_t)cursor->endpoint);
    sql_bind_int(&use, cursor->key);
    sql_bind_int(&use, cursor->id);
    while (!result && !stop && !(result = sql_step(&use, &there)) && there) {
        struct looked looked;
        looked.damaged = !delivery_row_take(&use, 0, &looked.row);
        if (cursor->place != DELIVERY_WAITING && looked.row.id > look->replay.last_delivery) {
            there = false; /* so have all behind it */
            break;
        }
        result = offer(store, look, &looked);
        if (result)
            break;
        cursor->id = looked.row.id;
        if (cursor->place == DELIVERY_WAITING)
            cursor->key = looked.row.due_us;
        stop = must_stop(look, effort);
    }
    sql_finish(&use);
    *ret_end = !result && !there;
    return result;
}

/* How many more deliveries the endpoint may get. */
static enum err count_room(
    struct store *store, const struct journal_replay_look *look, unsigned *ret_room)
{
    int64_t lead = 0;
    if (look->replay.order.action != REPLAY_ACTION_RETRY) {
        *ret_room = look->count_max;
        return OK;
    }
    struct sql_use use = sql_use(store->replays.statements[REPLAYS_COUNT_LEAD]);
    sql_bind_int(&use, (int64_t)look->cursor.endpoint);
    sql_bind_int(&use, REPLAY_LEAD_MAX);
    enum err result = sql_execute_int(&use, &lead);
    unsigned room = (unsigned)(REPLAY_LEAD_MAX - lead);
    *ret_room = room < look->count_max ? room : look->count_max;
    return result;
}

enum err store_replay_look(struct store *store, struct request *request)
{
    struct journal_replay_look *look = CONTAINER_OF(request, struct journal_replay_look, request);
    struct look_effort effort = {.until_us = clock_mono_us() + LOOK_US_MAX};
    look->ret_count = 0;
    look->ret_over = look->ret_is_full = false;
    assert(look->count_max > 0 && look->count_max <= REPLAY_STEP_MAX);
    look->ret_cursor = look->cursor;
    enum err result = count_room(store, look, &effort.count_max);
    look->ret_is_full = !result && effort.count_max == 0;
    if (result || look->ret_is_full)
        return result;
    look->ret_over = place_of(&look->ret_cursor) == PLACES;
    while (!result && !look->ret_over) {
        bool end;
        result = look_in_place(store, look, &effort, &end);
        if (!result && end)
            result = leave_place(store, &look->replay.order, look);
        if (!end || must_stop(look, &effort))
            break;
    }
    look->ret_took_us = clock_mono_us() - (effort.until_us - LOOK_US_MAX);
    return result;
}

void store_undo_replay_look(struct request *request)
{
    struct journal_replay_look *look = CONTAINER_OF(request, struct journal_replay_look, request);
    look->ret_count = 0;
    look->ret_over = look->ret_is_full = false;
}

/* JOURNAL_REPLAY_MOVE. */

/* Moves one delivery. What has changed since LOOK stays as it is. */
static enum err move_item(struct store *store, const struct replay_order *order, const char *note,
    struct replay_item *item)
{
    struct delivery_row row;
    enum err result = delivery_rows_read(&store->deliveries, item->delivery, &row);
    if (result == ERR_DAMAGED && order->action != REPLAY_ACTION_RETRY)
        result = ERR_NOT_FOUND; /* a person decides about it */
    if (result == ERR_NOT_FOUND || result == ERR_DAMAGED) {
        item->refusal = REPLAY_DAMAGED;
        return OK;
    }
    if (result)
        return result;
    if (row.state != item->state || row.generation != item->generation) {
        item->refusal = REPLAY_MOVED_ON;
        return OK;
    }
    const struct delivery_row before = row;
    const struct delivery_move move = {.to = replay_target(order->action), .lane = LANE_REPLAY};
    result = delivery_rows_move_row(&store->deliveries, &row, &move, store->now_us);
    if (!result)
        result = delivery_rows_add_action(&store->deliveries, &before, &row, ACTION_BY_OPERATOR,
            slice_from_string(note), store->now_us);
    item->ret_moved = !result;
    return result == ERR_DAMAGED ? ERR_DISK : result;
}

static enum err move_items(
    struct store *store, struct replay *replay, struct journal_replay_move *move)
{
    char mark[REPLAY_MARK_BYTES], note[NOTE_BYTES];
    enum err result = OK;
    replay_mark_format(&move->id, mark);
    snprintf(note, sizeof note, "%s %s", replay->order.reason, mark);
    for (unsigned i = 0; i < move->count && !result; i++) {
        struct replay_item *item = &move->items[i];
        item->ret_moved = false;
        if (item->refusal == REPLAY_NOT_REFUSED)
            result = move_item(store, &replay->order, note, item);
        if (item->ret_moved)
            replay->progress.moved++;
        else
            replay->progress.refused[item->refusal]++;
    }
    return result;
}

enum err store_replay_move(struct store *store, struct request *request)
{
    struct journal_replay_move *move = CONTAINER_OF(request, struct journal_replay_move, request);
    struct replay_row row;
    if (!store_admits(store, CLASS_CRITICAL)) { /* the reserve is for the outcomes of attempts */
        request->result = ERR_DISK_FULL;
        return OK;
    }
    enum err result = replay_rows_read(&store->replays, &move->id, &row);
    if (!result && row.replay.state != REPLAY_RUNNING)
        result = ERR_MOVED_ON;
    if (result)
        return store_end_request(request, result);
    result = move_items(store, &row.replay, move);
    if (!result)
        result = replay_rows_write(&store->replays, &row);
    if (!result)
        result = move->over
                     ? replay_rows_drop_cursor(&store->replays, &move->id, move->cursor.endpoint)
                     : replay_rows_write_cursor(&store->replays, &move->id, &move->cursor);
    move->ret_progress = row.replay.progress;
    return result;
}

void store_undo_replay_move(struct request *request)
{
    struct journal_replay_move *move = CONTAINER_OF(request, struct journal_replay_move, request);
    for (unsigned i = 0; i < move->count; i++)
        move->items[i].ret_moved = false;
}
