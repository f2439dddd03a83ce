/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOURNAL_LOAD: deliveries of one endpoint, from the disk into memory. journal.h says what the
 * parts of a load are, and in which order they come.
 *
 * The rows are listed first, out of the indexes of their states, and then each is completed with
 * its event. The cost is that of the rows that are returned, however many are stored: each part
 * continues at its cursor. Only a recovery passes rows over, and only a bounded number of them.
 *
 * A probe looks at the class of its candidates. That is in the events' table: one more look-up for
 * each of them.
 */
#include "journal/store.h"

#include "model/placement.h"
#include "runtime/log.h"

#include <stdlib.h>

enum err store_park_damaged(struct store *store, int64_t delivery, uint64_t endpoint)
{
    log_error("a stored delivery or its event is damaged: it is parked shard=%u delivery=%lld "
              "event_number=%lld endpoint=%llu",
        store->shard, (long long)delivery, (long long)placement_event(delivery),
        (unsigned long long)endpoint);
    enum err result = delivery_rows_park_damaged(&store->deliveries, delivery, store->now_us);
    return result ? result : store_note_parked(store, delivery, endpoint, PARK_DAMAGED);
}

struct delivery store_delivery_of(const struct delivery_row *row, struct event *event)
{
    return (struct delivery){
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
}

/* The delivery of a row, with its event. ERR_TOO_LARGE and ERR_OVERLOADED: the answer ends before
 * it. */
static enum err make_delivery(struct store *store, const struct journal_load *load,
    const struct delivery_listed *listed, int64_t bytes_left, struct delivery *ret_delivery)
{
    const struct delivery_row *row = &listed->row;
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
    *ret_delivery = store_delivery_of(row, event);
    ret_delivery->loaded_as = listed->part;
    return OK;
}

/* The answer ends before row `at` of the list: the budget is used up. */
static void end_before(struct journal_load *load, const struct delivery_list *list, unsigned at)
{
    bool is_left[LOAD_PARTS] = {false};
    for (unsigned i = at; i < list->count; i++) {
        const struct delivery_row *row = &list->rows[i].row;
        enum load_part part = list->rows[i].part;
        load->ret_more_of[part] = true;
        if (is_left[part])
            continue;
        is_left[part] = true;
        if (part == LOAD_PENDING) {
            load->ret_after_pending_id = row->id - 1;
        } else if (part == LOAD_RECOVERED) {
            load->ret_after_recovered_id = row->id - 1;
        } else {
            load->ret_after_waiting_due_us = row->due_us;
            load->ret_after_waiting_id = row->id - 1;
        }
    }
}

/* Turns the rows into whole deliveries, up to count_max. Those that are damaged are left out. */
static enum err fill(
    struct store *store, struct journal_load *load, const struct delivery_list *list)
{
    int64_t bytes_left = load->bytes_max;
    for (unsigned i = 0; i < list->count && load->ret_count < load->count_max; i++) {
        const struct delivery_listed *listed = &list->rows[i];
        struct delivery *delivery = &load->ret_deliveries[load->ret_count];
        enum err result = listed->damaged
                              ? ERR_DAMAGED
                              : make_delivery(store, load, listed, bytes_left, delivery);
        if (result == ERR_TOO_LARGE || result == ERR_OVERLOADED) {
            end_before(load, list, i);
            return OK;
        }
        if (result == ERR_DAMAGED) {
            result = store_park_damaged(store, listed->row.id, listed->row.endpoint);
        } else if (!result) {
            bytes_left -= (int64_t)delivery->event->parts.body.len;
            load->ret_count++;
        }
        if (result)
            return result;
    }
    return OK;
}

static enum err load_due(struct store *store, struct journal_load *load, struct delivery_list *list)
{
    enum err result = delivery_rows_list_load(&store->deliveries, load, list);
    if (!result)
        result = delivery_rows_next_due(&store->deliveries, load, &load->ret_next_due_us);
    if (result)
        return result;
    memcpy(load->ret_more_of, list->more_of, sizeof load->ret_more_of);
    load->ret_after_pending_id = list->looked[LOAD_PENDING].id;
    load->ret_after_recovered_id = list->looked[LOAD_RECOVERED].id;
    load->ret_after_waiting_due_us = list->looked[LOAD_DUE].due_us;
    load->ret_after_waiting_id = list->looked[LOAD_DUE].id;
    return fill(store, load, list);
}

/* How good a probe the delivery makes; 0 is best. A damaged event is found when it is loaded. */
static enum err rank_probe(struct store *store, int64_t delivery, unsigned *ret_rank)
{
    enum event_class class = CLASS_OPTIONAL;
    bool guarded = false;
    enum err result =
        event_rows_read_class(&store->events, placement_event(delivery), &class, &guarded);
    *ret_rank = result || guarded ? 2 : class != CLASS_CRITICAL;
    return result == ERR_NOT_FOUND || result == ERR_DAMAGED ? OK : result;
}

static enum err load_probes(
    struct store *store, struct journal_load *load, struct delivery_list *list)
{
    enum { RANKS = 3, RANK_GUARDED = 2 };
    struct delivery_listed ranked[LOAD_PROBE_LOOKED];
    unsigned ranks[LOAD_PROBE_LOOKED], count = 0;
    enum err result = delivery_rows_list_oldest(&store->deliveries, load, list);
    for (unsigned i = 0; i < list->count && !result; i++)
        result = rank_probe(store, list->rows[i].row.id, &ranks[i]);
    if (result)
        return result;
    if (list->more_of[LOAD_RECOVERED])
        load->ret_after_probe_id = list->looked[LOAD_RECOVERED].id;
    for (unsigned rank = 0; rank < (load->unguarded ? RANK_GUARDED : RANKS); rank++)
        for (unsigned i = 0; i < list->count; i++)
            if (ranks[i] == rank)
                ranked[count++] = list->rows[i];
    const struct delivery_list best = {.rows = ranked, .count = count};
    return fill(store, load, &best);
}

/* The cursors stay where they are. */
static void stay(struct journal_load *load)
{
    load->ret_after_pending_id = load->after_pending_id;
    load->ret_after_recovered_id = load->after_recovered_id;
    load->ret_after_waiting_due_us = load->after_waiting_due_us;
    load->ret_after_waiting_id = load->after_waiting_id;
}

enum err store_load(struct store *store, struct request *request)
{
    struct journal_load *load = CONTAINER_OF(request, struct journal_load, request);
    struct delivery_list list;
    load->ret_count = 0;
    load->ret_next_due_us = load->ret_after_probe_id = INT64_MAX;
    stay(load);
    memset(load->ret_more_of, 0, sizeof load->ret_more_of);
    delivery_list_init(&list, load->probe ? LOAD_PROBE_LOOKED : load->count_max);
    enum err result = load->probe ? load_probes(store, load, &list) : load_due(store, load, &list);
    delivery_list_done(&list);
    load->ret_more = false;
    for (unsigned part = 0; part < LOAD_PARTS; part++)
        load->ret_more |= load->ret_more_of[part];
    return result;
}

void store_undo_load(struct request *request)
{
    struct journal_load *load = CONTAINER_OF(request, struct journal_load, request);
    for (unsigned i = 0; i < load->ret_count; i++)
        event_unref(load->ret_deliveries[i].event);
    load->ret_count = 0;
    load->ret_more = false;
    memset(load->ret_more_of, 0, sizeof load->ret_more_of);
    stay(load);
}
