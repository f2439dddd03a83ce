/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_TAKE_OVER, JOURNAL_LIST_HELD, and what a start makes of what was held: see "Who owns an event" in journal.h.
 */
#include "journal/held.h"

#include "runtime/log.h"

#define EVENTS_PER_STEP 256

static enum err take_over(struct store *store, int64_t event)
{
    struct delivery_row pending[ACCOUNT_ENDPOINTS_MAX]; /* their owner knows them, or will load them */
    unsigned count;
    return delivery_rows_take_over(&store->deliveries, event, store->now_us, pending, &count);
}

enum err held_park_event(struct store *store, int64_t event)
{
    const struct delivery_move move = {.to = DELIVERY_PARKED, .reason = PARK_TAKEN_OVER};
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    enum err result = delivery_rows_read_event(&store->deliveries, event, listed, &count);
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row *row = &listed[i].row;
        if (row->held && !listed[i].damaged && row->state == DELIVERY_PENDING)
            result = delivery_rows_move_row(&store->deliveries, row, &move, store->now_us);
    }
    return result ? result : take_over(store, event);
}

/* An event that can't be believed is sent by nobody: its rows are parked as damaged when they are loaded. */
static enum err is_guarded_before(struct store *store, int64_t event, int64_t before_us, bool *ret_is)
{
    static const struct event_reading reading = {.without_body = true};
    struct event *read;
    *ret_is = false;
    if (before_us == 0)
        return OK;
    enum err result = event_rows_read(&store->events, event, &reading, &read, NULL);
    if (result)
        return result == ERR_DAMAGED ? OK : result;
    *ret_is = read->parts.guarded && read->parts.accepted_us < before_us;
    event_unref(read);
    return OK;
}

enum err store_take_over(struct store *store, struct journal_request *request)
{
    const struct journal_take_over *order = CONTAINER_OF(request, struct journal_take_over, request);
    enum err result = OK;
    for (unsigned i = 0; i < order->count && !result; i++) {
        int64_t event = order->events[i];
        bool parks;
        result = is_guarded_before(store, event, order->park_guarded_before_us, &parks);
        if (!result)
            result = parks ? held_park_event(store, event) : take_over(store, event);
    }
    return result;
}

/* An event that is lost or damaged has some partition all the same: its rows are taken over by whoever waits there in
 * vain, and parked when they are loaded. */
static enum err add_partition(struct store *store, struct journal_held *held)
{
    struct event_id id = {0};
    enum err result = event_rows_read_id(&store->events, held->event, &id);
    held->partition = event_id_partition(&id);
    return result == ERR_NOT_FOUND ? OK : result;
}

enum err store_list_held(struct store *store, struct journal_request *request)
{
    struct journal_list_held *list = CONTAINER_OF(request, struct journal_list_held, request);
    list->ret_count = 0;
    enum err result = delivery_rows_list_held(
        &store->deliveries, list->after_event, list->count_max, list->ret_held, &list->ret_count);
    for (unsigned i = 0; i < list->ret_count && !result; i++)
        result = add_partition(store, &list->ret_held[i]);
    return result;
}

void store_undo_list_held(struct journal_request *request)
{
    CONTAINER_OF(request, struct journal_list_held, request)->ret_count = 0;
}

/* The start. */

/* Something of it is not as the broker knows it. */
static enum err has_started(struct store *store, int64_t event, bool *ret_started)
{
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    *ret_started = false;
    enum err result = delivery_rows_read_event(&store->deliveries, event, listed, &count);
    for (unsigned i = 0; i < count && !result; i++)
        *ret_started |= listed[i].damaged || !listed[i].row.held || listed[i].row.state != DELIVERY_PENDING;
    return result;
}

static enum err take_over_some(
    struct store *store, const struct journal_held *held, unsigned count, unsigned *taken_over)
{
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        bool started;
        result = has_started(store, held[i].event, &started);
        if (result || !started)
            continue;
        result = take_over(store, held[i].event);
        (*taken_over)++;
    }
    return result;
}

enum err held_take_over_started(struct store *store)
{
    struct journal_held held[EVENTS_PER_STEP];
    unsigned count, taken_over = 0;
    int64_t after = -1;
    enum err result;
    do {
        result = store_begin(store);
        if (!result)
            result = delivery_rows_list_held(&store->deliveries, after, EVENTS_PER_STEP, held, &count);
        if (!result)
            result = take_over_some(store, held, count, &taken_over);
        if (!result)
            result = store_commit(store);
        if (result)
            return result;
        if (count > 0)
            after = held[count - 1].event;
        store->found.held += count;
    } while (count == EVENTS_PER_STEP);
    store->found.held -= taken_over;
    if (taken_over > 0)
        log_warn("events of the broker were being delivered when the last run ended: they are the journal's own from "
                 "now on shard=%u count=%u",
            store->shard, taken_over);
    return OK;
}
