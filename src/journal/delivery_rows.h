/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries and their attempts on disk, and the only place where a stored delivery changes its state. Each change
 * names the state and the generation that it expects, so that what has moved on meanwhile stays as it is. Owned by the
 * journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_DELIVERY_ROWS_H
#define PENSTOCK_JOURNAL_DELIVERY_ROWS_H

#include "journal/journal.h"

#include <sqlite3.h>

enum delivery_statement {
    DELIVERIES_ADD,
    DELIVERIES_MOVE,
    DELIVERIES_ADD_ATTEMPT,
    DELIVERIES_UNFOLD_ATTEMPT,
    DELIVERIES_PARK_INTERRUPTED,
    DELIVERIES_RELEASE,
    DELIVERIES_LIST_PENDING,
    DELIVERIES_LIST_WAITING,
    DELIVERIES_NEXT_DUE,
    DELIVERIES_BRING_FORWARD,
    DELIVERIES_COUNT_OPEN,
    DELIVERIES_STATEMENTS
};

struct delivery_rows {
    sqlite3 *db;
    sqlite3_stmt *statements[DELIVERIES_STATEMENTS];
};

/* delivery_rows_done is due after a failure as well. */
enum err delivery_rows_init(struct delivery_rows *rows, sqlite3 *db) MUST_CHECK;
void delivery_rows_done(struct delivery_rows *rows);

enum err delivery_rows_add(
    struct delivery_rows *rows, const struct delivery *delivery, enum park_reason reason) MUST_CHECK;

/*
 * The ways of delivery_state.h, and those on which an unguarded delivery passes `sending` without it being written.
 * Whether a delivery is guarded is its owner's to know: it does not stand in the row.
 */
bool delivery_rows_may_move(const struct journal_settle *order, bool is_start);

/*
 * Moves one delivery as `order` says (its request is not looked at) and records the attempt that comes with it.
 * ERR_MOVED_ON leaves all as it was. A start changes nothing but the state. A move to pending by order begins a new
 * round: the generation goes up.
 */
enum err delivery_rows_move(
    struct delivery_rows *rows, const struct journal_settle *order, bool is_start, int64_t now_us) MUST_CHECK;

/* After a crash: those that had begun to send (only guarded ones are written as sending) are parked as ambiguous. */
enum err delivery_rows_park_interrupted(struct delivery_rows *rows, int64_t now_us, int64_t *ret_count) MUST_CHECK;

/* Parked ones of one endpoint and reason, in order of id, become pending. In the lane of retries: fresh events stay
 * fresh. */
enum err delivery_rows_release(struct delivery_rows *rows, uint64_t endpoint, enum park_reason reason,
    unsigned count_max, int64_t now_us, unsigned *ret_count) MUST_CHECK;

/*
 * Fills `ret_deliveries` (room for count_max; `event` is NULL) in the order of journal_load; `ret_more` when there are
 * more. `due_us` of a pending one is not meaningful here: it is its event's.
 */
enum err delivery_rows_list_due(struct delivery_rows *rows, const struct journal_load *load,
    struct delivery *ret_deliveries, unsigned *ret_count, bool *ret_more) MUST_CHECK;

/* When the earliest waiting one behind both the cursor and `due_by_us` of `load` is due; INT64_MAX: there is none. */
enum err delivery_rows_next_due(
    struct delivery_rows *rows, const struct journal_load *load, int64_t *ret_due_us) MUST_CHECK;

/* Waiting ones that are due later than this become due then. */
enum err delivery_rows_bring_forward(struct delivery_rows *rows, int64_t due_max_us) MUST_CHECK;

/* A malloc'd row for each endpoint that has something open; NULL when there is none. */
enum err delivery_rows_count_open(
    struct delivery_rows *rows, struct journal_backlog **ret_backlogs, size_t *ret_count) MUST_CHECK;

#endif
