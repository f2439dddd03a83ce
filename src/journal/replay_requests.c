/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_REPLAY_CREATE, JOURNAL_REPLAY_CHANGE, JOURNAL_REPLAY_LIST and JOURNAL_REPLAY_FIND: what
 * is known of replays. The steps that move deliveries are in replay_steps.c.
 */
#include "journal/replay_steps.h"
#include "journal/store.h"
#include "model/placement.h"

#include <assert.h>

/* JOURNAL_REPLAY_CREATE. */

/* Keeps the newest ones. Those that have not ended are kept in any case. */
static enum err drop_old(struct store *store)
{
    struct sql_use use = sql_use(store->replays.statements[REPLAYS_DROP_OLD]);
    sql_bind_int(&use, REPLAYS_KEPT_MAX);
    return sql_execute(&use);
}

static enum err add_replay(struct store *store, struct journal_replay_create *create)
{
    int64_t open;
    struct sql_use use = sql_use(store->replays.statements[REPLAYS_COUNT_OPEN]);
    enum err result = sql_execute_int(&use, &open);
    if (!result && open >= REPLAYS_OPEN_MAX) {
        create->request.result = ERR_OVERLOADED;
        return OK;
    }
    /* Not next_seq: it may count events that were rolled back, whose numbers come again. */
    int64_t last_event = 0;
    if (!result) {
        use = sql_use(store->replays.statements[REPLAYS_LAST_EVENT]);
        result = sql_execute_int(&use, &last_event);
    }
    const struct replay_row row = {.replay = {.order = create->order,
                                       .state = create->paused ? REPLAY_PAUSED : REPLAY_RUNNING,
                                       .created_us = store->now_us,
                                       .changed_us = store->now_us,
                                       .last_delivery = placement_last_delivery(last_event)},
        .found_endpoint = -1};
    if (!result)
        result = replay_rows_write(&store->replays, &row);
    if (!result)
        result = drop_old(store);
    create->ret_replay = row.replay;
    return result;
}

enum err store_replay_create(struct store *store, struct request *request)
{
    struct journal_replay_create *create =
        CONTAINER_OF(request, struct journal_replay_create, request);
    struct replay_row row;
    enum err result = replay_rows_read(&store->replays, &create->order.id, &row);
    if (result == ERR_NOT_FOUND)
        return add_replay(store, create);
    if (!result)
        create->ret_replay = row.replay;
    return store_end_request(request, result);
}

/* JOURNAL_REPLAY_CHANGE. */

static enum err change_row(
    struct store *store, const struct journal_replay_change *change, struct replay_row *row)
{
    if (change->has_rate)
        row->replay.order.rate = change->rate;
    if (change->has_state && change->state != row->replay.state) {
        row->replay.state = change->state;
        row->replay.changed_us = store->now_us;
    }
    enum err result = replay_rows_write(&store->replays, row);
    if (!result && replay_state_is_end(row->replay.state))
        result = replay_rows_drop_cursors(&store->replays, &row->replay.order.id);
    return result;
}

enum err store_replay_change(struct store *store, struct request *request)
{
    struct journal_replay_change *change =
        CONTAINER_OF(request, struct journal_replay_change, request);
    struct replay_row row;
    enum err result = replay_rows_read(&store->replays, &change->id, &row);
    if (result)
        return store_end_request(request, result);
    enum replay_state to = change->has_state ? change->state : row.replay.state;
    if (replay_state_may_change(row.replay.state, to))
        result = change_row(store, change, &row);
    else if (to != row.replay.state || change->has_rate)
        request->result = ERR_MOVED_ON;
    change->ret_replay = row.replay;
    return result;
}

/* JOURNAL_REPLAY_LIST. */

