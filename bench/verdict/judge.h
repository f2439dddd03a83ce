/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From figures to the verdict. Some things must not happen at all (an event lost, a byte changed,
 * money that does not add up); the rest is held against the levels. Each finding is one reason,
 * with its count.
 */
#ifndef PENSTOCK_BENCH_VERDICT_JUDGE_H
#define PENSTOCK_BENCH_VERDICT_JUDGE_H

#include "verdict/levels.h"

void judge_figures(struct figures *figures, const struct levels *levels);

#endif
