/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void clock_format_rfc3339(int64_t wall_us, char ret_text[CLOCK_TEXT_BYTES])
{
    const int64_t year_1 = -62135596800, year_9999_end = 253402300799;
    int64_t seconds = wall_us / US_PER_SECOND, micros = wall_us % US_PER_SECOND;
    if (micros < 0) {
        micros += US_PER_SECOND;
        seconds--;
    }
    if (seconds < year_1)
        seconds = year_1;
    if (seconds > year_9999_end)
        seconds = year_9999_end;
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    unsigned year = (unsigned)(tm.tm_year + 1900) % 10000;
    snprintf(ret_text, CLOCK_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", year,
        (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
        (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)micros % 1000000);
}

/* Reads exactly `digits` digits and moves *at behind them. Returns false if there are fewer, or if
 * the value is out of range. */
static bool read_number(struct slice text, size_t *at, int digits, int min, int max, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (*at >= text.len || text.data[*at] < '0' || text.data[*at] > '9')
            return false;
        value = value * 10 + (text.data[*at] - '0');
    }
    if (value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool read_char(struct slice text, size_t *at, const char *allowed, char *ret_char)
{
    if (*at >= text.len || !strchr(allowed, text.data[*at]) || text.data[*at] == '\0')
        return false;
    *ret_char = text.data[(*at)++];
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Returns the days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant,
 * "chrono-compatible low-level date algorithms"). */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool read_fraction(struct slice text, size_t *at, int64_t *ret_micros)
{
    int64_t micros = 0;
    int digits = 0;
    for (; *at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9'; (*at)++, digits++)
        if (digits < 6)
            micros = micros * 10 + (text.data[*at] - '0');
    if (digits < 1)
        return false;
    for (; digits < 6; digits++)
        micros *= 10;
    *ret_micros = micros;
    return true;
}

/* Leap seconds are inserted at the end of a month of UTC (ITU-R TF.460), whatever the offset of the
 * text. */
static bool may_be_leap_second(int64_t seconds)
{
    time_t following = (time_t)seconds;
    struct tm tm;
    return seconds % 86400 == 0 && gmtime_r(&following, &tm) && tm.tm_mday == 1;
}

bool clock_parse_rfc3339(struct slice text, int64_t *ret_wall_us)
{
    size_t at = 0;
    int year, month, day, hour, minute, second;
    char c;
    if (!read_number(text, &at, 4, 0, 9999, &year) || !read_char(text, &at, "-", &c) ||
        !read_number(text, &at, 2, 1, 12, &month) || !read_char(text, &at, "-", &c) ||
        !read_number(text, &at, 2, 1, 31, &day) || !read_char(text, &at, "Tt", &c) ||
        !read_number(text, &at, 2, 0, 23, &hour) || !read_char(text, &at, ":", &c) ||
        !read_number(text, &at, 2, 0, 59, &minute) || !read_char(text, &at, ":", &c) ||
        !read_number(text, &at, 2, 0, 60, &second) || day > days_in_month(year, month))
        return false;
    int64_t micros = 0;
    if (at < text.len && text.data[at] == '.') {
        at++;
        if (!read_fraction(text, &at, &micros))
            return false;
    }
    int offset_hours = 0, offset_minutes = 0;
    if (!read_char(text, &at, "Zz+-", &c))
        return false;
    if (c == '+' || c == '-') {
        char colon;
        if (!read_number(text, &at, 2, 0, 23, &offset_hours) ||
            !read_char(text, &at, ":", &colon) ||
            !read_number(text, &at, 2, 0, 59, &offset_minutes))
            return false;
    }
    if (at != text.len)
        return false;
    int64_t offset = (c == '-' ? -1 : 1) * (offset_hours * 3600 + offset_minutes * 60);
    int64_t seconds =
        days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (second == 60 && !may_be_leap_second(seconds))
        return false;
    *ret_wall_us = seconds * US_PER_SECOND + micros;
    return true;
}
