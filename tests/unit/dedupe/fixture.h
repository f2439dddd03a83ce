/* SPDX-License-Identifier: Apache-2.0 */
/* A dedupe store on a file of its own, with segments of a few keys, and keys that are made of
 * numbers. */
#ifndef PENSTOCK_TESTS_UNIT_DEDUPE_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_DEDUPE_FIXTURE_H

#include "dedupe/segment.h"

#include <sqlite3.h>

#define TODAY 20500 /* days since 1970: 2026-02-16 */
#define SEGMENT_KEYS 10

struct dedupe_fixture {
    char directory[256], path[300];
    sqlite3 *db;
    struct dedupe_store dedupe;
};

void dedupe_fixture_open(struct dedupe_fixture *fixture);
void dedupe_fixture_close(struct dedupe_fixture *fixture);
void dedupe_fixture_reopen(struct dedupe_fixture *fixture);
struct dedupe_fixture *dedupe_fixture_new(void);
void dedupe_fixture_free(struct dedupe_fixture *fixture);
void dedupe_fixture_sql(struct dedupe_fixture *fixture, const char *text);
int64_t dedupe_fixture_sql_int(struct dedupe_fixture *fixture, const char *text);
void dedupe_fixture_begin(struct dedupe_fixture *fixture);
void dedupe_fixture_commit(struct dedupe_fixture *fixture);
void dedupe_fixture_roll_back(struct dedupe_fixture *fixture);
struct dedupe_key key_of(unsigned number);
/* The event of a key has its number for an id. */
struct event event_of(unsigned number, int day, enum event_class class);
enum err dedupe_fixture_try_add(
    struct dedupe_fixture *fixture, unsigned number, int day, enum event_class class);
void dedupe_fixture_add(struct dedupe_fixture *fixture, unsigned first, unsigned end, int day);
void dedupe_fixture_add_and_commit(
    struct dedupe_fixture *fixture, unsigned first, unsigned end, int day);
enum dedupe_finding dedupe_fixture_find(struct dedupe_fixture *fixture, unsigned number);
bool all_are(
    struct dedupe_fixture *fixture, unsigned first, unsigned end, enum dedupe_finding expected);
/* Works as the journal does when it has nothing else to do; returns the number of turns that did
 * something. */
unsigned dedupe_fixture_expire(struct dedupe_fixture *fixture, int today);
int64_t count_segments(struct dedupe_fixture *fixture);
int64_t count_filters(struct dedupe_fixture *fixture);
int64_t count_buckets(struct dedupe_fixture *fixture);

#endif
