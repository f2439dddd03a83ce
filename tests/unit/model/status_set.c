/* SPDX-License-Identifier: Apache-2.0 */
#include "model/status_set.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

Test(status_set, holds_what_was_added_and_nothing_else)
{
    static const struct {
        int first, last;
    } ranges[] = {{100, 100}, {599, 599}, {200, 299}, {163, 164}, {100, 599}, {404, 404}};
    for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
        struct status_set set = {0};
        status_set_add(&set, ranges[i].first, ranges[i].last);
        for (int status = -1000; status < 2000; status++)
            cr_assert_eq(status_set_has(&set, status),
                status >= ranges[i].first && status <= ranges[i].last, "%d", status);
        for (int status = 0; status < 700; status++)
            status_set_remove(&set, status);
        cr_assert_arr_eq(&set, &(struct status_set){0}, sizeof set);
    }
}

Test(status_set, ranges_are_read_strictly)
{
    static const struct {
        const char *text;
        int first, last; /* 0: refused */
    } cases[] = {
        {"404", 404, 404},
        {"400-499", 400, 499},
        {"100-599", 100, 599},
        {"200-200", 200, 200},
        {"", 0, 0},
        {"99", 0, 0},
        {"600", 0, 0},
        {"4xx", 0, 0},
        {"400-", 0, 0},
        {"-499", 0, 0},
        {"499-400", 0, 0},
        {"400 -499", 0, 0},
        {"400-600", 0, 0},
        {"099-200", 0, 0},
        {"400-4999", 0, 0},
        {"0404", 0, 0},
        {"+404", 0, 0},
        {"400,499", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int first = 0, last = 0;
        bool good = status_range_parse(slice_from_string(cases[i].text), &first, &last);
        cr_expect_eq(good, cases[i].first > 0, "%s", cases[i].text);
        cr_expect_eq(first, cases[i].first, "%s", cases[i].text);
        cr_expect_eq(last, cases[i].last, "%s", cases[i].text);
    }
}

Test(status_set, temporary_statuses_are_the_documented_ones)
{
    for (int status = 100; status < 600; status++)
        cr_expect_eq(status_is_temporary(status),
            status == 408 || status == 425 || status == 429 || status >= 500, "%d", status);
}
