/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/rows.h"

#include "base/cleanup.h"
#include "model/money.h"
#include "runtime/log.h"
#include "sqlite/checksum.h"

#include <stdio.h>

#define STATEMENT_BYTES 256

static const char find_text[] = "SELECT " DEDUPE_ROW_COLUMNS " FROM %s WHERE row = ?1";
static const char add_text[] =
    "INSERT INTO %s(key, event, amount, currency, crc) VALUES(?1, ?2, ?3, ?4, ?5)";
static const char all_text[] = "SELECT " DEDUPE_ROW_COLUMNS " FROM %s";

void dedupe_entry_init(
    struct dedupe_entry *entry, const struct dedupe_key *key, const struct event *event)
{
    struct slice amount = event->parts.amount;
    size_t len = amount.len ? money_canonical(amount, entry->canonical) : 0;
    entry->key = key;
    entry->event = slice_of(event->parts.id.bytes, sizeof event->parts.id.bytes);
    entry->amount = slice_of(entry->canonical, len);
    entry->currency = event->parts.currency;
}

enum err dedupe_prepare(
    struct sqlite3 *db, const char *table, const char *format, struct sqlite3_stmt **ret_statement)
{
    char text[STATEMENT_BYTES];
    snprintf(text, sizeof text, format, table, table);
    return sql_prepare(db, text, ret_statement);
}

/* The number of the row is not in it: it is known only when the row is written. */
static int64_t row_checksum(const char *table, struct slice key, struct slice event,
    struct slice amount, struct slice currency)
{
    const struct slice texts[] = {slice_from_string(table), key, event, amount, currency};
    return checksum_columns(NULL, 0, texts, ARRAY_LENGTH(texts));
}

bool dedupe_row_take(const char *table, const struct sql_use *use, struct dedupe_row *ret_row)
{
    *ret_row = (struct dedupe_row){
        .number = sql_column_int(use, 0),
        .key = sql_column_slice(use, 1),
        .event = sql_column_slice(use, 2),
        .amount = sql_column_slice(use, 3),
        .currency = sql_column_slice(use, 4),
    };
    return ret_row->key.len == DEDUPE_KEY_BYTES && ret_row->event.len == EVENT_ID_BYTES &&
           ret_row->number > 0 && ret_row->number <= UINT32_MAX &&
           sql_column_int(use, 5) == row_checksum(table, ret_row->key, ret_row->event,
                                         ret_row->amount, ret_row->currency);
}

static void name_damaged_row(const char *table, int64_t number)
{
    log_error("a row of the dedupe store is damaged: an event that may be a duplicate of it is "
              "refused segment=%s row=%lld",
        table, (long long)number);
}

enum err dedupe_rows_check(struct sqlite3 *db, const char *table)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = dedupe_prepare(db, table, find_text, &statement);
    sql_finalize(statement);
    return err == ERR_BUG ? ERR_DAMAGED : err;
}

enum err dedupe_rows_make(struct sqlite3 *db, const char *table)
{
    char text[STATEMENT_BYTES];
    snprintf(text, sizeof text,
        "CREATE TABLE %s(row INTEGER PRIMARY KEY, key BLOB NOT NULL, event BLOB NOT NULL, amount "
        "TEXT, currency TEXT, crc INTEGER NOT NULL)",
        table);
    return sql_run(db, text);
}

enum err dedupe_rows_each(struct sqlite3 *db, const char *table,
    enum err (*on_row)(const struct dedupe_row *row, void *context), void *context, bool *ret_all)
{
    struct sqlite3_stmt *statement = NULL;
    bool there = false;
    *ret_all = true;
    enum err err = dedupe_prepare(db, table, all_text, &statement);
    struct sql_use use = sql_use(statement);
    while (!err && !(err = sql_step(&use, &there)) && there) {
        struct dedupe_row row;
        if (dedupe_row_take(table, &use, &row)) {
            err = on_row(&row, context);
        } else {
            name_damaged_row(table, row.number);
            *ret_all = false;
        }
    }
    sql_finalize(statement);
    if (err != ERR_DAMAGED)
        return err;
    *ret_all = false;
    return OK;
}

enum err dedupe_row_judge(struct sqlite3 *db, const char *table, struct sqlite3_stmt **find,
    uint32_t number, const struct dedupe_entry *entry, enum dedupe_finding *ret_finding,
    struct event_id *ret_first)
{
    enum err err = *find ? OK : dedupe_prepare(db, table, find_text, find);
    if (err)
        return err;
    struct sql_use use = sql_use(*find);
    struct dedupe_row found;
    bool row;
    sql_bind_int(&use, number);
    err = sql_step(&use, &row);
    *ret_finding = err == ERR_DAMAGED ? DEDUPE_DAMAGED : DEDUPE_NEW;
    if (!err && row && !dedupe_row_take(table, &use, &found)) {
        name_damaged_row(table, number);
        *ret_finding = DEDUPE_DAMAGED;
    } else if (!err && row &&
               slice_equal(found.key, slice_of(entry->key->bytes, sizeof entry->key->bytes))) {
        memcpy(ret_first->bytes, found.event.data, found.event.len);
        bool same = slice_equal(found.amount, entry->amount) &&
                    slice_equal(found.currency, entry->currency);
        *ret_finding = same ? DEDUPE_DUPLICATE : DEDUPE_CONFLICT;
    }
    sql_finish(&use);
    return err == ERR_DAMAGED ? OK : err;
}

enum err dedupe_row_add(struct sqlite3 *db, const char *table, struct sqlite3_stmt **add,
    const struct dedupe_entry *entry, uint32_t *ret_number)
{
    struct slice key = slice_of(entry->key->bytes, sizeof entry->key->bytes);
    struct sql_use use = sql_use(*add);
    sql_bind_blob(&use, key);
    sql_bind_blob(&use, entry->event);
    sql_bind_optional_text(&use, entry->amount);
    sql_bind_optional_text(&use, entry->currency);
    sql_bind_int(&use, row_checksum(table, key, entry->event, entry->amount, entry->currency));
    enum err err = sql_execute(&use);
    if (err)
        return err;
    int64_t number = sql_last_row(db);
    if (number <= 0 || number > UINT32_MAX) /* a segment is full long before that */
        return ERR_DAMAGED;
    *ret_number = (uint32_t)number;
    return OK;
}

enum err dedupe_row_prepare_add(struct sqlite3 *db, const char *table, struct sqlite3_stmt **add)
{
    return *add ? OK : dedupe_prepare(db, table, add_text, add);
}
