/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/event_range.h"

#include "sqlite/sql.h"

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

enum err event_range_find(struct sqlite3 *db, int64_t from_us, int64_t end_us,
    int64_t *ret_after_seq, int64_t *ret_last_seq)
{
    struct sqlite3_stmt *statement = NULL;
    int64_t last = 0, after = 0, end = INT64_MAX;
    enum err result = sql_read_int(db, "SELECT coalesce(max(seq), 0) FROM events", &last);
    if (!result)
        result = sql_prepare(db,
            "SELECT seq, accepted_us FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", &statement);
    if (!result)
        result = find_before(statement, moved(from_us, -EVENT_RANGE_DISORDER_US), last, &after);
    if (!result)
        result = find_before(statement, moved(end_us, EVENT_RANGE_DISORDER_US), last, &end);
    sql_finalize(statement);
    if (result)
        return result;
    *ret_after_seq = after;
    *ret_last_seq = end == last ? INT64_MAX : end; /* new events may belong to it as well */
    return OK;
}
