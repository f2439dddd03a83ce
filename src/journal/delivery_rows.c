/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/delivery_rows.h"

#include "journal/attempt_row.h"
#include "journal/checksum.h"
#include "model/placement.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdlib.h>

#define SET_COLUMNS                                                                                \
    "endpoint = ?2, state = ?3, reason = ?4, lane = ?5, generation = ?6, attempts = ?7, failures " \
    "= ?8,"                                                                                        \
    " due_us = ?9, changed_us = ?10, started_us = ?11, duration_us = ?12, http_status = ?13, "     \
    "delivered_us = ?15"

/* States and reasons are written out, since a partial index serves only a query that says its
 * condition literally. */
static const char *const texts[DELIVERIES_STATEMENTS] = {
    [DELIVERIES_ADD] =
        "INSERT INTO deliveries(" DELIVERY_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [DELIVERIES_READ] = "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id = ?",
    [DELIVERIES_READ_EVENT] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
    /* Without `broker_owned`, one index less is looked at. */
    [DELIVERIES_WRITE] = "UPDATE deliveries SET " SET_COLUMNS ", crc = ?16 WHERE id = ?1",
    [DELIVERIES_WRITE_BROKER_OWNED] =
        "UPDATE deliveries SET " SET_COLUMNS ", broker_owned = ?14, crc = ?16 WHERE id = ?1",
    [DELIVERIES_ADD_ATTEMPT] =
        "INSERT OR REPLACE INTO attempts(" ATTEMPT_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [DELIVERIES_ADD_ACTIONS] = "INSERT INTO operator_actions(delivery, at_us, from_state, "
                               "to_state, generation, from_endpoint,"
                               " to_endpoint, note, crc) VALUES(?,?,?,?,?,?,?,?,?)",
    [DELIVERIES_LIST_SENDING] = "SELECT id FROM deliveries INDEXED BY deliveries_sending WHERE "
                                "state = 1 AND id > ? LIMIT ?",
    [DELIVERIES_LIST_PARKED] =
        "SELECT id FROM deliveries INDEXED BY deliveries_parked WHERE endpoint = ?"
        " AND state = 3 AND reason = ? AND id > ? ORDER BY id LIMIT ?",
    [DELIVERIES_LIST_FAR_AHEAD] =
        "SELECT id FROM deliveries INDEXED BY deliveries_waiting WHERE state = 2"
        " AND due_us - duration_us > ? LIMIT ?",
    [DELIVERIES_LIST_BROKER_OWNED] = "SELECT id FROM deliveries INDEXED BY deliveries_broker_owned "
                                     "WHERE broker_owned = 1 AND id >= ? ORDER BY id",
    [DELIVERIES_LIST_PENDING] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_pending"
        " WHERE endpoint = ? AND state = 0 AND broker_owned = 0 AND id > ? ORDER BY id LIMIT ?",
    [DELIVERIES_LIST_WAITING] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_waiting"
        " WHERE endpoint = ? AND state = 2 AND due_us <= ? AND (due_us, id) > (?, ?)"
        " ORDER BY due_us, id LIMIT ?",
    [DELIVERIES_NEXT_DUE] =
        "SELECT due_us FROM deliveries INDEXED BY deliveries_waiting WHERE endpoint = ?"
        " AND state = 2 AND (due_us, id) > (?, ?) ORDER BY due_us, id LIMIT 1",
    [DELIVERIES_COUNT_OPEN] =
        "SELECT endpoint, sum(pending), sum(waiting), sum(releasable), sum(unrouted), min(due_us)"
        " FROM (SELECT endpoint, count(*) pending, 0 waiting, 0 releasable, 0 unrouted,"
        " NULL due_us FROM deliveries WHERE state = 0 AND broker_owned = 0 GROUP BY endpoint UNION "
        "ALL"
        " SELECT endpoint, 0, count(*), 0, 0, min(due_us) FROM deliveries WHERE state = 2"
        " GROUP BY endpoint UNION ALL"
        " SELECT endpoint, 0, 0, sum(reason IN (2, 3)), sum(reason = 1), NULL FROM deliveries"
        " WHERE state = 3 GROUP BY endpoint) GROUP BY endpoint",
};

