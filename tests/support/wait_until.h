/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for a condition, never for a fixed time. */
#ifndef PENSTOCK_TESTS_SUPPORT_WAIT_UNTIL_H
#define PENSTOCK_TESTS_SUPPORT_WAIT_UNTIL_H

#include "base/clock.h"

#include <criterion/criterion.h>
#include <time.h>

#define WAIT_SECONDS_MAX 20

#define WAIT_UNTIL(condition)                                                               \
    do {                                                                                    \
        int64_t give_up_us_ = clock_mono_us() + WAIT_SECONDS_MAX * US_PER_SECOND;           \
        while (!(condition)) {                                                              \
            cr_assert(clock_mono_us() < give_up_us_, "waited in vain for: %s", #condition); \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                        \
        }                                                                                   \
    } while (0)

#endif
