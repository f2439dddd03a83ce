/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points on an event's way, from "the body is complete" to "the outcome is committed", at each of which a test may have
 * the process killed (SIGKILL), to see what a restart makes of it: PENSTOCK_TEST_CRASH_POINT=<number>. As with lies
 * (lie.h) only builds for tests have them. What must happen at each stands in tests/README.md.
 */
#ifndef PENSTOCK_BASE_CRASH_POINT_H
#define PENSTOCK_BASE_CRASH_POINT_H

/* number, symbol, where the event is */
#define CRASH_POINT_TABLE(X)                                                                       \
    X(1, CRASH_BODY_COMPLETE, "the request is complete, nothing was looked at")                    \
    X(2, CRASH_EVENT_MADE, "checked and made, not in the journal's mailbox")                       \
    X(3, CRASH_EVENT_POSTED, "in the journal's mailbox")                                           \
    X(4, CRASH_EVENT_TAKEN, "the journal begins its transaction")                                  \
    X(5, CRASH_EVENT_WRITTEN, "its rows are written, not committed")                               \
    X(6, CRASH_EVENT_COMMITTED, "committed; delivery and partner don't know")                      \
    X(7, CRASH_EVENT_HANDED_OVER, "delivery has it in its mailbox, the partner does not know")     \
    X(8, CRASH_ANSWER_DUE, "ingress knows, the answer is not written")                             \
    X(9, CRASH_JOB_MADE, "delivery has made a job of it")                                          \
    X(10, CRASH_START_POSTED, "guarded: `sending` is in the journal's mailbox")                    \
    X(11, CRASH_START_WRITTEN, "guarded: `sending` is written, not committed")                     \
    X(12, CRASH_START_COMMITTED, "guarded: `sending` is committed, delivery does not know")        \
    X(13, CRASH_REQUEST_DUE, "the request is made, the client does not have it")                   \
    X(14, CRASH_REQUEST_GIVEN, "the client library has it")                                        \
    X(15, CRASH_ANSWER_CAME, "the client's answer is here, nothing is recorded")                   \
    X(16, CRASH_OUTCOME_POSTED, "the outcome is in the journal's mailbox")                         \
    X(17, CRASH_OUTCOME_WRITTEN, "the outcome is written, not committed")                          \
    X(18, CRASH_OUTCOME_COMMITTED, "the outcome is committed, delivery does not know")             \
    X(19, CRASH_RECEIVED, "the broker brought it, the dedupe store has judged it, delivery knows") \
    X(20, CRASH_ACK_DUE, "all that the broker is owed is committed, the message is not acked")

enum crash_point {
#define X(number, symbol, where) symbol = number,
    CRASH_POINT_TABLE(X)
#undef X
};

#ifdef PENSTOCK_LIES
void crash_point(enum crash_point point);
#else
static inline void crash_point(enum crash_point point)
{
    (void)point;
}
#endif

#endif
