/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service levels that a run must reach: one table with their names, defaults and meanings.
 * --level changes them, --help lists them, and the report shows each beside the measured value.
 */
#ifndef PENSTOCK_BENCH_VERDICT_LEVELS_H
#define PENSTOCK_BENCH_VERDICT_LEVELS_H

#include "verdict/figures.h"

enum level_unit { LEVEL_COUNT, LEVEL_SHARE, LEVEL_DURATION };

/* symbol, name, default, unit, MIN or MAX (a lower or an upper limit), what is measured, the name
 * and title of the measured value in lists (checks.h) */
#define LEVEL_TABLE(X)                                                                             \
    X(DELIVERED_SHARE, delivered_share, "0.9999", LEVEL_SHARE, MIN,                                \
        "events delivered, of those answered 200", "delivered_share", "Events delivered")          \
    X(DUPLICATES_MAX, duplicates_max, "0", LEVEL_COUNT, MAX,                                       \
        "requests after one that was answered 2xx", "duplicates", "Repeated deliveries")           \
    X(GUARDED_DUPLICATES_MAX, guarded_duplicates_max, "0", LEVEL_COUNT, MAX,                       \
        "the same, of guarded events", "guarded_duplicates", "Repeated deliveries, guarded")       \
    X(ANSWER_P99_MAX, answer_p99_max, "1s", LEVEL_DURATION, MAX,                                   \
        "p99 of first answers, counted from the intended time", "answer_p99",                      \
        "Answer time, 99 of 100")                                                                  \
    X(ANSWER_MAX, answer_max, "3s", LEVEL_DURATION, MAX, "the slowest first answer", "answer_max", \
        "Answer time, slowest")                                                                    \
    X(ERROR_SHARE_MAX, error_share_max, "0.001", LEVEL_SHARE, MAX,                                 \
        "5xx, timeouts and broken connections, of all sendings", "error_share",                    \
        "Posts that failed")                                                                       \
    X(AVAILABILITY_MIN, availability_min, "0.999", LEVEL_SHARE, MIN,                               \
        "events answered 200 in the end", "availability", "Events accepted in the end")            \
    X(FRESHNESS_P99_MAX, freshness_p99_max, "15s", LEVEL_DURATION, MAX,                            \
        "p99 from acceptance to the first 2xx", "freshness_p99", "Delivery time, 99 of 100")

enum level {
#define X(symbol, ...) LEVEL_##symbol,
    LEVEL_TABLE(X)
#undef X
        LEVELS_COUNT
};

struct levels {
    struct level_value {
        bool is_off;
        double value; /* a count, a share of 1, or microseconds */
    } values[LEVELS_COUNT];
};

#define LEVEL_TEXT_BYTES 32

void levels_init(struct levels *levels); /* sets the defaults */

/* Parses "NAME=VALUE". The value is a count, a share (0.999 or 99.9%), a duration (1s) or "none".
 * On false *ret_problem says what is wrong (static). */
bool levels_set(struct levels *levels, const char *text, const char **ret_problem);

const char *level_name(enum level level);
const char *level_default(enum level level);
const char *level_doc(enum level level);
const char *level_figure(enum level level);
const char *level_title(enum level level);
/* Returns whether anything was measured: a time without a sample is not 0 but unknown. */
bool level_is_known(enum level level, const struct figures *figures);
enum level_unit level_unit(enum level level);
bool level_is_minimum(enum level level);
double level_measured(enum level level, const struct figures *figures);
bool level_is_met(enum level level, const struct levels *levels, const struct figures *figures);
void levels_format(enum level_unit unit, double value, char ret_text[LEVEL_TEXT_BYTES]);
void level_format(enum level level, double value, char ret_text[LEVEL_TEXT_BYTES]);

/* 12us, 1.234ms, 15s. */
void levels_format_duration(double us, char ret_text[LEVEL_TEXT_BYTES]);

#endif
