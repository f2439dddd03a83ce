/* SPDX-License-Identifier: Apache-2.0 */
/* The dedupe store's indexes: in memory, in the file, and what happens when either is not what it
 * should be. */
#include "unit/dedupe/fixture.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Enough for a segment's index to have four buckets. */
#define LARGE_KEYS 1500

static struct dedupe_fixture *large_fixture_new(unsigned keys)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    fixture->dedupe.segment_keys_max = LARGE_KEYS;
    dedupe_fixture_add_and_commit(fixture, 0, keys, TODAY);
    return fixture;
}

static bool has_index_in_memory(struct dedupe_fixture *fixture, size_t segment)
{
    return fixture->dedupe.segments[segment]->index.slots;
}

static enum dedupe_finding find_of(struct dedupe_fixture *fixture, const struct dedupe_key *key)
{
    struct event event = event_of(0, TODAY, CLASS_CRITICAL);
    enum dedupe_finding finding;
    struct event_id first;
    cr_assert(dedupe_look_up(&fixture->dedupe, key, &event, &finding, &first) == OK);
    return finding;
}

/* Overwrites the page where a table begins; the fixture is closed meanwhile. */
static void damage_table(struct dedupe_fixture *fixture, const char *table)
{
    char text[128];
    snprintf(text, sizeof text, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    long page = (long)dedupe_fixture_sql_int(fixture, text),
         page_bytes = (long)dedupe_fixture_sql_int(fixture, "PRAGMA page_size");
    dedupe_fixture_close(fixture);
    FILE *file = fopen(fixture->path, "r+");
    cr_assert(file && fseek(file, (page - 1) * page_bytes, SEEK_SET) == 0);
    cr_assert(fwrite("what was that?", 1, 14, file) == 14 && fclose(file) == 0);
    dedupe_fixture_open(fixture);
}

Test(dedupe_index, finds_keys_in_the_open_segment_in_sealed_ones_and_after_a_restart)
{
    struct dedupe_fixture *fixture = large_fixture_new(3500);
    cr_assert(fixture->dedupe.count == 3 && count_buckets(fixture) == 8);
    cr_assert(has_index_in_memory(fixture, 0) && !has_index_in_memory(fixture, 1) &&
              !has_index_in_memory(fixture, 2));
    for (unsigned again = 0; again < 2; again++) {
        cr_assert(all_are(fixture, 0, 3500, DEDUPE_DUPLICATE) &&
                  all_are(fixture, 100000, 105000, DEDUPE_NEW));
        dedupe_fixture_reopen(fixture);
        cr_assert(has_index_in_memory(fixture, 0) && !has_index_in_memory(fixture, 1) &&
                  !has_index_in_memory(fixture, 2));
    }
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, empty_buckets_are_written_as_well)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    /* Rolled back keys count, so there are more buckets than the remaining keys can fill. */
    fixture->dedupe.segment_keys_max = 40000;
    dedupe_fixture_add_and_commit(fixture, 0, 3, TODAY);
    for (unsigned again = 0; again < 390; again++) {
        dedupe_fixture_begin(fixture);
        dedupe_fixture_add(fixture, 1000, 1100, TODAY);
        dedupe_fixture_roll_back(fixture);
    }
    dedupe_fixture_add_and_commit(fixture, 3, 4, TODAY + 1);
    cr_assert(count_buckets(fixture) == 128);
    cr_assert(dedupe_fixture_sql_int(
                  fixture, "SELECT count(*) FROM dedupe_index WHERE length(entries) = 0") > 0);
    cr_assert(all_are(fixture, 0, 4, DEDUPE_DUPLICATE) && all_are(fixture, 1000, 3000, DEDUPE_NEW));
    cr_assert(!has_index_in_memory(fixture, 1), "nothing was distrusted");
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, is_made_again_from_the_rows_where_the_file_has_another)
{
    static const char *const damages[] = {
        "DELETE FROM dedupe_index",
        "DROP TABLE dedupe_index",
        "DELETE FROM dedupe_index WHERE bucket = 3",
        "UPDATE dedupe_index SET entries = zeroblob(length(entries))",
        "UPDATE dedupe_index SET entries = x''",
        "UPDATE dedupe_index SET entries = substr(entries, 1, length(entries) - 8)",
        "UPDATE dedupe_index SET entries = entries || x'00'",
        "UPDATE dedupe_index SET crc = crc + 1",
        "UPDATE dedupe_index SET crc = crc + 4294967296",
        "UPDATE dedupe_index SET bucket = 3 - bucket + 4; UPDATE dedupe_index SET bucket = bucket "
        "- 4",
        "UPDATE dedupe_index SET segment = segment || 'x';"
        "UPDATE dedupe_index SET segment = CASE segment WHEN 'dedupe_c_20260216x' THEN "
        "'dedupe_c_20260216_1'"
        " ELSE 'dedupe_c_20260216' END",
    };
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(damages); i++) {
        struct dedupe_fixture *fixture = large_fixture_new(3500);
        cr_assert(all_are(fixture, 0, 10, DEDUPE_DUPLICATE)); /* its statements are prepared */
        dedupe_fixture_sql(fixture, damages[i / 2]);
        if (i % 2)
            dedupe_fixture_reopen(fixture);
        cr_assert(all_are(fixture, 0, 3500, DEDUPE_DUPLICATE), "case %zu", i);
        cr_assert(all_are(fixture, 100000, 103000, DEDUPE_NEW), "case %zu", i);
        cr_assert(
            has_index_in_memory(fixture, 1) && has_index_in_memory(fixture, 2), "case %zu", i);
        cr_assert(dedupe_fixture_expire(fixture, TODAY) == 2, "case %zu", i);
        cr_assert(
            !has_index_in_memory(fixture, 1) && !has_index_in_memory(fixture, 2), "case %zu", i);
        for (unsigned again = 0; again < 2; again++) {
            cr_assert(all_are(fixture, 0, 3500, DEDUPE_DUPLICATE), "case %zu", i);
            cr_assert(!has_index_in_memory(fixture, 1) && !has_index_in_memory(fixture, 2),
                "case %zu", i);
            dedupe_fixture_reopen(fixture);
        }
        cr_assert(count_buckets(fixture) == 8 && dedupe_fixture_expire(fixture, TODAY) == 0,
            "case %zu", i);
        dedupe_fixture_free(fixture);
    }
}

