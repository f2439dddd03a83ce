/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/delivery_rows.h"

#include "journal/sql.h"

#include <assert.h>
#include <stdlib.h>

/* States and reasons are written out, since a partial index serves only a query that says its condition literally. */
static const char *const texts[DELIVERIES_STATEMENTS] = {
    [DELIVERIES_ADD] =
        "INSERT INTO deliveries(id, endpoint, state, reason, lane, generation, attempts, failures, due_us,"
        " settled_us) VALUES(?,?,?,?,?,?,?,?,?,0)",
    [DELIVERIES_MOVE] = "UPDATE deliveries SET state = ?4, reason = ?5, generation = generation + ?6, settled_us = ?7,"
                        " lane = coalesce(?8, lane), failures = coalesce(?9, failures), due_us = coalesce(?10, due_us),"
                        " attempts = coalesce(?11, attempts), started_us = ?12, duration_us = ?13, http_status = ?14"
                        " WHERE id = ?1 AND state = ?2 AND generation = ?3",
    [DELIVERIES_ADD_ATTEMPT] = "INSERT OR REPLACE INTO attempts(delivery, number, started_us, duration_us, http_status,"
                               " error, request_begun, excerpt) VALUES(?,?,?,?,?,?,?,?)",
    [DELIVERIES_UNFOLD_ATTEMPT] =
        "INSERT OR REPLACE INTO attempts(delivery, number, started_us, duration_us, http_status,"
        " error, request_begun, excerpt) SELECT id, attempts, started_us, duration_us,"
        " http_status, 'ok', 1, NULL FROM deliveries WHERE id = ? AND state = 4 AND generation = ?"
        " AND started_us IS NOT NULL",
    [DELIVERIES_PARK_INTERRUPTED] = "UPDATE deliveries SET state = 3, reason = ?1, settled_us = ?2 WHERE state = 1",
    [DELIVERIES_RELEASE] =
        "UPDATE deliveries SET state = 0, reason = 0, lane = ?1, settled_us = ?2 WHERE id IN (SELECT id"
        " FROM deliveries INDEXED BY deliveries_parked WHERE endpoint = ?3 AND state = 3"
        " AND reason = ?4 ORDER BY id LIMIT ?5)",
    [DELIVERIES_LIST_PENDING] = "SELECT id, lane, generation, attempts, failures, due_us FROM deliveries"
                                " INDEXED BY deliveries_pending WHERE endpoint = ? AND state = 0 AND id > ?"
                                " ORDER BY id LIMIT ?",
    [DELIVERIES_LIST_WAITING] = "SELECT id, lane, generation, attempts, failures, due_us FROM deliveries"
                                " INDEXED BY deliveries_waiting WHERE endpoint = ? AND state = 2 AND due_us <= ?"
                                " AND (due_us, id) > (?, ?) ORDER BY due_us, id LIMIT ?",
    [DELIVERIES_NEXT_DUE] = "SELECT due_us FROM deliveries INDEXED BY deliveries_waiting WHERE endpoint = ?"
                            " AND state = 2 AND (due_us, id) > (?, ?) ORDER BY due_us, id LIMIT 1",
    [DELIVERIES_BRING_FORWARD] = "UPDATE deliveries SET due_us = ?1 WHERE state = 2 AND due_us > ?1",
    [DELIVERIES_COUNT_OPEN] = "SELECT endpoint, sum(pending), sum(waiting), sum(releasable), min(due_us) FROM ("
                              " SELECT endpoint, count(*) pending, 0 waiting, 0 releasable, NULL due_us"
                              " FROM deliveries WHERE state = 0 GROUP BY endpoint UNION ALL"
                              " SELECT endpoint, 0, count(*), 0, min(due_us) FROM deliveries WHERE state = 2"
                              " GROUP BY endpoint UNION ALL"
                              " SELECT endpoint, 0, 0, count(*), NULL FROM deliveries WHERE state = 3"
                              " AND reason IN (2, 3) GROUP BY endpoint) GROUP BY endpoint",
};

static_assert(DELIVERY_PENDING == 0 && DELIVERY_SENDING == 1 && DELIVERY_WAITING == 2 && DELIVERY_PARKED == 3 &&
                  DELIVERY_DELIVERED == 4 && PARK_NONE == 0 && PARK_DISABLED == 2 && PARK_GONE == 3,
    "the statements and the indexes have these numbers in their text");

enum err delivery_rows_init(struct delivery_rows *rows, sqlite3 *db)
{
    *rows = (struct delivery_rows){.db = db};
    return sql_prepare_all(db, texts, DELIVERIES_STATEMENTS, rows->statements);
}

void delivery_rows_done(struct delivery_rows *rows)
{
    sql_finalize_all(rows->statements, DELIVERIES_STATEMENTS);
}

