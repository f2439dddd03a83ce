/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From figures to the verdict. Some faults must not happen at all: a lost event, a changed byte,
 * money that does not add up. Other figures are compared with the levels. Each finding is one
 * reason, with its count.
 */
#ifndef PENSTOCK_BENCH_VERDICT_JUDGE_H
#define PENSTOCK_BENCH_VERDICT_JUDGE_H

#include "verdict/levels.h"

void judge_figures(struct figures *figures, const struct levels *levels);

#endif
