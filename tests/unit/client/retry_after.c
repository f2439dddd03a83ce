/* SPDX-License-Identifier: Apache-2.0 */
#include "client/retry_after.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND
#define NOW (INT64_C(784111777) * S) /* Sun, 06 Nov 1994 08:49:37 GMT */

Test(retry_after, seconds_and_dates_are_read_and_other_text_is_ignored)
{
    static const struct {
        const char *text;
        int64_t expected_us;
    } cases[] = {
        {"0", 0},
        {"1", 1 * S},
        {"120", 120 * S},
        {" \t7 \r\n", 7 * S},
        {"007", 7 * S},
        {"99999999999999999999999999", 365 * US_PER_DAY},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60 * S},
        {" Sun, 06 Nov 1994 08:50:37 GMT\r\n", 60 * S},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60 * S},
        {"Sun Nov  6 08:50:37 1994", 60 * S},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Fri, 01 Jan 2038 00:00:00 GMT", 365 * US_PER_DAY},
        {"", 0},
        {"  ", 0},
        {"-5", 0},
        {"1.5", 0},
        {"5 minutes", 0},
        {"1e3", 0},
        {"soon", 0},
        {"5, 120", 120 * S},
        {"120,5", 120 * S},
        {"7 , x", 7 * S},
        {"1500ms", 0},
        {"-5", 0},
        {"+5", 0},
        {"2.5, 9", 9 * S},
        {"20380101", 20380101 * S}, /* not a date */
        {"0", 0},
        {"000", 0},
        {"-0", 0},
        {"0.5", 0},
        {".5", 0},
        {"5.", 0},
        {"1,5.5", 1 * S},
        {"31536000", 365 * US_PER_DAY},
        {"31536001", 365 * US_PER_DAY},
        {"86400", US_PER_DAY},
        {"5000 ms", 0},
        {"5s", 0},
        {"0x10", 0},
        {"5;q=1", 0},
        {"\"5\"", 0},
        {"NaN", 0},
        {"inf", 0},
        {",", 0},
        {",,7,", 7 * S},
        {", , ", 0},
        /* all forms of a date, in any case */
        {"sun, 06 nov 1994 08:50:37 gmt", 60 * S},
        {"Sun, 6 Nov 1994 08:50:37 GMT", 60 * S},
        {"SUNDAY, 06-NOV-94 08:50:37 GMT", 60 * S},
        {"Sunday, 06-Nov-1994 08:50:37 GMT", 60 * S},
        {"Sun Nov 06 08:50:37 1994", 60 * S},
        {"Sun, 06 Nov 1994 09:50:37 +0100", 60 * S},
        {"06 Nov 1994 08:50:37 GMT", 0}, /* begins with a digit: no form of HTTP */
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 365 * US_PER_DAY},
        {"Sun, 06 Nov", 0},
        /* joined fields, dates among them */
        {"Sun, 06 Nov 1994 08:50:37 GMT, Sun, 06 Nov 1994 08:51:37 GMT", 120 * S},
        {"5, Sun, 06 Nov 1994 08:50:37 GMT", 60 * S},
        {"Sun, 06 Nov 1994 08:50:37 GMT, 90", 90 * S},
        {"Sun Nov  6 08:50:37 1994, 5", 60 * S},
        {"soon, 5", 0},
        {"5, soon", 5 * S},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(retry_after_parse(slice_from_string(cases[i].text), NOW), cases[i].expected_us,
            "%s gave %lld", cases[i].text,
            (long long)retry_after_parse(slice_from_string(cases[i].text), NOW));
}

Test(retry_after, date_is_counted_from_now_to_the_microsecond)
{
    cr_expect_eq(retry_after_parse(SLICE_LITERAL("Sun, 06 Nov 1994 08:50:37 GMT"), NOW + 250000),
        60 * S - 250000);
}

Test(retry_after, length_is_limited)
{
    char text[200];
    memset(text, '1', sizeof text);
    cr_expect_eq(retry_after_parse(slice_of(text, sizeof text), NOW), 0);
}