static_assert(DELIVERY_PENDING == 0 && DELIVERY_SENDING == 1 && DELIVERY_WAITING == 2 &&
                  DELIVERY_PARKED == 3 && PARK_UNROUTED == 1 && PARK_DISABLED == 2 &&
                  PARK_GONE == 3,
    "the statements and the indexes have these numbers in their text");

enum err delivery_rows_init(struct delivery_rows *rows, struct sqlite3 *db)
{
    *rows = (struct delivery_rows){.db = db};
    return sql_prepare_all(db, texts, DELIVERIES_STATEMENTS, rows->statements);
}

void delivery_rows_done(struct delivery_rows *rows)
{
    sql_finalize_all(rows->statements, DELIVERIES_STATEMENTS);
}

/* One row in and out. */

bool delivery_row_take(const struct sql_use *use, int column, struct delivery_row *ret_row)
{
    *ret_row = (struct delivery_row){
        .id = sql_column_int(use, column),
        .endpoint = (uint64_t)sql_column_int(use, column + 1),
        .state = (enum delivery_state)sql_column_int(use, column + 2),
        .reason = (enum park_reason)sql_column_int(use, column + 3),
        .lane = (enum delivery_lane)sql_column_int(use, column + 4),
        .generation = (uint32_t)sql_column_int(use, column + 5),
        .attempts = (uint32_t)sql_column_int(use, column + 6),
        .failures = (uint32_t)sql_column_int(use, column + 7),
        .due_us = sql_column_int(use, column + 8),
        .changed_us = sql_column_int(use, column + 9),
        .started_us = sql_column_int(use, column + 10),
        .duration_us = sql_column_int(use, column + 11),
        .http_status = (int)sql_column_int(use, column + 12),
        .broker_owned = sql_column_int(use, column + 13) == 1,
        .delivered_us = sql_column_int(use, column + 14),
    };
    return (unsigned)ret_row->state < DELIVERY_STATES && (unsigned)ret_row->lane <= LANE_REPLAY &&
           checksum_delivery(ret_row) == sql_column_int(use, column + 15);
}

static enum err write_once(
    struct delivery_rows *rows, enum delivery_statement statement, const struct delivery_row *row)
{
    struct sql_use use = sql_use(rows->statements[statement]);
    sql_bind_int(&use, row->id);
    sql_bind_int(&use, (int64_t)row->endpoint);
    sql_bind_int(&use, row->state);
    sql_bind_int(&use, row->reason);
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
    sql_bind_int(&use, checksum_delivery(row));
    return sql_execute(&use);
}

/*
 * An UPDATE fails where an index lacks the entry that it should take out: the row or the index had a
 * flipped bit. The row must move all the same, or nothing of its shard would. Entries that stay
 * behind are passed over when they are met.
 */
static enum err write_row(
    struct delivery_rows *rows, enum delivery_statement statement, const struct delivery_row *row)
{
    enum err result = write_once(rows, statement, row);
    if (result != ERR_DAMAGED || !sql_found_damaged_index(rows->db))
        return result;
    log_error("an index of the deliveries is damaged: REINDEX in the sqlite3 shell, with the "
              "gateway stopped, mends it "
              "delivery=%lld",
        (long long)row->id);
    sql_tolerate_damaged_index(rows->db, true);
    result = write_once(rows, statement, row);
    sql_tolerate_damaged_index(rows->db, false);
    return result;
}

enum err delivery_rows_add(struct delivery_rows *rows, const struct delivery_row *row)
{
    return write_row(rows, DELIVERIES_ADD, row);
}

