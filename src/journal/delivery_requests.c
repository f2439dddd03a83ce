/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests about stored deliveries: loading open ones into memory (JOURNAL_LOAD,
 * JOURNAL_SCAN_BACKLOG), moving one delivery (JOURNAL_START, JOURNAL_RECORD_OUTCOME), moving many
 * (JOURNAL_RELEASE), and giving unrouted ones an endpoint (JOURNAL_LIST_UNROUTED, JOURNAL_ROUTE).
 * The owner of a delivery decides which endpoint gets it, since the owner has the directory.
 * Operator actions are in operator_actions.c.
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

/* JOURNAL_LOAD and JOURNAL_SCAN_BACKLOG. */

/* Parks a delivery when its row or its event is damaged, so that an operator finds it, and logs
 * it. */
static enum err park_damaged(struct store *store, int64_t delivery, uint64_t endpoint)
{
    log_error("a stored delivery or its event is damaged: it is parked shard=%u delivery=%lld "
              "event_number=%lld endpoint=%llu",
        store->shard, (long long)delivery, (long long)placement_event(delivery),
        (unsigned long long)endpoint);
    return delivery_rows_park_damaged(&store->deliveries, delivery, store->now_us);
}

/* The delivery of a row, with its event. ERR_TOO_LARGE and ERR_OVERLOADED: the answer ends before
 * it. */
static enum err make_delivery(struct store *store, const struct journal_load *load,
    const struct delivery_row *row, int64_t bytes_left, struct delivery *ret_delivery)
{
    const struct event_reading reading = {
        .budget = load->budget,
        .budget_share_percent = load->budget_share_percent,
        .body_bytes_max = bytes_left,
    };
    struct event *event;
    enum err result =
        event_rows_read(&store->events, placement_event(row->id), &reading, &event, NULL);
    if (result)
        return result;
    *ret_delivery = (struct delivery){
        .id = row->id,
        .endpoint = row->endpoint,
        .state = row->state,
        .lane = row->lane,
        .generation = row->generation,
        .attempts = row->attempts,
        .failures = row->failures,
        .was_delivered = delivery_row_delivered_us(row) != 0,
        .wait_cause = row->wait_cause,
        .due_us = row->state == DELIVERY_PENDING ? event->parts.accepted_us : row->due_us,
        .wait_us = row->state == DELIVERY_WAITING ? row->duration_us : 0,
        .event = event,
    };
    return OK;
}

/* Turns the rows into whole deliveries; those that are damaged leave the list. */
static enum err fill(struct store *store, struct journal_load *load,
    const struct delivery_listed *listed, unsigned count)
{
    int64_t bytes_left = load->bytes_max;
    for (unsigned i = 0; i < count; i++) {
        const struct delivery_row *row = &listed[i].row;
        struct delivery *delivery = &load->ret_deliveries[load->ret_count];
        enum err result =
            listed[i].damaged ? ERR_DAMAGED : make_delivery(store, load, row, bytes_left, delivery);
        if (result == ERR_TOO_LARGE || result == ERR_OVERLOADED) {
            load->ret_more = true;
            return OK;
        }
        if (result == ERR_DAMAGED) {
            result = park_damaged(store, row->id, row->endpoint);
        } else if (!result) {
            bytes_left -= (int64_t)delivery->event->parts.body.len;
            load->ret_count++;
        }
        if (result)
            return result;
    }
    return OK;
}

enum err store_load(struct store *store, struct request *request)
{
    struct journal_load *load = CONTAINER_OF(request, struct journal_load, request);
    unsigned count = 0;
    load->ret_count = 0;
    /* One more than asked for, because malloc(0) may return NULL. */
    struct delivery_listed *listed = malloc((load->count_max + 1) * sizeof *listed);
    if (!listed)
        return ERR_NO_MEMORY;
    enum err result =
        delivery_rows_list_due(&store->deliveries, load, listed, &count, &load->ret_more);
    if (!result)
        result = delivery_rows_next_due(&store->deliveries, load, &load->ret_next_due_us);
    if (!result)
        result = fill(store, load, listed, count);
    free(listed);
    return result;
}

void store_undo_load(struct request *request)
{
    struct journal_load *load = CONTAINER_OF(request, struct journal_load, request);
    for (unsigned i = 0; i < load->ret_count; i++)
        event_unref(load->ret_deliveries[i].event);
    load->ret_count = 0;
    load->ret_more = false;
}

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

/* JOURNAL_LIST_UNROUTED and JOURNAL_ROUTE. */

enum err store_list_unrouted(struct store *store, struct request *request)
{
    struct journal_list_unrouted *list =
        CONTAINER_OF(request, struct journal_list_unrouted, request);
    list->ret_count = 0;
    list->ret_after_id = INT64_MAX;
    int64_t *ids = memory_new_array(list->count_max, sizeof *ids);
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
