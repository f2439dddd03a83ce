/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From figures to the verdict. Some faults must not happen at all: a lost event, a changed byte,
 * money that does not add up. Other figures are compared with the levels. Each finding is one
 * reason, with its count.
 */
#ifndef PENSTOCK_BENCH_VERDICT_JUDGE_H
#define PENSTOCK_BENCH_VERDICT_JUDGE_H

#include "verdict/levels.h"

/* What must hold whatever the levels are. The faults of each are in judge.c. */
enum promise {
    PROMISE_LOST,       /* events that were answered 200 and never arrived */
    PROMISE_MONEY,      /* wrong amounts, and currencies whose sums do not add up */
    PROMISE_CONTENT,    /* requests with wrong bytes or signatures, or for unknown events */
    PROMISE_ACCEPTANCE, /* wrong answers to partners */
    PROMISES
};

/* Returns how often a promise was broken. */
uint64_t judge_broken(const struct figures *figures, enum promise promise);

void judge_figures(struct figures *figures, const struct levels *levels);

#endif
