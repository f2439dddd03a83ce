/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/event_rows.h"

#include "base/cleanup.h"
#include "sqlite/checksum.h"

static const char *const texts[EVENTS_STATEMENTS] = {
    [EVENTS_ADD] = "INSERT INTO events(" EVENT_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                   " ON CONFLICT(id) DO NOTHING",
    [EVENTS_ADD_BODY] = "INSERT INTO bodies(seq, body, crc) VALUES(?,?,?)",
    [EVENTS_READ] = "SELECT " EVENT_COLUMNS " FROM events WHERE seq = ?",
    [EVENTS_READ_BODY] = "SELECT body, crc FROM bodies WHERE seq = ?",
    [EVENTS_HAS_BODY] = "SELECT count(*) FROM bodies WHERE seq = ?",
    [EVENTS_FIND] = "SELECT seq FROM events WHERE id = ?",
    [EVENTS_READ_ID] = "SELECT id FROM events WHERE seq = ?",
    [EVENTS_READ_CLASS] = "SELECT class, guarded FROM events WHERE seq = ?",
};

enum err event_rows_init(struct event_rows *rows, struct sqlite3 *db)
{
    *rows = (struct event_rows){.db = db};
    return sql_prepare_all(db, texts, EVENTS_STATEMENTS, rows->statements);
}

void event_rows_done(struct event_rows *rows)
{
    sql_finalize_all(rows->statements, EVENTS_STATEMENTS);
}

static uint32_t event_checksum(int64_t seq, const struct event *event, unsigned deliveries)
{
    const struct event_parts *parts = &event->parts;
    const int64_t numbers[] = {seq, parts->accepted_us, parts->has_occurred_at,
        parts->has_occurred_at ? parts->occurred_us : 0, parts->class, parts->guarded, deliveries};
    const struct slice slices[] = {slice_of(parts->id.bytes, sizeof parts->id.bytes),
        parts->partner, parts->account, parts->type, parts->key, parts->amount, parts->currency,
        parts->traceparent};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), slices, ARRAY_LENGTH(slices));
}

uint32_t event_body_checksum(int64_t seq, struct slice body)
{
    return checksum_columns(&seq, 1, &body, 1);
}

static struct slice id_slice(const struct event_id *id)
{
    return slice_of(id->bytes, sizeof id->bytes);
}

static enum err add_body(struct event_rows *rows, int64_t seq, struct slice body)
{
    struct sql_use use = sql_use(rows->statements[EVENTS_ADD_BODY]);
    sql_bind_int(&use, seq);
    sql_bind_blob(&use, body);
    sql_bind_int(&use, event_body_checksum(seq, body));
    return sql_execute(&use);
}

enum err event_rows_add(
    struct event_rows *rows, int64_t seq, const struct event *event, unsigned deliveries)
{
    const struct event_parts *parts = &event->parts;
    struct sql_use use = sql_use(rows->statements[EVENTS_ADD]);
    sql_bind_int(&use, seq);
    sql_bind_blob(&use, id_slice(&parts->id));
    sql_bind_int(&use, parts->accepted_us);
    sql_bind_optional_int(&use, parts->has_occurred_at, parts->occurred_us);
    sql_bind_text(&use, parts->partner);
    sql_bind_text(&use, parts->account);
    sql_bind_text(&use, parts->type);
    sql_bind_optional_text(&use, parts->key);
    sql_bind_int(&use, parts->class);
    sql_bind_int(&use, parts->guarded);
    sql_bind_optional_text(&use, parts->amount);
    sql_bind_optional_text(&use, parts->currency);
    sql_bind_optional_text(&use, parts->traceparent);
    sql_bind_int(&use, deliveries);
    sql_bind_int(&use, event_checksum(seq, event, deliveries));
    enum err result = sql_execute(&use);
    if (!result && sql_changes(rows->db) == 0)
        return ERR_EXISTS;
    return result ? result : add_body(rows, seq, parts->body);
}

enum err event_rows_has_body(struct event_rows *rows, int64_t seq, bool *ret_has)
{
    struct sql_use use = sql_use(rows->statements[EVENTS_HAS_BODY]);
    int64_t count;
    sql_bind_int(&use, seq);
    enum err result = sql_execute_int(&use, &count);
    if (!result)
        *ret_has = count > 0;
    return result;
}

enum err event_rows_find(struct event_rows *rows, const struct event_id *id, int64_t *ret_seq)
{
    struct sql_use use = sql_use(rows->statements[EVENTS_FIND]);
    sql_bind_blob(&use, id_slice(id));
    return sql_execute_int(&use, ret_seq);
}

