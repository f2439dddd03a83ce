/* SPDX-License-Identifier: Apache-2.0 */
#include "model/refusal.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(refusal, has_an_error_a_sentence_and_fields)
{
    struct refusal refusal;
    memset(&refusal, 0x55, sizeof refusal);
    cr_assert_eq(refuse(&refusal, ERR_TOO_LARGE, "at most %d", 7), ERR_TOO_LARGE);
    cr_assert_eq(refusal.error, ERR_TOO_LARGE);
    cr_assert_str_eq(refusal.detail, "at most 7");
    cr_assert_eq(refusal.problems.count, 0);
    cr_assert_eq(refuse_field(&refusal, ERR_INVALID, "/id", "is wrong"), ERR_INVALID);
    cr_assert_str_eq(refusal.detail, CORRECT_THE_FIELDS);
    cr_assert_eq(refusal.problems.count, 1);
    cr_assert_str_eq(refusal.problems.list[0].pointer, "/id");
    cr_assert_str_eq(refusal.problems.list[0].detail, "is wrong");
}

Test(refusal, list_of_fields_is_bounded_and_has_each_field_once)
{
    struct field_problems problems = {0};
    char pointer[400];
    memset(pointer, 'x', sizeof pointer);
    pointer[sizeof pointer - 1] = '\0';
    for (int i = 0; i < 2 * FIELD_PROBLEMS_MAX; i++) {
        pointer[0] = (char)('a' + i);
        field_problems_add(&problems, pointer, "first");
        field_problems_add(&problems, pointer, "second");
    }
    cr_assert_eq(problems.count, FIELD_PROBLEMS_MAX);
    cr_assert_eq(strlen(problems.list[0].pointer), KEY_POINTER_BYTES_MAX);
    cr_assert_str_eq(problems.list[0].detail, "first");
}
