/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/delivery_rows.h"

#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdlib.h>

#define SET_COLUMNS                                                                                \
    "endpoint = ?2, state = ?3, reason = ?4, lane = ?5, generation = ?6, attempts = ?7, failures " \
    "= ?8,"                                                                                        \
    " due_us = ?9, changed_us = ?10, started_us = ?11, duration_us = ?12, http_status = ?13, "     \
    "delivered_us = ?15"

/* Of an endpoint (?1), behind a number (?2). */
#define IN_INDEX(index, condition)                                                      \
    "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY " index " WHERE " condition \
    " AND endpoint = ?1 AND id > ?2"
#define PENDING IN_INDEX("deliveries_pending", "state = 0 AND broker_owned = 0 AND lane <> 2")
#define REPLAYS IN_INDEX("deliveries_replay", "state = 0 AND broker_owned = 0 AND lane = 2")
#define FAILED IN_INDEX("deliveries_failed", "state = 2 AND reason = 1")

/* States and reasons are written out, since a partial index serves only a query that says its
 * condition literally. */
static const char *const texts[DELIVERIES_STATEMENTS] = {
    [DELIVERIES_ADD] =
        "INSERT INTO deliveries(" DELIVERY_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [DELIVERIES_READ] = "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id = ?",
    [DELIVERIES_READ_EVENT] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
    /* Without `broker_owned`, one index less is looked at. */
    [DELIVERIES_WRITE] = "UPDATE deliveries SET " SET_COLUMNS ", crc = ?17 WHERE id = ?1",
    [DELIVERIES_WRITE_BROKER_OWNED] =
        "UPDATE deliveries SET " SET_COLUMNS ", broker_owned = ?14, crc = ?17 WHERE id = ?1",
    [DELIVERIES_ADD_ATTEMPT] = "INSERT OR REPLACE INTO attempts(" ATTEMPT_COLUMNS
                               ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [DELIVERIES_DROP_ATTEMPT] = "DELETE FROM attempts WHERE delivery = ? AND number = ?",
    [DELIVERIES_ADD_ACTIONS] = "INSERT INTO operator_actions(delivery, at_us, from_state, "
                               "to_state, generation, from_endpoint,"
                               " to_endpoint, actor, note, crc) VALUES(?,?,?,?,?,?,?,?,?,?)",
    [DELIVERIES_LIST_SENDING] = "SELECT id FROM deliveries INDEXED BY deliveries_sending WHERE "
                                "state = 1 AND id > ? LIMIT ?",
    [DELIVERIES_LIST_PARKED] =
        "SELECT id, generation, changed_us FROM deliveries INDEXED BY deliveries_parked"
        " WHERE endpoint = ? AND state = 3 AND reason = ? AND id > ? ORDER BY id LIMIT ?",
    [DELIVERIES_LIST_FAR_AHEAD] =
        "SELECT id FROM deliveries INDEXED BY deliveries_waiting WHERE state = 2"
        " AND due_us - duration_us > ? LIMIT ?",
    [DELIVERIES_LIST_BROKER_OWNED] = "SELECT id FROM deliveries INDEXED BY deliveries_broker_owned "
                                     "WHERE broker_owned = 1 AND id >= ? ORDER BY id",
    [DELIVERIES_LIST_PENDING] = PENDING " ORDER BY id",
    [DELIVERIES_LIST_REPLAYS] = REPLAYS " ORDER BY id",
    /* SQLite merges two indexes that are read in the same order, row by row. */
    [DELIVERIES_LIST_ALL_PENDING] = PENDING " UNION ALL " REPLAYS " ORDER BY id",
    [DELIVERIES_LIST_FAILED] = FAILED " ORDER BY id",
    [DELIVERIES_LIST_OLDEST] = PENDING " UNION ALL " FAILED " ORDER BY id",
    [DELIVERIES_LIST_WAITING] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_waiting"
        " WHERE endpoint = ? AND state = 2 AND due_us <= ? AND (due_us, id) > (?, ?)"
        " ORDER BY due_us, id",
    [DELIVERIES_NEXT_DUE] =
        "SELECT due_us FROM deliveries INDEXED BY deliveries_waiting WHERE endpoint = ?"
        " AND state = 2 AND (due_us, id) > (?, ?) ORDER BY due_us, id LIMIT 1",
    [DELIVERIES_COUNT_OPEN] =
        "SELECT endpoint, sum(pending), sum(waiting), sum(releasable), sum(unrouted), min(due_us),"
        " sum(replays), sum(failed)"
        " FROM (SELECT endpoint, count(*) pending, 0 waiting, 0 releasable, 0 unrouted,"
        " NULL due_us, 0 replays, 0 failed FROM deliveries INDEXED BY deliveries_pending"
        " WHERE state = 0 AND broker_owned = 0 AND lane <> 2 GROUP BY endpoint UNION ALL"
        " SELECT endpoint, count(*), 0, 0, 0, NULL, count(*), 0 FROM deliveries"
        " INDEXED BY deliveries_replay WHERE state = 0 AND broker_owned = 0 AND lane = 2"
        " GROUP BY endpoint UNION ALL"
        " SELECT endpoint, 0, count(*), 0, 0, min(due_us), 0, 0 FROM deliveries"
        " INDEXED BY deliveries_waiting WHERE state = 2 GROUP BY endpoint UNION ALL"
        " SELECT endpoint, 0, 0, 0, 0, NULL, 0, count(*) FROM deliveries"
        " INDEXED BY deliveries_failed WHERE state = 2 AND reason = 1 GROUP BY endpoint UNION ALL"
        " SELECT endpoint, 0, 0, sum(reason IN (2, 3)), sum(reason = 1), NULL, 0, 0 FROM deliveries"
        " WHERE state = 3 GROUP BY endpoint) GROUP BY endpoint",
};

