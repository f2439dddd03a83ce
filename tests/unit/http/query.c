/* SPDX-License-Identifier: Apache-2.0 */
#include "http/query.h"

#include <criterion/criterion.h>

Test(query, parameters_are_taken_in_order)
{
    struct slice query = slice_from_string("&a=1&&b=&c&d=x=y&"), name, value;
    static const char *const expected[][2] = {{"a", "1"}, {"b", ""}, {"c", ""}, {"d", "x=y"}};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(http_query_take(&query, &name, &value), "%zu", i);
        cr_expect(slice_equals_string(name, expected[i][0]), "%zu", i);
        cr_expect(slice_equals_string(value, expected[i][1]), "%zu", i);
    }
    cr_expect_not(http_query_take(&query, &name, &value));
}

Test(query, values_are_decoded_or_refused)
{
    static const struct {
        const char *text, *decoded; /* NULL: refused */
    } cases[] = {{"", ""}, {"a+b", "a b"}, {"a%2Fb%2f", "a/b/"}, {"%41", "A"}, {"%", NULL},
        {"%4", NULL}, {"%zz", NULL}, {"a%00", NULL}, {"1234567", "1234567"}, {"12345678", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[8];
        bool good = http_query_decode(slice_from_string(cases[i].text), text, sizeof text);
        cr_assert_eq(good, cases[i].decoded != NULL, "%s", cases[i].text);
        if (good)
            cr_expect_str_eq(text, cases[i].decoded);
    }
}
