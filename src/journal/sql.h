/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of SQLite's interface that the journal uses, in the house's terms: prepared statements
 * whose parameters are bound one after the other, and error codes of the catalogue.
 *
 * Binding is sticky-bad (as base/buffer.h is): a parameter that could not be bound makes the step
 * fail, so that nothing is ever written with a hole in it. Bound bytes are not copied: they must
 * stay until the statement is finished. Every statement is finished (reset) after its use, on the
 * error paths as well: one that is left open would hold a read transaction, and with it the WAL.
 */
#ifndef PENSTOCK_JOURNAL_SQL_H
#define PENSTOCK_JOURNAL_SQL_H

#include "base/err.h"
#include "base/slice.h"

#include <sqlite3.h>
#include <stdint.h>

/* A statement that is being given its parameters. */
struct sql_use {
    sqlite3_stmt *statement;
    int bound; /* parameters so far */
    int code;  /* SQLITE_OK, or what the first failed binding said */
};

/*
 * ERR_DISK_FULL, ERR_DAMAGED, ERR_NO_MEMORY, ERR_UNAVAILABLE (busy), ERR_BUG (the statement is
 * wrong), ERR_DISK for all the rest; OK for SQLITE_OK, SQLITE_ROW and SQLITE_DONE. `db` tells a
 * full disk from another I/O error; it may be NULL.
 */
enum err sql_err(sqlite3 *db, int code) MUST_CHECK;

/* An extended code: what was written may be lost although it can be read, and a second try would
 * not find out. */
bool sql_is_sync_failure(int code);
/* A code of the WAL's index (the -shm file), which says nothing of what is on the disk: it is made
 * anew from the WAL. / */
bool sql_is_of_index(int code);
/* The last failure of the connection was a file system that takes no writes. */
bool sql_is_read_only(sqlite3 *db);

/* Texts without parameters and results; several statements may follow each other. */
enum err sql_run(sqlite3 *db, const char *text) MUST_CHECK;

enum err sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret_statement) MUST_CHECK;
/* All or nothing is not promised: sql_finalize_all takes what there is. */
enum err sql_prepare_all(
    sqlite3 *db, const char *const *texts, size_t count, sqlite3_stmt **ret_statements) MUST_CHECK;
void sql_finalize_all(sqlite3_stmt **statements, size_t count); /* takes NULLs */

static inline struct sql_use sql_use(sqlite3_stmt *statement)
{
    return (struct sql_use){.statement = statement};
}

void sql_bind_int(struct sql_use *use, int64_t value);
void sql_bind_null(struct sql_use *use);
void sql_bind_optional_int(struct sql_use *use, bool there, int64_t value);
void sql_bind_text(struct sql_use *use, struct slice text);
void sql_bind_optional_text(struct sql_use *use, struct slice text); /* NULL when it is empty */
void sql_bind_blob(struct sql_use *use, struct slice bytes);         /* an empty one stays a blob */

/* The next row, if there is one; the caller finishes the statement. */
enum err sql_step(struct sql_use *use, bool *ret_row) MUST_CHECK;
/* For a statement without rows: steps and finishes it. */
enum err sql_execute(struct sql_use *use) MUST_CHECK;
/* For a statement with one row of one integer: steps and finishes it. ERR_NOT_FOUND without a row.
 * */
enum err sql_execute_int(struct sql_use *use, int64_t *ret_value) MUST_CHECK;
void sql_finish(struct sql_use *use);

/* Bytes of a column, valid until the next step; NULL reads as empty. */
struct slice sql_column_slice(const struct sql_use *use, int column);
static inline int64_t sql_column_int(const struct sql_use *use, int column)
{
    return sqlite3_column_int64(use->statement, column);
}

#endif
