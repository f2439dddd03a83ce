/* SPDX-License-Identifier: Apache-2.0 */
#include "base/measure.h"

#include "base/clock.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* The larger units first, so that ranges have 1m and not 60s. The smallest one is the last. */
static const struct units {
    unsigned count;
    struct unit list[5];
} all_units[] = {
    [MEASURE_NUMBER] = {1, {{"", 1}}},
    [MEASURE_BYTES] = {4, {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}},
    [MEASURE_DURATION] = {5,
        {{"d", US_PER_DAY}, {"h", 3600 * US_PER_SECOND}, {"m", 60 * US_PER_SECOND},
            {"s", US_PER_SECOND}, {"ms", US_PER_MS}}},
};

/* Reads the digits at the start of `text`; *ret_used says how many. Returns false if there are none
 * or they overflow. */
static bool parse_digits(struct slice text, int64_t *ret_number, size_t *ret_used)
{
    int64_t number = 0;
    size_t used = 0;
    for (; used < text.len && text.data[used] >= '0' && text.data[used] <= '9'; used++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text.data[used] - '0', &number))
            return false;
    if (used == 0 || (used > 1 && text.data[0] == '0'))
        return false;
    *ret_number = number;
    *ret_used = used;
    return true;
}

bool measure_parse(
    enum measure measure, struct slice text, int64_t min, int64_t max, int64_t *ret_value)
{
    const struct units *units = &all_units[measure];
    int64_t number;
    size_t used;
    if (!parse_digits(text, &number, &used))
        return false;
    struct slice name = slice_of(text.data + used, text.len - used);
    for (unsigned i = 0; i < units->count; i++) {
        if (!slice_equals_string(name, units->list[i].name))
            continue;
        if (__builtin_mul_overflow(number, units->list[i].factor, &number) || number < min ||
            number > max)
            return false;
        *ret_value = number;
        return true;
    }
    return false;
}

static void add_value(struct buffer *text, const struct units *units, int64_t value)
{
    unsigned at = 0;
    while (at < units->count - 1 && (value == 0 || value % units->list[at].factor != 0))
        at++;
    buffer_add_format(
        text, "%lld%s", (long long)(value / units->list[at].factor), units->list[at].name);
}

void measure_add_range(struct buffer *text, enum measure measure, int64_t min, int64_t max)
{
    add_value(text, &all_units[measure], min);
    buffer_add_string(text, " to ");
    add_value(text, &all_units[measure], max);
}