enum err event_rows_read_id(struct event_rows *rows, int64_t seq, struct event_id *ret_id)
{
    struct sql_use use = sql_use(rows->statements[EVENTS_READ_ID]);
    bool row;
    sql_bind_int(&use, seq);
    enum err result = sql_step(&use, &row);
    if (!result) {
        struct slice id = row ? sql_column_slice(&use, 0) : (struct slice){0};
        if (id.len == sizeof ret_id->bytes)
            memcpy(ret_id->bytes, id.data, id.len);
        else
            result = ERR_NOT_FOUND;
    }
    sql_finish(&use);
    return result;
}

enum err event_rows_read_class(
    struct event_rows *rows, int64_t seq, enum event_class *ret_class, bool *ret_guarded)
{
    struct sql_use use = sql_use(rows->statements[EVENTS_READ_CLASS]);
    bool row;
    sql_bind_int(&use, seq);
    enum err result = sql_step(&use, &row);
    if (!result && !row)
        result = ERR_NOT_FOUND;
    if (!result) {
        *ret_class = (enum event_class)sql_column_int(&use, 0);
        *ret_guarded = sql_column_int(&use, 1) != 0;
    }
    sql_finish(&use);
    return result;
}

/* The body stays in the statement until that is finished. */
static enum err read_body(
    struct sql_use *use, int64_t seq, const struct event_reading *reading, struct slice *ret_body)
{
    bool row;
    sql_bind_int(use, seq);
    enum err result = sql_step(use, &row);
    if (result)
        return result;
    if (!row)
        return reading->may_lack_body ? OK : ERR_DAMAGED;
    *ret_body = sql_column_slice(use, 0);
    if (event_body_checksum(seq, *ret_body) != sql_column_int(use, 1))
        return ERR_DAMAGED;
    return (int64_t)ret_body->len > reading->body_bytes_max ? ERR_TOO_LARGE : OK;
}

bool event_row_take(const struct sql_use *use, int64_t *ret_seq, struct event_parts *ret_parts,
    unsigned *ret_deliveries)
{
    struct slice id = sql_column_slice(use, 1);
    bool is_id = id.len == sizeof ret_parts->id.bytes;
    *ret_seq = sql_column_int(use, 0);
    *ret_parts = (struct event_parts){
        .accepted_us = sql_column_int(use, 2),
        .has_occurred_at = !sql_column_is_null(use, 3),
        .occurred_us = sql_column_int(use, 3),
        .partner = sql_column_slice(use, EVENT_COLUMN_PARTNER),
        .account = sql_column_slice(use, EVENT_COLUMN_ACCOUNT),
        .type = sql_column_slice(use, 6),
        .key = sql_column_slice(use, 7),
        .class = (enum event_class)sql_column_int(use, 8),
        .guarded = sql_column_int(use, 9) != 0,
        .amount = sql_column_slice(use, 10),
        .currency = sql_column_slice(use, 11),
        .traceparent = sql_column_slice(use, 12),
    };
    if (is_id)
        memcpy(ret_parts->id.bytes, id.data, id.len);
    int64_t deliveries = sql_column_int(use, 13);
    *ret_deliveries =
        (unsigned)(deliveries < 0 || deliveries > ACCOUNT_ENDPOINTS_MAX ? 0 : deliveries);
    const struct event event = {.parts = *ret_parts};
    return is_id && *ret_deliveries == deliveries &&
           event_checksum(*ret_seq, &event, *ret_deliveries) == sql_column_int(use, 14);
}

/* The event of the row that `use` has. */
static enum err make_event(const struct sql_use *use, const struct event_reading *reading,
    struct slice body, struct event **ret_event, unsigned *ret_deliveries)
{
    struct event_parts parts;
    int64_t seq;
    unsigned deliveries;
    if (!event_row_take(use, &seq, &parts, &deliveries))
        return ERR_DAMAGED;
    parts.body = body;
    enum err result = event_new(&parts, reading->budget, reading->budget_share_percent, ret_event);
    if (!result && ret_deliveries)
        *ret_deliveries = deliveries;
    return result;
}

enum err event_rows_read(struct event_rows *rows, int64_t seq, const struct event_reading *reading,
    struct event **ret_event, unsigned *ret_deliveries)
{
    struct slice body = {0};
    struct sql_use row_use = sql_use(rows->statements[EVENTS_READ]),
                   body_use = sql_use(rows->statements[EVENTS_READ_BODY]);
    bool row = false;
    enum err result = reading->without_body ? OK : read_body(&body_use, seq, reading, &body);
    if (!result) {
        sql_bind_int(&row_use, seq);
        result = sql_step(&row_use, &row);
    }
    if (!result)
        result = row ? make_event(&row_use, reading, body, ret_event, ret_deliveries) : ERR_DAMAGED;
    /* In this order: finishing a statement that succeeded clears what the connection says of the
     * one that failed. */
    sql_finish(&body_use);
    sql_finish(&row_use);
    return result;
}
