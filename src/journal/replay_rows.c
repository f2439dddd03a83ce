/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/replay_rows.h"

#include "base/buffer.h"
#include "journal/delivery_row.h"
#include "sqlite/checksum.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLAY_COLUMNS                                                                           \
    "id, filter, action, flags, rate, share_ppm, total, reason, state, created_us, changed_us, " \
    "last_delivery, found_endpoint, found_all, counts, crc"
#define FLAG_FORCE 1
#define FLAG_GUARDED 2
#define NUMBERS 11 /* of a row: its columns with integers */
#define COUNTS_BYTES (REPLAY_REFUSALS * 21 + 1)

#define NEXT_ENDPOINT(index, condition)                                     \
    "SELECT endpoint FROM deliveries INDEXED BY " index " WHERE " condition \
    " AND endpoint > ? ORDER BY endpoint LIMIT 1"
#define LOOK(index, condition)                                                          \
    "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY " index " WHERE " condition \
    " AND endpoint = ?1 "

/* States are written out, since a partial index serves only a query that says its condition
 * literally. Every LOOK has the parameters endpoint, key, id. */
static const char *const texts[REPLAYS_STATEMENTS] = {
    [REPLAYS_WRITE] = "INSERT OR REPLACE INTO replays(" REPLAY_COLUMNS
                      ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [REPLAYS_READ] = "SELECT " REPLAY_COLUMNS " FROM replays WHERE id = ?",
    [REPLAYS_LIST] = "SELECT " REPLAY_COLUMNS " FROM replays WHERE id < ? ORDER BY id DESC LIMIT ?",
    [REPLAYS_LIST_OPEN] = "SELECT " REPLAY_COLUMNS " FROM replays INDEXED BY replays_open WHERE "
                          "state < 2 AND id < ? ORDER BY id DESC LIMIT ?",
    [REPLAYS_COUNT_OPEN] = "SELECT count(*) FROM replays INDEXED BY replays_open WHERE state < 2",
    [REPLAYS_DROP_OLD] =
        "DELETE FROM replays WHERE id <= (SELECT id FROM replays ORDER BY id DESC LIMIT 1 OFFSET ?)"
        " AND state >= 2",
    [REPLAYS_WRITE_CURSOR] = "INSERT OR REPLACE INTO replay_cursors(replay, endpoint, place, key, "
                             "id, crc) VALUES(?,?,?,?,?,?)",
    [REPLAYS_LIST_CURSORS] = "SELECT endpoint, place, key, id, crc FROM replay_cursors WHERE "
                             "replay = ? ORDER BY endpoint LIMIT ?",
    [REPLAYS_DROP_CURSOR] = "DELETE FROM replay_cursors WHERE replay = ? AND endpoint = ?",
    [REPLAYS_DROP_CURSORS] = "DELETE FROM replay_cursors WHERE replay = ?",
    [REPLAYS_NEXT_DEAD] = NEXT_ENDPOINT("deliveries_dead", "state = 5"),
    [REPLAYS_NEXT_PARKED] = NEXT_ENDPOINT("deliveries_parked", "state = 3"),
    [REPLAYS_NEXT_WAITING] = NEXT_ENDPOINT("deliveries_waiting", "state = 2"),
    [REPLAYS_LOOK_DEAD] =
        LOOK("deliveries_dead", "state = 5") "AND id > ?3 AND ?2 = ?2 ORDER BY id",
    [REPLAYS_LOOK_PARKED] =
        LOOK("deliveries_parked", "state = 3") "AND reason = ?2 AND id > ?3 ORDER BY id",
    [REPLAYS_LOOK_WAITING] = LOOK("deliveries_waiting",
        "state = 2") "AND due_us >= ?2 AND (due_us, id) > (?2, ?3) ORDER BY due_us, id",
    [REPLAYS_LOOK_DELIVERED] =
        "SELECT " DELIVERY_COLUMNS
        " FROM deliveries WHERE ?1 = ?1 AND id > ?3 AND id <= ?2 ORDER BY id",
    [REPLAYS_LAST_EVENT] = "SELECT coalesce(max(seq), 0) FROM events",
    [REPLAYS_FIND_MOVE] = "SELECT 1 FROM operator_actions INDEXED BY operator_actions_by_delivery "
                          "WHERE delivery = ? AND substr(note, -length(?2)) = ?2 LIMIT 1",
    [REPLAYS_COUNT_LEAD] = "SELECT count(*) FROM (SELECT 1 FROM deliveries INDEXED BY "
                           "deliveries_replay WHERE state = 0 AND broker_owned = 0 AND lane = 2 "
                           "AND endpoint = ? LIMIT ?)",
};

