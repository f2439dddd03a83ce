/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_KEEP_POISON. */
#include "journal/poison.h"

#include "base/cleanup.h"
#include "journal/store.h"
#include "runtime/log.h"
#include "sqlite/checksum.h"

static const char *const texts[POISON_STATEMENTS] = {
    [POISON_COUNT] = "SELECT count(*), coalesce(sum(length(CAST(headers AS BLOB)) + length(body)), "
                     "0) FROM poison",
    [POISON_ADD] =
        ("INSERT INTO poison(at_us, queue, reason, message_id, headers, body_bytes, body, crc)"
         " VALUES(?,?,?,?,?,?,?,?)"),
    [POISON_OLDEST] =
        "SELECT seq, length(CAST(headers AS BLOB)) + length(body) FROM poison ORDER BY seq LIMIT 1",
    [POISON_DROP] = "DELETE FROM poison WHERE seq = ?",
};

static enum err count(struct poison *poison)
{
    struct sql_use use = sql_use(poison->statements[POISON_COUNT]);
    bool row;
    enum err result = sql_step(&use, &row);
    if (!result && row)
        poison->kept =
            (struct poison_size){.rows = sql_column_int(&use, 0), .bytes = sql_column_int(&use, 1)};
    sql_finish(&use);
    poison->open = poison->kept;
    return result;
}

enum err poison_init(struct poison *poison, struct sqlite3 *db)
{
    *poison = (struct poison){.rows_max = POISON_ROWS_MAX, .bytes_max = POISON_BYTES_MAX};
    enum err result = sql_prepare_all(db, texts, POISON_STATEMENTS, poison->statements);
    return result ? result : count(poison);
}

void poison_done(struct poison *poison)
{
    sql_finalize_all(poison->statements, POISON_STATEMENTS);
}

void poison_committed(struct poison *poison)
{
    poison->kept = poison->open;
}

void poison_rolled_back(struct poison *poison)
{
    poison->open = poison->kept;
}

/* Without the number, which SQLite chooses. */
static uint32_t checksum(const struct poison_row *row)
{
    const int64_t numbers[] = {row->at_us, (int64_t)row->body_bytes};
    const struct slice slices[] = {
        row->queue, row->reason, row->message_id, row->headers, row->body};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), slices, ARRAY_LENGTH(slices));
}

bool poison_row_take(const struct sql_use *use, struct poison_row *ret_row)
{
    *ret_row = (struct poison_row){
        .seq = sql_column_int(use, 0),
        .at_us = sql_column_int(use, 1),
        .queue = sql_column_slice(use, 2),
        .reason = sql_column_slice(use, 3),
        .message_id = sql_column_slice(use, 4),
        .headers = sql_column_slice(use, 5),
        .body_bytes = (uint64_t)sql_column_int(use, 6),
        .body = sql_column_slice(use, 7),
    };
    return checksum(ret_row) == sql_column_int(use, 8);
}

static enum err add(struct poison *poison, const struct poison_row *row)
{
    struct sql_use use = sql_use(poison->statements[POISON_ADD]);
    sql_bind_int(&use, row->at_us);
    sql_bind_text(&use, row->queue);
    sql_bind_text(&use, row->reason);
    sql_bind_text(&use, row->message_id);
    sql_bind_text(&use, row->headers);
    sql_bind_int(&use, (int64_t)row->body_bytes);
    sql_bind_blob(&use, row->body);
    sql_bind_int(&use, checksum(row));
    poison->open.rows++;
    poison->open.bytes += (int64_t)(row->headers.len + row->body.len);
    return sql_execute(&use);
}

static enum err drop_oldest(struct poison *poison)
{
    struct sql_use oldest = sql_use(poison->statements[POISON_OLDEST]);
    bool row;
    int64_t seq = 0;
    enum err result = sql_step(&oldest, &row);
    if (!result && row) {
        seq = sql_column_int(&oldest, 0);
        poison->open.rows--;
        poison->open.bytes -= sql_column_int(&oldest, 1);
    } else if (!result) {
        poison->open = (struct poison_size){0}; /* the table was cleared from outside */
    }
    sql_finish(&oldest);
    if (result || !row)
        return result;
    struct sql_use drop = sql_use(poison->statements[POISON_DROP]);
    sql_bind_int(&drop, seq);
    return sql_execute(&drop);
}

enum err store_keep_poison(struct store *store, struct request *request)
{
    const struct journal_keep_poison *keep =
        CONTAINER_OF(request, struct journal_keep_poison, request);
    struct poison *poison = &store->poison;
    const struct poison_row row = {
        .at_us = store->now_us,
        .queue = slice_from_string(keep->queue),
        .reason = slice_from_string(keep->reason),
        .message_id = slice_from_string(keep->message_id),
        .headers = keep->headers,
        .body = keep->body,
        .body_bytes = keep->body_bytes,
    };
    if (!store_admits(store, CLASS_CRITICAL)) {
        request->result = ERR_DISK_FULL;
        return OK;
    }
    enum err result = add(poison, &row);
    bool is_full = false;
    while (!result && (poison->open.rows > poison->rows_max ||
                          (poison->open.bytes > poison->bytes_max && poison->open.rows > 1))) {
        is_full = true;
        result = drop_oldest(poison);
    }
    if (is_full && !poison->is_full_said)
        log_warn("the limit of poison messages is reached: a new one replaces the oldest shard=%u "
                 "rows=%lld bytes=%lld",
            store->shard, (long long)poison->open.rows, (long long)poison->open.bytes);
    poison->is_full_said |= is_full;
    return result;
}