static unsigned count_indexes(struct dedupe_fixture *fixture)
{
    unsigned count = 0;
    for (size_t i = 0; i < fixture->dedupe.count; i++)
        count += has_index_in_memory(fixture, i);
    return count;
}

/* Of 20 sealed segments and an open one. */
Test(dedupe_index, is_in_memory_for_few_segments_even_if_all_are_damaged)
{
    static const char *const damages[] = {"DELETE FROM dedupe_index", "DELETE FROM dedupe_filters"};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(damages); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 205, TODAY);
        cr_assert(count_indexes(fixture) == 1);
        dedupe_fixture_sql(fixture, damages[i / 2]);
        if (i % 2) {
            dedupe_fixture_reopen(fixture);
            cr_assert(count_indexes(fixture) == 1, "case %zu", i);
        }
        bool is_damage = i != 2; /* a lost filter is noticed at the start */
        for (unsigned again = 0; again < 2; again++) {
            cr_assert(all_are(fixture, 0, 205, DEDUPE_DUPLICATE) &&
                          all_are(fixture, 1000, 3000, DEDUPE_NEW),
                "case %zu", i);
            cr_assert(count_indexes(fixture) == 1 + (is_damage ? DEDUPE_CLOSED_INDEXES_MAX : 0),
                "case %zu", i);
        }
        cr_assert(dedupe_fixture_expire(fixture, TODAY) == (is_damage ? 20 : 0), "case %zu", i);
        cr_assert(count_indexes(fixture) == 1 && all_are(fixture, 0, 205, DEDUPE_DUPLICATE),
            "case %zu", i);
        dedupe_fixture_free(fixture);
    }
}

