/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/key_filter.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

/* Keys as SHA-256 makes them, only quicker: SplitMix64 (Vigna). */
static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

static struct dedupe_key key_of(uint64_t number)
{
    struct dedupe_key key;
    for (uint64_t half = 0; half < 2; half++) {
        uint64_t bits = mix((2 * number + half + 1) * UINT64_C(0x9e3779b97f4a7c15));
        memcpy(key.bytes + 8 * half, &bits, sizeof bits);
    }
    return key;
}

static void add_keys(struct key_filter *filter, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        struct dedupe_key key = key_of(i);
        key_filter_add(filter, &key);
    }
}

static uint64_t count_held(const struct key_filter *filter, uint64_t first, uint64_t end)
{
    uint64_t count = 0;
    for (uint64_t i = first; i < end; i++) {
        struct dedupe_key key = key_of(i);
        key_filter_prefetch(filter, &key);
        count += key_filter_may_hold(filter, &key);
    }
    return count;
}

/* One million keys, and one million others. */
Test(key_filter, never_denies_a_key_that_it_holds_and_rarely_takes_another_for_it)
{
    static const uint64_t counts[] = {1, 1024, 1025, 100000, 524288, 1000000};
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        struct key_filter filter;
        cr_assert(key_filter_init(&filter, counts[i]) == OK);
        add_keys(&filter, 0, counts[i]);
        cr_assert(count_held(&filter, 0, counts[i]) == counts[i], "case %zu", i);
        uint64_t mistaken = count_held(&filter, 10000000, 11000000);
        cr_assert(mistaken <= 4500, "case %zu: %llu of a million", i, (unsigned long long)mistaken);
        key_filter_done(&filter);
    }
}

Test(key_filter, takes_twelve_bits_for_each_key_and_less_than_twice_that)
{
    static const struct {
        uint64_t keys;
        size_t lines;
    } cases[] = {{0, 24}, {1, 24}, {1024, 24}, {1025, 48}, {524288, 12288}, {524289, 24576},
        {1048576, 24576}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct key_filter filter;
        cr_assert(key_filter_init(&filter, cases[i].keys) == OK);
        cr_assert(key_filter_bytes(&filter).len == cases[i].lines * 64, "case %zu", i);
        cr_assert((uintptr_t)filter.lines % 64 == 0, "case %zu", i);
        key_filter_done(&filter);
    }
}

Test(key_filter, holds_nothing_at_first_and_everything_when_it_was_never_made)
{
    struct key_filter filter;
    cr_assert(key_filter_init(&filter, 1000) == OK);
    cr_assert(count_held(&filter, 0, 1000) == 0);
    key_filter_done(&filter);
    cr_assert(count_held(&filter, 0, 1000) == 1000);
    add_keys(&filter, 0, 10);
    key_filter_done(&filter);
}

Test(key_filter, cannot_be_made_for_more_keys_than_there_are_lines)
{
    struct key_filter filter;
    cr_assert(key_filter_init(&filter, UINT64_MAX) == ERR_NO_MEMORY);
    key_filter_done(&filter);
}

Test(key_filter, holds_more_keys_than_it_was_made_for)
{
    struct key_filter filter;
    cr_assert(key_filter_init(&filter, 10) == OK);
    add_keys(&filter, 0, 100000);
    cr_assert(count_held(&filter, 0, 100000) == 100000);
    key_filter_done(&filter);
}

Test(key_filter, that_is_folded_is_the_one_that_was_made_for_fewer_keys)
{
    static const struct {
        uint64_t made_for, keys;
    } cases[] = {{1000000, 0}, {1000000, 1}, {1000000, 5000}, {1000000, 600000}, {1000000, 1000000},
        {10, 3}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct key_filter large, small, folded;
        cr_assert(key_filter_init(&large, cases[i].made_for) == OK &&
                  key_filter_init(&small, cases[i].keys) == OK);
        add_keys(&large, 0, cases[i].keys);
        add_keys(&small, 0, cases[i].keys);
        cr_assert(key_filter_fold(&large, cases[i].keys, &folded) == OK);
        cr_assert(slice_equal(key_filter_bytes(&folded), key_filter_bytes(&small)), "case %zu", i);
        cr_assert(count_held(&large, 0, cases[i].keys) == cases[i].keys, "case %zu", i);
        key_filter_done(&large);
        key_filter_done(&small);
        key_filter_done(&folded);
    }
}

Test(key_filter, is_loaded_from_its_bytes_unless_their_length_is_wrong)
{
    static const struct {
        uint64_t keys;
        size_t cut;
        enum err expected;
    } cases[] = {{5000, 0, OK}, {5001, 0, OK}, {20000, 0, ERR_DAMAGED}, {500, 0, ERR_DAMAGED},
        {5000, 1, ERR_DAMAGED}, {5000, 64, ERR_DAMAGED}, {5000, SIZE_MAX, ERR_DAMAGED},
        {UINT64_MAX, 0, ERR_DAMAGED}};
    struct key_filter filter;
    cr_assert(key_filter_init(&filter, 5000) == OK);
    add_keys(&filter, 0, 5000);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct key_filter loaded;
        struct slice bytes = key_filter_bytes(&filter);
        bytes.len -= cases[i].cut == SIZE_MAX ? bytes.len : cases[i].cut;
        cr_assert(
            key_filter_load(&loaded, cases[i].keys, bytes) == cases[i].expected, "case %zu", i);
        cr_assert(cases[i].expected || count_held(&loaded, 0, 5000) == 5000, "case %zu", i);
        key_filter_done(&loaded);
    }
    key_filter_done(&filter);
}

/* They are on disk: when this fails, KEY_FILTER_FORMAT must grow. */
Test(key_filter, its_bits_never_change)
{
    static const struct dedupe_key key = {
        {1, 2, 3, 0x80, 5, 6, 7, 8, 0x01, 0x84, 0x0c, 0x42, 0xc6, 0x12, 0xf2, 0x7f}};
    /* Line 0x80030201 * 24 >> 32. The last eight bytes, little-endian and in steps of nine, name
     * these bits: */
    static const unsigned bits[KEY_FILTER_PROBES] = {1, 66, 131, 200, 300, 400, 511};
    struct key_filter filter, expected;
    cr_assert(key_filter_init(&filter, 1) == OK && key_filter_init(&expected, 1) == OK);
    key_filter_add(&filter, &key);
    for (size_t i = 0; i < ARRAY_LENGTH(bits); i++)
        expected.lines[12 * 64 + bits[i] / 8] |= (unsigned char)(1 << bits[i] % 8);
    cr_assert(slice_equal(key_filter_bytes(&filter), key_filter_bytes(&expected)));
    key_filter_done(&filter);
    key_filter_done(&expected);
}