static enum err list_rows(struct store *store, struct journal_replay_list *list)
{
    static const unsigned char last[EVENT_ID_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct sql_use use =
        sql_use(store->replays.statements[list->open_only ? REPLAYS_LIST_OPEN : REPLAYS_LIST]);
    bool row = false;
    enum err result;
    sql_bind_blob(&use, slice_of(list->has_before ? list->before.bytes : last, sizeof last));
    sql_bind_int(&use, list->count_max);
    while (!(result = sql_step(&use, &row)) && row && list->ret_count < list->count_max) {
        struct replay_row found;
        if (replay_row_take(&use, &found)) /* else it is damaged, and cannot be shown */
            list->ret_replays[list->ret_count++] = found.replay;
    }
    sql_finish(&use);
    return result;
}

enum err store_replay_list(struct store *store, struct request *request)
{
    struct journal_replay_list *list = CONTAINER_OF(request, struct journal_replay_list, request);
    list->ret_count = 0;
    if (!list->has_id)
        return list_rows(store, list);
    struct replay_row row;
    enum err result = replay_rows_read(&store->replays, &list->id, &row);
    if (!result)
        list->ret_replays[list->ret_count++] = row.replay;
    return store_end_request(request, result);
}

void store_undo_replay_list(struct request *request)
{
    CONTAINER_OF(request, struct journal_replay_list, request)->ret_count = 0;
}

/* JOURNAL_REPLAY_FIND. */

/* The lowest endpoint behind `after` that has something in one of the states; INT64_MAX: none. */
static enum err next_endpoint(struct store *store, const struct journal_replay_find *find,
    unsigned states, int64_t after, int64_t *ret_endpoint)
{
    static const struct {
        enum delivery_state state;
        enum replay_statement statement;
    } indexes[] = {{DELIVERY_DEAD, REPLAYS_NEXT_DEAD}, {DELIVERY_PARKED, REPLAYS_NEXT_PARKED},
        {DELIVERY_WAITING, REPLAYS_NEXT_WAITING}};
    int64_t lowest = INT64_MAX;
    for (unsigned i = 0; i < find->given_count; i++)
        if ((int64_t)find->given[i] > after && (int64_t)find->given[i] < lowest)
            lowest = (int64_t)find->given[i];
    enum err result = OK;
    for (size_t i = 0; i < ARRAY_LENGTH(indexes) && !result; i++) {
        if (!(states & 1u << indexes[i].state))
            continue;
        int64_t endpoint = INT64_MAX;
        struct sql_use use = sql_use(store->replays.statements[indexes[i].statement]);
        sql_bind_int(&use, after);
        result = sql_execute_int(&use, &endpoint);
        if (result == ERR_NOT_FOUND)
            result = OK;
        else if (!result && endpoint < lowest)
            lowest = endpoint;
    }
    *ret_endpoint = lowest;
    return result;
}

static enum err add_cursor(struct store *store, const struct replay *replay, uint64_t endpoint,
    struct journal_replay_find *find)
{
    struct replay_cursor *cursor = &find->ret_cursors[find->ret_count++];
    enum err result = replay_begin_cursor(store, replay, endpoint, cursor);
    return result ? result : replay_rows_write_cursor(&store->replays, &replay->order.id, cursor);
}

static enum err find_more(
    struct store *store, struct journal_replay_find *find, struct replay_row *row)
{
    const struct replay_order *order = &row->replay.order;
    unsigned states = replay_states_of(order);
    enum err result = OK;
    while (!result && !row->found_all && find->ret_count < find->count_max) {
        int64_t endpoint = INT64_MAX;
        if (!order->filter.has_endpoint)
            result = next_endpoint(store, find, states, row->found_endpoint, &endpoint);
        else if (row->found_endpoint < 0)
            endpoint = (int64_t)order->filter.endpoint;
        row->found_all = !result && (endpoint == INT64_MAX || order->filter.has_endpoint);
        if (result || endpoint == INT64_MAX)
            break;
        row->found_endpoint = endpoint;
        result = add_cursor(store, &row->replay, (uint64_t)endpoint, find);
    }
    return result ? result : replay_rows_write(&store->replays, row);
}

enum err store_replay_find(struct store *store, struct request *request)
{
    struct journal_replay_find *find = CONTAINER_OF(request, struct journal_replay_find, request);
    struct replay_row row;
    find->ret_count = 0;
    find->ret_all = false;
    assert(find->count_max <= REPLAY_WINDOW);
    enum err result = replay_rows_read(&store->replays, &find->id, &row);
    if (!result && row.replay.state != REPLAY_RUNNING)
        result = ERR_MOVED_ON;
    if (!result && find->from_start)
        result = replay_rows_list_cursors(
            &store->replays, &find->id, find->ret_cursors, &find->ret_count);
    if (result)
        return store_end_request(request, result);
    if (!row.found_all && find->ret_count < find->count_max)
        result = find_more(store, find, &row);
    find->ret_all = row.found_all;
    return result;
}

void store_undo_replay_find(struct request *request)
{
    struct journal_replay_find *find = CONTAINER_OF(request, struct journal_replay_find, request);
    find->ret_count = 0;
    find->ret_all = false;
}
