/* SPDX-License-Identifier: Apache-2.0 */
/* The dedupe store's indexes: in memory, in the file, and what happens when either is not what it should be. */
#include "unit/journal/book.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Enough for a segment's index to have four buckets. */
#define LARGE_KEYS 1500

static struct book *large_book_new(unsigned keys)
{
    struct book *book = book_new();
    book->dedupe.segment_keys_max = LARGE_KEYS;
    book_add_and_commit(book, 0, keys, TODAY);
    return book;
}

static bool has_index_in_memory(struct book *book, size_t segment)
{
    return book->dedupe.segments[segment]->index.slots;
}

static enum dedupe_finding find_of(struct book *book, const struct dedupe_key *key)
{
    struct event event = event_of(0, TODAY, CLASS_CRITICAL);
    enum dedupe_finding finding;
    struct event_id first;
    cr_assert(dedupe_look_up(&book->dedupe, key, &event, &finding, &first) == OK);
    return finding;
}

/* Overwrites the page where a table begins; the book is closed meanwhile. */
static void damage_table(struct book *book, const char *table)
{
    char text[128];
    snprintf(text, sizeof text, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    long page = (long)book_sql_int(book, text), page_bytes = (long)book_sql_int(book, "PRAGMA page_size");
    book_close(book);
    FILE *file = fopen(book->path, "r+");
    cr_assert(file && fseek(file, (page - 1) * page_bytes, SEEK_SET) == 0);
    cr_assert(fwrite("what was that?", 1, 14, file) == 14 && fclose(file) == 0);
    book_open(book);
}

Test(dedupe_index, finds_keys_in_the_open_segment_in_sealed_ones_and_after_a_restart)
{
    struct book *book = large_book_new(3500);
    cr_assert(book->dedupe.count == 3 && count_buckets(book) == 8);
    cr_assert(has_index_in_memory(book, 0) && !has_index_in_memory(book, 1) && !has_index_in_memory(book, 2));
    for (unsigned again = 0; again < 2; again++) {
        cr_assert(all_are(book, 0, 3500, DEDUPE_DUPLICATE) && all_are(book, 100000, 105000, DEDUPE_NEW));
        book_reopen(book);
        cr_assert(has_index_in_memory(book, 0) && !has_index_in_memory(book, 1) && !has_index_in_memory(book, 2));
    }
    book_free(book);
}

Test(dedupe_index, empty_buckets_are_written_as_well)
{
    struct book *book = book_new();
    /* Rolled back keys count, and so there are more buckets than the keys that are left can fill. */
    book->dedupe.segment_keys_max = 40000;
    book_add_and_commit(book, 0, 3, TODAY);
    for (unsigned again = 0; again < 390; again++) {
        book_begin(book);
        book_add(book, 1000, 1100, TODAY);
        book_roll_back(book);
    }
    book_add_and_commit(book, 3, 4, TODAY + 1);
    cr_assert(count_buckets(book) == 128);
    cr_assert(book_sql_int(book, "SELECT count(*) FROM dedupe_index WHERE length(entries) = 0") > 0);
    cr_assert(all_are(book, 0, 4, DEDUPE_DUPLICATE) && all_are(book, 1000, 3000, DEDUPE_NEW));
    cr_assert(!has_index_in_memory(book, 1), "nothing was distrusted");
    book_free(book);
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
        "UPDATE dedupe_index SET bucket = 3 - bucket + 4; UPDATE dedupe_index SET bucket = bucket - 4",
        "UPDATE dedupe_index SET segment = segment || 'x';"
        "UPDATE dedupe_index SET segment = CASE segment WHEN 'dedupe_c_20260216x' THEN 'dedupe_c_20260216_1'"
        " ELSE 'dedupe_c_20260216' END",
    };
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(damages); i++) {
        struct book *book = large_book_new(3500);
        cr_assert(all_are(book, 0, 10, DEDUPE_DUPLICATE)); /* its statements are prepared */
        book_sql(book, damages[i / 2]);
        if (i % 2)
            book_reopen(book);
        cr_assert(all_are(book, 0, 3500, DEDUPE_DUPLICATE), "case %zu", i);
        cr_assert(all_are(book, 100000, 103000, DEDUPE_NEW), "case %zu", i);
        cr_assert(has_index_in_memory(book, 1) && has_index_in_memory(book, 2), "case %zu", i);
        cr_assert(book_expire(book, TODAY) == 2, "case %zu", i);
        cr_assert(!has_index_in_memory(book, 1) && !has_index_in_memory(book, 2), "case %zu", i);
        for (unsigned again = 0; again < 2; again++) {
            cr_assert(all_are(book, 0, 3500, DEDUPE_DUPLICATE), "case %zu", i);
            cr_assert(!has_index_in_memory(book, 1) && !has_index_in_memory(book, 2), "case %zu", i);
            book_reopen(book);
        }
        cr_assert(count_buckets(book) == 8 && book_expire(book, TODAY) == 0, "case %zu", i);
        book_free(book);
    }
}