static_assert(DELIVERY_PENDING == 0 && DELIVERY_SENDING == 1 && DELIVERY_WAITING == 2 &&
                  DELIVERY_PARKED == 3 && PARK_UNROUTED == 1 && PARK_DISABLED == 2 &&
                  PARK_GONE == 3 && LANE_REPLAY == 2 && WAIT_ENDPOINT == 1,
    "the statements and the indexes have these numbers in their text");

enum err delivery_rows_init(
    struct delivery_rows *rows, struct sqlite3 *db, struct backlog_board *backlog)
{
    *rows = (struct delivery_rows){.db = db, .backlog = backlog};
    return sql_prepare_all(db, texts, DELIVERIES_STATEMENTS, rows->statements);
}

void delivery_rows_done(struct delivery_rows *rows)
{
    sql_finalize_all(rows->statements, DELIVERIES_STATEMENTS);
}

/* One row in and out. */

static enum err write_once(
    struct delivery_rows *rows, enum delivery_statement statement, const struct delivery_row *row)
{
    struct sql_use use = sql_use(rows->statements[statement]);
    sql_bind_int(&use, row->id);
    sql_bind_int(&use, (int64_t)row->endpoint);
    sql_bind_int(&use, row->state);
    sql_bind_int(&use, delivery_row_stored_reason(row));
    sql_bind_int(&use, row->lane);
    sql_bind_int(&use, row->generation);
    sql_bind_int(&use, row->attempts);
    sql_bind_int(&use, row->failures);
    sql_bind_int(&use, row->due_us);
    sql_bind_int(&use, row->changed_us);
    sql_bind_int(&use, row->started_us);
    sql_bind_int(&use, row->duration_us);
    sql_bind_int(&use, row->http_status);
    sql_bind_int(&use, row->broker_owned);
    sql_bind_int(&use, row->delivered_us);
    sql_bind_int(&use, row->class); /* an UPDATE does not use it: it never changes */
    sql_bind_int(&use, delivery_row_checksum(row));
    return sql_execute(&use);
}

static void count(struct delivery_rows *rows, struct delivery_row *row)
{
    const struct backlog_place place = delivery_row_place(row);
    backlog_board_move(rows->backlog, &row->counted, &place);
    row->counted = place;
}

/*
 * An UPDATE fails where an index lacks the entry that it should take out: the row or the index had
 * a flipped bit. The row must move all the same, or nothing of its shard would. Entries that stay
 * behind are passed over when they are met.
 */
enum err delivery_rows_write(
    struct delivery_rows *rows, enum delivery_statement statement, struct delivery_row *row)
{
    enum err result = write_once(rows, statement, row);
    if (!result)
        count(rows, row);
    if (result != ERR_DAMAGED || !sql_found_damaged_index(rows->db))
        return result;
    log_error("an index of the deliveries is damaged: stop the gateway and run REINDEX in the "
              "sqlite3 shell delivery=%lld",
        (long long)row->id);
    sql_tolerate_damaged_index(rows->db, true);
    result = write_once(rows, statement, row);
    sql_tolerate_damaged_index(rows->db, false);
    if (!result)
        count(rows, row);
    return result;
}

