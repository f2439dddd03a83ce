/* SPDX-License-Identifier: Apache-2.0 */
/* The dedupe store on a file of its own, with segments of a few keys. What the journal does with it
 * is in append.c. */
#include "sqlite/checksum.h"
#include "unit/dedupe/fixture.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>

Test(dedupe, a_day_gets_another_part_when_the_last_is_full)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 35, TODAY);
    cr_assert(count_segments(fixture) == 4 && count_filters(fixture) == 3);
    static const struct {
        const char *name;
        int keys;
        bool sealed;
    } cases[] = {
        {"dedupe_c_20260216", 10, true},
        {"dedupe_c_20260216_1", 10, true},
        {"dedupe_c_20260216_2", 10, true},
        {"dedupe_c_20260216_3", 5, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[128];
        snprintf(text, sizeof text, "SELECT count(*) FROM %s", cases[i].name);
        cr_assert(dedupe_fixture_sql_int(fixture, text) == cases[i].keys, "case %zu", i);
        snprintf(text, sizeof text,
            "SELECT count(*) FROM dedupe_filters WHERE segment = '%s' AND keys = %d", cases[i].name,
            cases[i].keys);
        cr_assert(dedupe_fixture_sql_int(fixture, text) == cases[i].sealed, "case %zu", i);
    }
    cr_assert(all_are(fixture, 0, 35, DEDUPE_DUPLICATE) && all_are(fixture, 35, 1000, DEDUPE_NEW));
    dedupe_fixture_reopen(fixture);
    cr_assert(all_are(fixture, 0, 35, DEDUPE_DUPLICATE) && all_are(fixture, 35, 1000, DEDUPE_NEW));
    /* The last part continues where it was. */
    dedupe_fixture_add_and_commit(fixture, 35, 41, TODAY);
    cr_assert(count_segments(fixture) == 5 && count_filters(fixture) == 4);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_3") == 10);
    dedupe_fixture_free(fixture);
}