/* The look-up that finds the damage is in a transaction, which may fail. */
Test(dedupe_index, that_was_made_again_stays_when_the_transaction_is_rolled_back)
{
    struct dedupe_fixture *fixture = large_fixture_new(2000);
    dedupe_fixture_sql(fixture, "DELETE FROM dedupe_index");
    dedupe_fixture_begin(fixture);
    dedupe_fixture_add(fixture, 2000, 2010, TODAY);
    cr_assert(all_are(fixture, 0, 2010, DEDUPE_DUPLICATE));
    dedupe_fixture_roll_back(fixture);
    cr_assert(
        all_are(fixture, 0, 2000, DEDUPE_DUPLICATE) && all_are(fixture, 2000, 2010, DEDUPE_NEW));
    dedupe_fixture_add_and_commit(fixture, 2000, 2010, TODAY);
    cr_assert(dedupe_fixture_expire(fixture, TODAY) == 1);
    dedupe_fixture_reopen(fixture);
    cr_assert(all_are(fixture, 0, 2010, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, is_not_needed_to_find_keys_when_its_pages_cannot_be_read)
{
    struct dedupe_fixture *fixture = large_fixture_new(3500);
    damage_table(fixture, "dedupe_index");
    cr_assert(all_are(fixture, 0, 3500, DEDUPE_DUPLICATE) &&
              all_are(fixture, 100000, 103000, DEDUPE_NEW));
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, of_a_sealed_segment_puts_only_the_keys_of_damaged_rows_in_doubt)
{
    struct dedupe_fixture *fixture = large_fixture_new(3500);
    damage_table(fixture, "dedupe_c_20260216");
    cr_assert(all_are(fixture, 0, 1500, DEDUPE_DAMAGED) &&
              all_are(fixture, 1500, 3500, DEDUPE_DUPLICATE));
    cr_assert(all_are(fixture, 100000, 100100, DEDUPE_NEW));
    /* Without the index it is not known which rows these were: what the filter does not deny is in
     * doubt. */
    dedupe_fixture_sql(fixture, "DELETE FROM dedupe_index");
    cr_assert(all_are(fixture, 0, 1500, DEDUPE_DAMAGED) &&
              all_are(fixture, 1500, 3500, DEDUPE_DUPLICATE));
    cr_assert(all_are(fixture, 100000, 100100, DEDUPE_NEW));
    cr_assert(dedupe_fixture_expire(fixture, TODAY) == 1, "the other one is sealed again");
    cr_assert(all_are(fixture, 0, 1500, DEDUPE_DAMAGED) &&
              all_are(fixture, 1500, 3500, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, a_segment_that_is_too_damaged_to_be_dropped_keeps_no_other_one)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, SEGMENT_KEYS + 1, TODAY); /* two parts */
    damage_table(fixture, "dedupe_c_20260216");
    cr_assert(count_segments(fixture) == 2);
    bool worked = false;
    int64_t later_us = (TODAY + DEDUPE_CRITICAL_DAYS + 1) * US_PER_DAY;
    dedupe_fixture_begin(fixture);
    cr_assert_eq(dedupe_expire(&fixture->dedupe, later_us, &worked), ERR_DAMAGED);
    dedupe_fixture_roll_back(fixture);
    cr_assert(worked && dedupe_fixture_expire(fixture, TODAY + DEDUPE_CRITICAL_DAYS + 1) == 1);
    cr_assert(count_segments(fixture) == 1, "the other part is gone");
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, a_damaged_key_puts_keys_that_are_not_found_in_doubt)
{
    static const char *const damages[] = {"x''", "x'00'", "zeroblob(17)", "'text'"};
    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 5, TODAY);
        char text[128];
        snprintf(
            text, sizeof text, "UPDATE dedupe_c_20260216 SET key = %s WHERE row = 3", damages[i]);
        dedupe_fixture_sql(fixture, text);
        dedupe_fixture_reopen(fixture);
        cr_assert(
            all_are(fixture, 0, 2, DEDUPE_DUPLICATE) && all_are(fixture, 3, 5, DEDUPE_DUPLICATE),
            "case %zu", i);
        cr_assert(
            all_are(fixture, 2, 3, DEDUPE_DAMAGED) && all_are(fixture, 5, 100, DEDUPE_DAMAGED),
            "case %zu", i);
        /* It takes no more; the next part is as good as any. */
        dedupe_fixture_add_and_commit(fixture, 5, 6, TODAY);
        cr_assert(dedupe_fixture_sql_int(fixture, "SELECT count(*) FROM dedupe_c_20260216_1") == 1,
            "case %zu", i);
        cr_assert(dedupe_fixture_find(fixture, 5) == DEDUPE_DUPLICATE &&
                      dedupe_fixture_expire(fixture, TODAY) == 0,
            "case %zu", i);
        cr_assert(
            dedupe_fixture_expire(fixture, TODAY + DEDUPE_CRITICAL_DAYS + 1) == 2, "case %zu", i);
        cr_assert(all_are(fixture, 0, 100, DEDUPE_NEW), "case %zu", i);
        dedupe_fixture_free(fixture);
    }
}

