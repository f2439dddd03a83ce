/* SPDX-License-Identifier: Apache-2.0 */
#include "common/quantity.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 1e15

/* Parses a decimal that is not negative; *ret_unit points to the text after it. */
static bool parse_number(const char *text, double *ret_number, const char **ret_unit)
{
    char *end;
    if (*text < '0' || *text > '9') /* strtod would accept signs, "inf" and "nan" */
        return false;
    double number = strtod(text, &end);
    if (number > NUMBER_MAX)
        return false;
    *ret_number = number;
    *ret_unit = end;
    return true;
}

static const struct unit {
    const char *name;
    double factor;
} time_units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}, {NULL, 0}},
  count_units[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {NULL, 0}},
  share_units[] = {{"%", 0.01}, {NULL, 0}};

static bool parse(const char *text, const struct unit *units, double max, double *ret_value)
{
    double number;
    const char *name;
    if (!parse_number(text, &number, &name))
        return false;
    for (const struct unit *unit = units; unit->name; unit++) {
        if (strcmp(name, unit->name) != 0)
            continue;
        if (number * unit->factor > max)
            return false;
        *ret_value = number * unit->factor;
        return true;
    }
    return false;
}

bool quantity_parse_duration(const char *text, int64_t *ret_us)
{
    double us = 0;
    if (strcmp(text, "0") != 0 && !parse(text, time_units, NUMBER_MAX, &us))
        return false;
    *ret_us = (int64_t)(us + 0.5);
    return true;
}

bool quantity_parse_share(const char *text, double *ret_share)
{
    return parse(text, share_units, 1, ret_share);
}

bool quantity_parse_count(const char *text, int64_t *ret_count)
{
    double count;
    if (!parse(text, count_units, NUMBER_MAX, &count) || count != (double)(int64_t)count)
        return false;
    *ret_count = (int64_t)count;
    return true;
}

bool quantity_parse_between(const char *text, int64_t min, int64_t max, int64_t *ret_count)
{
    int64_t count;
    if (!quantity_parse_count(text, &count) || count < min || count > max)
        return false;
    *ret_count = count;
    return true;
}
