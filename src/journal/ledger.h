/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: the judge of duplicates (P3). It knows every key that was accepted, for 90 days where money moves and for
 * 35 elsewhere.
 *
 * Keys are random bytes: a tree of them would have a page of its own written for nearly every event. So rows are only
 * appended, and where a key stands is known to an index beside them (key_index.h): in memory as long as rows come, and
 * written to the file once, as a whole, when no more will. What must be in memory for that is bounded by slices
 * (tables), each for one day of acceptance and one retention and for LEDGER_SLICE_KEYS_MAX keys: `ledger_c_20260131` or
 * `ledger_o_20260131`, and when it is full `ledger_c_20260131_1`, `_2` and so on. Expiry drops whole slices instead of
 * looking for rows. A look-up goes through the slices from the newest day to the oldest, whichever their retention: a
 * type's class may change with a version, and a key must not be forgotten by that.
 *
 * A slice is asked only when its filter in memory (key_filter.h) says "maybe": a new key costs a cache miss for each
 * slice, and one of 250 slices is asked in vain.
 *
 *   open    takes keys; its filter and index are in memory only
 *     |  a later slice of its retention is made, because it is full or its day is over: sealed in that transaction
 *     v
 *   sealed  takes no more; its filter, folded to the keys that it got, is in memory and a row of `ledger_filters`; its
 *     ^     index is in `ledger_index` only, and a look-up reads one bucket of it
 *     |  at idle (ledger_expire)
 *   closed  takes no more, but has no filter in the file that can be trusted, or no index. Found so at the start (not
 *           the newest of its retention, or full), or sealed with an index that turned out damaged
 *
 * At the start sealed slices load their filters, and the rows of the others are read. The index of a closed slice is
 * made from its rows when a look-up first needs it; LEDGER_CLOSED_INDEXES_MAX of them are kept. So a filter or an index
 * that is missing or damaged only costs time: a tenth of a second each time that half a million rows are read. Rows
 * that can't be read are another matter: what might be one of them is neither new nor a duplicate but LEDGER_DAMAGED.
 * For a sealed slice these are the few keys whose index entries lead there; a slice that is not sealed has no other
 * record of its keys, and then every key is in doubt that is not found elsewhere. It takes no more, and the doubt lasts
 * until the next start, which enters what is missing again from the events of the day (mend.h).
 *
 * An event of a day whose slice is sealed already (it came around midnight, or a clock was set) begins the day's next
 * part. A slice in the form that was used before 0.1 (keyed by the key, no `row`) is refused by ledger_init.
 *
 * The caller's transaction is the ledger's: slices are made inside it, and ledger_committed or ledger_rolled_back says
 * how it ended. What was added to memory in between may stay: entries lead to rows, and rows are compared. Owned by the
 * journal's thread. One slice is ledger_slice.h.
 */
#ifndef PENSTOCK_JOURNAL_LEDGER_H
#define PENSTOCK_JOURNAL_LEDGER_H

#include "base/clock.h"
#include "base/hash.h"
#include "model/dedupe.h"
#include "model/event.h"

#include <sqlite3.h>

#define LEDGER_CRITICAL_DAYS 90
#define LEDGER_OTHER_DAYS 35

struct ledger_slice;

struct ledger {
    sqlite3 *db;
    uint64_t slice_keys_max; /* LEDGER_SLICE_KEYS_MAX; a test may lower it after ledger_init */
    struct hash_seed seed;   /* of the indexes that are made; a test may set it as well */
    size_t count, capacity;
    struct ledger_slice **slices; /* newest day first, and newest part of a day */
    sqlite3_stmt *find_bucket;    /* of sealed slices; prepared at first use */
};

enum ledger_finding { LEDGER_NEW, LEDGER_DUPLICATE, LEDGER_CONFLICT, LEDGER_DAMAGED };

/* Finds the slices of the file and brings their filters, and the newest ones' indexes, into memory. ERR_DAMAGED when
 * there is one of an unknown form. ledger_done is due after a failure as well. */
enum err ledger_init(struct ledger *ledger, sqlite3 *db) MUST_CHECK;
void ledger_done(struct ledger *ledger);

/* Judges `event` against the first one of this key, whose id is returned with LEDGER_DUPLICATE and LEDGER_CONFLICT.
 * LEDGER_DAMAGED: nobody can know any more. */
enum err ledger_look_up(struct ledger *ledger, const struct ledger_key *key, const struct event *event,
    enum ledger_finding *ret_finding, struct event_id *ret_first) MUST_CHECK;

/* A slice has rows that can't be read and no other record of its keys: every key that is not found elsewhere is in
 * doubt, until a start has mended it. */
bool ledger_is_in_doubt(const struct ledger *ledger);

/* Enters a new key into the open slice of the event's day. After a failure, ERR_NO_MEMORY for one, the transaction is
 * to be rolled back. */
enum err ledger_add(struct ledger *ledger, const struct ledger_key *key, const struct event *event) MUST_CHECK;

/* One step of dropping a slice whose retention is over at `now_us`, oldest first, or else seals one that is closed, if
 * there is either: in a transaction without anything else. ERR_DAMAGED: one that can't be dropped; it is passed over
 * the next time. */
enum err ledger_expire(struct ledger *ledger, int64_t now_us, bool *ret_worked) MUST_CHECK;

void ledger_committed(struct ledger *ledger);
void ledger_rolled_back(struct ledger *ledger);

#endif