static unsigned count_indexes(struct book *book)
{
    unsigned count = 0;
    for (size_t i = 0; i < book->dedupe.count; i++)
        count += has_index_in_memory(book, i);
    return count;
}

/* Of 20 sealed segments and an open one. */
Test(dedupe_index, is_in_memory_for_few_slices_even_if_all_are_damaged)
{
    static const char *const damages[] = {"DELETE FROM dedupe_index", "DELETE FROM dedupe_filters"};
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(damages); i++) {
        struct book *book = book_new();
        book_add_and_commit(book, 0, 205, TODAY);
        cr_assert(count_indexes(book) == 1);
        book_sql(book, damages[i / 2]);
        if (i % 2) {
            book_reopen(book);
            cr_assert(count_indexes(book) == 1, "case %zu", i);
        }
        bool is_damage = i != 2; /* a lost filter is noticed at the start */
        for (unsigned again = 0; again < 2; again++) {
            cr_assert(all_are(book, 0, 205, DEDUPE_DUPLICATE) && all_are(book, 1000, 3000, DEDUPE_NEW), "case %zu", i);
            cr_assert(count_indexes(book) == 1 + (is_damage ? DEDUPE_CLOSED_INDEXES_MAX : 0), "case %zu", i);
        }
        cr_assert(book_expire(book, TODAY) == (is_damage ? 20 : 0), "case %zu", i);
        cr_assert(count_indexes(book) == 1 && all_are(book, 0, 205, DEDUPE_DUPLICATE), "case %zu", i);
        book_free(book);
    }
}

/* The look-up that finds the damage is in a transaction, which may fail. */
Test(dedupe_index, that_was_made_again_stays_when_the_transaction_is_rolled_back)
{
    struct book *book = large_book_new(2000);
    book_sql(book, "DELETE FROM dedupe_index");
    book_begin(book);
    book_add(book, 2000, 2010, TODAY);
    cr_assert(all_are(book, 0, 2010, DEDUPE_DUPLICATE));
    book_roll_back(book);
    cr_assert(all_are(book, 0, 2000, DEDUPE_DUPLICATE) && all_are(book, 2000, 2010, DEDUPE_NEW));
    book_add_and_commit(book, 2000, 2010, TODAY);
    cr_assert(book_expire(book, TODAY) == 1);
    book_reopen(book);
    cr_assert(all_are(book, 0, 2010, DEDUPE_DUPLICATE));
    book_free(book);
}

Test(dedupe_index, is_not_needed_to_find_keys_when_its_pages_cant_be_read)
{
    struct book *book = large_book_new(3500);
    damage_table(book, "dedupe_index");
    cr_assert(all_are(book, 0, 3500, DEDUPE_DUPLICATE) && all_are(book, 100000, 103000, DEDUPE_NEW));
    book_free(book);
}

