/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes of a run have used, as the runner wrote it down (one JSON object). */
#ifndef PENSTOCK_BENCH_VERDICT_USAGE_H
#define PENSTOCK_BENCH_VERDICT_USAGE_H

#include "verdict/figures.h"

const char *usage_process_name(enum usage_process process);

/* Anything may be missing in it. ERR_NOT_FOUND; ERR_MALFORMED_JSON, also when a known field is not
 * a number. */
enum err usage_read(const char *path, struct usage *ret_usage) MUST_CHECK;

#endif
