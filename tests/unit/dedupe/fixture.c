/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/dedupe/fixture.h"

#include "dedupe/segment.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void dedupe_fixture_open(struct dedupe_fixture *fixture)
{
    cr_assert(sqlite3_open(fixture->path, &fixture->db) == SQLITE_OK);
    enum err result = dedupe_init(&fixture->dedupe, fixture->db);
    cr_assert(result == OK, "%s", err_name(result));
    fixture->dedupe.segment_keys_max = SEGMENT_KEYS;
}

void dedupe_fixture_close(struct dedupe_fixture *fixture)
{
    dedupe_done(&fixture->dedupe);
    cr_assert(sqlite3_close(fixture->db) == SQLITE_OK, "a statement was left open");
}

void dedupe_fixture_reopen(struct dedupe_fixture *fixture)
{
    dedupe_fixture_close(fixture);
    dedupe_fixture_open(fixture);
}

struct dedupe_fixture *dedupe_fixture_new(void)
{
    struct dedupe_fixture *fixture = calloc(1, sizeof *fixture);
    cr_assert(fixture);
    const char *parent = getenv("TMPDIR");
    snprintf(fixture->directory, sizeof fixture->directory, "%s/penstock-dedupe-XXXXXX",
        parent ? parent : "/tmp");
    cr_assert(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/dedupe.db", fixture->directory);
    dedupe_fixture_open(fixture);
    return fixture;
}

void dedupe_fixture_free(struct dedupe_fixture *fixture)
{
    dedupe_fixture_close(fixture);
    unlink(fixture->path);
    rmdir(fixture->directory);
    free(fixture);
}

void dedupe_fixture_sql(struct dedupe_fixture *fixture, const char *text)
{
    cr_assert(sqlite3_exec(fixture->db, text, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", text,
        sqlite3_errmsg(fixture->db));
}

int64_t dedupe_fixture_sql_int(struct dedupe_fixture *fixture, const char *text)
{
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(fixture->db, text, -1, &statement, NULL) == SQLITE_OK, "%s",
        sqlite3_errmsg(fixture->db));
    cr_assert(sqlite3_step(statement) == SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

void dedupe_fixture_begin(struct dedupe_fixture *fixture)
{
    dedupe_fixture_sql(fixture, "BEGIN IMMEDIATE");
}

void dedupe_fixture_commit(struct dedupe_fixture *fixture)
{
    dedupe_fixture_sql(fixture, "COMMIT");
    dedupe_committed(&fixture->dedupe);
}

void dedupe_fixture_roll_back(struct dedupe_fixture *fixture)
{
    dedupe_fixture_sql(fixture, "ROLLBACK");
    dedupe_rolled_back(&fixture->dedupe);
}

struct dedupe_key key_of(unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "key-%u", number);
    struct dedupe_key key;
    dedupe_key_of(
        (struct slice){0}, (struct slice){0}, (struct slice){0}, slice_from_string(text), &key);
    return key;
}

/* The event of a key has its number for an id. */
struct event event_of(unsigned number, int day, enum event_class class)
{
    struct event event = {.parts.accepted_us = day * US_PER_DAY + 1, .parts.class = class};
    memcpy(event.parts.id.bytes, &number, sizeof number);
    return event;
}

enum err dedupe_fixture_try_add(
    struct dedupe_fixture *fixture, unsigned number, int day, enum event_class class)
{
    struct dedupe_key key = key_of(number);
    struct event event = event_of(number, day, class);
    return dedupe_add(&fixture->dedupe, &key, &event);
}

void dedupe_fixture_add(struct dedupe_fixture *fixture, unsigned first, unsigned end, int day)
{
    for (unsigned i = first; i < end; i++)
        cr_assert(dedupe_fixture_try_add(fixture, i, day, CLASS_CRITICAL) == OK);
}

void dedupe_fixture_add_and_commit(
    struct dedupe_fixture *fixture, unsigned first, unsigned end, int day)
{
    dedupe_fixture_begin(fixture);
    dedupe_fixture_add(fixture, first, end, day);
    dedupe_fixture_commit(fixture);
}

enum dedupe_finding dedupe_fixture_find(struct dedupe_fixture *fixture, unsigned number)
{
    struct dedupe_key key = key_of(number);
    struct event event = event_of(number, TODAY, CLASS_CRITICAL);
    enum dedupe_finding finding;
    struct event_id first;
    cr_assert(dedupe_look_up(&fixture->dedupe, &key, &event, &finding, &first) == OK);
    cr_assert(finding != DEDUPE_DUPLICATE || memcmp(&first, &event.parts.id, sizeof first) == 0);
    return finding;
}

bool all_are(
    struct dedupe_fixture *fixture, unsigned first, unsigned end, enum dedupe_finding expected)
{
    bool all = true;
    for (unsigned i = first; i < end; i++)
        all &= dedupe_fixture_find(fixture, i) == expected;
    return all;
}

int64_t count_segments(struct dedupe_fixture *fixture)
{
    return dedupe_fixture_sql_int(fixture,
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dedupe_[co]_*'");
}

int64_t count_filters(struct dedupe_fixture *fixture)
{
    return dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_filters");
}

int64_t count_buckets(struct dedupe_fixture *fixture)
{
    return dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_index");
}

static bool has_dropped_a_part(const struct dedupe_fixture *fixture)
{
    for (size_t i = 0; i < fixture->dedupe.count; i++)
        if (fixture->dedupe.segments[i]->expiring && !fixture->dedupe.segments[i]->undroppable)
            return true;
    return false;
}

/* Works as the journal does when it has nothing else to do; returns how often a segment was dropped
 * or sealed. */
unsigned dedupe_fixture_expire(struct dedupe_fixture *fixture, int today)
{
    for (unsigned done = 0;;) {
        bool worked;
        dedupe_fixture_begin(fixture);
        cr_assert(dedupe_expire(&fixture->dedupe, today * US_PER_DAY, &worked) == OK);
        dedupe_fixture_commit(fixture);
        if (!worked)
            return done;
        done += !has_dropped_a_part(fixture);
    }
}
