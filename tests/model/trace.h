/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, step by step: the last lines are kept for the report of a failure, and all of them
 * go into a hash, by which two runs of one seed are seen to be the same. And the failure itself,
 * which ends the process.
 */
#ifndef PENSTOCK_TESTS_MODEL_TRACE_H
#define PENSTOCK_TESTS_MODEL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define TRACE_LINES_KEPT 60

/* What a failure says is broken: a promise (P1 to P5, P8), or one of these. */
#define BROKEN_LIVENESS "liveness" /* something that could move on stays for ever */
#define BROKEN_SPIN "spin"         /* somebody is busy with nothing */
#define BROKEN_REOPEN "reopen"     /* the journal does not come up on files that it should take */
#define BROKEN_CRASH \
    "crash" /* a failed assertion, a signal, a sanitizer's report, a run that never ends */
#define BROKEN_CREDIT "budget" /* bytes or requests that nobody gave back */
#define BROKEN_SIM "simulator" /* our own */

/* From now on this seed runs. `loud`: lines go to stderr at once as well. */
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

/* Failed assertions, signals and sanitizers end in the same report. Once for the process. */
void trace_catch_crashes(void);

#endif
