/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"

#ifdef PENSTOCK_FAILPOINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {[FAILPOINT_ACK_BEFORE_COMMIT] = "ack-before-commit",
    [FAILPOINT_DROP_RETRY] = "drop-retry",
    [FAILPOINT_SEND_TWICE] = "send-twice",
    [FAILPOINT_CHANGE_BYTE] = "change-byte"};

bool failpoint_is_on(enum failpoint point)
{
    const char *asked = getenv("PENSTOCK_TEST_FAILPOINT");
    return asked && strcmp(asked, names[point]) == 0;
}

bool failpoint_crashes(enum failpoint_crash point)
{
    const char *asked = getenv("PENSTOCK_TEST_CRASH_AT");
    return asked && atoi(asked) == (int)point;
}

void failpoint_crash(enum failpoint_crash point)
{
    if (failpoint_crashes(point))
        kill(getpid(), SIGKILL);
}

#endif
