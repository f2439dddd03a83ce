/* SPDX-License-Identifier: Apache-2.0 */
#include "client/retry_after.h"

#include "base/clock.h"

#include <ctype.h>
#include <curl/curl.h>

#define RETRY_AFTER_US_MAX (365 * US_PER_DAY)
#define VALUE_BYTES_MAX 127 /* four dates */
#define PART_BYTES_MAX 63   /* the longest form of a date has 33 */

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

/* Digits only: a sign, a fraction or a unit is malformed. */
static int64_t parse_seconds(struct slice digits)
{
    int64_t us = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.data[i]))
            return 0;
        us = us * 10 + (digits.data[i] - '0') * US_PER_SECOND;
        if (us > RETRY_AFTER_US_MAX)
            us = RETRY_AFTER_US_MAX;
    }
    return us;
}

static int64_t parse_date(struct slice text, int64_t now_wall_us)
{
    char date[PART_BYTES_MAX + 1];
    memcpy(date, text.data, text.len);
    date[text.len] = '\0';
    time_t when = curl_getdate(date, NULL);
    int64_t now_s = now_wall_us / US_PER_SECOND;
    if (when <= 0 || when <= now_s)
        return 0;
    if (when - now_s > RETRY_AFTER_US_MAX / US_PER_SECOND)
        return RETRY_AFTER_US_MAX;
    return when * US_PER_SECOND - now_wall_us;
}

/* curl_getdate reads a bare number as a date. So text that begins with a digit is read as seconds
 * only. */
static int64_t parse_part(struct slice part, int64_t now_wall_us)
{
    if (part.len == 0 || part.len > PART_BYTES_MAX)
        return 0;
    return is_digit(part.data[0]) ? parse_seconds(part) : parse_date(part, now_wall_us);
}

static size_t find_comma(struct slice text, size_t from)
{
    const char *comma = from < text.len ? memchr(text.data + from, ',', text.len - from) : NULL;
    return comma ? (size_t)(comma - text.data) : text.len;
}

/* `Sun, 06 Nov 1994` has a comma behind its first word, and it belongs to the date. */
static size_t find_end_of_part(struct slice text)
{
    size_t comma = find_comma(text, 0);
    struct slice word = trim(slice_of(text.data, comma));
    for (size_t i = 0; i < word.len; i++)
        if (!isalpha((unsigned char)word.data[i]))
            return comma;
    return word.len > 0 ? find_comma(text, comma + 1) : comma;
}

int64_t retry_after_parse(struct slice value, int64_t now_wall_us)
{
    int64_t longest_us = 0;
    if (value.len > VALUE_BYTES_MAX)
        return 0;
    /* A proxy may have joined several fields with commas. The longest counts. */
    for (struct slice rest = value; rest.len > 0;) {
        size_t end = find_end_of_part(rest);
        int64_t us = parse_part(trim(slice_of(rest.data, end)), now_wall_us);
        if (us > longest_us)
            longest_us = us;
        size_t used = end < rest.len ? end + 1 : end;
        rest = slice_of(rest.data + used, rest.len - used);
    }
    return longest_us;
}