enum err delivery_rows_add(struct delivery_rows *rows, struct delivery_row *row)
{
    return delivery_rows_write(rows, DELIVERIES_ADD, row);
}

enum err delivery_rows_read_any(
    struct delivery_rows *rows, int64_t id, struct delivery_row *ret_row)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_READ]);
    bool row;
    sql_bind_int(&use, id);
    enum err result = sql_step(&use, &row);
    if (!result && !row)
        result = ERR_NOT_FOUND;
    if (!result && !delivery_row_take(&use, 0, ret_row))
        result = ERR_DAMAGED;
    sql_finish(&use);
    return result;
}

enum err delivery_rows_read(struct delivery_rows *rows, int64_t id, struct delivery_row *ret_row)
{
    struct delivery_row row;
    enum err result = delivery_rows_read_any(rows, id, &row);
    if (!result)
        *ret_row = row;
    return result;
}

enum err delivery_rows_read_event(struct delivery_rows *rows, int64_t event,
    struct delivery_listed ret_listed[ACCOUNT_ENDPOINTS_MAX], unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_READ_EVENT]);
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(&use, placement_first_delivery(event));
    sql_bind_int(&use, placement_last_delivery(event));
    sql_bind_int(&use, ACCOUNT_ENDPOINTS_MAX);
    while (!(result = sql_step(&use, &row)) && row) {
        ret_listed[count].damaged = !delivery_row_take(&use, 0, &ret_listed[count].row);
        count++;
    }
    sql_finish(&use);
    *ret_count = count;
    return result;
}

/* Moving. */

enum err delivery_rows_adopt(struct delivery_rows *rows, int64_t event, int64_t now_us,
    struct delivery_row ret_pending[ACCOUNT_ENDPOINTS_MAX], unsigned *ret_count)
{
    struct delivery_listed listed[ACCOUNT_ENDPOINTS_MAX];
    unsigned count;
    *ret_count = 0;
    enum err result = delivery_rows_read_event(rows, event, listed, &count);
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row *row = &listed[i].row;
        if (!row->broker_owned)
            continue;
        if (listed[i].damaged) {
            result = delivery_rows_park_damaged(rows, row->id, now_us);
            continue;
        }
        row->broker_owned = false;
        result = delivery_rows_write(rows, DELIVERIES_WRITE_BROKER_OWNED, row);
        if (row->state == DELIVERY_PENDING)
            ret_pending[(*ret_count)++] = *row;
    }
    return result;
}

/* A delivery keeps its first attempts and its last ones: an endpoint that is down gets a probe
 * every few seconds, perhaps for months. */
static enum err drop_attempt(struct delivery_rows *rows, int64_t delivery, uint32_t number)
{
    if (number <= ATTEMPTS_KEPT_FIRST + ATTEMPTS_KEPT_LAST)
        return OK;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_DROP_ATTEMPT]);
    sql_bind_int(&use, delivery);
    sql_bind_int(&use, number - ATTEMPTS_KEPT_LAST);
    return sql_execute(&use);
}

static enum err add_attempt(
    struct delivery_rows *rows, int64_t delivery, const struct attempt *attempt)
{
    assert(attempt->excerpt_len <= sizeof attempt->excerpt);
    const struct attempt_evidence *evidence = &attempt->evidence;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_ADD_ATTEMPT]);
    sql_bind_int(&use, delivery);
    sql_bind_int(&use, attempt->number);
    sql_bind_int(&use, attempt->started_us);
    sql_bind_int(&use, attempt->duration_us);
    sql_bind_int(&use, attempt->end.http_status);
    sql_bind_text(&use, slice_from_string(err_name(attempt->end.error)));
    sql_bind_int(&use, attempt->end.request_begun);
    sql_bind_int(&use, evidence->warm);
    sql_bind_int(&use, evidence->request_complete);
    sql_bind_int(&use, evidence->request_bytes);
    sql_bind_int(&use, evidence->answer_bytes);
    sql_bind_blob(&use, slice_of(attempt->excerpt, attempt->excerpt_len));
    sql_bind_int(&use, evidence->dns_us);
    sql_bind_int(&use, evidence->connect_us);
    sql_bind_int(&use, evidence->tls_us);
    sql_bind_int(&use, evidence->first_byte_us);
    sql_bind_string(&use, evidence->peer);
    sql_bind_string(&use, evidence->tls);
    sql_bind_string(&use, evidence->http);
    sql_bind_string(&use, evidence->tls_problem);
    sql_bind_string(&use, evidence->location);
    sql_bind_string(&use, attempt->rule);
    sql_bind_string(&use, attempt_cause_code(evidence->cause));
    sql_bind_int(&use, attempt_row_checksum(delivery, attempt));
    enum err result = sql_execute(&use);
    return result ? result : drop_attempt(rows, delivery, attempt->number);
}