static_assert(DELIVERY_WAITING == 2 && DELIVERY_PARKED == 3 && DELIVERY_DEAD == 5 &&
                  DELIVERY_PENDING == 0 && LANE_REPLAY == 2 && REPLAY_PAUSED == 1 &&
                  REPLAY_CANCELLED == 2,
    "the statements have these numbers in their text");

enum err replay_rows_init(struct replay_rows *rows, struct sqlite3 *db)
{
    return sql_prepare_all(db, texts, REPLAYS_STATEMENTS, rows->statements);
}

void replay_rows_done(struct replay_rows *rows)
{
    sql_finalize_all(rows->statements, REPLAYS_STATEMENTS);
}

static struct slice id_slice(const struct event_id *id)
{
    return slice_of(id->bytes, sizeof id->bytes);
}

/* Replays. */

/* What was moved, and the refusals in the order of their numbers. A newer version may have more of
 * them. */
static void write_counts(const struct replay_progress *progress, char ret_text[COUNTS_BYTES])
{
    int len = snprintf(ret_text, COUNTS_BYTES, "%lld", (long long)progress->moved);
    for (unsigned i = 1; i < REPLAY_REFUSALS; i++)
        len += snprintf(
            ret_text + len, COUNTS_BYTES - (size_t)len, " %lld", (long long)progress->refused[i]);
}

static void read_counts(struct slice text, struct replay_progress *ret_progress)
{
    char copy[COUNTS_BYTES];
    snprintf(copy, sizeof copy, "%.*s", SLICE_ARGS(text));
    char *at = copy;
    ret_progress->moved = strtoll(at, &at, 10);
    for (unsigned i = 1; i < REPLAY_REFUSALS; i++)
        ret_progress->refused[i] = strtoll(at, &at, 10);
}

static uint32_t checksum(const int64_t numbers[NUMBERS], struct slice id, struct slice filter,
    struct slice reason, struct slice counts)
{
    const struct slice parts[] = {id, filter, reason, counts};
    return checksum_columns(numbers, NUMBERS, parts, ARRAY_LENGTH(parts));
}

enum err replay_rows_write(struct replay_rows *rows, const struct replay_row *row)
{
    const struct replay *replay = &row->replay;
    const struct replay_order *order = &replay->order;
    char counts[COUNTS_BYTES];
    struct buffer filter = BUFFER_EMPTY;
    write_counts(&replay->progress, counts);
    delivery_filter_to_json(&order->filter, &filter);
    enum err result = buffer_status(&filter);
    if (!result) {
        const int64_t numbers[NUMBERS] = {order->action,
            (order->force ? FLAG_FORCE : 0) | (order->guarded ? FLAG_GUARDED : 0), order->rate,
            order->share_ppm, order->total, replay->state, replay->created_us, replay->changed_us,
            replay->last_delivery, row->found_endpoint, row->found_all};
        struct sql_use use = sql_use(rows->statements[REPLAYS_WRITE]);
        sql_bind_blob(&use, id_slice(&order->id));
        sql_bind_text(&use, buffer_slice(&filter));
        for (unsigned i = 0; i < 5; i++)
            sql_bind_int(&use, numbers[i]);
        sql_bind_string(&use, order->reason);
        for (unsigned i = 5; i < NUMBERS; i++)
            sql_bind_int(&use, numbers[i]);
        sql_bind_string(&use, counts);
        sql_bind_int(&use, checksum(numbers, id_slice(&order->id), buffer_slice(&filter),
                               slice_from_string(order->reason), slice_from_string(counts)));
        result = sql_execute(&use);
    }
    buffer_done(&filter);
    return result;
}

bool replay_row_take(const struct sql_use *use, struct replay_row *ret_row)
{
    static const int columns[NUMBERS] = {2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13};
    int64_t numbers[NUMBERS];
    struct slice id = sql_column_slice(use, 0), filter = sql_column_slice(use, 1),
                 reason = sql_column_slice(use, 7), counts = sql_column_slice(use, 14);
    for (unsigned i = 0; i < NUMBERS; i++)
        numbers[i] = sql_column_int(use, columns[i]);
    *ret_row = (struct replay_row){.found_endpoint = numbers[9], .found_all = numbers[10] != 0};
    struct replay *replay = &ret_row->replay;
    struct replay_order *order = &replay->order;
    if (id.len != sizeof order->id.bytes || reason.len >= sizeof order->reason ||
        counts.len >= COUNTS_BYTES ||
        checksum(numbers, id, filter, reason, counts) != sql_column_int(use, 15) ||
        delivery_filter_from_json(filter, &order->filter))
        return false;
    memcpy(order->id.bytes, id.data, id.len);
    memcpy(order->reason, reason.data, reason.len);
    order->action = (enum replay_action)numbers[0];
    order->force = numbers[1] & FLAG_FORCE;
    order->guarded = numbers[1] & FLAG_GUARDED;
    order->rate = (unsigned)numbers[2];
    order->share_ppm = (unsigned)numbers[3];
    order->total = numbers[4];
    replay->state = (enum replay_state)numbers[5];
    replay->created_us = numbers[6];
    replay->changed_us = numbers[7];
    replay->last_delivery = numbers[8];
    read_counts(counts, &replay->progress);
    return true;
}

