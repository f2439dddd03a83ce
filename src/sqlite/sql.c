/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/sql.h"

#include "sqlite/sql_internal.h"

#include <errno.h>

/* Errors. */

static bool is_sync_failure(int code)
{
    return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
}

/* Of the WAL's index, the -shm file. It holds nothing that is not in the WAL. */
static bool is_of_wal_index(int code)
{
    return code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMOPEN ||
           code == SQLITE_IOERR_SHMMAP || code == SQLITE_IOERR_SHMLOCK;
}

/* The number of the last failed call on the WAL, or on the database's file. SQLite never clears it:
 * it counts right after a write that failed. */
static int last_error_of_files(sqlite3 *db)
{
    sqlite3_file *wal = NULL;
    int number = 0;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (wal && wal->pMethods)
        (void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &number);
    if (number == 0)
        (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

/* The system's number of an error; 0 when it is not known. What the roll-back does after a write
 * that failed overwrites the connection's number, but not the file's. */
static int system_error(sqlite3 *db, int code)
{
    int number = db ? sqlite3_system_errno(db) : 0;
    return db && number == 0 && code == SQLITE_IOERR_WRITE ? last_error_of_files(db) : number;
}

/*
 * SQLite reports SQLITE_FULL only when a write of a page gets ENOSPC. EDQUOT, and either of them
 * from another call, are reported as I/O errors. When the WAL's index cannot grow, the only cause
 * is missing room. A sync that fails for lack of room is more than that: what was written may be
 * lost.
 */
static bool disk_is_full(sqlite3 *db, int code)
{
    if (is_sync_failure(code))
        return false;
    if (code == SQLITE_IOERR_SHMSIZE)
        return true;
    int number = system_error(db, code);
    return number == ENOSPC || number == EDQUOT;
}

enum err sql_err(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return OK;
    case SQLITE_FULL:
        return ERR_DISK_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_DAMAGED;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_UNAVAILABLE;
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return ERR_BUG;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return disk_is_full(db, code) ? ERR_DISK_FULL : ERR_DISK;
    default:
        return ERR_DISK;
    }
}

const char *sql_reason(sqlite3 *db)
{
    return sqlite3_errmsg(db);
}

bool sql_broke_constraint(sqlite3 *db)
{
    return (sqlite3_extended_errcode(db) & 0xff) == SQLITE_CONSTRAINT;
}

bool sql_found_damaged_index(sqlite3 *db)
{
    return sqlite3_extended_errcode(db) == SQLITE_CORRUPT_INDEX;
}

bool sql_found_read_only_disk(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db), kind = code & 0xff;
    return kind == SQLITE_READONLY ||
           ((kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN) && system_error(db, code) == EROFS);
}

bool sql_is_in_doubt(sqlite3 *db, bool while_committing)
{
    int code = sqlite3_extended_errcode(db);
    if (is_sync_failure(code))
        return true;
    return while_committing && (code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_WRITE &&
           !is_of_wal_index(code) && !disk_is_full(db, code);
}

/* SQLite takes the error back only from those who may write the schema. */
void sql_tolerate_damaged_index(sqlite3 *db, bool tolerate)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, tolerate, NULL);
}

/* Texts and statements. */

enum err sql_run(sqlite3 *db, const char *text)
{
    return sql_err(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

enum err sql_read_int(sqlite3 *db, const char *text, int64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    enum err err = sql_prepare(db, text, &statement);
    if (!err) {
        struct sql_use use = sql_use(statement);
        err = sql_execute_int(&use, ret_value);
    }
    sqlite3_finalize(statement);
    return err;
}

enum err sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret_statement)
{
    return sql_err(
        db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL));
}

enum err sql_prepare_all(
    sqlite3 *db, const char *const *texts, size_t count, sqlite3_stmt **ret_statements)
{
    enum err err = OK;
    for (size_t i = 0; i < count && !err; i++)
        err = sql_prepare(db, texts[i], &ret_statements[i]);
    return err;
}

void sql_finalize(sqlite3_stmt *statement)
{
    sqlite3_finalize(statement);
}

void sql_finalize_all(sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

int sql_parameters(sqlite3_stmt *statement)
{
    return sqlite3_bind_parameter_count(statement);
}

int64_t sql_changes(sqlite3 *db)
{
    return sqlite3_changes64(db);
}

int64_t sql_last_row(sqlite3 *db)
{
    return sqlite3_last_insert_rowid(db);
}

/* Binding. */

static void note(struct sql_use *use, int code)
{
    if (use->code == SQLITE_OK)
        use->code = code;
}

void sql_bind_int(struct sql_use *use, int64_t value)
{
    note(use, sqlite3_bind_int64(use->statement, ++use->bound, value));
}

void sql_bind_null(struct sql_use *use)
{
    note(use, sqlite3_bind_null(use->statement, ++use->bound));
}

void sql_bind_optional_int(struct sql_use *use, bool there, int64_t value)
{
    if (there)
        sql_bind_int(use, value);
    else
        sql_bind_null(use);
}

/* SQLite takes a NULL pointer for the value NULL. */
static const char *never_null(struct slice slice)
{
    return slice.len ? slice.data : "";
}

void sql_bind_text(struct sql_use *use, struct slice text)
{
    note(use, sqlite3_bind_text64(use->statement, ++use->bound, never_null(text), text.len,
                  SQLITE_STATIC, SQLITE_UTF8));
}

void sql_bind_optional_text(struct sql_use *use, struct slice text)
{
    if (text.len)
        sql_bind_text(use, text);
    else
        sql_bind_null(use);
}

void sql_bind_string(struct sql_use *use, const char *text)
{
    sql_bind_text(use, slice_from_string(text));
}

void sql_bind_blob(struct sql_use *use, struct slice bytes)
{
    note(use, sqlite3_bind_blob64(
                  use->statement, ++use->bound, never_null(bytes), bytes.len, SQLITE_STATIC));
}

/* Stepping. */

enum err sql_step(struct sql_use *use, bool *ret_row)
{
    int code = use->code;
    if (code == SQLITE_OK)
        code = sqlite3_step(use->statement);
    *ret_row = code == SQLITE_ROW;
    return sql_err(sqlite3_db_handle(use->statement), code);
}

enum err sql_execute(struct sql_use *use)
{
    bool row;
    enum err err = sql_step(use, &row);
    sql_finish(use);
    return err;
}

enum err sql_execute_int(struct sql_use *use, int64_t *ret_value)
{
    bool row;
    enum err err = sql_step(use, &row);
    if (!err && !row)
        err = ERR_NOT_FOUND;
    if (!err)
        *ret_value = sql_column_int(use, 0);
    sql_finish(use);
    return err;
}

void sql_finish(struct sql_use *use)
{
    sqlite3_reset(use->statement);
    sqlite3_clear_bindings(use->statement);
}

int64_t sql_column_int(const struct sql_use *use, int column)
{
    return sqlite3_column_int64(use->statement, column);
}

struct slice sql_column_slice(const struct sql_use *use, int column)
{
    const void *data = sqlite3_column_blob(use->statement, column);
    return slice_of(data, (size_t)sqlite3_column_bytes(use->statement, column));
}

bool sql_column_is_null(const struct sql_use *use, int column)
{
    return sqlite3_column_type(use->statement, column) == SQLITE_NULL;
}

int sql_columns(const struct sql_use *use)
{
    return sqlite3_column_count(use->statement);
}
