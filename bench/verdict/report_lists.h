/* SPDX-License-Identifier: Apache-2.0 */
/* The members of the JSON report that are lists: levels, impact, series, distributions. The form is
 * that of a run's result (bench/README.md). Each returns a new value; NULL without memory. */
#ifndef PENSTOCK_BENCH_VERDICT_REPORT_LISTS_H
#define PENSTOCK_BENCH_VERDICT_REPORT_LISTS_H

#include "verdict/checks.h"

#include <jansson.h>

json_t *report_levels_json(const struct figures *figures, const struct levels *levels);
json_t *report_impact_json(const struct figures *figures);
/* A step without samples has null, not 0, as a time. */
json_t *report_series_json(const struct series *series);
json_t *report_distributions_json(const struct figures *figures);

#endif