enum err delivery_rows_add(struct delivery_rows *rows, const struct delivery *delivery, enum park_reason reason)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_ADD]);
    sql_bind_int(&use, delivery->id);
    sql_bind_int(&use, (int64_t)delivery->endpoint);
    sql_bind_int(&use, delivery->state);
    sql_bind_int(&use, reason);
    sql_bind_int(&use, delivery->lane);
    sql_bind_int(&use, delivery->generation);
    sql_bind_int(&use, delivery->attempts);
    sql_bind_int(&use, delivery->failures);
    sql_bind_int(&use, delivery->due_us);
    return sql_execute(&use);
}

bool delivery_rows_may_move(const struct journal_settle *order, bool is_start)
{
    bool may_send = order->from == DELIVERY_PENDING || order->from == DELIVERY_WAITING;
    if (is_start)
        return may_send && order->to == DELIVERY_SENDING;
    return delivery_state_may_move(order->from, order->to) ||
           (may_send && delivery_state_may_move(DELIVERY_SENDING, order->to));
}

static enum err add_attempt(struct delivery_rows *rows, int64_t delivery, const struct attempt *attempt)
{
    assert(attempt->excerpt_len <= sizeof attempt->excerpt);
    struct sql_use use = sql_use(rows->statements[DELIVERIES_ADD_ATTEMPT]);
    sql_bind_int(&use, delivery);
    sql_bind_int(&use, attempt->number);
    sql_bind_int(&use, attempt->started_us);
    sql_bind_int(&use, attempt->duration_us);
    sql_bind_int(&use, attempt->end.http_status);
    sql_bind_text(&use, slice_from_string(err_name(attempt->end.error)));
    sql_bind_int(&use, attempt->end.request_begun);
    sql_bind_blob(&use, slice_of(attempt->excerpt, attempt->excerpt_len));
    return sql_execute(&use);
}

/* A forced replay: the row makes room for the attempt that may deliver again, and the first one joins the others. */
static enum err unfold_attempt(struct delivery_rows *rows, const struct journal_settle *order)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_UNFOLD_ATTEMPT]);
    sql_bind_int(&use, order->delivery);
    sql_bind_int(&use, order->generation);
    return sql_execute(&use);
}

static enum err update_row(
    struct delivery_rows *rows, const struct journal_settle *order, bool is_start, int64_t now_us, bool *ret_moved)
{
    bool has_attempt = order->has_attempt && !is_start;
    bool fold = has_attempt && order->to == DELIVERY_DELIVERED;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_MOVE]);
    sql_bind_int(&use, order->delivery);
    sql_bind_int(&use, order->from);
    sql_bind_int(&use, order->generation);
    sql_bind_int(&use, order->to);
    sql_bind_int(&use, order->to == DELIVERY_PARKED ? order->reason : PARK_NONE);
    sql_bind_int(&use, order->to == DELIVERY_PENDING);
    sql_bind_int(&use, now_us);
    sql_bind_optional_int(&use, !is_start, order->lane);
    sql_bind_optional_int(&use, !is_start, order->failures);
    sql_bind_optional_int(&use, order->to == DELIVERY_WAITING, order->due_us);
    sql_bind_optional_int(&use, has_attempt, order->attempt.number);
    sql_bind_optional_int(&use, fold, order->attempt.started_us);
    sql_bind_optional_int(&use, fold, order->attempt.duration_us);
    sql_bind_optional_int(&use, fold, order->attempt.end.http_status);
    enum err result = sql_execute(&use);
    *ret_moved = !result && sqlite3_changes64(rows->db) > 0;
    return result;
}

enum err delivery_rows_move(
    struct delivery_rows *rows, const struct journal_settle *order, bool is_start, int64_t now_us)
{
    assert(delivery_rows_may_move(order, is_start));
    enum err result = OK;
    if (order->from == DELIVERY_DELIVERED)
        result = unfold_attempt(rows, order);
    bool moved = false;
    if (!result)
        result = update_row(rows, order, is_start, now_us, &moved);
    if (result || !moved)
        return result ? result : ERR_MOVED_ON;
    if (order->has_attempt && !is_start && order->to != DELIVERY_DELIVERED)
        result = add_attempt(rows, order->delivery, &order->attempt);
    return result;
}

enum err delivery_rows_park_interrupted(struct delivery_rows *rows, int64_t now_us, int64_t *ret_count)
{
    assert(delivery_state_may_move(DELIVERY_SENDING, DELIVERY_PARKED));
    struct sql_use use = sql_use(rows->statements[DELIVERIES_PARK_INTERRUPTED]);
    sql_bind_int(&use, PARK_AMBIGUOUS);
    sql_bind_int(&use, now_us);
    enum err result = sql_execute(&use);
    if (!result)
        *ret_count = sqlite3_changes64(rows->db);
    return result;
}