enum err replay_rows_read(
    struct replay_rows *rows, const struct event_id *id, struct replay_row *ret_row)
{
    struct sql_use use = sql_use(rows->statements[REPLAYS_READ]);
    bool row;
    sql_bind_blob(&use, id_slice(id));
    enum err result = sql_step(&use, &row);
    if (!result && !row)
        result = ERR_NOT_FOUND;
    if (!result && !replay_row_take(&use, ret_row))
        result = ERR_DAMAGED;
    sql_finish(&use);
    return result;
}

/* Moves. */

void replay_mark_format(const struct event_id *id, char ret_text[REPLAY_MARK_BYTES])
{
    char text[REPLAY_ID_TEXT_BYTES];
    replay_id_format(id, text);
    snprintf(ret_text, REPLAY_MARK_BYTES, "(%s)", text);
}

enum err replay_rows_find_move(
    struct replay_rows *rows, const struct event_id *id, int64_t delivery, bool *ret_moved)
{
    char mark[REPLAY_MARK_BYTES];
    struct sql_use use = sql_use(rows->statements[REPLAYS_FIND_MOVE]);
    replay_mark_format(id, mark);
    sql_bind_int(&use, delivery);
    sql_bind_string(&use, mark);
    enum err result = sql_step(&use, ret_moved);
    sql_finish(&use);
    return result;
}

/* Cursors. */

static uint32_t cursor_checksum(struct slice id, const struct replay_cursor *cursor)
{
    const int64_t numbers[] = {(int64_t)cursor->endpoint, cursor->place, cursor->key, cursor->id};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), &id, 1);
}

enum err replay_rows_write_cursor(
    struct replay_rows *rows, const struct event_id *id, const struct replay_cursor *cursor)
{
    struct sql_use use = sql_use(rows->statements[REPLAYS_WRITE_CURSOR]);
    sql_bind_blob(&use, id_slice(id));
    sql_bind_int(&use, (int64_t)cursor->endpoint);
    sql_bind_int(&use, cursor->place);
    sql_bind_int(&use, cursor->key);
    sql_bind_int(&use, cursor->id);
    sql_bind_int(&use, cursor_checksum(id_slice(id), cursor));
    return sql_execute(&use);
}

enum err replay_rows_drop_cursor(
    struct replay_rows *rows, const struct event_id *id, uint64_t endpoint)
{
    struct sql_use use = sql_use(rows->statements[REPLAYS_DROP_CURSOR]);
    sql_bind_blob(&use, id_slice(id));
    sql_bind_int(&use, (int64_t)endpoint);
    return sql_execute(&use);
}

enum err replay_rows_drop_cursors(struct replay_rows *rows, const struct event_id *id)
{
    struct sql_use use = sql_use(rows->statements[REPLAYS_DROP_CURSORS]);
    sql_bind_blob(&use, id_slice(id));
    return sql_execute(&use);
}

enum err replay_rows_list_cursors(struct replay_rows *rows, const struct event_id *id,
    struct replay_cursor ret_cursors[REPLAY_WINDOW], unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[REPLAYS_LIST_CURSORS]);
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_blob(&use, id_slice(id));
    sql_bind_int(&use, REPLAY_WINDOW);
    while (!(result = sql_step(&use, &row)) && row && count < REPLAY_WINDOW) {
        struct replay_cursor *cursor = &ret_cursors[count++];
        *cursor = (struct replay_cursor){.endpoint = (uint64_t)sql_column_int(&use, 0),
            .place = (enum delivery_state)sql_column_int(&use, 1),
            .key = sql_column_int(&use, 2),
            .id = sql_column_int(&use, 3)};
        if (cursor_checksum(id_slice(id), cursor) != sql_column_int(&use, 4))
            result = ERR_DAMAGED;
        if (result)
            break;
    }
    sql_finish(&use);
    *ret_count = count;
    return result;
}