Test(dedupe, a_full_segment_that_is_found_at_the_start_takes_no_more)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 10, TODAY);
    dedupe_fixture_reopen(fixture);
    dedupe_fixture_add_and_commit(fixture, 10, 11, TODAY);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_1") == 1);
    cr_assert(count_filters(fixture) == 1 && all_are(fixture, 0, 11, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

Test(dedupe, a_later_day_seals_the_segments_of_its_retention_only)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 3, TODAY);
    dedupe_fixture_begin(fixture);
    cr_assert(dedupe_fixture_try_add(fixture, 3, TODAY, CLASS_IMPORTANT) == OK);
    dedupe_fixture_commit(fixture);
    cr_assert(count_segments(fixture) == 2 && all_are(fixture, 0, 4, DEDUPE_DUPLICATE));
    dedupe_fixture_add_and_commit(fixture, 4, 5, TODAY + 1);
    cr_assert(count_filters(fixture) == 1);
    cr_assert(dedupe_fixture_sql_int(fixture,
                  "SELECT keys FROM dedupe_filters WHERE segment = 'dedupe_c_20260216'") == 3);
    cr_assert(all_are(fixture, 0, 5, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

Test(dedupe, an_event_of_a_day_that_has_ended_begins_a_part_of_its_own)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 3, TODAY);
    dedupe_fixture_add_and_commit(fixture, 3, 4, TODAY + 1);
    /* They come mixed around midnight, and stay in two segments. */
    for (unsigned i = 4; i < 10; i++)
        dedupe_fixture_add_and_commit(fixture, i, i + 1, TODAY + i % 2);
    cr_assert(count_segments(fixture) == 3 && count_filters(fixture) == 1);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_1") == 3);
    dedupe_fixture_reopen(fixture);
    cr_assert(all_are(fixture, 0, 10, DEDUPE_DUPLICATE));
    /* The part of the day before is closed at the start, and sealed when there is time. */
    cr_assert(dedupe_fixture_expire(fixture, TODAY + 1) == 1 && count_filters(fixture) == 2);
    dedupe_fixture_add_and_commit(fixture, 10, 11, TODAY);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_2") == 1);
    dedupe_fixture_reopen(fixture);
    cr_assert(all_are(fixture, 0, 11, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

/*
 * A row that was not entered through the dedupe store shows whether a segment was read: its filter
 * has the key then, and the segment is asked. From the row in dedupe_filters it has not.
 */
Test(dedupe, trusts_a_filter_that_is_whole_and_reads_the_keys_where_it_is_not)
{
    static const struct {
        const char *damage;
        enum dedupe_finding smuggled;
        unsigned turns; /* of work that follow */
    } cases[] = {
        {"SELECT 1", DEDUPE_NEW, 0},
        {"DELETE FROM dedupe_filters", DEDUPE_DUPLICATE, 2},
        {"DROP TABLE dedupe_filters", DEDUPE_DUPLICATE, 2},
        {"DELETE FROM dedupe_filters WHERE segment = 'dedupe_c_20260216'", DEDUPE_DUPLICATE, 1},
        {"UPDATE dedupe_filters SET filter = zeroblob(length(filter))", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET filter = x''", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET filter = substr(filter, 1, 64)", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET filter = filter || x'00'", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET crc = crc + 1", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET crc = crc + 4294967296", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET keys = keys + 1", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET keys = -1", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET seed = zeroblob(16)", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET seed = x''", DEDUPE_DUPLICATE, 2},
        {"UPDATE dedupe_filters SET segment = 'x' WHERE segment = 'dedupe_c_20260216';"
         "UPDATE dedupe_filters SET segment = 'dedupe_c_20260216' WHERE segment = "
         "'dedupe_c_20260216_1'",
            DEDUPE_DUPLICATE, 2},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 25, TODAY);
        struct dedupe_key key = key_of(100);
        struct event event = event_of(100, TODAY, CLASS_CRITICAL);
        sqlite3_stmt *statement;
        const struct slice texts[] = {SLICE_LITERAL("dedupe_c_20260216"),
            slice_of(&key, sizeof key), slice_of(&event.parts.id, sizeof event.parts.id), {0}, {0}};
        cr_assert(sqlite3_prepare_v2(fixture->db,
                      "INSERT INTO dedupe_c_20260216(key, event, crc) VALUES(?, ?, ?)", -1,
                      &statement, NULL) == SQLITE_OK);
        sqlite3_bind_blob(statement, 1, &key, sizeof key, SQLITE_STATIC);
        sqlite3_bind_blob(statement, 2, &event.parts.id, sizeof event.parts.id, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 3, checksum_columns(NULL, 0, texts, 5));
        cr_assert(sqlite3_step(statement) == SQLITE_DONE);
        sqlite3_finalize(statement);
        cr_assert(dedupe_fixture_find(fixture, 100) == DEDUPE_NEW, "case %zu", i);

        dedupe_fixture_sql(fixture, cases[i].damage);
        dedupe_fixture_reopen(fixture);
        cr_assert(dedupe_fixture_find(fixture, 100) == cases[i].smuggled, "case %zu", i);
        cr_assert(all_are(fixture, 0, 25, DEDUPE_DUPLICATE), "case %zu", i);
        cr_assert(dedupe_fixture_expire(fixture, TODAY) == cases[i].turns, "case %zu", i);
        dedupe_fixture_reopen(fixture);
        cr_assert(dedupe_fixture_find(fixture, 100) == cases[i].smuggled, "case %zu", i);
        cr_assert(all_are(fixture, 0, 25, DEDUPE_DUPLICATE), "case %zu", i);
        cr_assert(dedupe_fixture_expire(fixture, TODAY) == 0, "case %zu", i);
        dedupe_fixture_free(fixture);
    }
}

Test(dedupe, a_segment_that_cannot_be_read_is_always_asked_and_takes_no_more_keys)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 5, TODAY);
    long page = (long)dedupe_fixture_sql_int(
        fixture, "SELECT rootpage FROM sqlite_schema WHERE name = 'dedupe_c_20260216'");
    long page_bytes = (long)dedupe_fixture_sql_int(fixture, "PRAGMA page_size");
    dedupe_fixture_close(fixture);
    FILE *file = fopen(fixture->path, "r+");
    cr_assert(file && fseek(file, (page - 1) * page_bytes, SEEK_SET) == 0);
    cr_assert(fwrite("what was that?", 1, 14, file) == 14 && fclose(file) == 0);
    dedupe_fixture_open(fixture);
    struct dedupe_key key = key_of(0);
    struct event event = event_of(0, TODAY, CLASS_CRITICAL);
    enum dedupe_finding finding;
    struct event_id first;
    cr_assert(dedupe_look_up(&fixture->dedupe, &key, &event, &finding, &first) == OK &&
              finding == DEDUPE_DAMAGED);
    dedupe_fixture_add_and_commit(fixture, 5, 6, TODAY);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_1") == 1);
    cr_assert(dedupe_fixture_expire(fixture, TODAY) == 0);
    dedupe_fixture_free(fixture);
}

Test(dedupe, expiry_drops_every_part_of_a_day_with_its_filter_and_index)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 25, TODAY);
    dedupe_fixture_add_and_commit(fixture, 25, 40, TODAY + 1);
    cr_assert(
        count_segments(fixture) == 5 && count_filters(fixture) == 4 && count_buckets(fixture) == 4);
    cr_assert(dedupe_fixture_expire(fixture, TODAY + DEDUPE_CRITICAL_DAYS) == 0);
    cr_assert(dedupe_fixture_expire(fixture, TODAY + DEDUPE_CRITICAL_DAYS + 1) == 3);
    cr_assert(
        count_segments(fixture) == 2 && count_filters(fixture) == 1 && count_buckets(fixture) == 1);
    for (unsigned again = 0; again < 2; again++) {
        cr_assert(
            all_are(fixture, 0, 25, DEDUPE_NEW) && all_are(fixture, 25, 40, DEDUPE_DUPLICATE));
        dedupe_fixture_reopen(fixture);
    }
    cr_assert(dedupe_fixture_expire(fixture, TODAY + DEDUPE_CRITICAL_DAYS + 2) == 2);
    cr_assert(
        count_segments(fixture) == 0 && count_filters(fixture) == 0 && count_buckets(fixture) == 0);
    dedupe_fixture_free(fixture);
}

