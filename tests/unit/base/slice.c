/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <criterion/criterion.h>

Test(slice, equality_is_by_length_and_bytes)
{
    cr_assert(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")));
    cr_assert_not(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
    cr_assert_not(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
    cr_assert(slice_equal((struct slice){NULL, 0}, SLICE_LITERAL("")));
    cr_assert(slice_equals_string(SLICE_LITERAL("abc"), "abc"));
    cr_assert_not(slice_equals_string(SLICE_LITERAL("a\0b"), "a"));
}

Test(slice, a_prefix_is_never_longer_than_the_text)
{
    cr_assert(slice_starts_with(SLICE_LITERAL("whsec_x"), "whsec_"));
    cr_assert(slice_starts_with(SLICE_LITERAL("whsec_"), "whsec_"));
    cr_assert_not(slice_starts_with(SLICE_LITERAL("whsec"), "whsec_"));
    cr_assert_not(slice_starts_with(SLICE_LITERAL("WHSEC_x"), "whsec_"));
}

Test(slice, of_no_string_is_empty)
{
    cr_assert_eq(slice_from_string(NULL).len, 0);
    cr_assert_eq(slice_from_string("four").len, 4);
}
