/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the figures for people (report.c) and for programs (report_json.c), with the same
 * contents. */
#ifndef PENSTOCK_BENCH_VERDICT_REPORT_H
#define PENSTOCK_BENCH_VERDICT_REPORT_H

#include "verdict/levels.h"

#include <stdio.h>

/* Ends with the line PASS, or with FAIL and a line for each reason. ERR_DISK when `out` fails. */
enum err report_text(
    FILE *out, const struct figures *figures, const struct levels *levels) MUST_CHECK;

/* Prints one object, with "verdict" and "reasons". Times are microseconds, amounts are decimals in
 * strings. ERR_DISK, ERR_NO_MEMORY. */
/* Shared by both. */
enum err report_json(
    FILE *out, const struct figures *figures, const struct levels *levels) MUST_CHECK;
const char *report_kind_name(enum load_kind kind);
const char *report_end_name(enum load_end end);
const char *report_deed_name(enum sink_deed deed);

#endif
