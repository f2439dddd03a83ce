/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of stored deliveries, out of the partial index of their state (schema.h), and what is done
 * with all rows of a list. A list is bounded by its caller. A damaged row on it is parked as
 * damaged. Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_DELIVERY_LISTS_H
#define PENSTOCK_JOURNAL_DELIVERY_LISTS_H

#include "journal/delivery_rows.h"

/* Events with a number beyond `after_event` of which something is broker-owned, in order; only
 * `event` of each is filled in. */
enum err delivery_rows_list_broker_owned(struct delivery_rows *rows, int64_t after_event,
    unsigned count_max, struct journal_broker_owned *ret_events, unsigned *ret_count) MUST_CHECK;

/*
 * After a crash: up to `count_max` of those that had begun to send (only guarded ones are written
 * as sending) are parked as ambiguous, with an attempt that says so. `ret_ids` has room for them.
 */
enum err delivery_rows_park_interrupted(struct delivery_rows *rows, unsigned count_max,
    int64_t now_us, int64_t *ret_ids, unsigned *ret_count) MUST_CHECK;

/* Parked ones of one endpoint and reason, in order of id, become pending. In the lane of retries:
 * fresh events stay fresh. */
enum err delivery_rows_release(struct delivery_rows *rows, uint64_t endpoint,
    enum park_reason reason, unsigned count_max, int64_t now_us, unsigned *ret_count) MUST_CHECK;

/* When and in which generation a delivery was parked. */
struct parking {
    uint32_t generation;
    int64_t at_us;
};

/* Parked ones of one endpoint and reason with an id beyond `after_id`. `ret_ids` and `ret_parkings`
 * have room for count_max. NULL: the parkings are not wanted. */
enum err delivery_rows_list_parked(struct delivery_rows *rows, uint64_t endpoint,
    enum park_reason reason, int64_t after_id, unsigned count_max, int64_t *ret_ids,
    struct parking *ret_parkings, unsigned *ret_count) MUST_CHECK;

/* The rows of a load, in its order. */
struct delivery_list {
    struct delivery_listed *rows;
    unsigned count, count_max;
    bool more_of[LOAD_PARTS]; /* there are more of a part than found room */
    /* Up to here the rows of each part are on the list, or were passed over. */
    struct delivery_looked {
        int64_t due_us, id; /* due_us: of LOAD_DUE */
    } looked[LOAD_PARTS];
};

void delivery_list_init(struct delivery_list *list, unsigned count_max);
void delivery_list_done(struct delivery_list *list);

/* The rows of all parts that `load` asks for. */
enum err delivery_rows_list_load(struct delivery_rows *rows, const struct journal_load *load,
    struct delivery_list *list) MUST_CHECK;
/* The candidates for a probe (struct journal_load): the oldest rows behind `after_probe_id` that
 * are pending or wait because of the endpoint, as far as there is room. If there is none, and this
 * is the beginning: those that wait for another cause, else replays. The part LOAD_RECOVERED says
 * how far the search has come, and whether there are more. */
enum err delivery_rows_list_oldest(struct delivery_rows *rows, const struct journal_load *load,
    struct delivery_list *list) MUST_CHECK;

/* When the earliest waiting one behind both the cursor and `due_by_us` of `load` is due; INT64_MAX:
 * there is none. */
enum err delivery_rows_next_due(
    struct delivery_rows *rows, const struct journal_load *load, int64_t *ret_due_us) MUST_CHECK;

/* Up to `count_max` of the waiting ones whose wait begins after `clock_us` (that of due times)
 * begin it then. */
enum err delivery_rows_bring_forward(struct delivery_rows *rows, int64_t clock_us,
    unsigned count_max, int64_t now_us, unsigned *ret_count) MUST_CHECK;

/* A malloc'd row for each endpoint that has something open; NULL when there is none. */
enum err delivery_rows_count_open(struct delivery_rows *rows, struct journal_backlog **ret_backlogs,
    size_t *ret_count) MUST_CHECK;

#endif
