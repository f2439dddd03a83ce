/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An assertion for the end of a suite (.fini). Criterion prints an assertion of its own that fails
 * there, and lets the test pass. This one ends the test's process, and that fails the run.
 */
#ifndef PENSTOCK_TESTS_SUPPORT_AT_END_H
#define PENSTOCK_TESTS_SUPPORT_AT_END_H

#include <stdio.h>
#include <stdlib.h>

#define assert_at_end(condition)                                                        \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: at the end: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                    \
        }                                                                               \
    } while (0)

#endif
