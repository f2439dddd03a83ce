/* SPDX-License-Identifier: Apache-2.0 */
#include "common/quantity.h"

#include <criterion/criterion.h>

Test(quantity, durations_need_their_unit)
{
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } cases[] = {{"250us", 250}, {"20ms", 20000}, {"1.5s", 1500000}, {"2m", 120000000},
        {"1h", INT64_C(3600000000)}, {"0", 0}, {"0s", 0}, {"5", -1}, {"", -1}, {"s", -1},
        {"-1s", -1}, {"1s ", -1}, {"nans", -1}, {"1e99s", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us = -1;
        cr_expect_eq(
            quantity_parse_duration(cases[i].text, &us), cases[i].us >= 0, "%s", cases[i].text);
        cr_expect_eq(us, cases[i].us, "%s", cases[i].text);
    }
}

Test(quantity, shares_are_percentages)
{
    static const struct {
        const char *text;
        double share; /* -1: refused */
    } cases[] = {
        {"5%", 0.05}, {"0.1%", 0.001}, {"100%", 1}, {"0%", 0}, {"101%", -1}, {"5", -1}, {"%", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double share = -1;
        cr_expect_eq(
            quantity_parse_share(cases[i].text, &share), cases[i].share >= 0, "%s", cases[i].text);
        cr_expect_float_eq(share, cases[i].share, 1e-12, "%s", cases[i].text);
    }
}

Test(quantity, counts_are_whole)
{
    static const struct {
        const char *text;
        int64_t count; /* -1: refused */
    } cases[] = {{"0", 0}, {"2000", 2000}, {"2k", 2000}, {"1.5k", 1500}, {"10M", 10000000},
        {"1.5", -1}, {"-3", -1}, {"3x", -1}, {"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t count = -1;
        cr_expect_eq(
            quantity_parse_count(cases[i].text, &count), cases[i].count >= 0, "%s", cases[i].text);
        cr_expect_eq(count, cases[i].count, "%s", cases[i].text);
    }
}

Test(quantity, counts_may_be_bounded_with_both_ends_included)
{
    static const struct {
        const char *text;
        int64_t count; /* -1: refused */
    } cases[] = {{"10", 10}, {"2k", 2000}, {"9", -1}, {"2001", -1}, {"11x", -1}, {"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t count = -1;
        cr_expect_eq(quantity_parse_between(cases[i].text, 10, 2000, &count), cases[i].count >= 0,
            "%s", cases[i].text);
        cr_expect_eq(count, cases[i].count, "%s", cases[i].text);
    }
}