Test(dedupe_index, of_a_sealed_segment_puts_only_the_keys_of_damaged_rows_in_doubt)
{
    struct book *book = large_book_new(3500);
    damage_table(book, "dedupe_c_20260216");
    cr_assert(all_are(book, 0, 1500, DEDUPE_DAMAGED) && all_are(book, 1500, 3500, DEDUPE_DUPLICATE));
    cr_assert(all_are(book, 100000, 100100, DEDUPE_NEW));
    /* Without the index nobody knows which rows these were: what the filter does not deny is in doubt. */
    book_sql(book, "DELETE FROM dedupe_index");
    cr_assert(all_are(book, 0, 1500, DEDUPE_DAMAGED) && all_are(book, 1500, 3500, DEDUPE_DUPLICATE));
    cr_assert(all_are(book, 100000, 100100, DEDUPE_NEW));
    cr_assert(book_expire(book, TODAY) == 1, "the other one is sealed again");
    cr_assert(all_are(book, 0, 1500, DEDUPE_DAMAGED) && all_are(book, 1500, 3500, DEDUPE_DUPLICATE));
    book_free(book);
}

Test(dedupe_index, a_segment_that_is_too_damaged_to_be_dropped_keeps_no_other_one)
{
    struct book *book = book_new();
    book_add_and_commit(book, 0, SEGMENT_KEYS + 1, TODAY); /* two parts */
    damage_table(book, "dedupe_c_20260216");
    cr_assert(count_segments(book) == 2);
    bool worked = false;
    int64_t later_us = (TODAY + DEDUPE_CRITICAL_DAYS + 1) * US_PER_DAY;
    book_begin(book);
    cr_assert_eq(dedupe_expire(&book->dedupe, later_us, &worked), ERR_DAMAGED);
    book_roll_back(book);
    cr_assert(worked && book_expire(book, TODAY + DEDUPE_CRITICAL_DAYS + 1) == 1);
    cr_assert(count_segments(book) == 1, "the other part is gone");
    book_free(book);
}

Test(dedupe_index, a_damaged_key_puts_what_is_not_found_in_doubt)
{
    static const char *const damages[] = {"x''", "x'00'", "zeroblob(17)", "'text'"};
    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        struct book *book = book_new();
        book_add_and_commit(book, 0, 5, TODAY);
        char text[128];
        snprintf(text, sizeof text, "UPDATE dedupe_c_20260216 SET key = %s WHERE row = 3", damages[i]);
        book_sql(book, text);
        book_reopen(book);
        cr_assert(all_are(book, 0, 2, DEDUPE_DUPLICATE) && all_are(book, 3, 5, DEDUPE_DUPLICATE), "case %zu", i);
        cr_assert(all_are(book, 2, 3, DEDUPE_DAMAGED) && all_are(book, 5, 100, DEDUPE_DAMAGED), "case %zu", i);
        /* It takes no more; the next part is as good as any. */
        book_add_and_commit(book, 5, 6, TODAY);
        cr_assert(book_sql_int(book, "SELECT count(*) FROM dedupe_c_20260216_1") == 1, "case %zu", i);
        cr_assert(book_find(book, 5) == DEDUPE_DUPLICATE && book_expire(book, TODAY) == 0, "case %zu", i);
        cr_assert(book_expire(book, TODAY + DEDUPE_CRITICAL_DAYS + 1) == 2, "case %zu", i);
        cr_assert(all_are(book, 0, 100, DEDUPE_NEW), "case %zu", i);
        book_free(book);
    }
}

Test(dedupe_index, a_damaged_event_puts_its_key_in_doubt)
{
    struct book *book = book_new();
    book_add_and_commit(book, 0, 15, TODAY);
    book_sql(book, "UPDATE dedupe_c_20260216 SET event = x'00' WHERE row = 3");
    book_sql(book, "UPDATE dedupe_c_20260216_1 SET event = 'text' WHERE row = 3");
    for (unsigned again = 0; again < 2; again++) {
        for (unsigned i = 0; i < 15; i++)
            cr_assert(book_find(book, i) == (i % 10 == 2 ? DEDUPE_DAMAGED : DEDUPE_DUPLICATE), "key %u", i);
        /* What is read again to make the newest segment's index does not tell whose key it was. */
        cr_assert(book_find(book, 15) == (again ? DEDUPE_DAMAGED : DEDUPE_NEW));
        book_reopen(book);
    }
    book_free(book);
}

