/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slice of the ledger: a table to which rows are only ever appended, what is in memory about it, and its share of
 * the two tables of the sealed ones. Internal to the ledger; ledger.h has the picture of its states.
 *
 *   ledger_c_20260131  row (from 1), key, event, amount, currency, checksum
 *   ledger_filters     of each sealed slice: how many keys it was given, its filter, the seed of its index
 *   ledger_index       of each sealed slice: its index, bucket by bucket, empty ones as well (key_index.h)
 *
 * What is written when a slice is sealed can be made again from its rows, and carries a checksum. What is missing or
 * damaged is not believed: the rows are read instead. Rows themselves can't be made again here: a row that can't be
 * read may be the one that is asked for, and the finding is LEDGER_DAMAGED then, never LEDGER_NEW.
 *
 * All of this happens in the transaction of the caller, except for ledger_slice_load and ledger_slice_scan.
 */
#ifndef PENSTOCK_JOURNAL_LEDGER_SLICE_H
#define PENSTOCK_JOURNAL_LEDGER_SLICE_H

#include "base/limits.h"
#include "journal/key_filter.h"
#include "journal/key_index.h"
#include "journal/ledger.h"
#include "journal/sql.h"

#define LEDGER_SLICE_NAME_BYTES 32 /* ledger_c_YYYYMMDD_N */

enum slice_state { SLICE_OPEN, SLICE_CLOSED, SLICE_SEALED };

struct ledger_slice {
    /* what it is */
    char name[LEDGER_SLICE_NAME_BYTES];
    int64_t day; /* since 1970-01-01, UTC */
    int64_t days_kept;
    unsigned part; /* of the day */

    /* what is in it */
    enum slice_state state;
    bool unreadable; /* closed for ever: of what the filter does not deny and the index does not know, nothing is known
                      */
    bool filter_in_part; /* made of the rows that could be read: what it denies may be there */
    bool mended;         /* what could not be read of it was entered again in a later part (mend.h) */
    bool undroppable;    /* its table is too damaged to be dropped: it stays in the file until a person mends it */
    bool expiring;       /* its retention is over, and its rows are on their way out */
    uint64_t keys;       /* in the filter: those that were rolled back count as well */
    struct key_filter filter;
    struct key_index index; /* open; closed once it is needed; of a sealed one only the seed */

    /* of the transaction that is open */
    bool made, dropped, sealed;
    struct key_filter folded; /* what `filter` will be when `sealed` is committed */

    sqlite3_stmt *find, *add; /* prepared at first use: most old slices are hardly ever asked */
};

/* What the ledger keeps of an event. Not to be copied; the event and the key must stay. */
struct ledger_entry {
    const struct ledger_key *key;
    struct slice event, amount, currency;
    char canonical[AMOUNT_TEXT_BYTES];
};
void ledger_entry_init(struct ledger_entry *entry, const struct ledger_key *key, const struct event *event);

/* A row as the file has it; its bytes are valid until the next step. */
struct ledger_row {
    int64_t number;
    struct slice key, event, amount, currency;
};
/* The columns that ledger_row_take reads, in its order. */
#define LEDGER_ROW_COLUMNS "row, key, event, amount, currency, crc"
/* False when it is not what was written into this table; it is filled all the same. */
bool ledger_row_take(const char *table, const struct sql_use *use, struct ledger_row *ret_row);

/* Without a table yet, and without anything in memory. NULL without memory. */
struct ledger_slice *ledger_slice_new(int64_t day, int64_t days_kept, unsigned part);
void ledger_slice_free(struct ledger_slice *slice);

/* The one whose table has this name. ERR_NOT_FOUND when it is no slice's. */
enum err ledger_slice_from_name(const char *name, struct ledger_slice **ret_slice) MUST_CHECK;
bool ledger_slice_is_later(const struct ledger_slice *slice, const struct ledger_slice *other);

/* ERR_DAMAGED when the table has not the form that we know; SQLite's message says what is missing. */
enum err ledger_slice_check_form(struct ledger *ledger, const struct ledger_slice *slice) MUST_CHECK;

/* Makes the table of a new slice, and it is open. */
enum err ledger_slice_make(struct ledger *ledger, struct ledger_slice *slice) MUST_CHECK;

/* For a slice that is found at the start: its filter from the file, and it is sealed; or closed when there is none to
 * be trusted. `filters` is a statement of LEDGER_SLICE_FILTER. */
#define LEDGER_SLICE_FILTER "SELECT keys, seed, filter, crc FROM ledger_filters WHERE slice = ?1"
enum err ledger_slice_load(struct ledger_slice *slice, sqlite3_stmt *filters) MUST_CHECK;

/* Reads the keys of a closed slice into a new filter; the newest of its retention gets its index as well, and is open
 * then if it has room. What can't be read makes it unreadable, and is no failure. */
enum err ledger_slice_scan(struct ledger *ledger, struct ledger_slice *slice, bool newest) MUST_CHECK;

/* Every key that could not be read stands in a later part by now: nothing is in doubt any more. */
void ledger_slice_mended(struct ledger_slice *slice);

/* Asked when the filter says "maybe". The id of the first one is returned with LEDGER_DUPLICATE and LEDGER_CONFLICT. */
enum err ledger_slice_find(struct ledger *ledger, struct ledger_slice *slice, const struct ledger_entry *entry,
    enum ledger_finding *ret_finding, struct event_id *ret_first) MUST_CHECK;

/* ERR_NO_MEMORY comes before anything is written. */
enum err ledger_slice_add(
    struct ledger *ledger, struct ledger_slice *slice, const struct ledger_entry *entry) MUST_CHECK;

/* Writes the filter and the index of a slice that takes no more keys. One that turns out unreadable stays closed. */
enum err ledger_slice_seal(struct ledger *ledger, struct ledger_slice *slice) MUST_CHECK;
/* One step of taking a slice out of the file: some of its rows, then of its index, at last its table. From the first
 * one on it is not asked any more. */
enum err ledger_slice_drop_step(struct ledger *ledger, struct ledger_slice *slice) MUST_CHECK;

/* The transaction ended. False when the slice is not in the file any more, or never came into it. */
bool ledger_slice_end(struct ledger_slice *slice, bool committed);

#endif
