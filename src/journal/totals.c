/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/totals.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "model/operator_event.h"
#include "runtime/log.h"
#include "sqlite/checksum.h"

#include <stdlib.h>

#define TOTALS_BUCKETS 1024

/* What one row of the file is to be changed by. */
struct total_entry {
    struct total_entry *next; /* in its bucket */
    struct total_entry *next_touched;
    bool is_touched;
    int64_t day;
    uint64_t endpoint;
    size_t account_len, currency_len;
    char account[NAME_BYTES_MAX];
    char currency[CURRENCY_BYTES];
    struct total_number kept[TOTAL_COLUMNS]; /* of transactions that are committed */
    struct total_number open[TOTAL_COLUMNS]; /* of the one that is open */
};

static const char *const texts[TOTALS_STATEMENTS] = {
    [TOTALS_READ] =
        "SELECT " TOTAL_TABLE_COLUMNS " FROM totals WHERE day = ? AND account = ? AND endpoint = ?"
        " AND currency = ?",
    [TOTALS_WRITE] =
        "INSERT OR REPLACE INTO totals(" TOTAL_TABLE_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?)",
    [TOTALS_SET_THROUGH] = "INSERT OR REPLACE INTO meta(key, value) VALUES('totals_through', ?)",
};

static enum err read_through(struct sqlite3 *db, int64_t *ret_through)
{
    *ret_through = 0;
    enum err result =
        sql_read_int(db, "SELECT value FROM meta WHERE key = 'totals_through'", ret_through);
    return result == ERR_NOT_FOUND ? OK : result;
}

enum err totals_init(struct totals *totals, struct sqlite3 *db)
{
    *totals = (struct totals){0};
    crypto_random(totals->seed.bytes, sizeof totals->seed.bytes);
    totals->buckets = memory_new_array(TOTALS_BUCKETS, sizeof(struct total_entry *));
    enum err result = sql_prepare_all(db, texts, TOTALS_STATEMENTS, totals->statements);
    return result ? result : read_through(db, &totals->through);
}

/* Takes everything out of memory. */
static void forget(struct totals *totals)
{
    for (size_t i = 0; totals->count > 0 && i < TOTALS_BUCKETS; i++) {
        for (struct total_entry *entry; (entry = totals->buckets[i]);) {
            totals->buckets[i] = entry->next;
            totals->count--;
            free(entry);
        }
    }
    totals->touched = NULL;
    totals->since_us = 0;
}

void totals_done(struct totals *totals)
{
    if (totals->buckets)
        forget(totals);
    free(TAKE(totals->buckets));
    sql_finalize_all(totals->statements, TOTALS_STATEMENTS);
}

/* Gathering. */

static bool is_entry_of(const struct total_entry *entry, const struct total_key *key)
{
    return entry->day == key->day && entry->endpoint == key->endpoint &&
           slice_equal(slice_of(entry->account, entry->account_len), key->account) &&
           slice_equal(slice_of(entry->currency, entry->currency_len), key->currency);
}

static struct total_entry *get_entry(struct totals *totals, const struct total_key *key)
{
    uint64_t hash = hash_siphash(&totals->seed, key->account) ^ key->endpoint;
    struct total_entry **bucket = &totals->buckets[(hash ^ hash >> 32) % TOTALS_BUCKETS];
    for (struct total_entry *entry = *bucket; entry; entry = entry->next)
        if (is_entry_of(entry, key))
            return entry;
    struct total_entry *entry;
    MEMORY_NEW(entry);
    entry->day = key->day;
    entry->endpoint = key->endpoint;
    entry->account_len = key->account.len;
    entry->currency_len = key->currency.len;
    memcpy(entry->account, key->account.data, key->account.len);
    if (key->currency.len)
        memcpy(entry->currency, key->currency.data, key->currency.len);
    entry->next = *bucket;
    *bucket = entry;
    totals->count++;
    return entry;
}

