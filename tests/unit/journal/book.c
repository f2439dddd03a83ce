/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/book.h"

#include "journal/dedupe_segment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void book_open(struct book *book)
{
    cr_assert(sqlite3_open(book->path, &book->db) == SQLITE_OK);
    enum err result = dedupe_init(&book->dedupe, book->db);
    cr_assert(result == OK, "%s", err_name(result));
    book->dedupe.segment_keys_max = SEGMENT_KEYS;
}

void book_close(struct book *book)
{
    dedupe_done(&book->dedupe);
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
    snprintf(book->directory, sizeof book->directory, "%s/penstock-dedupe-XXXXXX", parent ? parent : "/tmp");
    cr_assert(mkdtemp(book->directory));
    snprintf(book->path, sizeof book->path, "%s/dedupe.db", book->directory);
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
    dedupe_committed(&book->dedupe);
}

void book_roll_back(struct book *book)
{
    book_sql(book, "ROLLBACK");
    dedupe_rolled_back(&book->dedupe);
}

struct dedupe_key key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "key-%u", number);
    struct dedupe_key key;
    dedupe_key_of((struct slice){0}, (struct slice){0}, (struct slice){0}, slice_from_string(text), &key);
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
    struct dedupe_key key = key_of(number);
    struct event event = event_of(number, day, class);
    return dedupe_add(&book->dedupe, &key, &event);
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

enum dedupe_finding book_find(struct book *book, unsigned number)
{
    struct dedupe_key key = key_of(number);
    struct event event = event_of(number, TODAY, CLASS_CRITICAL);
    enum dedupe_finding finding;
    struct event_id first;
    cr_assert(dedupe_look_up(&book->dedupe, &key, &event, &finding, &first) == OK);
    cr_assert(finding != DEDUPE_DUPLICATE || memcmp(&first, &event.parts.id, sizeof first) == 0);
    return finding;
}

bool all_are(struct book *book, unsigned first, unsigned end, enum dedupe_finding expected)
{
    bool all = true;
    for (unsigned i = first; i < end; i++)
        all &= book_find(book, i) == expected;
    return all;
}

int64_t count_segments(struct book *book)
{
    return book_sql_int(book, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dedupe_[co]_*'");
}

int64_t count_filters(struct book *book)
{
    return book_sql_int(book, "SELECT count(*) FROM dedupe_filters");
}

int64_t count_buckets(struct book *book)
{
    return book_sql_int(book, "SELECT count(*) FROM dedupe_index");
}

static bool has_dropped_a_part(const struct book *book)
{
    for (size_t i = 0; i < book->dedupe.count; i++)
        if (book->dedupe.segments[i]->expiring && !book->dedupe.segments[i]->undroppable)
            return true;
    return false;
}

/* Works as the journal does when it has nothing else to do; returns how often a segment was dropped or sealed. */
unsigned book_expire(struct book *book, int today)
{
    for (unsigned done = 0;;) {
        bool worked;
        book_begin(book);
        cr_assert(dedupe_expire(&book->dedupe, today * US_PER_DAY, &worked) == OK);
        book_commit(book);
        if (!worked)
            return done;
        done += !has_dropped_a_part(book);
    }
}
