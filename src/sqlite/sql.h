/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite for the rest of the program: prepared statements whose parameters are bound in order,
 * columns, and errors of our own catalogue. src/sqlite is the only folder that includes sqlite3.h.
 * Others hold a connection (`struct sqlite3 *`, opened by database.h) and statements (`struct
 * sqlite3_stmt *`), and pass them back to these functions.
 *
 *   struct sql_use use = sql_use(statement);     begin to use a statement
 *   sql_bind_int(&use, 7);                       its first parameter, then the second, ...
 *   err = sql_step(&use, &row);                  the next row, or none
 *   sql_column_int(&use, 0);                     of that row
 *   sql_finish(&use);                            always, after an error as well
 *
 * Binding is sticky-bad, as base/buffer.h is: when a parameter cannot be bound, the step fails. So
 * nothing is written with a hole in it, and only the step needs a check. Bound bytes are not
 * copied: they must stay until the statement is finished. A statement that is not finished keeps a
 * read transaction open, and the WAL cannot start over.
 *
 * A connection and its statements belong to one thread.
 */
#ifndef PENSTOCK_SQLITE_SQL_H
#define PENSTOCK_SQLITE_SQL_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_stmt;

/*
 * What the functions below return, as far as they say nothing else:
 *
 *   ERR_DISK_FULL     no room or no quota. SQLite reports some of it as an I/O error
 *   ERR_DISK          every other I/O error, and a file that cannot be opened
 *   ERR_DAMAGED       the file, or a page of it, is not what SQLite writes
 *   ERR_UNAVAILABLE   another connection holds the lock for longer than the busy timeout
 *   ERR_NO_MEMORY
 *   ERR_BUG           the statement is wrong, or a constraint does not hold
 */

/* What SQLite says of the last failure of this connection; valid until the next call. */
const char *sql_reason(struct sqlite3 *db);

/* Runs texts without parameters and results. Several statements may follow each other. */
enum err sql_run(struct sqlite3 *db, const char *text) MUST_CHECK;
/* Runs a text with one row of one integer, and without parameters. ERR_NOT_FOUND: no row. */
enum err sql_read_int(struct sqlite3 *db, const char *text, int64_t *ret_value) MUST_CHECK;

enum err sql_prepare(
    struct sqlite3 *db, const char *text, struct sqlite3_stmt **ret_statement) MUST_CHECK;
/* After a failure some of them may be prepared: sql_finalize_all is due all the same. */
enum err sql_prepare_all(struct sqlite3 *db, const char *const *texts, size_t count,
    struct sqlite3_stmt **ret_statements) MUST_CHECK;
void sql_finalize(struct sqlite3_stmt *statement);                     /* takes NULL */
void sql_finalize_all(struct sqlite3_stmt **statements, size_t count); /* takes NULLs, sets them */
int sql_parameters(struct sqlite3_stmt *statement);                    /* how many it has */

/* A statement in use. */
struct sql_use {
    struct sqlite3_stmt *statement;
    int bound; /* parameters so far */
    int code;  /* SQLITE_OK, or the code of the first binding that failed */
};

static inline struct sql_use sql_use(struct sqlite3_stmt *statement)
{
    return (struct sql_use){.statement = statement};
}

void sql_bind_int(struct sql_use *use, int64_t value);
void sql_bind_null(struct sql_use *use);
void sql_bind_optional_int(struct sql_use *use, bool there, int64_t value);
void sql_bind_text(struct sql_use *use, struct slice text);
void sql_bind_optional_text(struct sql_use *use, struct slice text); /* NULL when it is empty */
void sql_bind_string(struct sql_use *use, const char *text);
void sql_bind_blob(struct sql_use *use, struct slice bytes); /* an empty one stays a blob */

/* The next row, if there is one. The caller finishes the statement. */
enum err sql_step(struct sql_use *use, bool *ret_row) MUST_CHECK;
/* Runs and finishes a statement without rows. */
enum err sql_execute(struct sql_use *use) MUST_CHECK;
/* Runs and finishes a statement with one row of one integer. ERR_NOT_FOUND: no row. */
enum err sql_execute_int(struct sql_use *use, int64_t *ret_value) MUST_CHECK;
void sql_finish(struct sql_use *use);

/* Of the row of the last step. Bytes are valid until the next step; NULL reads as 0 and empty. */
int64_t sql_column_int(const struct sql_use *use, int column);
struct slice sql_column_slice(const struct sql_use *use, int column);
bool sql_column_is_null(const struct sql_use *use, int column);
int sql_columns(const struct sql_use *use); /* how many there are */

/* Of the last statement that wrote. */
int64_t sql_changes(struct sqlite3 *db);
int64_t sql_last_row(struct sqlite3 *db); /* the number of the row that was inserted */

/* The last failure of the connection, asked right after it. */
bool sql_broke_constraint(struct sqlite3 *db);     /* a UNIQUE, NOT NULL or CHECK */
bool sql_found_damaged_index(struct sqlite3 *db);  /* an index lacks an entry it should have */
bool sql_found_read_only_disk(struct sqlite3 *db); /* the file system takes no writes */
/*
 * Returns whether the file cannot be trusted any more to keep what is written from now on. After a
 * sync that failed the kernel may have dropped the pages, and a second try is answered from memory.
 * The same holds for an I/O error of a COMMIT (`while_committing`), with three exceptions: the disk
 * is full; a write was refused, which the next commit repeats; the error is of the WAL's index,
 * which is made again from the WAL.
 */
bool sql_is_in_doubt(struct sqlite3 *db, bool while_committing);

/* Whether an UPDATE succeeds although an index lacks the entry that it should take out. */
void sql_tolerate_damaged_index(struct sqlite3 *db, bool tolerate);

#endif
