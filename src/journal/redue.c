/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_REDUE: what waits for an endpoint gets the due times of new rules, in bounded steps.
 *
 * A step reads the waiting rows behind its cursor, in order of their due times, and writes those
 * that are due earlier from now on. These move behind the cursor, so that no row is looked at twice
 * by the steps of one request. When a delivery began to wait never changes: a recovery of the
 * endpoint depends on it.
 *
 * A damaged row is parked, as a load would do. One whose event is damaged stays as it is until a
 * load finds it.
 */
#include "journal/store.h"

#include "model/placement.h"

#include <assert.h>

static const struct event_reading without_body = {.without_body = true};

/* Due earlier than before, but not before the delivery began to wait. */
static enum err redue_row(
    struct store *store, struct journal_redue *redue, struct delivery_row *row, struct event *event)
{
    const struct delivery waiting = store_delivery_of(row, event);
    int64_t began_us = delivery_wait_began_us(row->due_us, row->duration_us);
    int64_t due_us = redue->new_due_us(&waiting, redue->context);
    if (due_us < began_us)
        due_us = began_us;
    if (due_us >= row->due_us)
        return OK;
    row->due_us = due_us;
    row->duration_us = due_us - began_us;
    enum err result = delivery_rows_write(&store->deliveries, DELIVERIES_WRITE, row);
    if (result)
        return result;
    redue->ret_count++;
    if (due_us < redue->ret_earliest_due_us)
        redue->ret_earliest_due_us = due_us;
    return OK;
}

static enum err look_at(
    struct store *store, struct journal_redue *redue, struct delivery_listed *listed)
{
    struct delivery_row *row = &listed->row;
    if (listed->damaged)
        return store_park_damaged(store, row->id, row->endpoint);
    struct event *event;
    enum err result =
        event_rows_read(&store->events, placement_event(row->id), &without_body, &event, NULL);
    if (result)
        return result == ERR_DAMAGED ? OK : result;
    result = redue_row(store, redue, row, event);
    event_unref(event);
    return result;
}

enum err store_redue(struct store *store, struct request *request)
{
    struct journal_redue *redue = CONTAINER_OF(request, struct journal_redue, request);
    const struct journal_load waiting = {.endpoint = redue->endpoint,
        .after_pending_id = INT64_MAX,
        .after_waiting_due_us = redue->after_due_us,
        .after_waiting_id = redue->after_id,
        .due_by_us = INT64_MAX};
    store_undo_redue(request);
    assert(redue->new_due_us && redue->count_max > 0 && redue->count_max <= REDUE_COUNT_MAX);
    struct delivery_list list;
    delivery_list_init(&list, redue->count_max);
    enum err result = delivery_rows_list_load(&store->deliveries, &waiting, &list);
    for (unsigned i = 0; i < list.count && !result; i++) {
        if (!list.rows[i].damaged) { /* else it leaves the list, and its numbers say nothing */
            redue->ret_after_due_us = list.rows[i].row.due_us;
            redue->ret_after_id = list.rows[i].row.id;
        }
        result = look_at(store, redue, &list.rows[i]);
    }
    redue->ret_more = list.more_of[LOAD_DUE];
    delivery_list_done(&list);
    return result;
}

void store_undo_redue(struct request *request)
{
    struct journal_redue *redue = CONTAINER_OF(request, struct journal_redue, request);
    redue->ret_count = 0;
    redue->ret_more = false;
    redue->ret_after_due_us = redue->after_due_us;
    redue->ret_after_id = redue->after_id;
    redue->ret_earliest_due_us = INT64_MAX;
}
