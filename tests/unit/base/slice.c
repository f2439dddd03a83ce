/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <criterion/criterion.h>

Test(slice, equality_compares_length_and_bytes)
{
    cr_assert(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")));
    cr_assert_not(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
    cr_assert_not(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    cr_assert(slice_equal((struct slice){NULL, 0}, SLICE_LITERAL("")));
    cr_assert(slice_equals_string(SLICE_LITERAL("abc"), "abc"));
    cr_assert_not(slice_equals_string(SLICE_LITERAL("a\0b"), "a"));
}

Test(slice, text_shorter_than_the_prefix_does_not_start_with_it)
{
    cr_assert(slice_starts_with(SLICE_LITERAL("whsec_x"), "whsec_"));
    cr_assert(slice_starts_with(SLICE_LITERAL("whsec_"), "whsec_"));
    cr_assert_not(slice_starts_with(SLICE_LITERAL("whsec"), "whsec_"));
    cr_assert_not(slice_starts_with(SLICE_LITERAL("WHSEC_x"), "whsec_"));
}

Test(slice, null_string_gives_an_empty_slice)
{
    cr_assert_eq(slice_from_string(NULL).len, 0);
    cr_assert_eq(slice_from_string("four").len, 4);
}

Test(slice, parts_are_taken_one_after_the_other_without_spaces)
{
    struct slice rest = SLICE_LITERAL("a, b c ,,d");
    static const char *const parts[] = {"a", "b c", "", "d"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        cr_expect(slice_equals_string(slice_take_until(&rest, ','), parts[i]), "%zu", i);
    cr_expect_eq(rest.len, 0);
    cr_expect_eq(slice_take_until(&rest, ',').len, 0);
}
