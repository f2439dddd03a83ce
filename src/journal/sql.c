/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/sql.h"

#include <errno.h>

bool sql_is_sync_failure(int code)
{
    return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
}

bool sql_is_of_index(int code)
{
    return code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMOPEN ||
           code == SQLITE_IOERR_SHMMAP || code == SQLITE_IOERR_SHMLOCK;
}

bool sql_is_read_only(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db) & 0xff;
    return code == SQLITE_READONLY ||
           ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && sqlite3_system_errno(db) == EROFS);
}

/* ENOSPC while the WAL's index grows comes as an I/O error, not as SQLITE_FULL, and the system's
 * own number may be lost under what the roll-back did since; nothing but room can fail there. From
 * a sync it is more than that. */
static bool disk_is_full(sqlite3 *db, int code)
{
    if (sql_is_sync_failure(code))
        return false;
    if (code == SQLITE_IOERR_SHMSIZE)
        return true;
    int system_error = db ? sqlite3_system_errno(db) : 0;
    return system_error == ENOSPC || system_error == EDQUOT;
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

enum err sql_run(sqlite3 *db, const char *text)
{
    return sql_err(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

enum err sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret_statement)
{
    return sql_err(
        db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL));
}

enum err sql_prepare_all(
    sqlite3 *db, const char *const *texts, size_t count, sqlite3_stmt **ret_statements)
{
    enum err result = OK;
    for (size_t i = 0; i < count && !result; i++)
        result = sql_prepare(db, texts[i], &ret_statements[i]);
    return result;
}

void sql_finalize_all(sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

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

void sql_bind_blob(struct sql_use *use, struct slice bytes)
{
    note(use, sqlite3_bind_blob64(
                  use->statement, ++use->bound, never_null(bytes), bytes.len, SQLITE_STATIC));
}

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
    enum err result = sql_step(use, &row);
    sql_finish(use);
    return result;
}

enum err sql_execute_int(struct sql_use *use, int64_t *ret_value)
{
    bool row;
    enum err result = sql_step(use, &row);
    if (!result && !row)
        result = ERR_NOT_FOUND;
    if (!result)
        *ret_value = sql_column_int(use, 0);
    sql_finish(use);
    return result;
}

void sql_finish(struct sql_use *use)
{
    sqlite3_reset(use->statement);
    sqlite3_clear_bindings(use->statement);
}

struct slice sql_column_slice(const struct sql_use *use, int column)
{
    const void *data = sqlite3_column_blob(use->statement, column);
    return slice_of(data, (size_t)sqlite3_column_bytes(use->statement, column));
}
