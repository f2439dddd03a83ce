/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment of the dedupe store: a table to which rows are only ever appended, what is in memory
 * about it, and its share of the two tables of the sealed ones. Internal to the dedupe;
 * dedupe_store.h has the picture of its states.
 *
 *   dedupe_c_20260131  row (from 1), key, event, amount, currency, checksum
 *   dedupe_filters     of each sealed segment: how many keys it was given, its filter, the seed of its index
 *   dedupe_index       of each sealed segment: its index, bucket by bucket, empty ones as well (key_index.h)
 *
 * What is written when a segment is sealed can be made again from its rows, and carries a checksum.
 * What is missing or damaged is not believed: the rows are read instead. Rows themselves can't be
 * made again here: a row that can't be read may be the one that is asked for, and the finding is
 * DEDUPE_DAMAGED then, never DEDUPE_NEW.
 *
 * All of this happens in the transaction of the caller, except for dedupe_segment_load and
 * dedupe_segment_scan.
 */
#ifndef PENSTOCK_JOURNAL_DEDUPE_SEGMENT_H
#define PENSTOCK_JOURNAL_DEDUPE_SEGMENT_H

#include "base/limits.h"
#include "journal/dedupe_store.h"
#include "journal/key_filter.h"
#include "journal/key_index.h"
#include "sqlite/sql.h"

#define DEDUPE_SEGMENT_NAME_BYTES 32 /* dedupe_c_YYYYMMDD_N */

enum segment_state { SEGMENT_OPEN, SEGMENT_CLOSED, SEGMENT_SEALED };

struct dedupe_segment {
    /* what it is */
    char name[DEDUPE_SEGMENT_NAME_BYTES];
    int64_t day; /* since 1970-01-01, UTC */
    int64_t days_kept;
    unsigned part; /* of the day */

    /* what is in it */
    enum segment_state state;
    bool
        /* closed for ever: of what the filter does not deny and the index does not know, nothing is
         * known / */
        unreadable;
    bool filter_in_part; /* made of the rows that could be read: what it denies may be there */
    bool mended; /* what could not be read of it was entered again in a later part (mend.h) */
    bool
        /* its table is too damaged to be dropped: it stays in the file until a person mends it */
        undroppable;
    bool expiring; /* its retention is over, and its rows are on their way out */
    uint64_t keys; /* in the filter: those that were rolled back count as well */
    struct key_filter filter;
    struct key_index index; /* open; closed once it is needed; of a sealed one only the seed */

    /* of the transaction that is open */
    bool made, dropped, sealed;
    struct key_filter folded; /* what `filter` will be when `sealed` is committed */

    struct sqlite3_stmt *find,
        *add; /* prepared at first use: most old segments are hardly ever asked */
};

/* What the dedupe store keeps of an event. Not to be copied; the event and the key must stay. */
struct dedupe_entry {
    const struct dedupe_key *key;
    struct slice event, amount, currency;
    char canonical[AMOUNT_TEXT_BYTES];
};
void dedupe_entry_init(
    struct dedupe_entry *entry, const struct dedupe_key *key, const struct event *event);

/* A row as the file has it; its bytes are valid until the next step. */
struct dedupe_row {
    int64_t number;
    struct slice key, event, amount, currency;
};
/* The columns that dedupe_row_take reads, in its order. */
#define DEDUPE_ROW_COLUMNS "row, key, event, amount, currency, crc"
/* False when it is not what was written into this table; it is filled all the same. */
bool dedupe_row_take(const char *table, const struct sql_use *use, struct dedupe_row *ret_row);

/* Without a table yet, and without anything in memory. NULL without memory. */
struct dedupe_segment *dedupe_segment_new(int64_t day, int64_t days_kept, unsigned part);
void dedupe_segment_free(struct dedupe_segment *segment);

/* The one whose table has this name. ERR_NOT_FOUND when it is no segment's. */
enum err dedupe_segment_from_name(const char *name, struct dedupe_segment **ret_segment) MUST_CHECK;
bool dedupe_segment_is_later(
    const struct dedupe_segment *segment, const struct dedupe_segment *other);

/* ERR_DAMAGED when the table has not the form that we know; SQLite's message says what is missing.
 * */
enum err dedupe_segment_check_form(
    struct dedupe_store *dedupe, const struct dedupe_segment *segment) MUST_CHECK;

/* Makes the table of a new segment, and it is open. */
enum err dedupe_segment_make(
    struct dedupe_store *dedupe, struct dedupe_segment *segment) MUST_CHECK;

/* For a segment that is found at the start: its filter from the file, and it is sealed; or closed
 * when there is none to be trusted. `filters` is a statement of DEDUPE_SEGMENT_FILTER. */
#define DEDUPE_SEGMENT_FILTER \
    "SELECT keys, seed, filter, crc FROM dedupe_filters WHERE segment = ?1"
enum err dedupe_segment_load(
    struct dedupe_segment *segment, struct sqlite3_stmt *filters) MUST_CHECK;

/* Reads the keys of a closed segment into a new filter; the newest of its retention gets its index
 * as well, and is open then if it has room. What can't be read makes it unreadable, and is no
 * failure. */
enum err dedupe_segment_scan(
    struct dedupe_store *dedupe, struct dedupe_segment *segment, bool newest) MUST_CHECK;

/* Every key that could not be read stands in a later part by now: nothing is in doubt any more. */
void dedupe_segment_mended(struct dedupe_segment *segment);

/* Asked when the filter says "maybe". The id of the first one is returned with DEDUPE_DUPLICATE and
 * DEDUPE_CONFLICT. */
enum err dedupe_segment_find(struct dedupe_store *dedupe, struct dedupe_segment *segment,
    const struct dedupe_entry *entry, enum dedupe_finding *ret_finding,
    struct event_id *ret_first) MUST_CHECK;

/* ERR_NO_MEMORY comes before anything is written. */
enum err dedupe_segment_add(struct dedupe_store *dedupe, struct dedupe_segment *segment,
    const struct dedupe_entry *entry) MUST_CHECK;

/* Writes the filter and the index of a segment that takes no more keys. One that turns out
 * unreadable stays closed. */
enum err dedupe_segment_seal(
    struct dedupe_store *dedupe, struct dedupe_segment *segment) MUST_CHECK;
/* One step of taking a segment out of the file: some of its rows, then of its index, at last its
 * table. From the first one on it is not asked any more. */
enum err dedupe_segment_drop_step(
    struct dedupe_store *dedupe, struct dedupe_segment *segment) MUST_CHECK;

/* The transaction ended. False when the segment is not in the file any more, or never came into it.
 * */
bool dedupe_segment_end(struct dedupe_segment *segment, bool committed);

#endif