Test(dedupe_index, a_damaged_event_puts_its_key_in_doubt)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    dedupe_fixture_add_and_commit(fixture, 0, 15, TODAY);
    dedupe_fixture_sql(fixture, "UPDATE dedupe_c_20260216 SET event = x'00' WHERE row = 3");
    dedupe_fixture_sql(fixture, "UPDATE dedupe_c_20260216_1 SET event = 'text' WHERE row = 3");
    for (unsigned again = 0; again < 2; again++) {
        for (unsigned i = 0; i < 15; i++)
            cr_assert(dedupe_fixture_find(fixture, i) ==
                          (i % 10 == 2 ? DEDUPE_DAMAGED : DEDUPE_DUPLICATE),
                "key %u", i);
        /* What is read again to make the newest segment's index does not tell whose key it was. */
        cr_assert(dedupe_fixture_find(fixture, 15) == (again ? DEDUPE_DAMAGED : DEDUPE_NEW));
        dedupe_fixture_reopen(fixture);
    }
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, a_row_of_which_a_bit_has_flipped_puts_its_key_in_doubt)
{
    static const char *const damages[] = {
        "UPDATE dedupe_c_20260216 SET amount = '1' WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET currency = 'EUR' WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET key = (SELECT key FROM dedupe_c_20260216 WHERE row = 4) "
        "WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET event = (SELECT event FROM dedupe_c_20260216 WHERE row = 4) "
        "WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET crc = crc + 1 WHERE row = 3",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 15, TODAY);
        dedupe_fixture_sql(fixture, damages[i]);
        for (unsigned k = 0; k < 15; k++)
            cr_assert(
                dedupe_fixture_find(fixture, k) == (k == 2 ? DEDUPE_DAMAGED : DEDUPE_DUPLICATE),
                "case %zu key %u", i, k);
        cr_assert(dedupe_fixture_find(fixture, 15) == DEDUPE_NEW, "case %zu", i);
        dedupe_fixture_free(fixture);
    }
}

/* Both keys have had row 6, and the filter and the index remember that. */
Test(dedupe_index, a_key_that_was_rolled_back_is_new_although_its_row_is_anothers_now)
{
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 5, TODAY);
        dedupe_fixture_begin(fixture);
        dedupe_fixture_add(fixture, 100, 101, TODAY);
        cr_assert(dedupe_fixture_find(fixture, 100) == DEDUPE_DUPLICATE);
        dedupe_fixture_roll_back(fixture);
        cr_assert(dedupe_fixture_find(fixture, 100) == DEDUPE_NEW, "there is no row");
        dedupe_fixture_add_and_commit(fixture, 5, 6, TODAY);
        cr_assert(dedupe_fixture_sql_int(fixture, "SELECT max(row) FROM dedupe_c_20260216") == 6);
        if (sealed)
            dedupe_fixture_add_and_commit(fixture, 6, 7, TODAY + 1);
        cr_assert(dedupe_fixture_find(fixture, 100) == DEDUPE_NEW &&
                  dedupe_fixture_find(fixture, 5) == DEDUPE_DUPLICATE);
        dedupe_fixture_add_and_commit(fixture, 100, 101, TODAY);
        cr_assert(dedupe_fixture_find(fixture, 100) == DEDUPE_DUPLICATE &&
                  all_are(fixture, 0, 6, DEDUPE_DUPLICATE));
        dedupe_fixture_reopen(fixture);
        cr_assert(dedupe_fixture_find(fixture, 100) == DEDUPE_DUPLICATE &&
                  all_are(fixture, 0, 6, DEDUPE_DUPLICATE));
        dedupe_fixture_free(fixture);
    }
}