/* ERR_DAMAGED fills `ret_row` all the same. */
static enum err read_row(struct delivery_rows *rows, int64_t id, struct delivery_row *ret_row)
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
    enum err result = read_row(rows, id, &row);
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
        result = write_row(rows, DELIVERIES_WRITE_BROKER_OWNED, row);
        if (row->state == DELIVERY_PENDING)
            ret_pending[(*ret_count)++] = *row;
    }
    return result;
}

static enum err add_attempt(
    struct delivery_rows *rows, int64_t delivery, const struct attempt *attempt)
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
    sql_bind_int(&use, attempt->reach.warm);
    sql_bind_int(&use, attempt->reach.request_complete);
    sql_bind_int(&use, attempt->reach.request_bytes);
    sql_bind_int(&use, attempt->reach.answer_bytes);
    sql_bind_blob(&use, slice_of(attempt->excerpt, attempt->excerpt_len));
    sql_bind_int(&use, checksum_attempt(delivery, attempt));
    return sql_execute(&use);
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
        .reach.request_complete = true,
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
    result = write_row(rows, write, row);
    if (!result && adopts) {
        struct delivery_row
            siblings[ACCOUNT_ENDPOINTS_MAX]; /* their owner has them in memory, or will load them */
        unsigned count;
        result = delivery_rows_adopt(rows, placement_event(row->id), now_us, siblings, &count);
    }
    if (!result && move->attempt && move->to != DELIVERY_DELIVERED)
        result = add_attempt(rows, row->id, move->attempt);
    /* A page that can't be read while half of the move is written: no matter of this row alone. */
    return result == ERR_DAMAGED ? ERR_DISK : result;
}

enum err delivery_rows_move(struct delivery_rows *rows, const struct delivery_expected *expected,
    const struct delivery_move *move, int64_t now_us)
{
    struct delivery_row row;
    enum err result = read_row(rows, expected->id, &row);
    if (result)
        return result == ERR_NOT_FOUND ? ERR_MOVED_ON : result;
    if (row.state != expected->state || row.generation != expected->generation)
        return ERR_MOVED_ON;
    return delivery_rows_move_row(rows, &row, move, now_us);
}

enum err delivery_rows_park_damaged(struct delivery_rows *rows, int64_t id, int64_t now_us)
{
    struct delivery_row row;
    enum err result = read_row(rows, id, &row);
    if (result && result != ERR_DAMAGED)
        return result;
    const struct delivery_move move = {
        .to = DELIVERY_PARKED, .reason = PARK_DAMAGED, .lane = LANE_RETRY};
    if (!result && row.delivered_us &&
        delivery_row_may_move(row.state, move.to)) /* its event can't be believed */
        return delivery_rows_move_row(rows, &row, &move, now_us);
    delivery_row_park_damaged(&row, now_us);
    return write_row(rows, DELIVERIES_WRITE_BROKER_OWNED, &row);
}

enum err delivery_rows_add_action(struct delivery_rows *rows, const struct delivery_row *before,
    const struct delivery_row *after, struct slice note, int64_t now_us)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_ADD_ACTIONS]);
    sql_bind_int(&use, after->id);
    sql_bind_int(&use, now_us);
    sql_bind_int(&use, before->state);
    sql_bind_int(&use, after->state);
    sql_bind_int(&use, after->generation);
    sql_bind_int(&use, (int64_t)before->endpoint);
    sql_bind_int(&use, (int64_t)after->endpoint);
    sql_bind_text(&use, note);
    sql_bind_int(&use, checksum_action(before, after, note, now_us));
    return sql_execute(&use);
}

/* Lists of ids: gathered first, since moving a row changes the index that is being read. */

static enum err take_ids(
    struct sql_use *use, unsigned count_max, int64_t *ret_ids, unsigned *ret_count)
{
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(use, count_max);
    while (!(result = sql_step(use, &row)) && row && count < count_max)
        ret_ids[count++] = sql_column_int(use, 0);
    sql_finish(use);
    *ret_count = count;
    return result;
}

