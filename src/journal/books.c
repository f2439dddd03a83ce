/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/books.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "journal/checksum.h"
#include "runtime/log.h"

#include <stdlib.h>

#define BOOKS_BUCKETS 1024

/* What one row of the file is to be changed by. */
struct book_entry {
    struct book_entry *next; /* in its bucket */
    struct book_entry *next_touched;
    bool is_touched;
    int64_t day;
    uint64_t endpoint;
    size_t account_len, currency_len;
    char account[NAME_BYTES_MAX];
    char currency[CURRENCY_BYTES];
    struct book_number kept[BOOK_COLUMNS]; /* of transactions that are committed */
    struct book_number open[BOOK_COLUMNS]; /* of the one that is open */
};

static const char *const texts[BOOKS_STATEMENTS] = {
    [BOOKS_READ] = "SELECT " BOOK_TABLE_COLUMNS " FROM books WHERE day = ? AND account = ? AND endpoint = ?"
                   " AND currency = ?",
    [BOOKS_WRITE] = "INSERT OR REPLACE INTO books(" BOOK_TABLE_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?)",
    [BOOKS_SET_THROUGH] = "INSERT OR REPLACE INTO meta(key, value) VALUES('books_through', ?)",
};

static enum err read_through(sqlite3 *db, int64_t *ret_through)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(db, "SELECT value FROM meta WHERE key = 'books_through'", &statement);
    *ret_through = 0;
    if (!result) {
        struct sql_use use = sql_use(statement);
        result = sql_execute_int(&use, ret_through);
    }
    sqlite3_finalize(statement);
    return result == ERR_NOT_FOUND ? OK : result;
}

enum err books_init(struct books *books, sqlite3 *db)
{
    *books = (struct books){0};
    crypto_random(books->seed.bytes, sizeof books->seed.bytes);
    books->buckets = calloc(BOOKS_BUCKETS, sizeof(struct book_entry *));
    if (!books->buckets)
        return ERR_NO_MEMORY;
    enum err result = sql_prepare_all(db, texts, BOOKS_STATEMENTS, books->statements);
    return result ? result : read_through(db, &books->through);
}

/* Takes everything out of memory. */
static void forget(struct books *books)
{
    for (size_t i = 0; books->count > 0 && i < BOOKS_BUCKETS; i++) {
        for (struct book_entry *entry; (entry = books->buckets[i]);) {
            books->buckets[i] = entry->next;
            books->count--;
            free(entry);
        }
    }
    books->touched = NULL;
    books->since_us = 0;
}

void books_done(struct books *books)
{
    if (books->buckets)
        forget(books);
    free(TAKE(books->buckets));
    sql_finalize_all(books->statements, BOOKS_STATEMENTS);
}

/* Gathering. */

static bool is_entry_of(const struct book_entry *entry, const struct book_key *key)
{
    return entry->day == key->day && entry->endpoint == key->endpoint &&
           slice_equal(slice_of(entry->account, entry->account_len), key->account) &&
           slice_equal(slice_of(entry->currency, entry->currency_len), key->currency);
}

static struct book_entry *get_entry(struct books *books, const struct book_key *key)
{
    uint64_t hash = hash_siphash(&books->seed, key->account) ^ key->endpoint;
    struct book_entry **bucket = &books->buckets[(hash ^ hash >> 32) % BOOKS_BUCKETS];
    for (struct book_entry *entry = *bucket; entry; entry = entry->next)
        if (is_entry_of(entry, key))
            return entry;
    struct book_entry *entry = calloc(1, sizeof *entry);
    if (!entry || key->account.len > sizeof entry->account || key->currency.len > sizeof entry->currency) {
        free(entry);
        return NULL;
    }
    entry->day = key->day;
    entry->endpoint = key->endpoint;
    entry->account_len = key->account.len;
    entry->currency_len = key->currency.len;
    memcpy(entry->account, key->account.data, key->account.len);
    if (key->currency.len)
        memcpy(entry->currency, key->currency.data, key->currency.len);
    entry->next = *bucket;
    *bucket = entry;
    books->count++;
    return entry;
}

enum err books_add(struct books *books, const struct event_parts *parts, uint64_t endpoint, enum book_column column,
    int sign, int64_t now_mono_us)
{
    const struct book_key key = {
        .day = parts->accepted_us / US_PER_DAY,
        .endpoint = endpoint,
        .account = parts->account,
        .currency = parts->amount.len ? parts->currency : (struct slice){0},
    };
    if (books->given_up)
        return OK;
    struct book_entry *entry = get_entry(books, &key);
    if (!entry)
        return ERR_NO_MEMORY;
    if (books->since_us == 0)
        books->since_us = now_mono_us;
    if (!entry->is_touched) {
        entry->is_touched = true;
        entry->next_touched = books->touched;
        books->touched = entry;
    }
    entry->open[column].count += sign;
    /* 10^11 of the largest amounts fit: beyond that the books are wrong, and the audit says so. */
    if (!money_sum_add(&entry->open[column].sum, parts->amount, sign))
        log_error("a sum of the books does not fit day=%lld", (long long)key.day);
    return OK;
}

void books_pass(struct books *books, int64_t now_mono_us)
{
    if (books->since_us == 0 && !books->given_up)
        books->since_us = now_mono_us;
}

bool books_are_due(const struct books *books, int64_t now_mono_us)
{
    return books->count >= BOOKS_ROWS_MAX || (books->since_us != 0 && now_mono_us - books->since_us >= BOOKS_HELD_US);
}

/* Rows of the file. */

