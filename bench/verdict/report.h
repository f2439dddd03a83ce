/* SPDX-License-Identifier: Apache-2.0 */
/* The figures for people (report.c) and for programs (report_json.c). Both say the same. */
#ifndef PENSTOCK_BENCH_VERDICT_REPORT_H
#define PENSTOCK_BENCH_VERDICT_REPORT_H

#include "verdict/levels.h"

#include <stdio.h>

/* Ends with the line PASS, or with FAIL and a line for each reason. ERR_DISK when `out` refuses. */
enum err report_text(
    FILE *out, const struct figures *figures, const struct levels *levels) MUST_CHECK;

/* One object, with "verdict" and "reasons". Times are microseconds, amounts decimals in strings.
 * ERR_DISK, ERR_NO_MEMORY. */
enum err report_json(
    FILE *out, const struct figures *figures, const struct levels *levels) MUST_CHECK;

/* Shared names. */
const char *report_kind_name(enum load_kind kind);
const char *report_end_name(enum load_end end);
const char *report_deed_name(enum sink_deed deed);

#endif
