/* SPDX-License-Identifier: Apache-2.0 */
#include "base/measure.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

Test(measure, numbers_are_read_in_one_form_only)
{
    static const struct {
        enum measure measure;
        const char *text;
        int64_t min, max, expected; /* -1: refused */
    } cases[] = {
        {MEASURE_NUMBER, "0", 0, 10, 0},
        {MEASURE_NUMBER, "10", 0, 10, 10},
        {MEASURE_NUMBER, "11", 0, 10, -1},
        {MEASURE_NUMBER, "1", 2, 10, -1},
        {MEASURE_NUMBER, "010", 0, 10, -1},
        {MEASURE_NUMBER, "+1", 0, 10, -1},
        {MEASURE_NUMBER, " 1", 0, 10, -1},
        {MEASURE_NUMBER, "1 ", 0, 10, -1},
        {MEASURE_NUMBER, "", 0, 10, -1},
        {MEASURE_NUMBER, "1k", 0, 10, -1},
        {MEASURE_NUMBER, "9223372036854775807", 0, INT64_MAX, INT64_MAX},
        {MEASURE_NUMBER, "9223372036854775808", 0, INT64_MAX, -1},
        {MEASURE_BYTES, "3", 0, INT64_MAX, 3},
        {MEASURE_BYTES, "2KiB", 0, INT64_MAX, 2048},
        {MEASURE_BYTES, "1GiB", 0, INT64_MAX, 1 << 30},
        {MEASURE_BYTES, "1GB", 0, INT64_MAX, -1},
        {MEASURE_BYTES, "9223372036854775807GiB", 0, INT64_MAX, -1},
        {MEASURE_DURATION, "5ms", 0, INT64_MAX, 5000},
        {MEASURE_DURATION, "2m", 0, INT64_MAX, 120 * US_PER_SECOND},
        {MEASURE_DURATION, "1d", 0, INT64_MAX, US_PER_DAY},
        {MEASURE_DURATION, "0s", 0, INT64_MAX, 0},
        {MEASURE_DURATION, "5", 0, INT64_MAX, -1},
        {MEASURE_DURATION, "s", 0, INT64_MAX, -1},
        {MEASURE_DURATION, "1.5s", 0, INT64_MAX, -1},
        {MEASURE_DURATION, "-1s", 0, INT64_MAX, -1},
        {MEASURE_DURATION, "1S", 0, INT64_MAX, -1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int64_t value = -1;
        bool good = measure_parse(
            cases[i].measure, slice_from_string(cases[i].text), cases[i].min, cases[i].max, &value);
        cr_expect_eq(value, cases[i].expected, "%s gave %lld", cases[i].text, (long long)value);
        cr_expect_eq(good, cases[i].expected >= 0);
    }
}

Test(measure, ranges_are_written_in_the_largest_units)
{
    struct buffer text = BUFFER_EMPTY;
    measure_add_range(&text, MEASURE_DURATION, 0, 90 * US_PER_SECOND);
    buffer_add_char(&text, ' ');
    measure_add_range(&text, MEASURE_DURATION, 60 * US_PER_SECOND, 2 * US_PER_DAY);
    buffer_add_char(&text, ' ');
    measure_add_range(&text, MEASURE_BYTES, 1, 64 << 20);
    cr_expect_str_eq(text.data, "0ms to 90s 1m to 2d 1 to 64MiB");
    buffer_done(&text);
}
