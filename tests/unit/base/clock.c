/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <time.h>

static const struct {
    int64_t wall_us;
    const char *text;
} instants[] = {
    {0, "1970-01-01T00:00:00.000000Z"},
    {1, "1970-01-01T00:00:00.000001Z"},
    {-1, "1969-12-31T23:59:59.999999Z"},
    {-500000, "1969-12-31T23:59:59.500000Z"},
    {951782400000000, "2000-02-29T00:00:00.000000Z"},
    {951868800000000 - 1, "2000-02-29T23:59:59.999999Z"},
    {-2203891201000000, "1900-02-28T23:59:59.000000Z"},
    {-2203891200000000, "1900-03-01T00:00:00.000000Z"},
    {1709210096789012, "2024-02-29T12:34:56.789012Z"},
    {1769860800000000, "2026-01-31T12:00:00.000000Z"},
    {-62135596800000000, "0001-01-01T00:00:00.000000Z"},
    {253402300799999999, "9999-12-31T23:59:59.999999Z"},
};

Test(clock, formats_instants)
{
    for (size_t i = 0; i < ARRAY_LENGTH(instants); i++) {
        char text[CLOCK_TEXT_BYTES];
        clock_format_rfc3339(instants[i].wall_us, text);
        cr_expect_str_eq(text, instants[i].text);
    }
}

Test(clock, parses_what_it_formats)
{
    for (size_t i = 0; i < ARRAY_LENGTH(instants); i++) {
        int64_t wall_us = -7;
        cr_expect(clock_parse_rfc3339(slice_from_string(instants[i].text), &wall_us), "%s",
            instants[i].text);
        cr_expect_eq(wall_us, instants[i].wall_us, "%s", instants[i].text);
    }
}

Test(clock, agrees_with_the_c_library_on_every_day_of_400_years)
{
    /* 1900 to 2300: covers all leap year rules. */
    for (int64_t day = -25567; day < 120530; day++) {
        time_t seconds = (time_t)(day * 86400 + 43200);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        char text[64];
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t wall_us;
        cr_assert(clock_parse_rfc3339(slice_from_string(text), &wall_us), "%s", text);
        cr_assert_eq(wall_us, (int64_t)seconds * US_PER_SECOND, "%s", text);
    }
}

Test(clock, clamps_times_outside_the_calendar)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(INT64_MIN, text);
    cr_assert_eq(memcmp(text, "0001-01-01T00:00:00", 19), 0, "%s", text);
    clock_format_rfc3339(INT64_MAX, text);
    cr_assert_eq(memcmp(text, "9999-12-31T23:59:59", 19), 0, "%s", text);
}

Test(clock, parses_every_form_that_rfc_3339_allows)
{
    static const struct {
        const char *text;
        int64_t wall_us;
    } cases[] = {
        {"2026-01-31T12:00:00Z", 1769860800000000},
        {"2026-01-31t12:00:00z", 1769860800000000},
        {"2026-01-31T12:00:00+00:00", 1769860800000000},
        {"2026-01-31T12:00:00-00:00", 1769860800000000},
        {"2026-01-31T14:00:00+02:00", 1769860800000000},
        {"2026-01-31T06:30:00-05:30", 1769860800000000},
        {"2026-02-01T11:59:00+23:59", 1769860800000000},
        {"2026-01-30T12:01:00-23:59", 1769860800000000},
        {"2026-01-31T12:00:00.1Z", 1769860800100000},
        {"2026-01-31T12:00:00.123456789Z", 1769860800123456},
        {"2026-01-31T12:00:00.000000999Z", 1769860800000000},
        {"2026-01-31T12:00:00.00000000000000000009Z", 1769860800000000},
        {"0000-01-01T00:00:00+23:59", -62167305540000000},
        {"2016-12-31T23:59:60Z", 1483228800000000}, /* leap second: the next second */
        {"2017-01-01T00:59:60.5+01:00", 1483228800500000},
        {"2015-06-30T19:59:60-04:00", 1435708800000000},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int64_t wall_us = -7;
        cr_expect(
            clock_parse_rfc3339(slice_from_string(cases[i].text), &wall_us), "%s", cases[i].text);
        cr_expect_eq(wall_us, cases[i].wall_us, "%s: %lld", cases[i].text, (long long)wall_us);
    }
}

Test(clock, rejects_other_forms_and_leaves_the_result_unchanged)
{
    static const char *const bad[] = {"", "2026", "2026-01-31", "2026-01-31T12:00:00",
        "2026-01-31T12:00Z", "2026-1-31T12:00:00Z", "26-01-31T12:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z", "2000-02-30T00:00:00Z", "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.12345678901Z0", "2026-01-31 12:00:00Z", "2026-01-31T12:00:60Z",
        "2026-01-31T23:59:60+01:00", "2026-01-30T23:59:60Z", "2026-02-01T00:00:60Z",
        "2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00+0200", "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+02:60", "2026-01-31T12:00:00+02", "2026-01-31T12:00:00Z ",
        " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00ZZ", "2026/01/31T12:00:00Z",
        "+2026-01-31T12:00:00Z", "2026-01-31_12:00:00Z", "-026-01-31T12:00:00Z"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        int64_t wall_us = 4711;
        cr_expect_not(clock_parse_rfc3339(slice_from_string(bad[i]), &wall_us), "%s", bad[i]);
        cr_expect_eq(wall_us, 4711, "%s", bad[i]);
    }
    int64_t wall_us = 4711;
    cr_expect_not(clock_parse_rfc3339(SLICE_LITERAL("2026-01-31\00012:00:00Z"), &wall_us));
}

Test(clock, monotonic_time_never_decreases)
{
    int64_t before = clock_mono_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono_us();
        cr_assert_geq(now, before);
        before = now;
    }
    cr_assert_gt(clock_wall_us(), 1700000000 * US_PER_SECOND);
}
