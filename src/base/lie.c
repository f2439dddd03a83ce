/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lie.h"

#ifdef PENSTOCK_LIES

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {[LIE_ACK_BEFORE_COMMIT] = "ack-before-commit",
    [LIE_DROP_RETRY] = "drop-retry",
    [LIE_SEND_TWICE] = "send-twice",
    [LIE_CHANGE_BYTE] = "change-byte"};

bool lie_is_told(enum lie lie)
{
    const char *told = getenv("PENSTOCK_TEST_LIE");
    return told && strcmp(told, names[lie]) == 0;
}

#endif
