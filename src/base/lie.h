/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lies: what a gateway must never do, on demand, so that tests can show that the bench's verdict finds it. Only builds
 * with PENSTOCK_LIES (the dev preset and what inherits from it) can lie; in all others lie_is_told is the constant
 * false and the code behind it is gone. The environment variable PENSTOCK_TEST_LIE names the one to tell:
 *
 *   ack-before-commit   answers 200, then sleeps, then commits: a kill in between loses the event
 *   drop-retry          records a failed attempt as delivered
 *   send-twice          records a delivered attempt as failed, so that it is sent again (some of them)
 *   change-byte         sends another byte than the partner's (some of them)
 */
#ifndef PENSTOCK_BASE_LIE_H
#define PENSTOCK_BASE_LIE_H

#include <stdbool.h>

enum lie { LIE_ACK_BEFORE_COMMIT, LIE_DROP_RETRY, LIE_SEND_TWICE, LIE_CHANGE_BYTE };

#ifdef PENSTOCK_LIES
bool lie_is_told(enum lie lie);
#else
static inline bool lie_is_told(enum lie lie)
{
    return false;
}
#endif

#endif