/* As a version with a lower bound finds it. */
Test(dedupe_index, of_a_segment_with_more_keys_than_the_bound_is_made_all_the_same)
{
    struct dedupe_fixture *fixture = large_fixture_new(LARGE_KEYS);
    struct dedupe_segment *segment = fixture->dedupe.segments[0];
    key_filter_done(&segment->filter);
    key_index_done(&segment->index);
    fixture->dedupe.segment_keys_max = SEGMENT_KEYS;
    cr_assert(
        dedupe_segment_scan(&fixture->dedupe, segment, true) == OK && segment->keys == LARGE_KEYS);
    for (unsigned again = 0; again < 2; again++) {
        cr_assert(all_are(fixture, 0, LARGE_KEYS, DEDUPE_DUPLICATE) &&
                  all_are(fixture, 5000, 6000, DEDUPE_NEW));
        cr_assert(dedupe_fixture_expire(fixture, TODAY) == (again ? 0 : 1) &&
                  count_buckets(fixture) == 4);
        dedupe_fixture_reopen(fixture);
    }
    dedupe_fixture_free(fixture);
}

struct tagged {
    uint32_t tag;
    unsigned number;
};

static int compare_tagged(const void *a, const void *b)
{
    const struct tagged *one = a, *other = b;
    return one->tag < other->tag ? -1 : one->tag > other->tag;
}

/* Two numbers whose keys have the same tag with this seed: of 300,000 there are ten pairs. */
static void find_twins(const struct hash_seed *seed, unsigned ret_numbers[2])
{
    enum { COUNT = 300000 };
    struct tagged *all = calloc(COUNT, sizeof *all);
    cr_assert(all);
    for (unsigned i = 0; i < COUNT; i++) {
        struct dedupe_key key = key_of(i + 1000);
        all[i] = (struct tagged){key_index_tag(seed, &key), i + 1000};
    }
    qsort(all, COUNT, sizeof *all, compare_tagged);
    size_t at = 1;
    while (at < COUNT && all[at].tag != all[at - 1].tag)
        at++;
    cr_assert(at < COUNT);
    ret_numbers[0] = all[at - 1].number;
    ret_numbers[1] = all[at].number;
    free(all);
}

Test(dedupe_index, two_keys_of_one_tag_are_two_keys)
{
    static const struct hash_seed seed = {{0}};
    unsigned twins[2];
    find_twins(&seed, twins);
    for (unsigned both = 0; both < 2; both++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        fixture->dedupe.seed = seed;
        dedupe_fixture_add_and_commit(fixture, 0, 3, TODAY);
        dedupe_fixture_add_and_commit(fixture, twins[0], twins[0] + 1, TODAY);
        dedupe_fixture_begin(fixture);
        dedupe_fixture_add(fixture, twins[1], twins[1] + 1, TODAY);
        if (both)
            dedupe_fixture_commit(fixture);
        else
            dedupe_fixture_roll_back(fixture); /* the filter says "maybe" from now on */
        enum dedupe_finding second = both ? DEDUPE_DUPLICATE : DEDUPE_NEW;
        cr_assert(dedupe_fixture_find(fixture, twins[0]) == DEDUPE_DUPLICATE &&
                  dedupe_fixture_find(fixture, twins[1]) == second);
        dedupe_fixture_add_and_commit(fixture, 3, 4, TODAY + 1);
        cr_assert(count_buckets(fixture) == 1 && !has_index_in_memory(fixture, 1));
        cr_assert(dedupe_fixture_find(fixture, twins[0]) == DEDUPE_DUPLICATE &&
                  dedupe_fixture_find(fixture, twins[1]) == second);
        dedupe_fixture_reopen(fixture);
        cr_assert(dedupe_fixture_find(fixture, twins[0]) == DEDUPE_DUPLICATE &&
                  dedupe_fixture_find(fixture, twins[1]) == second);
        cr_assert(!has_index_in_memory(fixture, 1) && all_are(fixture, 0, 4, DEDUPE_DUPLICATE));
        dedupe_fixture_free(fixture);
    }
}

