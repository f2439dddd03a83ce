/* SPDX-License-Identifier: Apache-2.0 */
#include "model/money.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

Test(money, valid_amounts_have_one_canonical_form)
{
    static const struct {
        const char *amount, *canonical;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"0.0", "0"},
        {"-0.000000000", "0"},
        {"1", "1"},
        {"-1", "-1"},
        {"1.0", "1"},
        {"1.1", "1.1"},
        {"1.10", "1.1"},
        {"1.100000000", "1.1"},
        {"10", "10"},
        {"100.010", "100.01"},
        {"0.5", "0.5"},
        {"-0.50", "-0.5"},
        {"129.90", "129.9"},
        {"0.000000001", "0.000000001"},
        {"999999999999999999.999999999", "999999999999999999.999999999"},
        {"-999999999999999999.999999999", "-999999999999999999.999999999"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *problem = NULL;
        cr_expect(money_check_amount(slice_from_string(cases[i].amount), &problem), "%s",
            cases[i].amount);
        char canonical[AMOUNT_TEXT_BYTES];
        cr_expect_eq(money_canonical(slice_from_string(cases[i].amount), canonical),
            strlen(cases[i].canonical));
        cr_expect_str_eq(canonical, cases[i].canonical);
    }
}

Test(money, different_values_have_different_canonical_forms)
{
    static const char *const values[] = {
        "1", "-1", "10", "1.1", "1.01", "11", "0.1", "0", "1.000000001"};
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        for (size_t k = 0; k < i; k++) {
            char a[AMOUNT_TEXT_BYTES], b[AMOUNT_TEXT_BYTES];
            money_canonical(slice_from_string(values[i]), a);
            money_canonical(slice_from_string(values[k]), b);
            cr_expect_str_neq(a, b);
        }
    }
}

Test(money, canonical_form_has_no_leading_zeros)
{
    char canonical[AMOUNT_TEXT_BYTES];
    money_canonical(SLICE_LITERAL("01.1"), canonical);
    cr_assert_str_eq(canonical, "1.1");
    money_canonical(SLICE_LITERAL("-000"), canonical);
    cr_assert_str_eq(canonical, "0");
}

Test(money, invalid_amount_is_rejected_with_a_reason)
{
    static const struct {
        const char *amount, *word; /* of the problem */
    } cases[] = {
        {"", "decimal"},
        {"-", "decimal"},
        {".", "decimal"},
        {".5", "decimal"},
        {"5.", "decimal"},
        {"+5", "decimal"},
        {"--5", "decimal"},
        {"1e3", "exponent"},
        {"1E3", "exponent"},
        {"1,5", "commas"},
        {"1.5.5", "decimal"},
        {"1 000", "commas"},
        {" 1", "decimal"},
        {"1 ", "decimal"},
        {"NaN", "decimal"},
        {"Infinity", "decimal"},
        {"0x10", "decimal"},
        {"12a", "decimal"},
        {"\xd9\xa3", "decimal"}, /* an Arabic digit */
        {"00", "leading zeros"},
        {"01", "leading zeros"},
        {"-01.5", "leading zeros"},
        {"1000000000000000000", "18 digits"},
        {"1234567890123456789012345678901234567890", "18 digits"},
        {"0.1234567890", "9 digits"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *problem = "";
        cr_expect_not(money_check_amount(slice_from_string(cases[i].amount), &problem), "%s",
            cases[i].amount);
        cr_expect_not_null(strstr(problem, cases[i].word), "%s: %s", cases[i].amount, problem);
    }
    const char *problem = "";
    cr_expect_not(money_check_amount(SLICE_LITERAL("1\0"), &problem));
}

Test(money, currency_has_three_capital_letters)
{
    cr_assert(money_check_currency(SLICE_LITERAL("EUR")));
    cr_assert(money_check_currency(SLICE_LITERAL("AZZ")));
    static const char *const bad[] = {
        "", "EU", "EURO", "eur", "EU1", "E R", "E@R", "E[R", "\xc3\x84R"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_expect_not(money_check_currency(slice_from_string(bad[i])), "%s", bad[i]);
}