enum err delivery_rows_list_parked(struct delivery_rows *rows, uint64_t endpoint,
    enum park_reason reason, int64_t after_id, unsigned count_max, int64_t *ret_ids,
    unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_PARKED]);
    sql_bind_int(&use, (int64_t)endpoint);
    sql_bind_int(&use, reason);
    sql_bind_int(&use, after_id);
    return take_ids(&use, count_max, ret_ids, ret_count);
}

enum err delivery_rows_list_broker_owned(struct delivery_rows *rows, int64_t after_event,
    unsigned count_max, struct journal_broker_owned *ret_events, unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_BROKER_OWNED]);
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(&use, placement_first_delivery(after_event + 1));
    while (!(result = sql_step(&use, &row)) && row) {
        int64_t event = placement_event(sql_column_int(&use, 0));
        if (count > 0 && ret_events[count - 1].event == event)
            continue;
        if (count == count_max)
            break;
        ret_events[count++] = (struct journal_broker_owned){.event = event};
    }
    sql_finish(&use);
    *ret_count = count;
    return result;
}

/* Moves each of the rows as they are, whatever their generation; a damaged one is parked as such.
 * */
static enum err move_each(struct delivery_rows *rows, const int64_t *ids, unsigned count,
    enum delivery_state from,
    void (*choose)(
        const struct delivery_row *row, struct delivery_move *move, struct attempt *attempt),
    int64_t now_us)
{
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row row;
        struct delivery_move move = {0};
        struct attempt attempt = {0};
        result = read_row(rows, ids[i], &row);
        if (result == ERR_DAMAGED) {
            result = delivery_rows_park_damaged(rows, ids[i], now_us);
        } else if (!result && row.state == from) { /* else the index is damaged */
            choose(&row, &move, &attempt);
            result = delivery_rows_move_row(rows, &row, &move, now_us);
        }
    }
    return result;
}

static void choose_interrupted(
    const struct delivery_row *row, struct delivery_move *move, struct attempt *attempt)
{
    /* `sending` was committed before the first byte: that far it got for certain. */
    *attempt = (struct attempt){
        .number = row->attempts + 1,
        .started_us = row->changed_us,
        .end = {.error = ERR_INTERRUPTED, .request_begun = true},
    };
    *move = (struct delivery_move){.to = DELIVERY_PARKED,
        .reason = PARK_AMBIGUOUS,
        .lane = row->lane,
        .failures = row->failures,
        .attempt = attempt};
}

enum err delivery_rows_park_interrupted(
    struct delivery_rows *rows, unsigned count_max, int64_t now_us, unsigned *ret_count)
{
    int64_t *ids = malloc(count_max * sizeof *ids);
    if (!ids)
        return ERR_NO_MEMORY;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_SENDING]);
    sql_bind_int(&use, 0);
    enum err result = take_ids(&use, count_max, ids, ret_count);
    if (!result)
        result = move_each(rows, ids, *ret_count, DELIVERY_SENDING, choose_interrupted, now_us);
    free(ids);
    return result;
}

static void choose_released(
    const struct delivery_row *row, struct delivery_move *move, struct attempt *attempt)
{
    *move = (struct delivery_move){
        .to = DELIVERY_PENDING, .lane = LANE_RETRY, .failures = row->failures};
}

enum err delivery_rows_release(struct delivery_rows *rows, uint64_t endpoint,
    enum park_reason reason, unsigned count_max, int64_t now_us, unsigned *ret_count)
{
    int64_t *ids = malloc(count_max * sizeof *ids);
    if (!ids)
        return ERR_NO_MEMORY;
    enum err result =
        delivery_rows_list_parked(rows, endpoint, reason, 0, count_max, ids, ret_count);
    if (!result)
        result = move_each(rows, ids, *ret_count, DELIVERY_PARKED, choose_released, now_us);
    free(ids);
    return result;
}

