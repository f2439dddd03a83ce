/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything by which a run is judged, as one list: what must hold always, the service levels, and
 * the levels of subsets. Each row has the measured value beside its target. The text, the JSON, the
 * report and the comparison of runs all show this list. A run whose rows are all passed has passed
 * (judge.h), and the other way round.
 */
#ifndef PENSTOCK_BENCH_VERDICT_CHECKS_H
#define PENSTOCK_BENCH_VERDICT_CHECKS_H

#include "verdict/judge.h"

#define CHECKS_MAX (1 + PROMISES + LEVELS_COUNT + 3 * SUBSETS_MAX)
#define CHECK_NAME_BYTES (SUBSET_NAME_BYTES + 24)
#define CHECK_TITLE_BYTES (SUBSET_NAME_BYTES + 48)

enum check_sense { CHECK_MAX, CHECK_MIN, CHECK_EQUAL };

struct check {
    char name[CHECK_NAME_BYTES], title[CHECK_TITLE_BYTES];
    const char *level; /* the name that --level changes; NULL: it cannot be changed */
    enum level_unit unit;
    enum check_sense sense;
    bool has_target, is_known;
    double target, value;
    bool is_passed; /* counts when it has a target */
};

/* Returns the number of rows. */
size_t checks_list(const struct figures *figures, const struct levels *levels,
    struct check ret_checks[CHECKS_MAX]);

const char *check_sense_name(enum check_sense sense);
/* "1.234ms", "0.99985", "12"; "-" when nothing was measured. */
void check_format_value(const struct check *check, char ret_text[LEVEL_TEXT_BYTES]);
/* "at most 1s"; "no level". */
#define CHECK_TARGET_BYTES (LEVEL_TEXT_BYTES + 16)
void check_format_target(const struct check *check, char ret_text[CHECK_TARGET_BYTES]);

#endif