/* A forced replay: the row makes room for the attempt that may deliver again, and the first one
 * joins the others. */
static enum err unfold_attempt(struct delivery_rows *rows, const struct delivery_row *row)
{
    if (row->started_us == 0)
        return OK;
    const struct attempt attempt = {
        .number = row->attempts,
        .started_us = row->started_us,
        .duration_us = row->duration_us,
        .end = {.http_status = row->http_status, .error = OK, .request_begun = true},
        .evidence.request_complete = true,
    };
    return add_attempt(rows, row->id, &attempt);
}

enum err delivery_rows_move_row(struct delivery_rows *rows, struct delivery_row *row,
    const struct delivery_move *move, int64_t now_us)
{
    enum err result = row->state == DELIVERY_DELIVERED ? unfold_attempt(rows, row) : OK;
    if (result)
        return result;
    enum delivery_statement write =
        row->broker_owned ? DELIVERIES_WRITE_BROKER_OWNED : DELIVERIES_WRITE;
    bool adopts = delivery_row_move(row, move, now_us);
    result = delivery_rows_write(rows, write, row);
    if (!result && adopts) {
        /* Their owner has them in memory, or will load them. */
        struct delivery_row siblings[ACCOUNT_ENDPOINTS_MAX];
        unsigned count;
        result = delivery_rows_adopt(rows, placement_event(row->id), now_us, siblings, &count);
    }
    if (!result && move->attempt && move->to != DELIVERY_DELIVERED)
        result = add_attempt(rows, row->id, move->attempt);
    /* A page cannot be read, and half of the move is written: this does not concern this row
     * alone. */
    return result == ERR_DAMAGED ? ERR_DISK : result;
}

enum err delivery_rows_move(struct delivery_rows *rows, const struct delivery_expected *expected,
    const struct delivery_move *move, int64_t now_us)
{
    struct delivery_row row;
    enum err result = delivery_rows_read_any(rows, expected->id, &row);
    if (result)
        return result == ERR_NOT_FOUND ? ERR_MOVED_ON : result;
    if (row.state != expected->state || row.generation != expected->generation)
        return ERR_MOVED_ON;
    return delivery_rows_move_row(rows, &row, move, now_us);
}

enum err delivery_rows_park_damaged(struct delivery_rows *rows, int64_t id, int64_t now_us)
{
    struct delivery_row row;
    enum err result = delivery_rows_read_any(rows, id, &row);
    if (result && result != ERR_DAMAGED)
        return result;
    const struct delivery_move move = {
        .to = DELIVERY_PARKED, .reason = PARK_DAMAGED, .lane = LANE_RETRY};
    /* The row is intact, and its event is damaged. */
    if (!result && row.delivered_us && delivery_row_may_move(row.state, move.to))
        return delivery_rows_move_row(rows, &row, &move, now_us);
    delivery_row_park_damaged(&row, now_us);
    return delivery_rows_write(rows, DELIVERIES_WRITE_BROKER_OWNED, &row);
}

enum err delivery_rows_add_action(struct delivery_rows *rows, const struct delivery_row *before,
    const struct delivery_row *after, enum action_actor actor, struct slice note, int64_t now_us)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_ADD_ACTIONS]);
    sql_bind_int(&use, after->id);
    sql_bind_int(&use, now_us);
    sql_bind_int(&use, before->state);
    sql_bind_int(&use, after->state);
    sql_bind_int(&use, after->generation);
    sql_bind_int(&use, (int64_t)before->endpoint);
    sql_bind_int(&use, (int64_t)after->endpoint);
    sql_bind_int(&use, actor);
    sql_bind_text(&use, note);
    sql_bind_int(&use, action_row_checksum(before, after, actor, note, now_us));
    return sql_execute(&use);
}
