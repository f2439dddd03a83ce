/* SPDX-License-Identifier: Apache-2.0 */
#include "history/reading.h"

#include "sqlite/database.h"
#include "sqlite/wal.h"

#include <stdio.h>

/* Long enough for the last moment of a checkpoint. */
#define BUSY_MS 100

/* The WAL's size limit is 64 MiB (schema.c): a larger one has not been begun anew for a while. */
#define WAL_BYTES_MAX (96 * 1024 * 1024)

enum err reading_open(
    const char *directory, unsigned shard, unsigned cache_kib, struct sqlite3 **ret_db)
{
    char path[4096], pragmas[96];
    int len = snprintf(path, sizeof path, "%s/journal-%u.db", directory, shard);
    if (len < 0 || (size_t)len >= sizeof path)
        return ERR_DISK;
    snprintf(pragmas, sizeof pragmas, "PRAGMA cache_size = -%u;", cache_kib);
    const struct sql_options options = {
        .access = SQL_READ, .busy_ms = BUSY_MS, .leaves_wal = true, .pragmas = pragmas};
    return sql_open(path, &options, ret_db, NULL);
}

enum err reading_begin(struct sqlite3 *db)
{
    return sql_run(db, "BEGIN");
}

/* It wrote nothing: a roll-back ends it as well as a commit. */
void reading_end(struct sqlite3 *db)
{
    (void)!sql_roll_back(db);
}

bool reading_must_rest(struct sqlite3 *db)
{
    return wal_bytes(db) > WAL_BYTES_MAX;
}

enum err reading_find_range(struct sqlite3 *db, int64_t from_us, int64_t end_us,
    int64_t *ret_after_seq, int64_t *ret_last_seq)
{
    return event_range_find(db, from_us, end_us, ret_after_seq, ret_last_seq);
}

enum err reading_meta(struct sqlite3 *db, const char *key, int64_t otherwise, int64_t *ret_value)
{
    struct sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(db, "SELECT value FROM meta WHERE key = ?", &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(key));
        *ret_value = otherwise;
        result = sql_execute_int(&use, ret_value);
    }
    sql_finalize(statement);
    return result == ERR_NOT_FOUND ? OK : result;
}