Test(dedupe, a_drop_that_is_rolled_back_is_repeated_and_its_keys_have_already_expired)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 15, TODAY);
    bool worked;
    dedupe_fixture_begin(fixture);
    cr_assert(dedupe_expire(&fixture->dedupe, (TODAY + 100) * US_PER_DAY, &worked) == OK && worked);
    cr_assert(all_are(fixture, 0, 10, DEDUPE_NEW));
    dedupe_fixture_roll_back(fixture);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216") == 10 &&
              count_filters(fixture) == 1);
    cr_assert(all_are(fixture, 0, 10, DEDUPE_NEW) && all_are(fixture, 10, 15, DEDUPE_DUPLICATE));
    cr_assert(dedupe_fixture_expire(fixture, TODAY + 100) == 2 && count_segments(fixture) == 0);
    dedupe_fixture_free(fixture);
}

Test(dedupe, a_seal_that_is_rolled_back_has_not_happened)
{
    static const struct {
        unsigned committed, rolled_back;
        int day;
    } cases[] = {
        {10, 11, TODAY},    /* the part was full */
        {5, 12, TODAY},     /* it was filled in the transaction */
        {5, 45, TODAY},     /* parts that it made were sealed in it as well */
        {5, 6, TODAY + 1},  /* the day had ended */
        {5, 36, TODAY + 1}, /* both */
        {0, 36, TODAY},     /* there was nothing before */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        unsigned end = cases[i].committed;
        dedupe_fixture_add_and_commit(fixture, 0, end, TODAY);
        for (unsigned again = 0; again < 3; again++) {
            dedupe_fixture_begin(fixture);
            dedupe_fixture_add(fixture, end, cases[i].rolled_back, cases[i].day);
            cr_assert(all_are(fixture, 0, cases[i].rolled_back, DEDUPE_DUPLICATE), "case %zu", i);
            dedupe_fixture_roll_back(fixture);
            cr_assert(
                count_segments(fixture) == (end > 0) && all_are(fixture, 0, end, DEDUPE_DUPLICATE),
                "case %zu", i);
            cr_assert(all_are(fixture, end, cases[i].rolled_back, DEDUPE_NEW), "case %zu", i);
        }
        dedupe_fixture_add_and_commit(fixture, end, 60, cases[i].day);
        for (unsigned again = 0; again < 2; again++) {
            cr_assert(all_are(fixture, 0, 60, DEDUPE_DUPLICATE), "case %zu", i);
            cr_assert(count_filters(fixture) == count_segments(fixture) - 1, "case %zu", i);
            dedupe_fixture_reopen(fixture);
        }
        dedupe_fixture_free(fixture);
    }
}

/* The n-th write to the file's schema, to the filters or to the index is refused. */
struct refusal {
    unsigned countdown;
};

static int refuse_write(
    void *context, int action, const char *table, const char *b, const char *c, const char *d)
{
    struct refusal *refusal = context;
    bool counts = action == SQLITE_CREATE_TABLE ||
                  ((action == SQLITE_INSERT || action == SQLITE_DELETE) &&
                      (strcmp(table, "dedupe_filters") == 0 || strcmp(table, "dedupe_index") == 0));
    return counts && refusal->countdown && --refusal->countdown == 0 ? SQLITE_DENY : SQLITE_OK;
}

