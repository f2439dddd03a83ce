/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dedupe store: it knows every key that was accepted, and says of an event whether it is new, a
 * duplicate, or in conflict with the first one (P3). Keys are kept for 90 days where money moves,
 * and for 35 days elsewhere.
 *
 * How it works. Keys are random bytes. An index in a B-tree would write a page of its own for
 * nearly every event. So rows are only appended, and an index beside them (key_index.h) says in
 * which rows a key may be: in memory as long as rows are appended, and written to the file once, as
 * a whole, when no more will be.
 *
 * Segments bound the memory for that. A segment is a table for one day of acceptance and one
 * retention, with at most DEDUPE_SEGMENT_KEYS_MAX keys: `dedupe_c_20260131` for 90 days,
 * `dedupe_o_20260131` for 35 days, and when one is full, its next part `dedupe_c_20260131_1`.
 * Expiry drops whole segments. A look-up asks the segments from the newest day to the oldest,
 * whatever their retention: the class of a type may change, and its keys must not be forgotten. A
 * filter in memory (key_filter.h) answers "no" for most segments, so a new key costs one cache miss
 * for each, and one of 250 is asked in vain.
 *
 *   open    takes keys. Its filter and its index are in memory only
 *     |
 *     |     a later segment of its retention is made, since this one is full or its day has
 *     v     ended: in that transaction
 *   sealed  takes no more keys. Its filter, folded to the number of its keys, is in memory and in
 *     ^     `dedupe_filters`. Its index is in `dedupe_index` only; a look-up reads one bucket of it
 *     |
 *     |     when the journal is idle (dedupe_expire)
 *   closed  takes no more keys, but has no filter or no index in the file that can be believed. A
 *           start closes segments that are not sealed and are full or not the newest of their
 *           retention. A look-up closes a sealed one whose index is damaged
 *
 * At the start sealed segments load their filters, and the rows of the others are read. The index
 * of a closed segment is made from its rows when a look-up first needs it;
 * DEDUPE_CLOSED_INDEXES_MAX of these are kept in memory. A key of a day whose segment is sealed
 * already (around midnight, or after a clock was set back) begins the day's next part.
 *
 * How it fails. A filter or an index that is missing or damaged costs only time: a tenth of a
 * second for half a million rows. A row that cannot be read may be the one that is asked for: the
 * answer is DEDUPE_DAMAGED, never DEDUPE_NEW. In a sealed segment this concerns the few keys whose
 * index entries lead to such a row. A segment that is not sealed has no other record of its keys:
 * there it concerns every key that is not found elsewhere (dedupe_is_in_doubt). Such a segment
 * takes no more keys, and the next start enters the missing keys again from the events of the day
 * (journal/dedupe_repair.h).
 *
 * Owned by the journal's thread, in the transaction of the caller. Segments are made within it, and
 * dedupe_committed or dedupe_rolled_back says how it ended. Index entries of rows that were rolled
 * back may stay: an entry leads to a row, and the row is compared.
 */
#ifndef PENSTOCK_DEDUPE_STORE_H
#define PENSTOCK_DEDUPE_STORE_H

#include "base/clock.h"
#include "base/hash.h"
#include "model/dedupe_key.h"
#include "model/event.h"
#include "sqlite/sql.h"

#define DEDUPE_CRITICAL_DAYS 90
#define DEDUPE_OTHER_DAYS 35

struct dedupe_segment;

struct dedupe_store {
    struct sqlite3 *db;
    uint64_t segment_keys_max; /* DEDUPE_SEGMENT_KEYS_MAX; a test may lower it after dedupe_init */
    struct hash_seed seed;     /* of the indexes that are made; a test may set it as well */
    size_t count, capacity;
    struct dedupe_segment **segments; /* newest day first, and newest part of a day */
    struct sqlite3_stmt *find_bucket; /* of sealed segments; prepared at first use */
};

enum dedupe_finding { DEDUPE_NEW, DEDUPE_DUPLICATE, DEDUPE_CONFLICT, DEDUPE_DAMAGED };

/* Finds the segments of the file and brings their filters, and the newest ones' indexes, into
 * memory. ERR_DAMAGED when there is one of an unknown form. dedupe_done is due after a failure as
 * well. */
enum err dedupe_init(struct dedupe_store *dedupe, struct sqlite3 *db) MUST_CHECK;
void dedupe_done(struct dedupe_store *dedupe);

/* Compares `event` with the first event of this key, whose id is returned with DEDUPE_DUPLICATE and
 * DEDUPE_CONFLICT. DEDUPE_DAMAGED: the stored row cannot be read, so each of the findings is
 * possible. */
enum err dedupe_look_up(struct dedupe_store *dedupe, const struct dedupe_key *key,
    const struct event *event, enum dedupe_finding *ret_finding,
    struct event_id *ret_first) MUST_CHECK;

/* Returns whether a segment has rows that cannot be read and no other record of its keys. Every key
 * that is not found elsewhere is in doubt then, until a start has mended the segment. */
bool dedupe_is_in_doubt(const struct dedupe_store *dedupe);

/* Enters a new key into the open segment of the event's day. After a failure, ERR_NO_MEMORY for
 * one, the transaction is to be rolled back. */
enum err dedupe_add(struct dedupe_store *dedupe, const struct dedupe_key *key,
    const struct event *event) MUST_CHECK;

/* Does one step, in a transaction without anything else: it drops a segment whose retention has
 * ended at `now_us`, oldest first, or else seals one that is closed. *ret_worked is false when
 * there is neither. ERR_DAMAGED: a segment cannot be dropped; the next step leaves it out. */
enum err dedupe_expire(struct dedupe_store *dedupe, int64_t now_us, bool *ret_worked) MUST_CHECK;

void dedupe_committed(struct dedupe_store *dedupe);
void dedupe_rolled_back(struct dedupe_store *dedupe);

#endif
