/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/key_index.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

static const struct hash_seed seed = {{1, 2, 3}};

/* The tag is a hash, so that numbers will do. */
static struct dedupe_key key_of(uint64_t number)
{
    struct dedupe_key key = {0};
    memcpy(key.bytes, &number, sizeof number);
    return key;
}

static void add(struct key_index *index, uint64_t number, uint32_t row)
{
    struct dedupe_key key = key_of(number);
    cr_assert(key_index_reserve(index) == OK);
    key_index_add(index, &key, row);
}

static unsigned count_rows(const struct key_index *index, uint64_t number)
{
    struct dedupe_key key = key_of(number);
    struct key_index_search search = key_index_search(index, &key);
    unsigned count = 0;
    while (key_index_next(index, &search))
        count++;
    return count;
}

static bool leads_to(const struct key_index *index, uint64_t number, uint32_t row)
{
    struct dedupe_key key = key_of(number);
    struct key_index_search search = key_index_search(index, &key);
    uint32_t found;
    while ((found = key_index_next(index, &search)))
        if (found == row)
            return true;
    return false;
}

static bool bucket_leads_to(struct slice bytes, uint32_t tag, uint32_t row)
{
    struct key_index_search search = key_bucket_search(bytes, tag);
    uint32_t found;
    while ((found = key_bucket_next(bytes, &search)))
        if (found == row)
            return true;
    return false;
}

Test(key_index, leads_to_every_row_and_rarely_to_one_of_another_key)
{
    struct key_index index;
    key_index_init(&index, &seed);
    for (uint32_t i = 1; i <= 1000000; i++) {
        add(&index, i, i);
        cr_assert(leads_to(&index, i, i) && leads_to(&index, i / 2 + 1, i / 2 + 1), "key %u", i);
    }
    for (uint32_t i = 1; i <= 1000000; i++)
        cr_assert(leads_to(&index, i, i), "key %u", i);
    unsigned mistaken = 0;
    for (uint64_t i = 2000001; i <= 3000000; i++)
        mistaken += count_rows(&index, i);
    cr_assert(mistaken < 350, "%u of a million, where 233 are expected", mistaken);
    cr_assert(index.count == 1000000 && index.bits == 21);
    key_index_done(&index);
}

Test(key_index, costs_nothing_until_the_first_key_and_eight_megabytes_for_a_full_segment)
{
    struct key_index index;
    key_index_init(&index, &seed);
    cr_assert(!index.slots && count_rows(&index, 1) == 0);
    static const struct {
        uint32_t keys;
        unsigned bits;
    } cases[] = {{1, 10}, {768, 10}, {769, 11}, {393216, 19}, {393217, 20}, {524288, 20}};
    uint32_t row = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        while (row < cases[i].keys) {
            row++;
            add(&index, row, row);
        }
        cr_assert(index.bits == cases[i].bits, "case %zu", i);
    }
    key_index_done(&index);
    cr_assert(
        !index.slots && count_rows(&index, 1) == 0 && memcmp(&index.seed, &seed, sizeof seed) == 0);
}

/* Rows that were rolled back leave entries, and their numbers are given to other keys. */
Test(key_index, keeps_each_row_that_a_key_ever_had_once)
{
    struct key_index index;
    key_index_init(&index, &seed);
    for (unsigned again = 0; again < 1000; again++) {
        add(&index, 1, 7);
        add(&index, 1, 8);
        add(&index, 2, 7);
    }
    cr_assert(index.count == 3 && count_rows(&index, 1) == 2 && count_rows(&index, 2) == 1);
    cr_assert(leads_to(&index, 1, 7) && leads_to(&index, 1, 8) && leads_to(&index, 2, 7));
    for (uint32_t i = 10; i < 5000; i++)
        add(&index, i, i);
    cr_assert(count_rows(&index, 1) == 2 && count_rows(&index, 2) == 1);
    key_index_done(&index);
}

Test(key_index, takes_the_greatest_row)
{
    struct key_index index;
    key_index_init(&index, &seed);
    add(&index, 1, UINT32_MAX);
    cr_assert(leads_to(&index, 1, UINT32_MAX));
    struct buffer bytes = BUFFER_EMPTY;
    struct dedupe_key key = key_of(1);
    cr_assert(key_index_bucket(&index, 0, 0, &bytes) == OK);
    cr_assert(bucket_leads_to(buffer_slice(&bytes), key_index_tag(&seed, &key), UINT32_MAX));
    buffer_done(&bytes);
    key_index_done(&index);
}

/* The last slots overflow into the first ones. */
Test(key_index, wraps_around_the_end_of_its_table)
{
    struct key_index index;
    key_index_init(&index, &seed);
    uint64_t numbers[300];
    size_t count = 0;
    for (uint64_t i = 1; count < ARRAY_LENGTH(numbers); i++) {
        struct dedupe_key key = key_of(i);
        uint32_t tag = key_index_tag(&seed, &key);
        if (tag >> 22 < 10 || tag >> 22 > 1013) /* ten slots at each end */
            numbers[count++] = i;
    }
    for (uint32_t i = 0; i < count; i++)
        add(&index, numbers[i], i + 1);
    cr_assert(index.bits == 10);
    struct buffer bytes = BUFFER_EMPTY;
    for (unsigned bits = 0; bits <= 12; bits++) {
        size_t total = 0;
        for (uint32_t bucket = 0; bucket < 1U << bits; bucket++) {
            cr_assert(key_index_bucket(&index, bits, bucket, &bytes) == OK);
            total += bytes.len / 8;
        }
        cr_assert(total == count, "%u bits", bits);
        for (uint32_t i = 0; i < count; i++) {
            struct dedupe_key key = key_of(numbers[i]);
            uint32_t tag = key_index_tag(&seed, &key);
            cr_assert(leads_to(&index, numbers[i], i + 1));
            cr_assert(key_index_bucket(&index, bits, key_bucket_of(tag, bits), &bytes) == OK);
            cr_assert(
                bucket_leads_to(buffer_slice(&bytes), tag, i + 1), "%u bits, key %u", bits, i);
        }
    }
    buffer_done(&bytes);
    key_index_done(&index);
}

