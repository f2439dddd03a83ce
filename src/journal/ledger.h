/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: the judge of duplicates (P3). It knows every key that was accepted, for 90 days where money moves and for
 * 35 elsewhere.
 *
 * Keys are random bytes, so that a single tree would grow until each insert touched a page of its own somewhere on the
 * disk. So there is a slice (a table) for each day of acceptance and retention, `ledger_c_20260131` or
 * `ledger_o_20260131`: inserts touch only that day's, and expiry drops a whole slice instead of looking for rows. A
 * look-up asks the slices from the newest day to the oldest, whichever their retention: a type's class may change with
 * a version, and a key must not be forgotten by that.
 *
 * The caller's transaction is the ledger's: slices are made inside it, and ledger_committed or ledger_rolled_back says
 * how it ended. Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_LEDGER_H
#define PENSTOCK_JOURNAL_LEDGER_H

#include "base/clock.h"
#include "model/dedupe.h"
#include "model/event.h"

#include <sqlite3.h>

#define LEDGER_CRITICAL_DAYS 90
#define LEDGER_OTHER_DAYS 35

struct ledger_slice;

struct ledger {
    sqlite3 *db;
    size_t count, capacity;
    struct ledger_slice **slices; /* newest day first */
};

enum ledger_finding { LEDGER_NEW, LEDGER_DUPLICATE, LEDGER_CONFLICT, LEDGER_DAMAGED };

/* Finds the slices of the file. ledger_done is due after a failure as well. */
enum err ledger_init(struct ledger *ledger, sqlite3 *db) MUST_CHECK;
void ledger_done(struct ledger *ledger);

/* Judges `event` against the first one of this key, whose id is returned with LEDGER_DUPLICATE and LEDGER_CONFLICT. */
enum err ledger_look_up(struct ledger *ledger, const struct ledger_key *key, const struct event *event,
    enum ledger_finding *ret_finding, struct event_id *ret_first) MUST_CHECK;

/* Enters a new key into the slice of the event's day. */
enum err ledger_add(struct ledger *ledger, const struct ledger_key *key, const struct event *event) MUST_CHECK;

/* Drops one slice whose retention is over at `now_us`, oldest first, if there is one: in a transaction without anything
 * else. */
enum err ledger_expire(struct ledger *ledger, int64_t now_us, bool *ret_dropped) MUST_CHECK;

void ledger_committed(struct ledger *ledger);
void ledger_rolled_back(struct ledger *ledger);

#endif