Test(dedupe_index, a_row_of_which_a_bit_has_flipped_puts_its_key_in_doubt)
{
    static const char *const damages[] = {
        "UPDATE dedupe_c_20260216 SET amount = '1' WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET currency = 'EUR' WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET key = (SELECT key FROM dedupe_c_20260216 WHERE row = 4) WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET event = (SELECT event FROM dedupe_c_20260216 WHERE row = 4) WHERE row = 3",
        "UPDATE dedupe_c_20260216 SET crc = crc + 1 WHERE row = 3",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        struct book *book = book_new();
        book_add_and_commit(book, 0, 15, TODAY);
        book_sql(book, damages[i]);
        for (unsigned k = 0; k < 15; k++)
            cr_assert(book_find(book, k) == (k == 2 ? DEDUPE_DAMAGED : DEDUPE_DUPLICATE), "case %zu key %u", i, k);
        cr_assert(book_find(book, 15) == DEDUPE_NEW, "case %zu", i);
        book_free(book);
    }
}

/* Both keys have had row 6, and the filter and the index remember that. */
Test(dedupe_index, a_key_that_was_rolled_back_is_new_although_its_row_is_anothers_now)
{
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        struct book *book = book_new();
        book_add_and_commit(book, 0, 5, TODAY);
        book_begin(book);
        book_add(book, 100, 101, TODAY);
        cr_assert(book_find(book, 100) == DEDUPE_DUPLICATE);
        book_roll_back(book);
        cr_assert(book_find(book, 100) == DEDUPE_NEW, "there is no row");
        book_add_and_commit(book, 5, 6, TODAY);
        cr_assert(book_sql_int(book, "SELECT max(row) FROM dedupe_c_20260216") == 6);
        if (sealed)
            book_add_and_commit(book, 6, 7, TODAY + 1);
        cr_assert(book_find(book, 100) == DEDUPE_NEW && book_find(book, 5) == DEDUPE_DUPLICATE);
        book_add_and_commit(book, 100, 101, TODAY);
        cr_assert(book_find(book, 100) == DEDUPE_DUPLICATE && all_are(book, 0, 6, DEDUPE_DUPLICATE));
        book_reopen(book);
        cr_assert(book_find(book, 100) == DEDUPE_DUPLICATE && all_are(book, 0, 6, DEDUPE_DUPLICATE));
        book_free(book);
    }
}

/* As a version with a lower bound finds it. */
Test(dedupe_index, of_a_segment_with_more_keys_than_the_bound_is_made_all_the_same)
{
    struct book *book = large_book_new(LARGE_KEYS);
    struct dedupe_segment *segment = book->dedupe.segments[0];
    key_filter_done(&segment->filter);
    key_index_done(&segment->index);
    book->dedupe.segment_keys_max = SEGMENT_KEYS;
    cr_assert(dedupe_segment_scan(&book->dedupe, segment, true) == OK && segment->keys == LARGE_KEYS);
    for (unsigned again = 0; again < 2; again++) {
        cr_assert(all_are(book, 0, LARGE_KEYS, DEDUPE_DUPLICATE) && all_are(book, 5000, 6000, DEDUPE_NEW));
        cr_assert(book_expire(book, TODAY) == (again ? 0 : 1) && count_buckets(book) == 4);
        book_reopen(book);
    }
    book_free(book);
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
        struct book *book = book_new();
        book->dedupe.seed = seed;
        book_add_and_commit(book, 0, 3, TODAY);
        book_add_and_commit(book, twins[0], twins[0] + 1, TODAY);
        book_begin(book);
        book_add(book, twins[1], twins[1] + 1, TODAY);
        if (both)
            book_commit(book);
        else
            book_roll_back(book); /* the filter says "maybe" from now on */
        enum dedupe_finding second = both ? DEDUPE_DUPLICATE : DEDUPE_NEW;
        cr_assert(book_find(book, twins[0]) == DEDUPE_DUPLICATE && book_find(book, twins[1]) == second);
        book_add_and_commit(book, 3, 4, TODAY + 1);
        cr_assert(count_buckets(book) == 1 && !has_index_in_memory(book, 1));
        cr_assert(book_find(book, twins[0]) == DEDUPE_DUPLICATE && book_find(book, twins[1]) == second);
        book_reopen(book);
        cr_assert(book_find(book, twins[0]) == DEDUPE_DUPLICATE && book_find(book, twins[1]) == second);
        cr_assert(!has_index_in_memory(book, 1) && all_are(book, 0, 4, DEDUPE_DUPLICATE));
        book_free(book);
    }
}

