/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_APPEND: the dedupe store judges, and what is new is written with its deliveries and
 * handed over to delivery. An event that is here already under its own id was delivered by the
 * broker, or appended before: it is the same acceptance, and what the broker still held of it is
 * ours from now on.
 */
#include "journal/acceptance.h"
#include "model/placement.h"

#include <assert.h>

static enum err add_delivery(
    struct store *store, struct event *event, int64_t id, uint64_t endpoint)
{
    const struct delivery_row row = {
        .id = id,
        .endpoint = endpoint,
        .state = endpoint ? DELIVERY_PENDING : DELIVERY_PARKED,
        .reason = endpoint ? PARK_NONE : PARK_UNROUTED,
        .lane = LANE_FRESH,
        .due_us = event->parts.accepted_us,
    };
    enum err result = acceptance_add_delivery(store, event, &row);
    return result ? result : acceptance_hand_over(store, &row, event);
}

/* Of an event that the dedupe store knows under its own id; the history may have expired before it.
 * */
static enum err adopt_at_append(struct store *store, struct journal_append *append)
{
    int64_t seq;
    enum err result = acceptance_find(store, append->event, &seq);
    if (result == ERR_UNAVAILABLE) {
        append->request.result = ERR_UNAVAILABLE; /* the partner's next try gets a new id */
        return OK;
    }
    append->ret_id = append->event->parts.id;
    if (result)
        return result == ERR_NOT_FOUND ? OK : result;
    return acceptance_adopt(store, seq, append->event);
}

/* False in *ret_added: there is an event of this id. */
static enum err add_event(struct store *store, struct journal_append *append, bool *ret_added)
{
    struct event *event = append->event;
    int64_t seq = store->next_seq;
    unsigned deliveries = append->endpoints_count ? append->endpoints_count : 1;
    enum err result = acceptance_add_event(store, event, deliveries);
    *ret_added = !result;
    if (result)
        return result == ERR_EXISTS ? adopt_at_append(store, append) : result;
    store->next_seq++;
    int64_t first_id = placement_first_delivery(seq);
    if (append->endpoints_count == 0)
        result = add_delivery(store, event, first_id, 0);
    for (unsigned i = 0; i < append->endpoints_count && !result; i++)
        result = add_delivery(store, event, first_id + i, append->endpoints[i]);
    append->ret_id = event->parts.id;
    return result;
}

static enum err add_to_outbox(struct store *store, struct journal_append *append)
{
    append->ret_id = append->event->parts.id;
    return outbox_add(store, append->event);
}

static enum err append_keyed(struct store *store, struct journal_append *append)
{
    enum dedupe_finding finding;
    struct event_id first;
    bool added;
    enum err result =
        dedupe_look_up(&store->dedupe, &append->dedupe_key, append->event, &finding, &first);
    if (result)
        return result;
    switch (finding) {
    case DEDUPE_NEW:
        result = add_event(store, append, &added);
        return result || !added ? result
                                : dedupe_add(&store->dedupe, &append->dedupe_key, append->event);
    case DEDUPE_DUPLICATE:
        if (memcmp(&first, &append->event->parts.id, sizeof first) == 0)
            return adopt_at_append(store, append);
        append->request.result = ERR_EXISTS;
        append->ret_id = first;
        return OK;
    case DEDUPE_CONFLICT:
        append->request.result = ERR_CONFLICT;
        append->ret_id = first;
        return acceptance_keep_conflict(store, &first, append->event);
    case DEDUPE_DAMAGED:
        break;
    }
    append->request.result = ERR_DAMAGED;
    return OK;
}

enum err store_append(struct store *store, struct request *request)
{
    struct journal_append *append = CONTAINER_OF(request, struct journal_append, request);
    bool added;
    assert(append->endpoints_count <= ACCOUNT_ENDPOINTS_MAX);
    if (!store_admits(store, append->event->parts.class)) {
        request->result = ERR_DISK_FULL;
        return OK;
    }
    if (append->to_outbox)
        return add_to_outbox(store, append);
    return append->event->parts.key.len ? append_keyed(store, append)
                                        : add_event(store, append, &added);
}
