/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aliases: the id of a duplicate that was answered as if it were new, since the first one was found
 * only later, leads to the first one. Kept as long as the history. Used by the writer and by the
 * reader; owned by its connection's thread.
 */
#ifndef PENSTOCK_JOURNAL_ALIAS_ROWS_H
#define PENSTOCK_JOURNAL_ALIAS_ROWS_H

#include "model/event_id.h"
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

#endif
