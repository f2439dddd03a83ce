/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of replays (replays.h): `replays` has a row for each replay, `replay_cursors` one for
 * each endpoint of a replay that is not finished. Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_REPLAY_ROWS_H
#define PENSTOCK_JOURNAL_REPLAY_ROWS_H

#include "journal/replays.h"
#include "sqlite/sql.h"

enum replay_statement {
    REPLAYS_WRITE,
    REPLAYS_READ,
    REPLAYS_LIST,
    REPLAYS_LIST_OPEN,
    REPLAYS_COUNT_OPEN,
    REPLAYS_DROP_OLD,
    REPLAYS_WRITE_CURSOR,
    REPLAYS_LIST_CURSORS,
    REPLAYS_DROP_CURSOR,
    REPLAYS_DROP_CURSORS,
    REPLAYS_NEXT_DEAD,
    REPLAYS_NEXT_PARKED,
    REPLAYS_NEXT_WAITING,
    REPLAYS_LOOK_DEAD,
    REPLAYS_LOOK_PARKED,
    REPLAYS_LOOK_WAITING,
    REPLAYS_LOOK_DELIVERED,
    REPLAYS_LAST_EVENT,
    REPLAYS_FIND_MOVE,
    REPLAYS_COUNT_LEAD,
    REPLAYS_STATEMENTS
};

struct replay_rows {
    struct sqlite3_stmt *statements[REPLAYS_STATEMENTS];
};

/* A replay as it is stored. */
struct replay_row {
    struct replay replay;
    /* Endpoints up to here (as a signed number, -1: none) have been found, or all of them. */
    int64_t found_endpoint;
    bool found_all;
};

/* replay_rows_done is due after a failure as well. */
enum err replay_rows_init(struct replay_rows *rows, struct sqlite3 *db) MUST_CHECK;
void replay_rows_done(struct replay_rows *rows);

/* ERR_NOT_FOUND, ERR_DAMAGED. */
enum err replay_rows_read(
    struct replay_rows *rows, const struct event_id *id, struct replay_row *ret_row) MUST_CHECK;
enum err replay_rows_write(struct replay_rows *rows, const struct replay_row *row) MUST_CHECK;
/* Reads the row from a step of REPLAYS_LIST or REPLAYS_LIST_OPEN. False: it is damaged. */
bool replay_row_take(const struct sql_use *use, struct replay_row *ret_row);

/* Whether the replay has moved this delivery, by the note of its action. */
enum err replay_rows_find_move(struct replay_rows *rows, const struct event_id *id,
    int64_t delivery, bool *ret_moved) MUST_CHECK;

/* The end of the note of an action that a replay makes. */
#define REPLAY_MARK_BYTES (REPLAY_ID_TEXT_BYTES + 2)
void replay_mark_format(const struct event_id *id, char ret_text[REPLAY_MARK_BYTES]);

enum err replay_rows_write_cursor(struct replay_rows *rows, const struct event_id *id,
    const struct replay_cursor *cursor) MUST_CHECK;
enum err replay_rows_drop_cursor(
    struct replay_rows *rows, const struct event_id *id, uint64_t endpoint) MUST_CHECK;
enum err replay_rows_drop_cursors(struct replay_rows *rows, const struct event_id *id) MUST_CHECK;
/* Up to REPLAY_WINDOW, in order of their endpoints. */
enum err replay_rows_list_cursors(struct replay_rows *rows, const struct event_id *id,
    struct replay_cursor ret_cursors[REPLAY_WINDOW], unsigned *ret_count) MUST_CHECK;

#endif
