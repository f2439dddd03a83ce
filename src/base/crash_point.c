/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash_point.h"

#ifdef PENSTOCK_LIES

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void crash_point(enum crash_point point)
{
    const char *asked = getenv("PENSTOCK_TEST_CRASH_POINT");
    if (asked && atoi(asked) == (int)point)
        kill(getpid(), SIGKILL);
}

#endif