Test(dedupe, a_seal_that_fails_at_any_step_can_be_tried_again)
{
    unsigned failures = 0;
    for (unsigned n = 1; n < 10; n++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 10, TODAY);
        struct refusal refusal = {.countdown = n};
        sqlite3_set_authorizer(fixture->db, refuse_write, &refusal);
        dedupe_fixture_begin(fixture);
        bool failed = dedupe_fixture_try_add(fixture, 10, TODAY, CLASS_CRITICAL) != OK;
        failures += failed;
        sqlite3_set_authorizer(fixture->db, NULL, NULL);
        if (failed) {
            dedupe_fixture_roll_back(fixture);
            cr_assert(
                count_segments(fixture) == 1 && dedupe_fixture_find(fixture, 10) == DEDUPE_NEW);
            dedupe_fixture_begin(fixture);
            dedupe_fixture_add(fixture, 10, 11, TODAY);
        }
        dedupe_fixture_commit(fixture);
        cr_assert(count_segments(fixture) == 2 && count_filters(fixture) == 1);
        dedupe_fixture_reopen(fixture);
        cr_assert(all_are(fixture, 0, 11, DEDUPE_DUPLICATE));
        dedupe_fixture_free(fixture);
    }
    cr_assert(failures == 6, "the segment, two tables, the filter, the old index, the new one: %u",
        failures);
}

Test(dedupe, only_names_that_it_gives_itself_are_segments)
{
    static const struct {
        const char *name;
        bool is_segment;
    } cases[] = {
        {"dedupe_c_20260216", true},
        {"dedupe_o_20260216", true},
        {"dedupe_c_20260216_1", true},
        {"dedupe_c_20260216_10", true},
        {"dedupe_c_20260216_0", false},
        {"dedupe_c_20260216_01", false},
        {"dedupe_c_20260216_", false},
        {"dedupe_c_20260216_x", false},
        {"dedupe_c_20260216_1x", false},
        {"dedupe_c_20260216_99999999999", false},
        {"dedupe_c_20260230", false},
        {"dedupe_x_20260216", false},
        {"dedupe_filters", false},
        {"dedupe_index", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        char text[200];
        snprintf(text, sizeof text,
            "CREATE TABLE \"%s\"(row INTEGER PRIMARY KEY, key, event, amount, currency,"
            " segment, keys, seed, filter, crc)",
            cases[i].name);
        dedupe_fixture_sql(fixture, text);
        dedupe_fixture_reopen(fixture);
        cr_assert(fixture->dedupe.count == cases[i].is_segment, "case %zu", i);
        dedupe_fixture_free(fixture);
    }
}

/* The newest part has the highest number, not the last name in the alphabet. */
Test(dedupe, the_eleventh_part_follows_the_tenth)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 105, TODAY);
    dedupe_fixture_reopen(fixture);
    dedupe_fixture_add_and_commit(fixture, 105, 111, TODAY);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_10") == 10);
    cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_11") == 1);
    cr_assert(all_are(fixture, 0, 111, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

#define TIMELINE_KEYS 600

/* Any order of commits, rollbacks, restarts, midnights and expiries: what was committed and not
 * dropped is known. */
static void live_through(unsigned seed)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    int day_of[TIMELINE_KEYS] = {0}, day = TODAY;
    for (unsigned next = 0; next < TIMELINE_KEYS;) {
        unsigned count = 1 + (unsigned)rand_r(&seed) % 30,
                 end = next + count < TIMELINE_KEYS ? next + count : TIMELINE_KEYS;
        bool rolled_back = rand_r(&seed) % 3 == 0;
        dedupe_fixture_begin(fixture);
        for (unsigned i = next; i < end; i++) {
            day_of[i] = day - rand_r(&seed) % 2;
            cr_assert(dedupe_fixture_try_add(fixture, i, day_of[i], CLASS_CRITICAL) == OK);
        }
        if (rolled_back) {
            dedupe_fixture_roll_back(fixture);
        } else {
            dedupe_fixture_commit(fixture);
            next = end;
        }
        switch (rand_r(&seed) % 6) {
        case 0:
            dedupe_fixture_reopen(fixture);
            break;
        case 1:
            day += rand_r(&seed) % 20;
            break;
        case 2:
            dedupe_fixture_expire(fixture, day);
            for (unsigned i = 0; i < next; i++)
                if (day - day_of[i] > DEDUPE_CRITICAL_DAYS)
                    day_of[i] = 0;
            break;
        default:
            break;
        }
        for (unsigned i = 0; i < TIMELINE_KEYS; i++)
            cr_assert(
                (dedupe_fixture_find(fixture, i) == DEDUPE_DUPLICATE) == (i < next && day_of[i]),
                "key %u", i);
    }
    dedupe_fixture_free(fixture);
}

Test(dedupe, finds_every_committed_key_after_random_operations)
{
    for (unsigned seed = 1; seed <= 8; seed++)
        live_through(seed);
}
