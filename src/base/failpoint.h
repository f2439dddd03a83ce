/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failpoints: places where a test makes the process misbehave or die. They exist only in builds
 * with PENSTOCK_FAILPOINTS (the dev preset and the presets that inherit from it). In all other
 * builds the functions are constants and cost nothing.
 *
 * PENSTOCK_TEST_FAILPOINT=<name> makes the gateway break a promise, so that a test can show that
 * the bench detects it:
 *
 *   ack-before-commit   answers 200, sleeps, then commits: a kill in between loses the event
 *   drop-retry          records a failed attempt as delivered
 *   send-twice          records one in 16 delivered attempts as failed, so that it is sent again
 *   change-byte         changes one byte of the body of one in 16 events
 *
 * PENSTOCK_TEST_CRASH_AT=<number> kills the process (SIGKILL) at one step of an event, from "the
 * request is complete" to "the outcome is committed". tests/README.md says what the restart must
 * do for each step.
 */
#ifndef PENSTOCK_BASE_FAILPOINT_H
#define PENSTOCK_BASE_FAILPOINT_H

#include <stdbool.h>

enum failpoint {
    FAILPOINT_ACK_BEFORE_COMMIT,
    FAILPOINT_DROP_RETRY,
    FAILPOINT_SEND_TWICE,
    FAILPOINT_CHANGE_BYTE
};

/* number, symbol, where the event is */
#define FAILPOINT_CRASH_TABLE(X)                                                                   \
    X(1, CRASH_BODY_COMPLETE, "the request is complete, nothing was looked at")                    \
    X(2, CRASH_EVENT_MADE, "checked and made, not in the journal's mailbox")                       \
    X(3, CRASH_EVENT_POSTED, "in the journal's mailbox")                                           \
    X(4, CRASH_EVENT_TAKEN, "the journal begins its transaction")                                  \
    X(5, CRASH_EVENT_WRITTEN, "its rows are written, not committed")                               \
    X(6, CRASH_EVENT_COMMITTED, "committed; delivery and the partner are not notified")            \
    X(7, CRASH_EVENT_HANDED_OVER, "delivery has it in its mailbox, the partner is not answered")   \
    X(8, CRASH_ANSWER_DUE, "ingress has the result, the answer is not written")                    \
    X(9, CRASH_JOB_MADE, "delivery has made a job of it")                                          \
    X(10, CRASH_START_POSTED, "guarded: `sending` is in the journal's mailbox")                    \
    X(11, CRASH_START_WRITTEN, "guarded: `sending` is written, not committed")                     \
    X(12, CRASH_START_COMMITTED, "guarded: `sending` is committed, delivery is not notified")      \
    X(13, CRASH_REQUEST_DUE, "the request is made, the client does not have it")                   \
    X(14, CRASH_REQUEST_GIVEN, "the client library has it")                                        \
    X(15, CRASH_ANSWER_CAME, "the client's answer is here, nothing is recorded")                   \
    X(16, CRASH_OUTCOME_POSTED, "the outcome is in the journal's mailbox")                         \
    X(17, CRASH_OUTCOME_WRITTEN, "the outcome is written, not committed")                          \
    X(18, CRASH_OUTCOME_COMMITTED, "the outcome is committed, delivery is not notified")           \
    X(19, CRASH_RECEIVED, "the broker brought it, the dedupe store has judged it, delivery knows") \
    X(20, CRASH_ACK_DUE, "all that the broker is owed is committed, the message is not acked")

enum failpoint_crash {
#define X(number, symbol, where) symbol = number,
    FAILPOINT_CRASH_TABLE(X)
#undef X
};

#ifdef PENSTOCK_FAILPOINTS
bool failpoint_is_on(enum failpoint point);
void failpoint_crash(enum failpoint_crash point);
/* Returns whether failpoint_crash would end the process. */
bool failpoint_crashes(enum failpoint_crash point);
#else
static inline bool failpoint_is_on(enum failpoint point)
{
    (void)point;
    return false;
}

static inline void failpoint_crash(enum failpoint_crash point)
{
    (void)point;
}

static inline bool failpoint_crashes(enum failpoint_crash point)
{
    (void)point;
    return false;
}
#endif

#endif