/* A bit that differs is enough, wherever it is. */
Test(dedupe_index, keys_are_compared_whole)
{
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    struct dedupe_key key = key_of(0);
    dedupe_fixture_add_and_commit(fixture, 0, 1, TODAY);
    cr_assert(find_of(fixture, &key) == DEDUPE_DUPLICATE);
    struct key_index *index = &fixture->dedupe.segments[0]->index;
    for (size_t i = 0; i < 8 * sizeof key.bytes; i++) {
        struct dedupe_key other = key;
        other.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        /* As if it had been there and was rolled back. */
        key_filter_add(&fixture->dedupe.segments[0]->filter, &other);
        cr_assert(key_index_reserve(index) == OK);
        key_index_add(index, &other, 1);
        cr_assert(find_of(fixture, &other) == DEDUPE_NEW, "bit %zu", i);
    }
    cr_assert(find_of(fixture, &key) == DEDUPE_DUPLICATE);
    dedupe_fixture_free(fixture);
}

Test(dedupe_index, a_segment_of_the_form_before_0_1_is_refused)
{
    static const char *const forms[] = {
        "key BLOB PRIMARY KEY, event BLOB NOT NULL, amount TEXT, currency TEXT) WITHOUT ROWID",
        "row INTEGER PRIMARY KEY, key BLOB NOT NULL)",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        struct dedupe_fixture *fixture = dedupe_fixture_new();
        dedupe_fixture_add_and_commit(fixture, 0, 5, TODAY);
        char text[200];
        snprintf(text, sizeof text, "CREATE TABLE dedupe_o_20260215(%s", forms[i]);
        dedupe_fixture_sql(fixture, text);
        dedupe_done(&fixture->dedupe);
        cr_assert(dedupe_init(&fixture->dedupe, fixture->db) == ERR_DAMAGED);
        cr_assert(strstr(sqlite3_errmsg(fixture->db), "no such column"), "%s",
            sqlite3_errmsg(fixture->db));
        dedupe_fixture_free(fixture);
    }
}

#ifndef __SANITIZE_ADDRESS__ /* it ends the program when an allocation fails */

/* As much address space as there is now, and a little more. */
static void limit_memory(bool limited)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (limited) {
        unsigned long pages = 0;
        FILE *file = fopen("/proc/self/statm", "r");
        cr_assert(file && fscanf(file, "%lu", &pages) == 1 && fclose(file) == 0);
        limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + 1000000;
    }
    cr_assert(setrlimit(RLIMIT_AS, &limit) == 0);
}

Test(dedupe_index, without_memory_nothing_is_entered_and_everything_can_be_tried_again)
{
    enum {
        FULL = 3 << 15,
        ROUND = 1000
    }; /* three quarters of 2^17 slots: the next key needs 2 MB */
    struct dedupe_fixture *fixture = dedupe_fixture_new();
    fixture->dedupe.segment_keys_max = 1000000;
    dedupe_fixture_sql(fixture, "PRAGMA synchronous = OFF");
    dedupe_fixture_add_and_commit(fixture, 0, FULL - ROUND, TODAY);
    for (unsigned again = 0; again < 3; again++) {
        limit_memory(true);
        dedupe_fixture_begin(fixture);
        enum err result = OK;
        unsigned next = FULL - ROUND;
        while (!result && next < 2 * FULL)
            result = dedupe_fixture_try_add(fixture, next++, TODAY, CLASS_CRITICAL);
        cr_assert(result == ERR_NO_MEMORY, "%s", err_name(result));
        /* Entries of rows that were rolled back still take their room. */
        cr_assert(next == (again ? FULL - ROUND : FULL) + 1, "%u", next);
        cr_assert(fixture->dedupe.segments[0]->index.count == FULL &&
                  dedupe_fixture_find(fixture, next - 1) == DEDUPE_NEW);
        cr_assert(all_are(fixture, next - 100, next - 1, DEDUPE_DUPLICATE));
        dedupe_fixture_roll_back(fixture);
        limit_memory(false);
        cr_assert(all_are(fixture, 0, FULL - ROUND, DEDUPE_DUPLICATE));
        cr_assert(all_are(fixture, FULL - ROUND, FULL + 1, DEDUPE_NEW));
    }
    dedupe_fixture_add_and_commit(fixture, FULL - ROUND, FULL + 1, TODAY);
    cr_assert(all_are(fixture, 0, FULL + 1, DEDUPE_DUPLICATE));
    dedupe_fixture_reopen(fixture);
    cr_assert(all_are(fixture, 0, FULL + 1, DEDUPE_DUPLICATE));
    dedupe_fixture_free(fixture);
}

#endif
