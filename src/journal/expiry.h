/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is over goes: segments of the dedupe store (90 and 35 days), bodies of what is delivered (7
 * days by default), the history of what is delivered (90 days), conflicts and aliases (as the
 * history). Apart from each other, and in steps of a few milliseconds each with a transaction of
 * its own, so that no answer waits for more than one of them (bench/README.md has the longest
 * commit). Nothing that is still open, parked or dead expires, nor what is in the outbox.
 *
 * What expires with the history leaves its number in the totals. A round goes through all of it and
 * begins again some minutes later; a body that was passed over since its delivery was open is
 * looked at again a day later.
 *
 * Time is the caller's, which does not jump while it runs; a start under a clock that is far ahead
 * of the newest event is told by expiry_is_doubtful.
 */
#ifndef PENSTOCK_JOURNAL_EXPIRY_H
#define PENSTOCK_JOURNAL_EXPIRY_H

#include "base/err.h"
#include "sqlite/sql.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* How long what is final is kept; 0: for ever. */
struct expiry_policy {
    int64_t bodies_us, history_us;
};

enum expiry_statement {
    EXPIRY_LIST_BODIES,
    EXPIRY_HAS_OPEN,
    EXPIRY_DROP_BODY,
    EXPIRY_LIST_EVENTS,
    EXPIRY_LIST_DELIVERIES,
    EXPIRY_DROP_DELIVERIES,
    EXPIRY_DROP_ATTEMPTS,
    EXPIRY_DROP_ACTIONS,
    EXPIRY_DROP_EVENT,
    EXPIRY_DROP_CONFLICTS,
    EXPIRY_DROP_ALIASES,
    EXPIRY_NOTE,
    EXPIRY_STATEMENTS
};

enum expiry_phase {
    EXPIRY_DEDUPE,
    EXPIRY_BODIES,
    EXPIRY_HISTORY,
    EXPIRY_CONFLICTS,
    EXPIRY_ALIASES,
    EXPIRY_PHASES
};

struct expiry {
    struct expiry_policy policy;
    struct sqlite3_stmt *statements[EXPIRY_STATEMENTS];
    enum expiry_phase phase;             /* of the round */
    int64_t bodies_after, history_after; /* numbers of events that were looked at */
    int64_t round_day;                   /* of the last round: the cursors begin anew each day */
    int64_t next_round_us;               /* of the caller's time */
};

/* expiry_done is due after a failure as well. */
enum err expiry_init(
    struct expiry *expiry, struct sqlite3 *db, const struct expiry_policy *policy) MUST_CHECK;
void expiry_done(struct expiry *expiry);

/* Whether a step may have something to do. */
bool expiry_is_due(const struct expiry *expiry, int64_t now_us);

/*
 * One step, in the transaction that the caller has begun. ERR_DAMAGED: what was to go can't be
 * read; it is passed over when the caller, after the roll-back, goes on.
 */
enum err expiry_step(struct store *store, int64_t now_us) MUST_CHECK;

/* The disk refused a step: the next one comes some seconds later. */
void expiry_put_off(struct expiry *expiry, int64_t now_us);

/* `newest_us`: when the last event was accepted, 0 without one. */
bool expiry_is_doubtful(int64_t newest_us, int64_t now_us);

#endif
