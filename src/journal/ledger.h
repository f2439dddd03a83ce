/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: the judge of duplicates (P3). It knows every key that was accepted, for 90 days where money moves and for
 * 35 elsewhere.
 *
 * Keys are random bytes, so that a single tree would grow until each insert touched a page of its own somewhere on the
 * disk. So there are slices (tables), each for one day of acceptance and one retention and for LEDGER_SLICE_KEYS_MAX
 * keys: `ledger_c_20260131` or `ledger_o_20260131`, and when it is full `ledger_c_20260131_1`, `_2` and so on. Inserts
 * touch only the newest, and expiry drops whole slices instead of looking for rows. A look-up goes through the slices
 * from the newest day to the oldest, whichever their retention: a type's class may change with a version, and a key
 * must not be forgotten by that.
 *
 * A slice is asked only when its filter in memory (key_filter.h) says "maybe": a new key costs a cache miss for each
 * slice, and one of 250 slices is asked in vain.
 *
 *   open    takes keys; its filter is in memory only
 *     |  a later slice of its retention is made, because it is full or its day is over: sealed in that transaction
 *     v
 *   sealed  takes no more; its filter, folded to the keys that it got, is a row of `ledger_filters`
 *     ^
 *     |  at idle (ledger_expire)
 *   closed  found at the start: not the newest of its retention, or full, and without a filter that can be trusted
 *
 * At the start sealed slices load their filters, and the keys of the others are read. What has no row, or a damaged
 * one, only costs that time. A slice whose pages are too damaged to be read gets no filter and is always asked. An
 * event of a day whose slice is sealed already (it came around midnight, or a clock was set) begins the day's next
 * part.
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
    uint64_t slice_keys_max; /* LEDGER_SLICE_KEYS_MAX; a test may lower it after ledger_init */
    size_t count, capacity;
    struct ledger_slice **slices; /* newest day first, and newest part of a day */
};

enum ledger_finding { LEDGER_NEW, LEDGER_DUPLICATE, LEDGER_CONFLICT, LEDGER_DAMAGED };

/* Finds the slices of the file and brings their filters into memory. ledger_done is due after a failure as well. */
enum err ledger_init(struct ledger *ledger, sqlite3 *db) MUST_CHECK;
void ledger_done(struct ledger *ledger);

/* Judges `event` against the first one of this key, whose id is returned with LEDGER_DUPLICATE and LEDGER_CONFLICT. */
enum err ledger_look_up(struct ledger *ledger, const struct ledger_key *key, const struct event *event,
    enum ledger_finding *ret_finding, struct event_id *ret_first) MUST_CHECK;

/* Enters a new key into the open slice of the event's day. */
enum err ledger_add(struct ledger *ledger, const struct ledger_key *key, const struct event *event) MUST_CHECK;

/* Drops one slice whose retention is over at `now_us`, oldest first, or else seals one that is closed, if there is
 * either: in a transaction without anything else. */
enum err ledger_expire(struct ledger *ledger, int64_t now_us, bool *ret_worked) MUST_CHECK;

void ledger_committed(struct ledger *ledger);
void ledger_rolled_back(struct ledger *ledger);

#endif