/* A bit that differs is enough, wherever it is. */
Test(dedupe_index, keys_are_compared_whole)
{
    struct book *book = book_new();
    struct dedupe_key key = key_of(0);
    book_add_and_commit(book, 0, 1, TODAY);
    cr_assert(find_of(book, &key) == DEDUPE_DUPLICATE);
    struct key_index *index = &book->dedupe.segments[0]->index;
    for (size_t i = 0; i < 8 * sizeof key.bytes; i++) {
        struct dedupe_key other = key;
        other.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        /* As if it had been there and was rolled back. */
        key_filter_add(&book->dedupe.segments[0]->filter, &other);
        cr_assert(key_index_reserve(index) == OK);
        key_index_add(index, &other, 1);
        cr_assert(find_of(book, &other) == DEDUPE_NEW, "bit %zu", i);
    }
    cr_assert(find_of(book, &key) == DEDUPE_DUPLICATE);
    book_free(book);
}

Test(dedupe_index, a_slice_of_the_form_before_0_1_is_refused)
{
    static const char *const forms[] = {
        "key BLOB PRIMARY KEY, event BLOB NOT NULL, amount TEXT, currency TEXT) WITHOUT ROWID",
        "row INTEGER PRIMARY KEY, key BLOB NOT NULL)",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        struct book *book = book_new();
        book_add_and_commit(book, 0, 5, TODAY);
        char text[200];
        snprintf(text, sizeof text, "CREATE TABLE dedupe_o_20260215(%s", forms[i]);
        book_sql(book, text);
        dedupe_done(&book->dedupe);
        cr_assert(dedupe_init(&book->dedupe, book->db) == ERR_DAMAGED);
        cr_assert(strstr(sqlite3_errmsg(book->db), "no such column"), "%s", sqlite3_errmsg(book->db));
        book_free(book);
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
    enum { FULL = 3 << 15, ROUND = 1000 }; /* three quarters of 2^17 slots: the next key needs 2 MB */
    struct book *book = book_new();
    book->dedupe.segment_keys_max = 1000000;
    book_sql(book, "PRAGMA synchronous = OFF");
    book_add_and_commit(book, 0, FULL - ROUND, TODAY);
    for (unsigned again = 0; again < 3; again++) {
        limit_memory(true);
        book_begin(book);
        enum err result = OK;
        unsigned next = FULL - ROUND;
        while (!result && next < 2 * FULL)
            result = book_try_add(book, next++, TODAY, CLASS_CRITICAL);
        cr_assert(result == ERR_NO_MEMORY, "%s", err_name(result));
        /* Entries of rows that were rolled back still take their room. */
        cr_assert(next == (again ? FULL - ROUND : FULL) + 1, "%u", next);
        cr_assert(book->dedupe.segments[0]->index.count == FULL && book_find(book, next - 1) == DEDUPE_NEW);
        cr_assert(all_are(book, next - 100, next - 1, DEDUPE_DUPLICATE));
        book_roll_back(book);
        limit_memory(false);
        cr_assert(all_are(book, 0, FULL - ROUND, DEDUPE_DUPLICATE));
        cr_assert(all_are(book, FULL - ROUND, FULL + 1, DEDUPE_NEW));
    }
    book_add_and_commit(book, FULL - ROUND, FULL + 1, TODAY);
    cr_assert(all_are(book, 0, FULL + 1, DEDUPE_DUPLICATE));
    book_reopen(book);
    cr_assert(all_are(book, 0, FULL + 1, DEDUPE_DUPLICATE));
    book_free(book);
}

#endif