Test(key_index, is_cut_into_buckets_that_hold_all_of_it_in_order)
{
    static const uint32_t counts[] = {0, 1, 512, 513, 3000, 100000, 524288};
    struct buffer bytes = BUFFER_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        struct key_index index;
        key_index_init(&index, &seed);
        for (uint32_t row = 1; row <= counts[i]; row++)
            add(&index, row, row);
        unsigned bits = key_bucket_bits(counts[i]);
        char *seen = calloc(counts[i] + 1, 1);
        cr_assert(seen);
        uint64_t total = 0;
        for (uint32_t bucket = 0; bucket < 1U << bits; bucket++) {
            cr_assert(key_index_bucket(&index, bits, bucket, &bytes) == OK);
            cr_assert(bytes.len % 8 == 0 && bytes.len <= 700 * 8);
            uint64_t before = 0;
            for (size_t at = 0; at < bytes.len; at += 8) {
                uint64_t entry = 0;
                for (unsigned k = 0; k < 8; k++)
                    entry |= (uint64_t)(unsigned char)bytes.data[at + k] << (8 * k);
                cr_assert(entry > before && key_bucket_of((uint32_t)(entry >> 32), bits) == bucket);
                before = entry;
                uint32_t row = (uint32_t)entry;
                struct dedupe_key key = key_of(row);
                cr_assert(row && row <= counts[i] && !seen[row] &&
                          key_index_tag(&seed, &key) == entry >> 32);
                seen[row] = 1;
                total++;
            }
        }
        cr_assert(total == counts[i], "case %zu", i);
        free(seen);
        key_index_done(&index);
    }
    buffer_done(&bytes);
}

Test(key_index, has_buckets_of_256_to_512_entries)
{
    static const struct {
        uint64_t keys;
        unsigned bits;
    } cases[] = {{0, 0}, {1, 0}, {512, 0}, {513, 1}, {1025, 1}, {1026, 2}, {524288, 10},
        {524800, 10}, {1048576, 11}, {UINT64_MAX, 22}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_assert(key_bucket_bits(cases[i].keys) == cases[i].bits, "case %zu", i);
    cr_assert(key_bucket_of(UINT32_MAX, 0) == 0 && key_bucket_of(UINT32_MAX, 10) == 1023);
    cr_assert(key_bucket_of(0x80000000, 1) == 1 && key_bucket_of(0x7fffffff, 1) == 0);
}

Test(key_index, finds_nothing_in_an_empty_bucket_and_beyond_the_ends)
{
    struct key_index_search search = key_bucket_search((struct slice){0}, 5);
    cr_assert(key_bucket_next((struct slice){0}, &search) == 0);
    /* Tags 2, 4, 4. */
    static const unsigned char bytes[] = {
        1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0};
    static const struct {
        uint32_t tag, first, second;
    } cases[] = {
        {0, 0, 0}, {1, 0, 0}, {2, 1, 0}, {3, 0, 0}, {4, 2, 3}, {5, 0, 0}, {UINT32_MAX, 0, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct slice bucket = slice_of(bytes, sizeof bytes);
        search = key_bucket_search(bucket, cases[i].tag);
        cr_assert(key_bucket_next(bucket, &search) == cases[i].first, "case %zu", i);
        cr_assert(
            !cases[i].first || key_bucket_next(bucket, &search) == cases[i].second, "case %zu", i);
        cr_assert(!cases[i].second || key_bucket_next(bucket, &search) == 0, "case %zu", i);
    }
}

/* They are on disk: when this fails, KEY_INDEX_FORMAT must grow. */
Test(key_index, its_bytes_never_change)
{
    /* SipHash's reference implementation has this vector: 0x3f2acc7f57c29bdb. */
    struct hash_seed example;
    struct dedupe_key key;
    for (unsigned char i = 0; i < 16; i++)
        example.bytes[i] = key.bytes[i] = i;
    cr_assert(key_index_tag(&example, &key) == 0x3f2acc7f, "%x", key_index_tag(&example, &key));
    struct key_index index;
    key_index_init(&index, &example);
    cr_assert(key_index_reserve(&index) == OK);
    key_index_add(&index, &key, 0x01020304);
    struct buffer bytes = BUFFER_EMPTY;
    cr_assert(key_index_bucket(&index, 0, 0, &bytes) == OK);
    cr_assert(slice_equal(buffer_slice(&bytes), SLICE_LITERAL("\x04\x03\x02\x01\x7f\xcc\x2a\x3f")));
    buffer_done(&bytes);
    key_index_done(&index);
}