enum err delivery_rows_release(struct delivery_rows *rows, uint64_t endpoint, enum park_reason reason,
    unsigned count_max, int64_t now_us, unsigned *ret_count)
{
    assert(delivery_state_may_move(DELIVERY_PARKED, DELIVERY_PENDING));
    struct sql_use use = sql_use(rows->statements[DELIVERIES_RELEASE]);
    sql_bind_int(&use, LANE_RETRY);
    sql_bind_int(&use, now_us);
    sql_bind_int(&use, (int64_t)endpoint);
    sql_bind_int(&use, reason);
    sql_bind_int(&use, count_max);
    enum err result = sql_execute(&use);
    if (!result)
        *ret_count = (unsigned)sqlite3_changes64(rows->db);
    return result;
}

/* Appends the rows of one state to the list, and one row beyond its end says that there are more. */
static enum err list_state(struct sql_use *use, enum delivery_state state, const struct journal_load *load,
    struct delivery *list, unsigned *count, bool *more)
{
    bool row = false;
    enum err result;
    sql_bind_int(use, (int64_t)(load->count_max - *count) + 1);
    while (!(result = sql_step(use, &row)) && row) {
        if (*count == load->count_max) {
            *more = true;
            break;
        }
        list[(*count)++] = (struct delivery){
            .id = sql_column_int(use, 0),
            .endpoint = load->endpoint,
            .state = state,
            .lane = (enum delivery_lane)sql_column_int(use, 1),
            .generation = (uint32_t)sql_column_int(use, 2),
            .attempts = (uint32_t)sql_column_int(use, 3),
            .failures = (uint32_t)sql_column_int(use, 4),
            .due_us = sql_column_int(use, 5),
        };
    }
    sql_finish(use);
    return result;
}

static enum err list_waiting(
    struct delivery_rows *rows, const struct journal_load *load, struct delivery *list, unsigned *count, bool *more)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_WAITING]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->due_by_us);
    sql_bind_int(&use, load->after_waiting_due_us);
    sql_bind_int(&use, load->after_waiting_id);
    return list_state(&use, DELIVERY_WAITING, load, list, count, more);
}

enum err delivery_rows_list_due(struct delivery_rows *rows, const struct journal_load *load,
    struct delivery *ret_deliveries, unsigned *ret_count, bool *ret_more)
{
    unsigned count = 0;
    bool more = false;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_PENDING]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->after_pending_id);
    enum err result = list_state(&use, DELIVERY_PENDING, load, ret_deliveries, &count, &more);
    if (!result && !more)
        result = list_waiting(rows, load, ret_deliveries, &count, &more);
    if (result)
        return result;
    *ret_count = count;
    *ret_more = more;
    return OK;
}

enum err delivery_rows_next_due(struct delivery_rows *rows, const struct journal_load *load, int64_t *ret_due_us)
{
    /* Behind both bounds, which are put together here: of two conditions SQLite would seek to one and walk to the
     * other. */
    bool behind_due = load->due_by_us >= load->after_waiting_due_us;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_NEXT_DUE]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, behind_due ? load->due_by_us : load->after_waiting_due_us);
    sql_bind_int(&use, behind_due ? INT64_MAX : load->after_waiting_id);
    int64_t due_us = INT64_MAX;
    enum err result = sql_execute_int(&use, &due_us);
    if (result && result != ERR_NOT_FOUND)
        return result;
    *ret_due_us = due_us;
    return OK;
}

enum err delivery_rows_bring_forward(struct delivery_rows *rows, int64_t due_max_us)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_BRING_FORWARD]);
    sql_bind_int(&use, due_max_us);
    return sql_execute(&use);
}

/* Makes room for one more; doubles, since nobody knows how many endpoints a shard has. */
static struct journal_backlog *next_backlog(struct journal_backlog **backlogs, size_t count)
{
    if ((count & (count - 1)) == 0) {
        struct journal_backlog *larger = realloc(*backlogs, (count ? count * 2 : 1) * sizeof *larger);
        if (!larger)
            return NULL;
        *backlogs = larger;
    }
    return &(*backlogs)[count];
}

enum err delivery_rows_count_open(struct delivery_rows *rows, struct journal_backlog **ret_backlogs, size_t *ret_count)
{
    struct journal_backlog *backlogs = NULL;
    size_t count = 0;
    bool row = false;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_COUNT_OPEN]);
    enum err result;
    while (!(result = sql_step(&use, &row)) && row) {
        struct journal_backlog *backlog = next_backlog(&backlogs, count);
        if (!backlog) {
            result = ERR_NO_MEMORY;
            break;
        }
        count++;
        *backlog = (struct journal_backlog){
            .endpoint = (uint64_t)sql_column_int(&use, 0),
            .pending = sql_column_int(&use, 1),
            .waiting = sql_column_int(&use, 2),
            .parked_releasable = sql_column_int(&use, 3),
            .waiting_due_us =
                sqlite3_column_type(use.statement, 4) == SQLITE_NULL ? INT64_MAX : sql_column_int(&use, 4),
        };
    }
    sql_finish(&use);
    if (result) {
        free(backlogs);
        return result;
    }
    *ret_backlogs = backlogs;
    *ret_count = count;
    return OK;
}
