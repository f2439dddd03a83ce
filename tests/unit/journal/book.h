/* SPDX-License-Identifier: Apache-2.0 */
/* A dedupe store on a file of its own, with segments of a few keys, and keys that are made of numbers. */
#ifndef PENSTOCK_TESTS_UNIT_JOURNAL_BOOK_H
#define PENSTOCK_TESTS_UNIT_JOURNAL_BOOK_H

#include "journal/dedupe_segment.h"

#define TODAY 20500 /* days since 1970: 2026-02-16 */
#define SEGMENT_KEYS 10

struct book {
    char directory[256], path[300];
    sqlite3 *db;
    struct dedupe_store dedupe;
};

void book_open(struct book *book);
void book_close(struct book *book);
void book_reopen(struct book *book);
struct book *book_new(void);
void book_free(struct book *book);
void book_sql(struct book *book, const char *text);
int64_t book_sql_int(struct book *book, const char *text);
void book_begin(struct book *book);
void book_commit(struct book *book);
void book_roll_back(struct book *book);
struct dedupe_key key_of(unsigned number);
/* The event of a key has its number for an id. */
struct event event_of(unsigned number, int day, enum event_class class);
enum err book_try_add(struct book *book, unsigned number, int day, enum event_class class);
void book_add(struct book *book, unsigned first, unsigned end, int day);
void book_add_and_commit(struct book *book, unsigned first, unsigned end, int day);
enum dedupe_finding book_find(struct book *book, unsigned number);
bool all_are(struct book *book, unsigned first, unsigned end, enum dedupe_finding expected);
/* Works as the journal does when it has nothing else to do; returns the number of turns that did something. */
unsigned book_expire(struct book *book, int today);
int64_t count_segments(struct book *book);
int64_t count_filters(struct book *book);
int64_t count_buckets(struct book *book);

#endif
