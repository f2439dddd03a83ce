/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expiry: segments of the dedupe store (after 90 and 35 days), bodies of delivered events (7 days
 * by default), the history of delivered events (90 days), conflicts and aliases (as the history).
 * Each kind expires by itself, in steps of a few milliseconds with a transaction each, so that an
 * answer waits for one step at most (bench/README.md has the longest commit). What is open, parked
 * or dead never expires, nor does the outbox.
 *
 * The number of what expires with the history stays in the totals. A round covers all kinds, and
 * the next one begins some minutes later. A body that is kept, since its delivery is open, is
 * looked at again a day later.
 *
 * The caller says what time it is. Its clock does not jump while it runs; expiry_is_doubtful finds
 * a start under a clock that is far ahead of the newest event.
 */
#ifndef PENSTOCK_JOURNAL_EXPIRY_H
#define PENSTOCK_JOURNAL_EXPIRY_H

#include "base/err.h"
#include "sqlite/sql.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* How long events are kept once they are final; 0: forever. */
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
 * Does one step, in the transaction that the caller has begun. ERR_DAMAGED: rows that were to be
 * removed cannot be read; the step after the roll-back leaves them out.
 */
enum err expiry_step(struct store *store, int64_t now_us) MUST_CHECK;

/* The disk refused a step: the next one is due some seconds later. */
void expiry_put_off(struct expiry *expiry, int64_t now_us);

/* `newest_us`: when the last event was accepted, 0 without one. */
bool expiry_is_doubtful(int64_t newest_us, int64_t now_us);

#endif
