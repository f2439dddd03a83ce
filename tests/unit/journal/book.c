/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/book.h"

#include "journal/ledger_slice.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void book_open(struct book *book)
{
    cr_assert(sqlite3_open(book->path, &book->db) == SQLITE_OK);
    enum err result = ledger_init(&book->ledger, book->db);
    cr_assert(result == OK, "%s", err_name(result));
    book->ledger.slice_keys_max = SLICE_KEYS;
}

void book_close(struct book *book)
{
    ledger_done(&book->ledger);
    cr_assert(sqlite3_close(book->db) == SQLITE_OK, "a statement was left open");
}

void book_reopen(struct book *book)
{
    book_close(book);
    book_open(book);
}

struct book *book_new(void)
{
    struct book *book = calloc(1, sizeof *book);
    cr_assert(book);
    const char *parent = getenv("TMPDIR");
    snprintf(book->directory, sizeof book->directory, "%s/penstock-ledger-XXXXXX", parent ? parent : "/tmp");
    cr_assert(mkdtemp(book->directory));
    snprintf(book->path, sizeof book->path, "%s/ledger.db", book->directory);
    book_open(book);
    return book;
}

void book_free(struct book *book)
{
    book_close(book);
    unlink(book->path);
    rmdir(book->directory);
    free(book);
}

void book_sql(struct book *book, const char *text)
{
    cr_assert(sqlite3_exec(book->db, text, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", text, sqlite3_errmsg(book->db));
}

int64_t book_sql_int(struct book *book, const char *text)
{
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(book->db, text, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(book->db));
    cr_assert(sqlite3_step(statement) == SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

void book_begin(struct book *book)
{
    book_sql(book, "BEGIN IMMEDIATE");
}

void book_commit(struct book *book)
{
    book_sql(book, "COMMIT");
    ledger_committed(&book->ledger);
}

void book_roll_back(struct book *book)
{
    book_sql(book, "ROLLBACK");
    ledger_rolled_back(&book->ledger);
}

struct ledger_key key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "key-%u", number);
    struct ledger_key key;
    dedupe_ledger_key((struct slice){0}, (struct slice){0}, (struct slice){0}, slice_from_string(text), &key);
    return key;
}

/* The event of a key has its number for an id. */
struct event event_of(unsigned number, int day, enum event_class class)
{
    struct event event = {.parts.accepted_us = day * US_PER_DAY + 1, .parts.class = class};
    memcpy(event.parts.id.bytes, &number, sizeof number);
    return event;
}

enum err book_try_add(struct book *book, unsigned number, int day, enum event_class class)
{
    struct ledger_key key = key_of(number);
    struct event event = event_of(number, day, class);
    return ledger_add(&book->ledger, &key, &event);
}

void book_add(struct book *book, unsigned first, unsigned end, int day)
{
    for (unsigned i = first; i < end; i++)
        cr_assert(book_try_add(book, i, day, CLASS_CRITICAL) == OK);
}

void book_add_and_commit(struct book *book, unsigned first, unsigned end, int day)
{
    book_begin(book);
    book_add(book, first, end, day);
    book_commit(book);
}

enum ledger_finding book_find(struct book *book, unsigned number)
{
    struct ledger_key key = key_of(number);
    struct event event = event_of(number, TODAY, CLASS_CRITICAL);
    enum ledger_finding finding;
    struct event_id first;
    cr_assert(ledger_look_up(&book->ledger, &key, &event, &finding, &first) == OK);
    cr_assert(finding != LEDGER_DUPLICATE || memcmp(&first, &event.parts.id, sizeof first) == 0);
    return finding;
}

bool all_are(struct book *book, unsigned first, unsigned end, enum ledger_finding expected)
{
    bool all = true;
    for (unsigned i = first; i < end; i++)
        all &= book_find(book, i) == expected;
    return all;
}

int64_t count_slices(struct book *book)
{
    return book_sql_int(book, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ledger_[co]_*'");
}

int64_t count_filters(struct book *book)
{
    return book_sql_int(book, "SELECT count(*) FROM ledger_filters");
}

int64_t count_buckets(struct book *book)
{
    return book_sql_int(book, "SELECT count(*) FROM ledger_index");
}

static bool has_dropped_a_part(const struct book *book)
{
    for (size_t i = 0; i < book->ledger.count; i++)
        if (book->ledger.slices[i]->expiring && !book->ledger.slices[i]->undroppable)
            return true;
    return false;
}

/* Works as the journal does when it has nothing else to do; returns how often a slice was dropped or sealed. */
unsigned book_expire(struct book *book, int today)
{
    for (unsigned done = 0;;) {
        bool worked;
        book_begin(book);
        cr_assert(ledger_expire(&book->ledger, today * US_PER_DAY, &worked) == OK);
        book_commit(book);
        if (!worked)
            return done;
        done += !has_dropped_a_part(book);
    }
}