/* No text that was checked is longer. */
static struct slice cut(struct slice text, size_t len_max)
{
    return slice_of(text.data, text.len < len_max ? text.len : len_max);
}

void totals_add(struct totals *totals, const struct event_parts *parts, uint64_t endpoint,
    enum total_column column, int sign, int64_t now_mono_us)
{
    const struct total_key key = {
        .day = parts->accepted_us / US_PER_DAY,
        .endpoint = endpoint,
        .account = cut(parts->account, NAME_BYTES_MAX),
        .currency = parts->amount.len ? cut(parts->currency, CURRENCY_BYTES) : (struct slice){0},
    };
    if (totals->given_up)
        return;
    if (operator_event_is_own(parts->partner, parts->account)) {
        totals_pass(totals, now_mono_us);
        return;
    }
    struct total_entry *entry = get_entry(totals, &key);
    if (totals->since_us == 0)
        totals->since_us = now_mono_us;
    if (!entry->is_touched) {
        entry->is_touched = true;
        entry->next_touched = totals->touched;
        totals->touched = entry;
    }
    entry->open[column].count += sign;
    /* 10^11 of the largest amounts fit: beyond that the totals are wrong, and the audit says so. */
    if (!money_sum_add(&entry->open[column].sum, parts->amount, sign))
        log_error("a sum of the totals is too large to be stored day=%lld", (long long)key.day);
}

void totals_pass(struct totals *totals, int64_t now_mono_us)
{
    if (totals->since_us == 0 && !totals->given_up)
        totals->since_us = now_mono_us;
}

bool totals_are_due(const struct totals *totals, int64_t now_mono_us)
{
    return totals->count >= TOTALS_ROWS_MAX ||
           (totals->since_us != 0 && now_mono_us - totals->since_us >= TOTALS_HELD_US);
}

/* Rows of the file. */

static int64_t row_checksum(const struct total_row *row, const struct slice sums[TOTAL_COLUMNS])
{
    const struct slice slices[] = {row->key.account, row->key.currency, sums[TOTAL_ACCEPTED],
        sums[TOTAL_DELIVERED], sums[TOTAL_DISCARDED]};
    const int64_t numbers[] = {row->key.day, (int64_t)row->key.endpoint,
        row->numbers[TOTAL_ACCEPTED].count, row->numbers[TOTAL_DELIVERED].count,
        row->numbers[TOTAL_DISCARDED].count};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), slices, ARRAY_LENGTH(slices));
}

bool total_row_take(const struct sql_use *use, struct total_row *ret_row)
{
    struct slice sums[TOTAL_COLUMNS];
    bool good = true;
    *ret_row = (struct total_row){.key = {
                                      .day = sql_column_int(use, 0),
                                      .account = sql_column_slice(use, 1),
                                      .endpoint = (uint64_t)sql_column_int(use, 2),
                                      .currency = sql_column_slice(use, 3),
                                  }};
    for (int i = 0; i < TOTAL_COLUMNS; i++) {
        ret_row->numbers[i].count = sql_column_int(use, 4 + 2 * i);
        sums[i] = sql_column_slice(use, 5 + 2 * i);
        good = money_sum_parse(sums[i], &ret_row->numbers[i].sum) && good;
    }
    return good && row_checksum(ret_row, sums) == sql_column_int(use, 10);
}

static enum err read_row(struct totals *totals, const struct total_entry *entry,
    struct total_number ret_numbers[TOTAL_COLUMNS], bool *ret_good)
{
    struct sql_use use = sql_use(totals->statements[TOTALS_READ]);
    bool there;
    sql_bind_int(&use, entry->day);
    sql_bind_text(&use, slice_of(entry->account, entry->account_len));
    sql_bind_int(&use, (int64_t)entry->endpoint);
    sql_bind_text(&use, slice_of(entry->currency, entry->currency_len));
    enum err result = sql_step(&use, &there);
    struct total_row row = {0};
    *ret_good = true;
    if (!result && there)
        *ret_good = total_row_take(&use, &row);
    memcpy(ret_numbers, row.numbers, sizeof row.numbers);
    sql_finish(&use);
    return result;
}

