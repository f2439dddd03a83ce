/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/reading.h"

#include <stdio.h>
#include <sys/stat.h>

/* Long enough for a checkpoint's last moment; a person asks again. */
#define BUSY_TIMEOUT_MS 100

/* The WAL's size limit is 64 MiB (schema.c): a larger one has not been begun anew for a while. */
#define WAL_BYTES_MAX (96 * 1024 * 1024)

enum err reading_open(const char *directory, unsigned shard, unsigned cache_kib, sqlite3 **ret_db)
{
    char path[4096], pragmas[96];
    sqlite3 *db = NULL;
    int len = snprintf(path, sizeof path, "%s/journal-%u.db", directory, shard);
    if (len < 0 || (size_t)len >= sizeof path)
        return ERR_DISK;
    snprintf(pragmas, sizeof pragmas, "PRAGMA mmap_size = 0; PRAGMA cache_size = -%u;", cache_kib);
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    enum err result = db ? sql_err(db, code) : ERR_NO_MEMORY;
    if (!result) {
        sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
        sqlite3_wal_autocheckpoint(db, 0);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        result = sql_run(db, pragmas);
    }
    if (result) {
        sqlite3_close(db);
        return result;
    }
    *ret_db = db;
    return OK;
}

enum err reading_begin(sqlite3 *db)
{
    return sql_run(db, "BEGIN");
}

/* It wrote nothing, so that either end does. */
void reading_end(sqlite3 *db)
{
    if (!sqlite3_get_autocommit(db))
        (void)!sql_run(db, "ROLLBACK");
}

bool reading_must_rest(sqlite3 *db)
{
    struct stat wal;
    return stat(sqlite3_filename_wal(sqlite3_db_filename(db, "main")), &wal) == 0 &&
           wal.st_size > WAL_BYTES_MAX;
}

/* The first event with a number of at least `seq`; false in *ret_found when there is none. */
static enum err probe(sqlite3_stmt *statement, int64_t seq, int64_t *ret_seq,
    int64_t *ret_accepted_us, bool *ret_found)
{
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, seq);
    enum err result = sql_step(&use, ret_found);
    if (!result && *ret_found) {
        *ret_seq = sql_column_int(&use, 0);
        *ret_accepted_us = sql_column_int(&use, 1);
    }
    sql_finish(&use);
    return result;
}

/* The number before the first event that was accepted at `us` or later; `last` when there is none.
 * */
static enum err find_before(sqlite3_stmt *statement, int64_t us, int64_t last, int64_t *ret_seq)
{
    int64_t low = 0,
            high = last; /* what is in (0, low] was earlier, what is behind `high` was not */
    while (low < high) {
        int64_t middle = low + (high - low) / 2, seq = 0, accepted_us = 0;
        bool found;
        enum err result = probe(statement, middle + 1, &seq, &accepted_us, &found);
        if (result)
            return result;
        if (found && seq <= high && accepted_us < us)
            low = seq;
        else
            high = middle;
    }
    *ret_seq = low;
    return OK;
}

static int64_t moved(int64_t us, int64_t by_us)
{
    int64_t sum;
    return __builtin_add_overflow(us, by_us, &sum) ? us : sum;
}

enum err reading_find_range(
    sqlite3 *db, int64_t from_us, int64_t end_us, int64_t *ret_after_seq, int64_t *ret_last_seq)
{
    sqlite3_stmt *statement = NULL;
    int64_t last = 0, after = 0, end = INT64_MAX;
    enum err result = sql_prepare(db, "SELECT coalesce(max(seq), 0) FROM events", &statement);
    struct sql_use use = sql_use(statement);
    if (!result)
        result = sql_execute_int(&use, &last);
    sqlite3_finalize(statement);
    statement = NULL;
    if (!result)
        result = sql_prepare(db,
            "SELECT seq, accepted_us FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", &statement);
    if (!result)
        result = find_before(statement, moved(from_us, -READING_DISORDER_US), last, &after);
    if (!result)
        result = find_before(statement, moved(end_us, READING_DISORDER_US), last, &end);
    sqlite3_finalize(statement);
    if (result)
        return result;
    *ret_after_seq = after;
    *ret_last_seq = end == last ? INT64_MAX : end; /* what comes may belong to it as well */
    return OK;
}

enum err reading_meta(sqlite3 *db, const char *key, int64_t otherwise, int64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(db, "SELECT value FROM meta WHERE key = ?", &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(key));
        *ret_value = otherwise;
        result = sql_execute_int(&use, ret_value);
    }
    sqlite3_finalize(statement);
    return result == ERR_NOT_FOUND ? OK : result;
}