static int64_t row_checksum(const struct book_row *row, const struct slice sums[BOOK_COLUMNS])
{
    const struct slice slices[] = {
        row->key.account, row->key.currency, sums[BOOK_ACCEPTED], sums[BOOK_DELIVERED], sums[BOOK_DISCARDED]};
    const int64_t numbers[] = {row->key.day, (int64_t)row->key.endpoint, row->numbers[BOOK_ACCEPTED].count,
        row->numbers[BOOK_DELIVERED].count, row->numbers[BOOK_DISCARDED].count};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), slices, ARRAY_LENGTH(slices));
}

bool book_row_take(const struct sql_use *use, struct book_row *ret_row)
{
    struct slice sums[BOOK_COLUMNS];
    bool good = true;
    *ret_row = (struct book_row){.key = {
                                     .day = sql_column_int(use, 0),
                                     .account = sql_column_slice(use, 1),
                                     .endpoint = (uint64_t)sql_column_int(use, 2),
                                     .currency = sql_column_slice(use, 3),
                                 }};
    for (int i = 0; i < BOOK_COLUMNS; i++) {
        ret_row->numbers[i].count = sql_column_int(use, 4 + 2 * i);
        sums[i] = sql_column_slice(use, 5 + 2 * i);
        good = money_sum_parse(sums[i], &ret_row->numbers[i].sum) && good;
    }
    return good && row_checksum(ret_row, sums) == sql_column_int(use, 10);
}

static enum err read_row(
    struct books *books, const struct book_entry *entry, struct book_number ret_numbers[BOOK_COLUMNS], bool *ret_good)
{
    struct sql_use use = sql_use(books->statements[BOOKS_READ]);
    bool there;
    sql_bind_int(&use, entry->day);
    sql_bind_text(&use, slice_of(entry->account, entry->account_len));
    sql_bind_int(&use, (int64_t)entry->endpoint);
    sql_bind_text(&use, slice_of(entry->currency, entry->currency_len));
    enum err result = sql_step(&use, &there);
    struct book_row row = {0};
    *ret_good = true;
    if (!result && there)
        *ret_good = book_row_take(&use, &row);
    memcpy(ret_numbers, row.numbers, sizeof row.numbers);
    sql_finish(&use);
    return result;
}

static enum err write_row(struct books *books, const struct book_entry *entry)
{
    char sums[BOOK_COLUMNS][MONEY_SUM_TEXT_BYTES];
    struct slice sum_slices[BOOK_COLUMNS];
    struct book_row row = {.key = {
                               .day = entry->day,
                               .endpoint = entry->endpoint,
                               .account = slice_of(entry->account, entry->account_len),
                               .currency = slice_of(entry->currency, entry->currency_len),
                           }};
    bool good;
    enum err result = read_row(books, entry, row.numbers, &good);
    if (result)
        return result;
    for (int i = 0; i < BOOK_COLUMNS; i++) {
        row.numbers[i].count += entry->kept[i].count + entry->open[i].count;
        good = money_sum_add_sum(&row.numbers[i].sum, &entry->kept[i].sum, 1) &&
               money_sum_add_sum(&row.numbers[i].sum, &entry->open[i].sum, 1) && good;
        sum_slices[i] = slice_of(sums[i], money_sum_format(&row.numbers[i].sum, sums[i]));
    }
    struct sql_use use = sql_use(books->statements[BOOKS_WRITE]);
    sql_bind_int(&use, row.key.day);
    sql_bind_text(&use, row.key.account);
    sql_bind_int(&use, (int64_t)row.key.endpoint);
    sql_bind_text(&use, row.key.currency);
    for (int i = 0; i < BOOK_COLUMNS; i++) {
        sql_bind_int(&use, row.numbers[i].count);
        sql_bind_text(&use, sum_slices[i]);
    }
    int64_t crc = row_checksum(&row, sum_slices);
    sql_bind_int(&use, good ? crc : ~crc);
    return sql_execute(&use);
}

static void give_up(struct books *books)
{
    log_error("the books can't be read: nothing is counted in them until the next start; the audit goes without them");
    forget(books);
    books->given_up = true;
}

void books_demand(struct books *books)
{
    books->demanded = true;
}

enum err books_write_if_due(struct books *books, int64_t through, int64_t now_mono_us)
{
    enum err result = OK;
    if (books->given_up || (!books->demanded && !books_are_due(books, now_mono_us)))
        return OK;
    for (size_t i = 0; i < BOOKS_BUCKETS && !result; i++)
        for (struct book_entry *entry = books->buckets[i]; entry && !result; entry = entry->next)
            result = write_row(books, entry);
    if (result == ERR_DAMAGED) {
        give_up(books);
        return books->demanded ? ERR_DAMAGED : OK;
    }
    if (result)
        return result;
    books->written = true;
    books->written_through = through;
    struct sql_use use = sql_use(books->statements[BOOKS_SET_THROUGH]);
    sql_bind_int(&use, through);
    return sql_execute(&use);
}

/* How the transaction ended. */

static void end_entry(struct book_entry *entry, bool committed)
{
    for (int i = 0; i < BOOK_COLUMNS; i++) {
        if (committed) {
            entry->kept[i].count += entry->open[i].count;
            (void)!money_sum_add_sum(&entry->kept[i].sum, &entry->open[i].sum, 1);
        }
        entry->open[i] = (struct book_number){0};
    }
}

static void end_transaction(struct books *books, bool committed)
{
    books->written = books->demanded = false;
    for (struct book_entry *entry; (entry = books->touched);) {
        books->touched = entry->next_touched;
        entry->is_touched = false;
        end_entry(entry, committed);
    }
}

void books_committed(struct books *books)
{
    if (!books->written) {
        end_transaction(books, true);
        return;
    }
    books->through = books->written_through;
    books->written = books->demanded = false;
    forget(books);
}

void books_rolled_back(struct books *books)
{
    end_transaction(books, false);
}
