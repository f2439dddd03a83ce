/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries and their attempts on disk, and the only place where a stored delivery changes its
 * state. Each change reads the row and checks its checksum. It names the state and the generation
 * that it expects, and writes the row as delivery_row_move has moved it. A row that is in another
 * state by then stays as it is. A move does not change a damaged row; a list parks it as damaged
 * (delivery_lists.h). Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_DELIVERY_ROWS_H
#define PENSTOCK_JOURNAL_DELIVERY_ROWS_H

#include "journal/delivery_row.h"
#include "sqlite/sql.h"

enum delivery_statement {
    DELIVERIES_ADD,
    DELIVERIES_READ,
    DELIVERIES_READ_EVENT,
    DELIVERIES_WRITE,
    DELIVERIES_WRITE_BROKER_OWNED,
    DELIVERIES_ADD_ATTEMPT,
    DELIVERIES_DROP_ATTEMPT,
    DELIVERIES_ADD_ACTIONS,
    DELIVERIES_LIST_SENDING,
    DELIVERIES_LIST_PARKED,
    DELIVERIES_LIST_FAR_AHEAD,
    DELIVERIES_LIST_BROKER_OWNED,
    DELIVERIES_LIST_PENDING,
    DELIVERIES_LIST_REPLAYS,
    DELIVERIES_LIST_ALL_PENDING,
    DELIVERIES_LIST_FAILED,
    DELIVERIES_LIST_OLDEST,
    DELIVERIES_LIST_WAITING,
    DELIVERIES_NEXT_DUE,
    DELIVERIES_COUNT_OPEN,
    DELIVERIES_STATEMENTS
};

struct delivery_rows {
    struct sqlite3 *db;
    struct backlog_board *backlog; /* gets every move */
    struct sqlite3_stmt *statements[DELIVERIES_STATEMENTS];
};

/* delivery_rows_done is due after a failure as well. */
enum err delivery_rows_init(
    struct delivery_rows *rows, struct sqlite3 *db, struct backlog_board *backlog) MUST_CHECK;
void delivery_rows_done(struct delivery_rows *rows);

enum err delivery_rows_add(struct delivery_rows *rows, struct delivery_row *row) MUST_CHECK;
/* Writes a row as it is, with all columns of it but the class, and moves its count. */
enum err delivery_rows_write(struct delivery_rows *rows, enum delivery_statement statement,
    struct delivery_row *row) MUST_CHECK;

/* ERR_NOT_FOUND, ERR_DAMAGED; the second fills `ret_row` all the same. */
enum err delivery_rows_read_any(
    struct delivery_rows *rows, int64_t id, struct delivery_row *ret_row) MUST_CHECK;
/* ERR_NOT_FOUND, ERR_DAMAGED. */
enum err delivery_rows_read(
    struct delivery_rows *rows, int64_t id, struct delivery_row *ret_row) MUST_CHECK;

/* A row as a list brought it, believed or not. */
struct delivery_listed {
    struct delivery_row row;
    bool damaged;
    enum load_part part; /* of a load: what the row was found as */
};

/* The rows of one event, in order; those that are not there are left out. */
enum err delivery_rows_read_event(struct delivery_rows *rows, int64_t event,
    struct delivery_listed ret_listed[ACCOUNT_ENDPOINTS_MAX], unsigned *ret_count) MUST_CHECK;

/* Which delivery, and where it is believed to be. */
struct delivery_expected {
    int64_t id;
    enum delivery_state state;
    uint32_t generation;
};

/*
 * Moves one delivery and records its attempt, if it has one. ERR_MOVED_ON: it is not there, or not
 * in this state of this generation any more. ERR_DAMAGED: its row is damaged. Both change nothing.
 * When the move makes the event the journal's own, its other rows are written as well.
 */
enum err delivery_rows_move(struct delivery_rows *rows, const struct delivery_expected *expected,
    const struct delivery_move *move, int64_t now_us) MUST_CHECK;

/* The same for a row that was read in this transaction. Its endpoint may have been changed since:
 * of an unrouted one, or by an operator. */
enum err delivery_rows_move_row(struct delivery_rows *rows, struct delivery_row *row,
    const struct delivery_move *move, int64_t now_us) MUST_CHECK;

/* Parks a damaged row, or one whose event is damaged, so that a person finds it. One that says it
 * was delivered before becomes delivered. ERR_NOT_FOUND. */
enum err delivery_rows_park_damaged(
    struct delivery_rows *rows, int64_t id, int64_t now_us) MUST_CHECK;

/*
 * One event becomes the journal's own: none of its rows is broker-owned any more. `ret_pending`
 * gets those that are pending, to be sent from now on. A damaged one is parked as damaged.
 */
enum err delivery_rows_adopt(struct delivery_rows *rows, int64_t event, int64_t now_us,
    struct delivery_row ret_pending[ACCOUNT_ENDPOINTS_MAX], unsigned *ret_count) MUST_CHECK;

/* What an operator or a status probe did, and why: kept as long as the delivery. */
enum err delivery_rows_add_action(struct delivery_rows *rows, const struct delivery_row *before,
    const struct delivery_row *after, enum action_actor actor, struct slice note,
    int64_t now_us) MUST_CHECK;

#endif
