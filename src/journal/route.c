/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_LIST_UNROUTED and JOURNAL_ROUTE: what no endpoint wanted when it came, until one does.
 * Whose it is stands in the event; which endpoint wants it is the owner's to say, who knows the
 * directory.
 */
#include "journal/store.h"
#include "model/placement.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const struct event_reading without_body = {.without_body = true};

enum err store_list_unrouted(struct store *store, struct request *request)
{
    struct journal_list_unrouted *list =
        CONTAINER_OF(request, struct journal_list_unrouted, request);
    list->ret_count = 0;
    list->ret_after_id = INT64_MAX;
    int64_t *ids = malloc(list->count_max * sizeof *ids);
    if (!ids)
        return ERR_NO_MEMORY;
    unsigned count;
    enum err result = delivery_rows_list_parked(
        &store->deliveries, 0, PARK_UNROUTED, list->after_id, list->count_max, ids, &count);
    if (!result && count == list->count_max)
        list->ret_after_id = ids[count - 1];
    for (unsigned i = 0; i < count && !result; i++) {
        struct event *event;
        result =
            event_rows_read(&store->events, placement_event(ids[i]), &without_body, &event, NULL);
        if (!result) {
            struct journal_unrouted *found = &list->ret_unrouted[list->ret_count++];
            found->delivery = ids[i];
            snprintf(
                found->account, sizeof found->account, "%.*s", SLICE_ARGS(event->parts.account));
            snprintf(found->type, sizeof found->type, "%.*s", SLICE_ARGS(event->parts.type));
            event_unref(event);
        } else if (result == ERR_DAMAGED) {
            result = OK; /* the audit names it */
        }
    }
    free(ids);
    return result;
}

void store_undo_list_unrouted(struct request *request)
{
    CONTAINER_OF(request, struct journal_list_unrouted, request)->ret_count = 0;
}

enum err store_transfer(struct store *store, int64_t seq, uint64_t from, uint64_t to)
{
    struct event *event;
    enum err result = event_rows_read(&store->events, seq, &without_body, &event, NULL);
    if (result)
        return result;
    int64_t now_us = clock_mono_us();
    result = totals_add(&store->totals, &event->parts, from, TOTAL_ACCEPTED, -1, now_us);
    if (!result)
        result = totals_add(&store->totals, &event->parts, to, TOTAL_ACCEPTED, 1, now_us);
    totals_demand(&store->totals);
    event_unref(event);
    return result;
}

static enum err route_one(struct store *store, int64_t delivery, uint64_t endpoint, unsigned *count)
{
    struct delivery_row row;
    enum err result = delivery_rows_read(&store->deliveries, delivery, &row);
    if (!result && (row.state != DELIVERY_PARKED || row.reason != PARK_UNROUTED))
        return OK;
    if (!result)
        result = store_transfer(store, placement_event(delivery), 0, endpoint);
    if (result == ERR_NOT_FOUND || result == ERR_DAMAGED)
        return OK;
    if (result)
        return result;
    row.endpoint = endpoint;
    (*count)++;
    const struct delivery_move move = {.to = DELIVERY_PENDING, .lane = LANE_RETRY};
    return delivery_rows_move_row(&store->deliveries, &row, &move, store->now_us);
}

enum err store_route(struct store *store, struct request *request)
{
    struct journal_route *route = CONTAINER_OF(request, struct journal_route, request);
    enum err result = OK;
    route->ret_count = 0;
    for (unsigned i = 0; i < route->count && !result; i++) {
        assert(route->routings[i].endpoint != 0);
        result = route_one(
            store, route->routings[i].delivery, route->routings[i].endpoint, &route->ret_count);
    }
    return result;
}

void store_undo_route(struct request *request)
{
    CONTAINER_OF(request, struct journal_route, request)->ret_count = 0;
}
