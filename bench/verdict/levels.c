/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/levels.h"

#include "common/quantity.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PERCENT_MOST 99

static double measure_delivered_share(const struct figures *figures)
{
    return figures_delivered_share(figures);
}

static double measure_duplicates_max(const struct figures *figures)
{
    return (double)figures->arrivals.duplicated;
}

static double measure_guarded_duplicates_max(const struct figures *figures)
{
    return (double)figures->arrivals.guarded_duplicated;
}

static double measure_answer_p99_max(const struct figures *figures)
{
    return (double)histogram_percentile(&figures->answers.times, PERCENT_MOST);
}

static double measure_answer_max(const struct figures *figures)
{
    return (double)figures->answers.times.max_us;
}

static double measure_error_share_max(const struct figures *figures)
{
    return figures_error_share(figures);
}

static double measure_availability_min(const struct figures *figures)
{
    return figures_availability(figures);
}

static double measure_freshness_p99_max(const struct figures *figures)
{
    return (double)histogram_percentile(&figures->arrivals.freshness, PERCENT_MOST);
}

static const struct row {
    const char *name, *value;
    enum level_unit unit;
    enum { MIN, MAX } bound;
    const char *doc, *figure, *title;
    double (*measure)(const struct figures *figures);
} rows[LEVELS_COUNT] = {
#define X(symbol, name, value, unit, bound, doc, figure, title) \
    {#name, value, unit, bound, doc, figure, title, measure_##name},
    LEVEL_TABLE(X)
#undef X
};

static bool parse_share(const char *text, double *ret_share)
{
    char *end;
    if (quantity_parse_share(text, ret_share))
        return true;
    if (*text < '0' || *text > '9')
        return false;
    double share = strtod(text, &end);
    if (*end || share > 1)
        return false;
    *ret_share = share;
    return true;
}

static bool parse_value(enum level_unit unit, const char *text, double *ret_value)
{
    int64_t whole;
    if (unit == LEVEL_SHARE)
        return parse_share(text, ret_value);
    if (unit == LEVEL_DURATION ? !quantity_parse_duration(text, &whole)
                               : !quantity_parse_count(text, &whole))
        return false;
    *ret_value = (double)whole;
    return true;
}

static const char *expectation(enum level_unit unit)
{
    switch (unit) {
    case LEVEL_SHARE:
        return "a share is expected: 0.999, 99.9% or none";
    case LEVEL_DURATION:
        return "a duration is expected: 500ms, 3s or none";
    case LEVEL_COUNT:
        break;
    }
    return "a count is expected: 0, 10 or none";
}

void levels_init(struct levels *levels)
{
    for (unsigned i = 0; i < LEVELS_COUNT; i++) {
        levels->values[i].is_off = false;
        bool right = parse_value(rows[i].unit, rows[i].value, &levels->values[i].value);
        assert(right);
        (void)right;
    }
}

bool levels_set(struct levels *levels, const char *text, const char **ret_problem)
{
    const char *equals = strchr(text, '=');
    if (!equals) {
        *ret_problem = "NAME=VALUE is expected";
        return false;
    }
    for (unsigned i = 0; i < LEVELS_COUNT; i++) {
        struct level_value *level = &levels->values[i];
        if (!slice_equals_string(slice_of(text, (size_t)(equals - text)), rows[i].name))
            continue;
        if (strcmp(equals + 1, "none") == 0) {
            level->is_off = true;
            return true;
        }
        if (!parse_value(rows[i].unit, equals + 1, &level->value)) {
            *ret_problem = expectation(rows[i].unit);
            return false;
        }
        level->is_off = false;
        return true;
    }
    *ret_problem = "the level does not exist; --help lists them";
    return false;
}

const char *level_name(enum level level)
{
    return rows[level].name;
}

const char *level_default(enum level level)
{
    return rows[level].value;
}

const char *level_doc(enum level level)
{
    return rows[level].doc;
}

const char *level_figure(enum level level)
{
    return rows[level].figure;
}

const char *level_title(enum level level)
{
    return rows[level].title;
}

bool level_is_known(enum level level, const struct figures *figures)
{
    switch (level) {
    case LEVEL_ANSWER_P99_MAX:
    case LEVEL_ANSWER_MAX:
        return figures->answers.times.count > 0;
    case LEVEL_FRESHNESS_P99_MAX:
        return figures->arrivals.freshness.count > 0;
    case LEVEL_DELIVERED_SHARE:
        return figures->fate.accepted > 0;
    case LEVEL_AVAILABILITY_MIN:
        return figures->fate.sent > 0;
    case LEVEL_ERROR_SHARE_MAX:
        return figures->answers.valid_sendings > 0;
    case LEVEL_DUPLICATES_MAX:
    case LEVEL_GUARDED_DUPLICATES_MAX:
    case LEVELS_COUNT:
        break;
    }
    return true;
}

enum level_unit level_unit(enum level level)
{
    return rows[level].unit;
}

bool level_is_minimum(enum level level)
{
    return rows[level].bound == MIN;
}

double level_measured(enum level level, const struct figures *figures)
{
    return rows[level].measure(figures);
}

bool level_is_met(enum level level, const struct levels *levels, const struct figures *figures)
{
    const struct level_value *wanted = &levels->values[level];
    double measured = level_measured(level, figures);
    return wanted->is_off ||
           (level_is_minimum(level) ? measured >= wanted->value : measured <= wanted->value);
}

void levels_format_duration(double us, char ret_text[LEVEL_TEXT_BYTES])
{
    if (us < 1e3)
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.4gus", us);
    else if (us < 1e6)
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.4gms", us / 1e3);
    else
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.4gs", us / 1e6);
}

void levels_format(enum level_unit unit, double value, char ret_text[LEVEL_TEXT_BYTES])
{
    if (unit == LEVEL_DURATION)
        levels_format_duration(value, ret_text);
    else if (unit == LEVEL_SHARE)
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.6g", value);
    else
        snprintf(ret_text, LEVEL_TEXT_BYTES, "%.0f", value);
}

void level_format(enum level level, double value, char ret_text[LEVEL_TEXT_BYTES])
{
    levels_format(rows[level].unit, value, ret_text);
}
