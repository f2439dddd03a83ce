/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the figures for people (report.c) and for programs (report_json.c), with the same
 * contents. */
#ifndef PENSTOCK_BENCH_VERDICT_REPORT_H
#define PENSTOCK_BENCH_VERDICT_REPORT_H

#include "verdict/levels.h"

#include <stdio.h>

/* `with_summary`: ends with the service levels, the line PASS or FAIL with a line for each reason,
 * and the impact. ERR_DISK when `out` fails. */
enum err report_text(FILE *out, const struct figures *figures, const struct levels *levels,
    bool with_summary) MUST_CHECK;

/* Prints one object, with "verdict" and "reasons". Times are microseconds, amounts are decimals in
 * strings. ERR_DISK, ERR_NO_MEMORY. */
enum err report_json(
    FILE *out, const struct figures *figures, const struct levels *levels) MUST_CHECK;

/* Shared by both. */
const char *report_kind_name(enum load_kind kind);
const char *report_end_name(enum load_end end);
const char *report_deed_name(enum sink_deed deed);

#endif
