/* SPDX-License-Identifier: Apache-2.0 */
#include "client/retry_after.h"

#include "base/clock.h"

#include <curl/curl.h>

#define RETRY_AFTER_US_MAX (365 * US_PER_DAY)
#define HTTP_DATE_BYTES_MAX 63

static struct slice trim(struct slice text)
{
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
        text.len--;
    while (text.len && strchr(" \t", text.data[0])) {
        text.data++;
        text.len--;
    }
    return text;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A proxy may have joined several fields with commas. The longest counts. */
static int64_t parse_seconds(struct slice text)
{
    const char *comma = memchr(text.data, ',', text.len);
    int64_t others = 0;
    struct slice digits = text;
    if (comma) {
        size_t len = (size_t)(comma - text.data);
        others = parse_seconds(trim(slice_of(comma + 1, text.len - len - 1)));
        digits = trim(slice_of(text.data, len));
    }
    int64_t us = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.data[i]))
            return others;
        us = us * 10 + (digits.data[i] - '0') * US_PER_SECOND;
        if (us > RETRY_AFTER_US_MAX)
            us = RETRY_AFTER_US_MAX;
    }
    return us > others ? us : others;
}

int64_t retry_after_parse(struct slice value, int64_t now_wall_us)
{
    struct slice text = trim(value);
    if (text.len == 0 || text.len > HTTP_DATE_BYTES_MAX)
        return 0;
    /* curl_getdate reads a bare number as a date. So text that begins with a digit is read as
     * seconds only. */
    if (is_digit(text.data[0]))
        return parse_seconds(text);
    char date[HTTP_DATE_BYTES_MAX + 1];
    memcpy(date, text.data, text.len);
    date[text.len] = '\0';
    time_t when = curl_getdate(date, NULL);
    if (when <= 0)
        return 0;
    int64_t now_s = now_wall_us / US_PER_SECOND;
    if (when <= now_s)
        return 0;
    if (when - now_s > RETRY_AFTER_US_MAX / US_PER_SECOND)
        return RETRY_AFTER_US_MAX;
    return when * US_PER_SECOND - now_wall_us;
}
