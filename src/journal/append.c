/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_APPEND: the ledger judges, and what is new is written with its deliveries and handed over to delivery. */
#include "journal/store.h"

#include "runtime/log.h"

#include <assert.h>

static void hand_over(struct store *store, const struct delivery_row *row, struct event *event)
{
    store->handover->deliveries[store->handover->count++] = (struct delivery){
        .id = row->id,
        .endpoint = row->endpoint,
        .state = row->state,
        .lane = row->lane,
        .due_us = row->due_us,
        .event = event_ref(event),
    };
}

static enum err add_delivery(struct store *store, struct event *event, int64_t id, uint64_t endpoint)
{
    const struct delivery_row row = {
        .id = id,
        .endpoint = endpoint,
        .state = endpoint ? DELIVERY_PENDING : DELIVERY_PARKED,
        .reason = endpoint ? PARK_NONE : PARK_UNROUTED,
        .lane = LANE_FRESH,
        .due_us = event->parts.accepted_us,
    };
    enum err result = delivery_rows_add(&store->deliveries, &row);
    if (!result)
        result = books_add(&store->books, &event->parts, endpoint, BOOK_ACCEPTED, 1, store->now_mono_us);
    if (!result)
        hand_over(store, &row, event);
    return result;
}

static enum err add_event(struct store *store, struct journal_append *append)
{
    struct event *event = append->event;
    int64_t seq = store->next_seq;
    unsigned deliveries = append->endpoints_count ? append->endpoints_count : 1;
    enum err result = event_rows_add(&store->events, seq, event, deliveries);
    if (result == ERR_EXISTS) {
        /*
         * Without a key: the same event came twice. With one that the ledger does not know: another event has this id,
         * by a chance of 2^-44, and must not swallow it. The partner's next try gets a new id.
         */
        append->request.result = event->parts.key.len ? ERR_UNAVAILABLE : ERR_EXISTS;
        append->ret_id = event->parts.id;
        return OK;
    }
    store->next_seq++;
    int64_t first_id = seq * ACCOUNT_ENDPOINTS_MAX;
    if (!result && append->endpoints_count == 0)
        result = add_delivery(store, event, first_id, 0);
    for (unsigned i = 0; i < append->endpoints_count && !result; i++)
        result = add_delivery(store, event, first_id + i, append->endpoints[i]);
    append->ret_id = event->parts.id;
    return result;
}

/* Kept, and said to whoever reads the log: not for each of a partner that doesn't stop. */
static enum err keep_conflict(struct store *store, const struct event_id *first, const struct event *event)
{
    bool is_new;
    enum err result = conflict_rows_add(&store->conflicts, first, store->now_us, event, &is_new);
    if (result || !is_new || store->now_mono_us - store->conflict_said_us < US_PER_SECOND)
        return result;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(first, id);
    log_warn("other money came under the key of an accepted event: refused, and kept as a conflict first=%s "
             "partner=%.*s account=%.*s",
        id, SLICE_ARGS(event->parts.partner), SLICE_ARGS(event->parts.account));
    store->conflict_said_us = store->now_mono_us;
    return OK;
}

enum err store_append(struct store *store, struct journal_request *request)
{
    struct journal_append *append = CONTAINER_OF(request, struct journal_append, request);
    struct event *event = append->event;
    assert(append->endpoints_count <= ACCOUNT_ENDPOINTS_MAX);
    if (!reserve_admits(&store->reserve, event->parts.class)) {
        request->result = ERR_DISK_FULL;
        return OK;
    }
    if (event->parts.key.len == 0)
        return add_event(store, append);

    enum ledger_finding finding;
    struct event_id first;
    enum err result = ledger_look_up(&store->ledger, &append->ledger_key, event, &finding, &first);
    if (result)
        return result;
    switch (finding) {
    case LEDGER_NEW:
        result = add_event(store, append);
        if (!result && request->result == OK)
            result = ledger_add(&store->ledger, &append->ledger_key, event);
        return result;
    case LEDGER_DUPLICATE:
        request->result = ERR_EXISTS;
        append->ret_id = first;
        return OK;
    case LEDGER_CONFLICT:
        request->result = ERR_CONFLICT;
        append->ret_id = first;
        return keep_conflict(store, &first, event);
    case LEDGER_DAMAGED:
        break;
    }
    request->result = ERR_DAMAGED;
    return OK;
}
