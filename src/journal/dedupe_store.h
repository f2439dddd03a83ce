/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dedupe store: the judge of duplicates (P3). It knows every key that was accepted, for 90 days
 * where money moves and for 35 elsewhere.
 *
 * Keys are random bytes: a tree of them would have a page of its own written for nearly every
 * event. So rows are only appended, and where a key stands is known to an index beside them
 * (key_index.h): in memory as long as rows come, and written to the file once, as a whole, when no
 * more will. What must be in memory for that is bounded by segments (tables), each for one day of
 * acceptance and one retention and for DEDUPE_SEGMENT_KEYS_MAX keys: `dedupe_c_20260131` or
 * `dedupe_o_20260131`, and when it is full `dedupe_c_20260131_1`, `_2` and so on. Expiry drops
 * whole segments instead of looking for rows. A look-up goes through the segments from the newest
 * day to the oldest, whichever their retention: a type's class may change with a version, and a key
 * must not be forgotten by that.
 *
 * A segment is asked only when its filter in memory (key_filter.h) says "maybe": a new key costs a
 * cache miss for each segment, and one of 250 segments is asked in vain.
 *
 *   open    takes keys; its filter and index are in memory only
 *     |  a later segment of its retention is made, because it is full or its day is over: sealed in that transaction
 *     v
 *   sealed  takes no more; its filter, folded to the keys that it got, is in memory and a row of `dedupe_filters`; its
 *     ^     index is in `dedupe_index` only, and a look-up reads one bucket of it
 *     |  at idle (dedupe_expire)
 *   closed  takes no more, but has no filter in the file that can be trusted, or no index. Found so at the start (not
 *           the newest of its retention, or full), or sealed with an index that turned out damaged
 *
 * At the start sealed segments load their filters, and the rows of the others are read. The index
 * of a closed segment is made from its rows when a look-up first needs it;
 * DEDUPE_CLOSED_INDEXES_MAX of them are kept. So a filter or an index that is missing or damaged
 * only costs time: a tenth of a second each time that half a million rows are read. Rows that can't
 * be read are another matter: what might be one of them is neither new nor a duplicate but
 * DEDUPE_DAMAGED. For a sealed segment these are the few keys whose index entries lead there; a
 * segment that is not sealed has no other record of its keys, and then every key is in doubt that
 * is not found elsewhere. It takes no more, and the doubt lasts until the next start, which enters
 * what is missing again from the events of the day (mend.h).
 *
 * An event of a day whose segment is sealed already (it came around midnight, or a clock was set)
 * begins the day's next part. A segment in the form that was used before 0.1 (keyed by the key, no
 * `row`) is refused by dedupe_init.
 *
 * The caller's transaction is the dedupe store's: segments are made inside it, and dedupe_committed
 * or dedupe_rolled_back says how it ended. What was added to memory in between may stay: entries
 * lead to rows, and rows are compared. Owned by the journal's thread. One segment is
 * dedupe_segment.h.
 */
#ifndef PENSTOCK_JOURNAL_DEDUPE_STORE_H
#define PENSTOCK_JOURNAL_DEDUPE_STORE_H

#include "base/clock.h"
#include "base/hash.h"
#include "model/dedupe.h"
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

/* Judges `event` against the first one of this key, whose id is returned with DEDUPE_DUPLICATE and
 * DEDUPE_CONFLICT. DEDUPE_DAMAGED: nobody can know any more. */
enum err dedupe_look_up(struct dedupe_store *dedupe, const struct dedupe_key *key,
    const struct event *event, enum dedupe_finding *ret_finding,
    struct event_id *ret_first) MUST_CHECK;

/* A segment has rows that can't be read and no other record of its keys: every key that is not
 * found elsewhere is in doubt, until a start has mended it. */
bool dedupe_is_in_doubt(const struct dedupe_store *dedupe);

/* Enters a new key into the open segment of the event's day. After a failure, ERR_NO_MEMORY for
 * one, the transaction is to be rolled back. */
enum err dedupe_add(struct dedupe_store *dedupe, const struct dedupe_key *key,
    const struct event *event) MUST_CHECK;

/* One step of dropping a segment whose retention is over at `now_us`, oldest first, or else seals
 * one that is closed, if there is either: in a transaction without anything else. ERR_DAMAGED: one
 * that can't be dropped; it is passed over the next time. */
enum err dedupe_expire(struct dedupe_store *dedupe, int64_t now_us, bool *ret_worked) MUST_CHECK;

void dedupe_committed(struct dedupe_store *dedupe);
void dedupe_rolled_back(struct dedupe_store *dedupe);

#endif
