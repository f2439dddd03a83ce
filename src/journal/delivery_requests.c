/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests about stored deliveries: which endpoints have open ones (JOURNAL_SCAN_BACKLOG),
 * moving one delivery (JOURNAL_START, JOURNAL_RECORD_OUTCOME), moving many (JOURNAL_RELEASE), and
 * giving unrouted ones an endpoint (JOURNAL_LIST_PARKED, JOURNAL_ROUTE). The owner of a delivery
 * decides which endpoint gets it, since the owner has the directory. Loads are in load.c, operator
 * actions in operator_actions.c.
 */
#include "journal/store.h"

#include "base/memory.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FORWARD_COUNT_MAX 8192 /* in one transaction, so that the others do not wait for long */

static const struct event_reading without_body = {.without_body = true};

/* JOURNAL_SCAN_BACKLOG. */

enum err store_scan_backlog(struct store *store, struct request *request)
{
    struct journal_backlog_scan *scan = CONTAINER_OF(request, struct journal_backlog_scan, request);
    scan->ret_count = 0;
    scan->ret_backlogs = NULL;
    unsigned moved;
    enum err result = delivery_rows_bring_forward(
        &store->deliveries, scan->now_us, FORWARD_COUNT_MAX, store->now_us, &moved);
    scan->ret_again = !result && moved == FORWARD_COUNT_MAX;
    return result ? result
                  : delivery_rows_count_open(
                        &store->deliveries, &scan->ret_backlogs, &scan->ret_count);
}

void store_undo_scan(struct request *request)
{
    struct journal_backlog_scan *scan = CONTAINER_OF(request, struct journal_backlog_scan, request);
    free(scan->ret_backlogs);
    scan->ret_backlogs = NULL;
    scan->ret_count = 0;
}

/* JOURNAL_START and JOURNAL_RECORD_OUTCOME. */

/* A failure of this request alone: nothing was written for it, and the others of its transaction
 * continue. */
static bool is_its_own(enum err result)
{
    return result == ERR_MOVED_ON || result == ERR_NOT_FOUND || result == ERR_INVALID ||
           result == ERR_DAMAGED;
}

enum err store_end_request(struct request *request, enum err result)
{
    if (!is_its_own(result))
        return result;
    request->result = result;
    return OK;
}

void store_log_damaged(const struct store *store, int64_t delivery)
{
    log_error("the row of a delivery is damaged: it is not changed, and the audit names it "
              "shard=%u delivery=%lld",
        store->shard, (long long)delivery);
}

static enum err move(struct store *store, struct request *request, const struct delivery_move *move)
{
    const struct journal_record *order = CONTAINER_OF(request, struct journal_record, request);
    const struct delivery_expected expected = {order->delivery, order->from, order->generation};
    bool may_move = delivery_row_may_move(order->from, move->to);
    assert(may_move);
    if (!may_move) {
        request->result = ERR_BUG;
        return OK;
    }
    enum err result = delivery_rows_move(&store->deliveries, &expected, move, store->now_us);
    if (result == ERR_DAMAGED)
        store_log_damaged(store, order->delivery);
    return store_end_request(request, result);
}

enum err store_start(struct store *store, struct request *request)
{
    assert(CONTAINER_OF(request, struct journal_record, request)->to == DELIVERY_SENDING);
    return move(store, request, &(struct delivery_move){.to = DELIVERY_SENDING});
}

enum err store_record_outcome(struct store *store, struct request *request)
{
    const struct journal_record *order = CONTAINER_OF(request, struct journal_record, request);
    const struct delivery_move to = {
        .to = order->to,
        .reason = order->reason,
        .wait_cause = order->wait_cause,
        .lane = order->lane,
        .failures = order->failures,
        .due_us = order->due_us,
        .wait_us = order->wait_us,
        .attempt = order->has_attempt ? &order->attempt : NULL,
    };
    return move(store, request, &to);
}

/* JOURNAL_RELEASE. */

enum err store_release(struct store *store, struct request *request)
{
    struct journal_release *release = CONTAINER_OF(request, struct journal_release, request);
    release->ret_count = 0;
    assert(release->reason == PARK_DISABLED || release->reason == PARK_GONE);
    return delivery_rows_release(&store->deliveries, release->endpoint, release->reason,
        release->count_max, store->now_us, &release->ret_count);
}

void store_undo_release(struct request *request)
{
    CONTAINER_OF(request, struct journal_release, request)->ret_count = 0;
}

/* JOURNAL_LIST_PARKED and JOURNAL_ROUTE. */

enum err store_list_parked(struct store *store, struct request *request)
{
    struct journal_list_parked *list = CONTAINER_OF(request, struct journal_list_parked, request);
    list->ret_count = 0;
    list->ret_after_id = INT64_MAX;
    int64_t *ids = memory_new_array(list->count_max, sizeof *ids);
    struct parking *parkings = memory_new_array(list->count_max, sizeof *parkings);
    unsigned count;
    enum err result = delivery_rows_list_parked(&store->deliveries, list->endpoint, list->reason,
        list->after_id, list->count_max, ids, parkings, &count);
    if (!result && count == list->count_max)
        list->ret_after_id = ids[count - 1];
    for (unsigned i = 0; i < count && !result; i++) {
        struct event *event;
        result =
            event_rows_read(&store->events, placement_event(ids[i]), &without_body, &event, NULL);
        if (!result) {
            struct journal_parked *found = &list->ret_parked[list->ret_count++];
            found->delivery = ids[i];
            found->generation = parkings[i].generation;
            found->parked_us = parkings[i].at_us;
            found->event = event->parts.id;
            snprintf(
                found->account, sizeof found->account, "%.*s", SLICE_ARGS(event->parts.account));
            snprintf(found->type, sizeof found->type, "%.*s", SLICE_ARGS(event->parts.type));
            event_unref(event);
        } else if (result == ERR_DAMAGED) {
            result = OK; /* the audit names it */
        }
    }
    free(parkings);
    free(ids);
    return result;
}

void store_undo_list_parked(struct request *request)
{
    CONTAINER_OF(request, struct journal_list_parked, request)->ret_count = 0;
}

enum err store_transfer_totals(struct store *store, int64_t seq, uint64_t from, uint64_t to)
{
    struct event *event;
    enum err result = event_rows_read(&store->events, seq, &without_body, &event, NULL);
    if (result)
        return result;
    int64_t now_us = clock_mono_us();
    totals_add(&store->totals, &event->parts, from, TOTAL_ACCEPTED, -1, now_us);
    totals_add(&store->totals, &event->parts, to, TOTAL_ACCEPTED, 1, now_us);
    totals_demand(&store->totals);
    event_unref(event);
    return OK;
}

static enum err route_one(struct store *store, int64_t delivery, uint64_t endpoint, unsigned *count)
{
    struct delivery_row row;
    enum err result = delivery_rows_read(&store->deliveries, delivery, &row);
    if (!result && (row.state != DELIVERY_PARKED || row.reason != PARK_UNROUTED))
        return OK;
    if (!result)
        result = store_transfer_totals(store, placement_event(delivery), 0, endpoint);
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
