/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_LOAD and JOURNAL_SCAN_BACKLOG: what is open goes back into memory. */
#include "journal/store.h"

#include "model/placement.h"
#include "runtime/log.h"

#include <stdlib.h>

#define FORWARD_COUNT_MAX 8192 /* so that the writer is never held for long */

/* A delivery that can't be believed is put where a person finds it, and named once. */
static enum err park_damaged(struct store *store, int64_t delivery, uint64_t endpoint)
{
    log_error("a stored delivery or its event is damaged: it is parked shard=%u delivery=%lld "
              "event_number=%lld "
              "endpoint=%llu",
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
    struct delivery_listed *listed =
        malloc((load->count_max + 1) * sizeof *listed); /* one more: none is none */
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
