/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/duplicate_rows.h"

#include "base/cleanup.h"
#include "model/money.h"
#include "sqlite/checksum.h"

/* Aliases. */

static const char *const alias_texts[ALIASES_STATEMENTS] = {
    [ALIASES_ADD] = "INSERT OR IGNORE INTO aliases(id, first, at_us, crc) VALUES(?,?,?,?)",
    [ALIASES_FIND] = "SELECT first, at_us, crc FROM aliases WHERE id = ?",
};

enum err alias_rows_init(struct alias_rows *rows, struct sqlite3 *db)
{
    *rows = (struct alias_rows){0};
    return sql_prepare_all(db, alias_texts, ALIASES_STATEMENTS, rows->statements);
}

void alias_rows_done(struct alias_rows *rows)
{
    sql_finalize_all(rows->statements, ALIASES_STATEMENTS);
}

static struct slice slice_of_id(const struct event_id *id)
{
    return slice_of(id->bytes, sizeof id->bytes);
}

static uint32_t alias_checksum(const struct event_id *id, struct slice first, int64_t at_us)
{
    const struct slice ids[] = {slice_of_id(id), first};
    return checksum_columns(&at_us, 1, ids, ARRAY_LENGTH(ids));
}

enum err alias_rows_add(
    struct alias_rows *rows, const struct event_id *id, const struct event_id *first, int64_t at_us)
{
    struct sql_use use = sql_use(rows->statements[ALIASES_ADD]);
    sql_bind_blob(&use, slice_of_id(id));
    sql_bind_blob(&use, slice_of_id(first));
    sql_bind_int(&use, at_us);
    sql_bind_int(&use, alias_checksum(id, slice_of_id(first), at_us));
    return sql_execute(&use);
}

enum err alias_rows_find(
    struct alias_rows *rows, const struct event_id *id, struct event_id *ret_first)
{
    struct sql_use use = sql_use(rows->statements[ALIASES_FIND]);
    bool row;
    sql_bind_blob(&use, slice_of_id(id));
    enum err result = sql_step(&use, &row);
    if (!result && !row)
        result = ERR_NOT_FOUND;
    if (!result) {
        struct slice first = sql_column_slice(&use, 0);
        if (first.len != sizeof ret_first->bytes ||
            alias_checksum(id, first, sql_column_int(&use, 1)) != sql_column_int(&use, 2))
            result = ERR_DAMAGED;
        else
            memcpy(ret_first->bytes, first.data, first.len);
    }
    sql_finish(&use);
    return result;
}

/* Conflicts. */

static const char *const conflict_texts[CONFLICTS_STATEMENTS] = {
    [CONFLICTS_FIND] =
        "SELECT seq, amount, currency FROM conflicts WHERE first_event = ? ORDER BY seq",
    [CONFLICTS_ADD] = ("INSERT INTO conflicts(first_event, at_us, partner, account, type, key, "
                       "amount, currency, body,"
                       " times, last_us, crc) VALUES(?,?,?,?,?,?,?,?,?,1,?,?)"),
    [CONFLICTS_COUNT_AGAIN] = "UPDATE conflicts SET times = times + 1, last_us = ? WHERE seq = ?",
};

enum err conflict_rows_init(struct conflict_rows *rows, struct sqlite3 *db)
{
    *rows = (struct conflict_rows){0};
    return sql_prepare_all(db, conflict_texts, CONFLICTS_STATEMENTS, rows->statements);
}

void conflict_rows_done(struct conflict_rows *rows)
{
    sql_finalize_all(rows->statements, CONFLICTS_STATEMENTS);
}

/* Without the counters of how often it arrived. */
static uint32_t conflict_checksum(
    const struct event_id *first, int64_t at_us, const struct event *event)
{
    const struct event_parts *parts = &event->parts;
    const struct slice texts[] = {slice_of(first->bytes, sizeof first->bytes), parts->partner,
        parts->account, parts->type, parts->key, parts->amount, parts->currency, parts->body};
    return checksum_columns(&at_us, 1, texts, ARRAY_LENGTH(texts));
}

bool conflict_row_take(const struct sql_use *use, struct conflict_row *ret_row)
{
    struct slice first = sql_column_slice(use, 1);
    *ret_row = (struct conflict_row){
        .seq = sql_column_int(use, 0),
        .at_us = sql_column_int(use, 2),
        .last_us = sql_column_int(use, 3),
        .times = sql_column_int(use, 4),
        .parts =
            {
                .partner = sql_column_slice(use, 5),
                .account = sql_column_slice(use, 6),
                .type = sql_column_slice(use, 7),
                .key = sql_column_slice(use, 8),
                .amount = sql_column_slice(use, 9),
                .currency = sql_column_slice(use, 10),
                .body = sql_column_slice(use, 11),
            },
    };
    if (first.len != sizeof ret_row->first.bytes)
        return false;
    memcpy(ret_row->first.bytes, first.data, first.len);
    const struct event event = {.parts = ret_row->parts};
    return conflict_checksum(&ret_row->first, ret_row->at_us, &event) == sql_column_int(use, 12);
}

/* The row that this one counts with, or 0: it is new. */
static enum err find_conflict(struct conflict_rows *rows, struct slice first,
    const struct event_parts *parts, int64_t *ret_seq)
{
    struct sql_use use = sql_use(rows->statements[CONFLICTS_FIND]);
    bool row = false;
    unsigned count = 0;
    int64_t last = 0;
    enum err result;
    struct money_value wanted, found;
    money_value_of(parts->amount, parts->currency, &wanted);
    sql_bind_blob(&use, first);
    *ret_seq = 0;
    while (!(result = sql_step(&use, &row)) && row && *ret_seq == 0) {
        last = sql_column_int(&use, 0);
        count++;
        money_value_of(sql_column_slice(&use, 1), sql_column_slice(&use, 2), &found);
        if (money_value_equal(&found, &wanted))
            *ret_seq = last;
    }
    sql_finish(&use);
    if (!result && *ret_seq == 0 && count >= CONFLICTS_PER_KEY_MAX)
        *ret_seq = last;
    return result;
}

static enum err count_again(struct conflict_rows *rows, int64_t seq, int64_t at_us)
{
    struct sql_use use = sql_use(rows->statements[CONFLICTS_COUNT_AGAIN]);
    sql_bind_int(&use, at_us);
    sql_bind_int(&use, seq);
    return sql_execute(&use);
}

enum err conflict_rows_add(struct conflict_rows *rows, const struct event_id *first, int64_t at_us,
    const struct event *event, bool *ret_is_new)
{
    const struct event_parts *parts = &event->parts;
    struct slice id = slice_of(first->bytes, sizeof first->bytes);
    int64_t seq;
    enum err result = find_conflict(rows, id, parts, &seq);
    if (result)
        return result;
    *ret_is_new = seq == 0;
    if (seq != 0)
        return count_again(rows, seq, at_us);
    struct sql_use use = sql_use(rows->statements[CONFLICTS_ADD]);
    sql_bind_blob(&use, id);
    sql_bind_int(&use, at_us);
    sql_bind_text(&use, parts->partner);
    sql_bind_text(&use, parts->account);
    sql_bind_text(&use, parts->type);
    sql_bind_text(&use, parts->key);
    sql_bind_optional_text(&use, parts->amount);
    sql_bind_optional_text(&use, parts->currency);
    sql_bind_blob(&use, parts->body);
    sql_bind_int(&use, at_us);
    sql_bind_int(&use, conflict_checksum(first, at_us, event));
    return sql_execute(&use);
}