enum err delivery_rows_bring_forward(struct delivery_rows *rows, int64_t clock_us,
    unsigned count_max, int64_t now_us, unsigned *ret_count)
{
    int64_t *ids = malloc(count_max * sizeof *ids);
    if (!ids)
        return ERR_NO_MEMORY;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_FAR_AHEAD]);
    sql_bind_int(&use, clock_us);
    enum err result = take_ids(&use, count_max, ids, ret_count);
    for (unsigned i = 0; i < *ret_count && !result; i++) {
        struct delivery_row row;
        result = read_row(rows, ids[i], &row);
        if (result == ERR_DAMAGED) {
            result = delivery_rows_park_damaged(rows, ids[i], now_us);
        } else if (!result) {
            row.due_us = clock_us + row.duration_us;
            result = write_row(rows, DELIVERIES_WRITE, &row);
        }
    }
    free(ids);
    return result;
}

/* Loads. */

/* Appends the rows of one state to the list, and one row beyond its end says that there are more.
 * */
static enum err list_state(struct sql_use *use, enum delivery_state state,
    const struct journal_load *load, struct delivery_listed *list, unsigned *count, bool *more)
{
    bool row = false;
    enum err result;
    sql_bind_int(use, (int64_t)(load->count_max - *count) + 1);
    while (!(result = sql_step(use, &row)) && row) {
        if (*count == load->count_max) {
            *more = true;
            break;
        }
        struct delivery_listed *listed = &list[*count];
        listed->damaged = !delivery_row_take(use, 0, &listed->row);
        bool is_stale =
            !listed->damaged && (listed->row.state != state || listed->row.broker_owned ||
                                    listed->row.endpoint != load->endpoint);
        /* else the index is damaged, and the row is somewhere else by its own account */
        if (!is_stale)
            (*count)++;
    }
    sql_finish(use);
    return result;
}

static enum err list_waiting(struct delivery_rows *rows, const struct journal_load *load,
    struct delivery_listed *list, unsigned *count, bool *more)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_WAITING]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->due_by_us);
    sql_bind_int(&use, load->after_waiting_due_us);
    sql_bind_int(&use, load->after_waiting_id);
    return list_state(&use, DELIVERY_WAITING, load, list, count, more);
}

enum err delivery_rows_list_due(struct delivery_rows *rows, const struct journal_load *load,
    struct delivery_listed *ret_listed, unsigned *ret_count, bool *ret_more)
{
    unsigned count = 0;
    bool more = false;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_PENDING]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->after_pending_id);
    enum err result = list_state(&use, DELIVERY_PENDING, load, ret_listed, &count, &more);
    if (!result && !more)
        result = list_waiting(rows, load, ret_listed, &count, &more);
    if (result)
        return result;
    *ret_count = count;
    *ret_more = more;
    return OK;
}

enum err delivery_rows_next_due(
    struct delivery_rows *rows, const struct journal_load *load, int64_t *ret_due_us)
{
    /* Behind both bounds, which are put together here: of two conditions SQLite would seek to one
     * and walk to the other. */
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

/* Makes room for one more; doubles, since nobody knows how many endpoints a shard has. */
static struct journal_backlog *next_backlog(struct journal_backlog **backlogs, size_t count)
{
    if ((count & (count - 1)) == 0) {
        struct journal_backlog *larger =
            realloc(*backlogs, (count ? count * 2 : 1) * sizeof *larger);
        if (!larger)
            return NULL;
        *backlogs = larger;
    }
    return &(*backlogs)[count];
}

enum err delivery_rows_count_open(
    struct delivery_rows *rows, struct journal_backlog **ret_backlogs, size_t *ret_count)
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
            .unrouted = sql_column_int(&use, 4),
            .waiting_due_us = sql_column_is_null(&use, 5) ? INT64_MAX : sql_column_int(&use, 5),
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
