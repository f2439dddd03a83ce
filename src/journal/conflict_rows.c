/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/conflict_rows.h"

#include "journal/checksum.h"
#include "model/money.h"

static const char *const texts[CONFLICTS_STATEMENTS] = {
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
    return sql_prepare_all(db, texts, CONFLICTS_STATEMENTS, rows->statements);
}

void conflict_rows_done(struct conflict_rows *rows)
{
    sql_finalize_all(rows->statements, CONFLICTS_STATEMENTS);
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
    return checksum_conflict(&ret_row->first, ret_row->at_us, &event) == sql_column_int(use, 12);
}

static bool is_same_money(
    const struct event_parts *parts, struct slice amount, struct slice currency)
{
    char one[AMOUNT_TEXT_BYTES], other[AMOUNT_TEXT_BYTES];
    if (!slice_equal(parts->currency, currency) || (parts->amount.len == 0) != (amount.len == 0) ||
        amount.len >= AMOUNT_TEXT_BYTES)
        return false;
    return amount.len == 0 || slice_equal(slice_of(one, money_canonical(parts->amount, one)),
                                  slice_of(other, money_canonical(amount, other)));
}

/* The row that this one counts with, or 0: it is new. */
static enum err find(struct conflict_rows *rows, struct slice first,
    const struct event_parts *parts, int64_t *ret_seq)
{
    struct sql_use use = sql_use(rows->statements[CONFLICTS_FIND]);
    bool row = false;
    unsigned count = 0;
    int64_t last = 0;
    enum err result;
    sql_bind_blob(&use, first);
    *ret_seq = 0;
    while (!(result = sql_step(&use, &row)) && row && *ret_seq == 0) {
        last = sql_column_int(&use, 0);
        count++;
        if (is_same_money(parts, sql_column_slice(&use, 1), sql_column_slice(&use, 2)))
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
    enum err result = find(rows, id, parts, &seq);
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
    sql_bind_int(&use, checksum_conflict(first, at_us, event));
    return sql_execute(&use);
}
