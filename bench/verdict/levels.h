/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service levels that a run is held against: one table with their names, defaults and what they
 * measure. --level sets them, --help lists them, the report shows each beside what was measured.
 */
#ifndef PENSTOCK_BENCH_VERDICT_LEVELS_H
#define PENSTOCK_BENCH_VERDICT_LEVELS_H

#include "verdict/figures.h"

enum level_unit { LEVEL_COUNT, LEVEL_SHARE, LEVEL_DURATION };

/* symbol, name, default, unit, which side of it is good, what is measured */
#define LEVEL_TABLE(X)                                                               \
    X(DELIVERED_SHARE, delivered_share, "0.9999", LEVEL_SHARE, MIN,                  \
        "delivered of all that was answered 200")                                    \
    X(DUPLICATES_MAX, duplicates_max, "0", LEVEL_COUNT, MAX,                         \
        "requests after one that was answered 2xx")                                  \
    X(GUARDED_DUPLICATES_MAX, guarded_duplicates_max, "0", LEVEL_COUNT, MAX,         \
        "those of guarded events")                                                   \
    X(ANSWER_P99_MAX, answer_p99_max, "1s", LEVEL_DURATION, MAX,                     \
        "99 % of first answers, from when intended")                                 \
    X(ANSWER_MAX, answer_max, "3s", LEVEL_DURATION, MAX, "the slowest first answer") \
    X(ERROR_SHARE_MAX, error_share_max, "0.001", LEVEL_SHARE, MAX,                   \
        "5xx, timeouts and broken of all sendings")                                  \
    X(AVAILABILITY_MIN, availability_min, "0.999", LEVEL_SHARE, MIN,                 \
        "events with a 200 in the end")                                              \
    X(FRESHNESS_P99_MAX, freshness_p99_max, "15s", LEVEL_DURATION, MAX,              \
        "99 % of times to the first 2xx")

enum level {
#define X(symbol, name, value, unit, bound, doc) LEVEL_##symbol,
    LEVEL_TABLE(X)
#undef X
        LEVELS_COUNT
};

struct levels {
    struct level_value {
        bool is_off;
        double value; /* events or requests, a share of 1, microseconds */
    } values[LEVELS_COUNT];
};

#define LEVEL_TEXT_BYTES 32

void levels_init(struct levels *levels); /* the defaults */

/* "NAME=VALUE"; the value is a count, a share (0.999 or 99.9%), a duration (1s) or "none". On false
 * *ret_problem says what is wrong (static). */
bool levels_set(struct levels *levels, const char *text, const char **ret_problem);

const char *level_name(enum level level);
const char *level_default(enum level level);
const char *level_doc(enum level level);
enum level_unit level_unit(enum level level);
bool level_is_minimum(enum level level);
double level_measured(enum level level, const struct figures *figures);
bool level_is_met(enum level level, const struct levels *levels, const struct figures *figures);
void level_format(enum level level, double value, char ret_text[LEVEL_TEXT_BYTES]);

/* 12us, 1.234ms, 15s. */
void levels_format_duration(double us, char ret_text[LEVEL_TEXT_BYTES]);

#endif
