/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/alias_rows.h"

#include "base/cleanup.h"
#include "journal/checksum.h"

static const char *const texts[ALIASES_STATEMENTS] = {
    [ALIASES_ADD] = "INSERT OR IGNORE INTO aliases(id, first, at_us, crc) VALUES(?,?,?,?)",
    [ALIASES_FIND] = "SELECT first, at_us, crc FROM aliases WHERE id = ?",
};

enum err alias_rows_init(struct alias_rows *rows, struct sqlite3 *db)
{
    *rows = (struct alias_rows){0};
    return sql_prepare_all(db, texts, ALIASES_STATEMENTS, rows->statements);
}

void alias_rows_done(struct alias_rows *rows)
{
    sql_finalize_all(rows->statements, ALIASES_STATEMENTS);
}

static struct slice slice_of_id(const struct event_id *id)
{
    return slice_of(id->bytes, sizeof id->bytes);
}

static uint32_t checksum(const struct event_id *id, struct slice first, int64_t at_us)
{
    const struct slice ids[] = {slice_of_id(id), first};
    return checksum_columns(&at_us, 1, ids, ARRAY_LENGTH(ids));
}

enum err alias_rows_add(
    struct alias_rows *rows, const struct event_id *id, const struct event_id *first, int64_t at_us)
{
    struct sql_use use = sql_use(rows->statements[ALIASES_ADD]);
    sql_bind_blob(&use, slice_of_id(id));
    sql_bind_blob(&use, slice_of_id(first));
    sql_bind_int(&use, at_us);
    sql_bind_int(&use, checksum(id, slice_of_id(first), at_us));
    return sql_execute(&use);
}

enum err alias_rows_find(
    struct alias_rows *rows, const struct event_id *id, struct event_id *ret_first)
{
    struct sql_use use = sql_use(rows->statements[ALIASES_FIND]);
    bool row;
    sql_bind_blob(&use, slice_of_id(id));
    enum err result = sql_step(&use, &row);
    if (!result && !row)
        result = ERR_NOT_FOUND;
    if (!result) {
        struct slice first = sql_column_slice(&use, 0);
        if (first.len != sizeof ret_first->bytes ||
            checksum(id, first, sql_column_int(&use, 1)) != sql_column_int(&use, 2))
            result = ERR_DAMAGED;
        else
            memcpy(ret_first->bytes, first.data, first.len);
    }
    sql_finish(&use);
    return result;
}
