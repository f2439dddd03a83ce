/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a run, and its failure. The last lines are kept for the report of a failure. All
 * lines are hashed, so that two runs of one seed can be compared. A failure prints the report and
 * ends the process.
 */
#ifndef PENSTOCK_TESTS_MODEL_TRACE_H
#define PENSTOCK_TESTS_MODEL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define TRACE_LINES_KEPT 60

/* What a failure reports as broken: a promise (P1 to P5, P7, P8), or one of these. */
#define BROKEN_LIVENESS "liveness" /* something that should move never moves */
#define BROKEN_SPIN "spin"         /* a coroutine works without end and without effect */
#define BROKEN_REOPEN "reopen"     /* the journal does not open files that it should accept */
#define BROKEN_CRASH \
    "crash" /* a failed assertion, a signal, a sanitizer's report, a run that never ends */
#define BROKEN_CREDIT "budget" /* bytes or requests that were never released */
#define BROKEN_SIM "simulator" /* a defect of the simulation itself */

/* Begins the trace of a seed. `loud`: lines are also printed to stderr at once. */
void trace_begin(uint64_t seed, bool loud);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t trace_hash(void);

_Noreturn void fail(const char *broken, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define fail_unless(condition, broken, ...) \
    do {                                    \
        if (!(condition))                   \
            fail(broken, __VA_ARGS__);      \
    } while (0)

/* Makes failed assertions, signals and sanitizers print the same report. Call it once. */
void trace_catch_crashes(void);

#endif
