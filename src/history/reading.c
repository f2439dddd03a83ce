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

/* The first event with a number of at least `seq`; false in *ret_found when there is none. */
static enum err probe(struct sqlite3_stmt *statement, int64_t seq, int64_t *ret_seq,
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

/* Returns the number before the first event that was accepted at `us` or later; `last` when there
 * is none. */
static enum err find_before(
    struct sqlite3_stmt *statement, int64_t us, int64_t last, int64_t *ret_seq)
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

enum err reading_find_range(struct sqlite3 *db, int64_t from_us, int64_t end_us,
    int64_t *ret_after_seq, int64_t *ret_last_seq)
{
    struct sqlite3_stmt *statement = NULL;
    int64_t last = 0, after = 0, end = INT64_MAX;
    enum err result = sql_read_int(db, "SELECT coalesce(max(seq), 0) FROM events", &last);
    if (!result)
        result = sql_prepare(db,
            "SELECT seq, accepted_us FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", &statement);
    if (!result)
        result = find_before(statement, moved(from_us, -READING_DISORDER_US), last, &after);
    if (!result)
        result = find_before(statement, moved(end_us, READING_DISORDER_US), last, &end);
    sql_finalize(statement);
    if (result)
        return result;
    *ret_after_seq = after;
    *ret_last_seq = end == last ? INT64_MAX : end; /* new events may belong to it as well */
    return OK;
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
