/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that have the key of an earlier one. Both tables are kept as long as the history. Owned by
 * the thread of their connection.
 *
 * Aliases: a duplicate that was answered as if it were new, since it was found only when the broker
 * delivered it. Its id leads to the first event. The writer adds them, the reader looks them up.
 *
 * Conflicts: events with the key of another and other money. They are kept with their bodies, for a
 * person to look at, and never delivered. A partner that sends the same conflict again and again
 * adds to its count, not to the file. Of one key CONFLICTS_PER_KEY_MAX different ones are kept; the
 * others are counted with the last of them.
 */
#ifndef PENSTOCK_JOURNAL_DUPLICATE_ROWS_H
#define PENSTOCK_JOURNAL_DUPLICATE_ROWS_H

#include "model/event.h"
#include "sqlite/sql.h"

enum alias_statement { ALIASES_ADD, ALIASES_FIND, ALIASES_STATEMENTS };

struct alias_rows {
    struct sqlite3_stmt *statements[ALIASES_STATEMENTS];
};

/* alias_rows_done is due after a failure as well. */
enum err alias_rows_init(struct alias_rows *rows, struct sqlite3 *db) MUST_CHECK;
void alias_rows_done(struct alias_rows *rows);

/* One that is there stays as it is. */
enum err alias_rows_add(struct alias_rows *rows, const struct event_id *id,
    const struct event_id *first, int64_t at_us) MUST_CHECK;

/* ERR_NOT_FOUND, ERR_DAMAGED. */
enum err alias_rows_find(
    struct alias_rows *rows, const struct event_id *id, struct event_id *ret_first) MUST_CHECK;

/* Conflicts. */

#define CONFLICTS_PER_KEY_MAX 16

enum conflict_statement {
    CONFLICTS_FIND,
    CONFLICTS_ADD,
    CONFLICTS_COUNT_AGAIN,
    CONFLICTS_STATEMENTS
};

struct conflict_rows {
    struct sqlite3_stmt *statements[CONFLICTS_STATEMENTS];
};

/* A row as the file has it. Of `parts` the partner, account, type, key, amount, currency and body
 * are set; they are valid until the next step. */
struct conflict_row {
    int64_t seq;
    struct event_id first;
    int64_t at_us, last_us, times;
    struct event_parts parts;
};
/* The columns that conflict_row_take reads, in its order. */
#define CONFLICT_COLUMNS                                                                       \
    "seq, first_event, at_us, last_us, times, partner, account, type, key, amount, currency, " \
    "body, crc"
/* False when it is not what was written; it is filled all the same. */
bool conflict_row_take(const struct sql_use *use, struct conflict_row *ret_row);

/* conflict_rows_done is due after a failure as well. */
enum err conflict_rows_init(struct conflict_rows *rows, struct sqlite3 *db) MUST_CHECK;
void conflict_rows_done(struct conflict_rows *rows);

/* `first` is the event that was accepted. `ret_is_new`: this money was not seen under the key
 * before. */
enum err conflict_rows_add(struct conflict_rows *rows, const struct event_id *first, int64_t at_us,
    const struct event *event, bool *ret_is_new) MUST_CHECK;

#endif
