/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment of the dedupe store: a table of rows (rows.h), what is in memory about it, and its
 * part of two tables of the sealed segments. Internal to the dedupe store and to those who read or
 * mend its tables. store.h has the picture of the states.
 *
 *   dedupe_filters   of each sealed segment: the number of its keys, its filter, the seed of its
 *                    index
 *   dedupe_index     of each sealed segment: its index, bucket by bucket, empty ones too
 *                    (key_index.h)
 *
 * Both are made from the rows when a segment is sealed, can be made again from them, and carry a
 * checksum. When one is missing or damaged, the rows are read instead.
 *
 * Everything happens in the transaction of the caller, except for dedupe_segment_load and
 * dedupe_segment_scan, which only read.
 */
#ifndef PENSTOCK_DEDUPE_SEGMENT_H
#define PENSTOCK_DEDUPE_SEGMENT_H

#include "base/limits.h"
#include "dedupe/key_filter.h"
#include "dedupe/key_index.h"
#include "dedupe/rows.h"

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
    /* Some rows cannot be read. A key that the filter does not deny and the index does not hold may
     * be in one of them. The segment stays closed. */
    bool unreadable;
    bool filter_in_part; /* made of the rows that could be read: it may deny a key that is there */
    bool
        mended; /* the keys that cannot be read are in a later part now (journal/dedupe_repair.h) */
    bool undroppable; /* its table is too damaged to be dropped: it stays until a person mends it */
    bool expiring;    /* its retention has ended, and its rows are being deleted */
    uint64_t keys;    /* in the filter: those that were rolled back count as well */
    struct key_filter filter;
    struct key_index index; /* open; closed once it is needed; of a sealed one only the seed */

    /* of the transaction that is open */
    bool made, dropped, sealed;
    struct key_filter folded; /* what `filter` will be when `sealed` is committed */

    struct sqlite3_stmt *find,
        *add; /* prepared at first use: most old segments are hardly ever asked */
};

/* Without a table yet. */
struct dedupe_segment *dedupe_segment_new(int64_t day, int64_t days_kept, unsigned part);
void dedupe_segment_free(struct dedupe_segment *segment);

/* The one whose table has this name. ERR_NOT_FOUND when it is no segment's. */
enum err dedupe_segment_from_name(const char *name, struct dedupe_segment **ret_segment) MUST_CHECK;
bool dedupe_segment_is_later(
    const struct dedupe_segment *segment, const struct dedupe_segment *other);

/* ERR_DAMAGED: the table lacks a column; sql_reason says which. */
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

/* Reads the keys of a closed segment into a new filter. The newest segment of its retention gets
 * its index as well, and is open then if it has room. Keys that cannot be read make the segment
 * unreadable, and are no failure. */
enum err dedupe_segment_scan(
    struct dedupe_store *dedupe, struct dedupe_segment *segment, bool newest) MUST_CHECK;

/* Call it when every key that cannot be read has been entered into a later part: no key is in doubt
 * any more. */
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
/* One step of removing a segment from the file: some of its rows, then some of its index, at last
 * its table. From the first step on it is not asked any more. */
enum err dedupe_segment_drop_step(
    struct dedupe_store *dedupe, struct dedupe_segment *segment) MUST_CHECK;

/* Call it when the transaction has ended. Returns false when the segment is not in the file: it was
 * removed, or it was never committed. */
bool dedupe_segment_end(struct dedupe_segment *segment, bool committed);

#endif