static enum err write_row(struct totals *totals, const struct total_entry *entry)
{
    char sums[TOTAL_COLUMNS][MONEY_SUM_TEXT_BYTES];
    struct slice sum_slices[TOTAL_COLUMNS];
    struct total_row row = {.key = {
                                .day = entry->day,
                                .endpoint = entry->endpoint,
                                .account = slice_of(entry->account, entry->account_len),
                                .currency = slice_of(entry->currency, entry->currency_len),
                            }};
    bool good;
    enum err result = read_row(totals, entry, row.numbers, &good);
    if (result)
        return result;
    for (int i = 0; i < TOTAL_COLUMNS; i++) {
        row.numbers[i].count += entry->kept[i].count + entry->open[i].count;
        good = money_sum_add_sum(&row.numbers[i].sum, &entry->kept[i].sum, 1) &&
               money_sum_add_sum(&row.numbers[i].sum, &entry->open[i].sum, 1) && good;
        sum_slices[i] = slice_of(sums[i], money_sum_format(&row.numbers[i].sum, sums[i]));
    }
    struct sql_use use = sql_use(totals->statements[TOTALS_WRITE]);
    sql_bind_int(&use, row.key.day);
    sql_bind_text(&use, row.key.account);
    sql_bind_int(&use, (int64_t)row.key.endpoint);
    sql_bind_text(&use, row.key.currency);
    for (int i = 0; i < TOTAL_COLUMNS; i++) {
        sql_bind_int(&use, row.numbers[i].count);
        sql_bind_text(&use, sum_slices[i]);
    }
    int64_t crc = row_checksum(&row, sum_slices);
    sql_bind_int(&use, good ? crc : ~crc);
    return sql_execute(&use);
}

static void give_up(struct totals *totals)
{
    log_error("the totals cannot be read: nothing is counted in them until the next start, and "
              "the audit does not use them");
    forget(totals);
    totals->given_up = true;
}

void totals_demand(struct totals *totals)
{
    totals->demanded = true;
}

enum err totals_write_if_due(struct totals *totals, int64_t through, int64_t now_mono_us)
{
    enum err result = OK;
    if (totals->given_up || (!totals->demanded && !totals_are_due(totals, now_mono_us)))
        return OK;
    for (size_t i = 0; i < TOTALS_BUCKETS && !result; i++)
        for (struct total_entry *entry = totals->buckets[i]; entry && !result; entry = entry->next)
            result = write_row(totals, entry);
    if (result == ERR_DAMAGED) {
        give_up(totals);
        return totals->demanded ? ERR_DAMAGED : OK;
    }
    if (result)
        return result;
    totals->written = true;
    totals->written_through = through;
    struct sql_use use = sql_use(totals->statements[TOTALS_SET_THROUGH]);
    sql_bind_int(&use, through);
    return sql_execute(&use);
}

/* How the transaction ended. */

static void end_entry(struct total_entry *entry, bool committed)
{
    for (int i = 0; i < TOTAL_COLUMNS; i++) {
        if (committed) {
            entry->kept[i].count += entry->open[i].count;
            (void)!money_sum_add_sum(&entry->kept[i].sum, &entry->open[i].sum, 1);
        }
        entry->open[i] = (struct total_number){0};
    }
}

static void end_transaction(struct totals *totals, bool committed)
{
    totals->written = totals->demanded = false;
    for (struct total_entry *entry; (entry = totals->touched);) {
        totals->touched = entry->next_touched;
        entry->is_touched = false;
        end_entry(entry, committed);
    }
}

void totals_committed(struct totals *totals)
{
    if (!totals->written) {
        end_transaction(totals, true);
        return;
    }
    totals->through = totals->written_through;
    totals->written = totals->demanded = false;
    forget(totals);
}

void totals_rolled_back(struct totals *totals)
{
    end_transaction(totals, false);
}
