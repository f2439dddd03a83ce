/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_ADOPT, JOURNAL_LIST_BROKER_OWNED, and broker-owned events at the start: see "Who owns an
 * event" in journal.h. */
#include "journal/adopt.h"

#include "runtime/log.h"

#define EVENTS_PER_STEP 256

static enum err adopt(struct store *store, int64_t event)
{
    /* Their owner has them in memory, or will load them. */
    struct delivery_row pending[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    return delivery_rows_adopt(&store->deliveries, event, store->now_us, pending, &count);
}

static enum err park_taken_over(struct store *store, struct delivery_row *row)
{
    const struct delivery_move move = {.to = DELIVERY_PARKED, .reason = PARK_TAKEN_OVER};
    enum err result = delivery_rows_move_row(&store->deliveries, row, &move, store->now_us);
    return result ? result : store_note_parked(store, row->id, row->endpoint, PARK_TAKEN_OVER);
}

enum err adopt_and_park_event(struct store *store, int64_t event)
{
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    enum err result = delivery_rows_read_event(&store->deliveries, event, listed, &count);
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row *row = &listed[i].row;
        if (row->broker_owned && !listed[i].damaged && row->state == DELIVERY_PENDING)
            result = park_taken_over(store, row);
    }
    return result ? result : adopt(store, event);
}

/* A damaged event is never sent: its rows are parked as damaged when they are loaded. */
static enum err is_guarded_before(
    struct store *store, int64_t event, int64_t before_us, bool *ret_is)
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

enum err store_adopt(struct store *store, struct request *request)
{
    const struct journal_adopt *order = CONTAINER_OF(request, struct journal_adopt, request);
    enum err result = OK;
    for (unsigned i = 0; i < order->count && !result; i++) {
        int64_t event = order->events[i];
        bool parks;
        result = is_guarded_before(store, event, order->park_guarded_before_us, &parks);
        if (!result)
            result = parks ? adopt_and_park_event(store, event) : adopt(store, event);
    }
    return result;
}

/* Of an event that is lost or damaged the partition may be any: its rows are adopted when the
 * broker does not deliver it to that partition, and parked when they are loaded. */
static enum err add_partition(struct store *store, struct journal_broker_owned *listed)
{
    struct event_id id = {0};
    enum err result = event_rows_read_id(&store->events, listed->event, &id);
    listed->partition = event_id_partition(&id);
    return result == ERR_NOT_FOUND ? OK : result;
}

enum err store_list_broker_owned(struct store *store, struct request *request)
{
    struct journal_list_broker_owned *list =
        CONTAINER_OF(request, struct journal_list_broker_owned, request);
    list->ret_count = 0;
    enum err result = delivery_rows_list_broker_owned(
        &store->deliveries, list->after_event, list->count_max, list->ret_events, &list->ret_count);
    for (unsigned i = 0; i < list->ret_count && !result; i++)
        result = add_partition(store, &list->ret_events[i]);
    return result;
}

void store_undo_list_broker_owned(struct request *request)
{
    CONTAINER_OF(request, struct journal_list_broker_owned, request)->ret_count = 0;
}

/* The start. */

/* Something of the event has moved, so that the broker has not its state any more. */
static enum err has_started(struct store *store, int64_t event, bool *ret_started)
{
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    *ret_started = false;
    enum err result = delivery_rows_read_event(&store->deliveries, event, listed, &count);
    for (unsigned i = 0; i < count && !result; i++)
        *ret_started |= listed[i].damaged || !listed[i].row.broker_owned ||
                        listed[i].row.state != DELIVERY_PENDING;
    return result;
}

static enum err adopt_some(struct store *store, const struct journal_broker_owned *listed,
    unsigned count, unsigned *adopted)
{
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        bool started;
        result = has_started(store, listed[i].event, &started);
        if (result || !started)
            continue;
        result = adopt(store, listed[i].event);
        (*adopted)++;
    }
    return result;
}

enum err adopt_started(struct store *store)
{
    struct journal_broker_owned listed[EVENTS_PER_STEP];
    unsigned count, adopted = 0;
    int64_t after = -1;
    enum err result;
    do {
        result = store_begin(store);
        if (!result)
            result = delivery_rows_list_broker_owned(
                &store->deliveries, after, EVENTS_PER_STEP, listed, &count);
        if (!result)
            result = adopt_some(store, listed, count, &adopted);
        if (!result)
            result = store_commit(store);
        if (result)
            return result;
        if (count > 0)
            after = listed[count - 1].event;
        store->found.broker_owned += count;
    } while (count == EVENTS_PER_STEP);
    store->found.broker_owned -= adopted;
    if (adopted > 0)
        log_warn(
            "broker-owned events were being delivered when the last run ended: the journal owns "
            "them from now on shard=%u count=%u",
            store->shard, adopted);
    return OK;
}
