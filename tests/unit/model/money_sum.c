/* SPDX-License-Identifier: Apache-2.0 */
#include "model/money_sum.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

#define MOST "170141183460469231731687303715.884105727"
#define LEAST "-170141183460469231731687303715.884105728"

static void expect_text(const struct money_sum *sum, const char *expected)
{
    char text[MONEY_SUM_TEXT_BYTES];
    memset(text, 'x', sizeof text);
    cr_expect_eq(money_sum_format(sum, text), strlen(expected));
    cr_expect_str_eq(text, expected);
}

static struct money_sum sum_of(const char *text)
{
    struct money_sum sum = {0};
    cr_assert(money_sum_parse(slice_from_string(text), &sum), "%s", text);
    return sum;
}

Test(money_sum, amounts_add_up_to_the_last_digit)
{
    static const struct {
        const char *amounts[4], *sum;
    } cases[] = {
        {{""}, "0"},
        {{"0.1", "0.2"}, "0.3"},
        {{"129.90", "0.10"}, "130"},
        {{"-0"}, "0"},
        {{"-0.1", "0.1"}, "0"},
        {{"-0.1", "0.05"}, "-0.05"},
        {{"0.000000001", "0.000000001"}, "0.000000002"},
        {{"0.000000001", "0.999999999"}, "1"},
        {{"-0.000000001"}, "-0.000000001"},
        {{"999999999999999999.999999999", "0.000000001"}, "1000000000000000000"},
        {{"999999999999999999.999999999", "999999999999999999.999999999"},
            "1999999999999999999.999999998"},
        {{"-999999999999999999.999999999", "1"}, "-999999999999999998.999999999"},
        {{"10", "20", "", "70"}, "100"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct money_sum sum = {0};
        for (size_t k = 0; k < 4 && cases[i].amounts[k]; k++)
            cr_expect(money_sum_add(&sum, slice_from_string(cases[i].amounts[k]), 1));
        expect_text(&sum, cases[i].sum);
        for (size_t k = 0; k < 4 && cases[i].amounts[k]; k++)
            cr_expect(money_sum_add(&sum, slice_from_string(cases[i].amounts[k]), -1));
        expect_text(&sum, "0");
    }
}

Test(money_sum, holds_a_hundred_billion_of_the_largest_amounts)
{
    struct money_sum sum = {0}, largest = {0};
    cr_assert(money_sum_add(&largest, SLICE_LITERAL("999999999999999999.999999999"), 1));
    sum = largest;
    for (int i = 0; i < 11; i++) { /* times 10, eleven times */
        struct money_sum once = sum;
        for (int k = 0; k < 9; k++)
            cr_assert(money_sum_add_sum(&sum, &once, 1));
    }
    expect_text(&sum, "99999999999999999999999999900");
}

Test(money_sum, overflow_is_rejected_and_leaves_the_sum_unchanged)
{
    struct money_sum most = sum_of(MOST), least = sum_of(LEAST);
    expect_text(&most, MOST);
    expect_text(&least, LEAST);
    cr_expect_not(money_sum_add(&most, SLICE_LITERAL("0.000000001"), 1));
    cr_expect_not(money_sum_add(&most, SLICE_LITERAL("-0.000000001"), -1));
    cr_expect_not(money_sum_add(&least, SLICE_LITERAL("0.000000001"), -1));
    cr_expect_not(money_sum_add_sum(&most, &most, 1));
    cr_expect_not(money_sum_add_sum(&most, &least, -1));
    expect_text(&most, MOST);
    expect_text(&least, LEAST);
    cr_expect(money_sum_add_sum(&most, &least, 1));
    expect_text(&most, "-0.000000001");
}

Test(money_sum, parse_reads_what_format_writes)
{
    static const char *const texts[] = {
        "0", "1", "-1", "0.5", "-0.000000001", "1000000000000000000000", "12.345", MOST, LEAST};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct money_sum sum = sum_of(texts[i]);
        expect_text(&sum, texts[i]);
    }
    static const char *const others[] = {"", "-", ".", "1.", ".5", "-.5", "+1", "1e3", "1,5", " 1",
        "1 ", "1.2.3", "--1", "0.1234567890", "x", "1x", "170141183460469231731687303715.884105728",
        "-170141183460469231731687303715.884105729", "1000000000000000000000000000000",
        "99999999999999999999999999999999999999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        struct money_sum sum = {.units = 7};
        cr_expect_not(money_sum_parse(slice_from_string(others[i]), &sum), "%s", others[i]);
        cr_expect(sum.units == 7);
        cr_expect_not(
            *others[i] && money_sum_add(&sum, slice_from_string(others[i]), 1), "%s", others[i]);
    }
}
