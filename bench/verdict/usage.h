/* SPDX-License-Identifier: Apache-2.0 */
/* The resources that the processes of a run used, from one JSON object of the bench runner. */
#ifndef PENSTOCK_BENCH_VERDICT_USAGE_H
#define PENSTOCK_BENCH_VERDICT_USAGE_H

#include "verdict/figures.h"

const char *usage_process_name(enum usage_process process);

/* All members are optional. ERR_NOT_FOUND; ERR_MALFORMED_JSON, also when a known member is not a
 * number. */
enum err usage_read(const char *path, struct usage *ret_usage) MUST_CHECK;

#endif
