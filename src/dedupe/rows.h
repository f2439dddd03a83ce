/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of one segment of the dedupe store (segment.h): one table, to which rows are only
 * appended.
 *
 *   dedupe_c_20260131    row (from 1), key, event, amount, currency, crc
 *
 * The checksum covers the name of the table, so that a row which was copied from another segment is
 * found as well. A row that is not what was written, or that cannot be read, may be the one that is
 * asked for: the finding is then DEDUPE_DAMAGED, never DEDUPE_NEW.
 */
#ifndef PENSTOCK_DEDUPE_ROWS_H
#define PENSTOCK_DEDUPE_ROWS_H

#include "dedupe/store.h"
#include "sqlite/sql.h"

/* What the dedupe store keeps of an event. Not to be copied; the event and the key must stay. */
struct dedupe_entry {
    const struct dedupe_key *key;
    struct slice event, amount, currency; /* the amount in its canonical form */
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

/* Prepares `format`, which has the name of the table once or twice, as %s. */
enum err dedupe_prepare(struct sqlite3 *db, const char *table, const char *format,
    struct sqlite3_stmt **ret_statement) MUST_CHECK;

enum err dedupe_rows_make(struct sqlite3 *db, const char *table) MUST_CHECK;
/* ERR_DAMAGED: the table lacks a column; sql_reason says which. */
enum err dedupe_rows_check(struct sqlite3 *db, const char *table) MUST_CHECK;

/* Calls `on_row` for each intact row. *ret_all is false when there are others: damaged rows, which
 * are named in the log, or a page that cannot be read. */
enum err dedupe_rows_each(struct sqlite3 *db, const char *table,
    enum err (*on_row)(const struct dedupe_row *row, void *context), void *context,
    bool *ret_all) MUST_CHECK;

/* Holds a row against an entry. DEDUPE_NEW: there is no such row, or it has another key.
 * `find` is the segment's statement, prepared at the first use. */
enum err dedupe_row_judge(struct sqlite3 *db, const char *table, struct sqlite3_stmt **find,
    uint32_t number, const struct dedupe_entry *entry, enum dedupe_finding *ret_finding,
    struct event_id *ret_first) MUST_CHECK;

/* Apart from dedupe_row_add, which then fails only by what the disk says. */
enum err dedupe_row_prepare_add(
    struct sqlite3 *db, const char *table, struct sqlite3_stmt **add) MUST_CHECK;
enum err dedupe_row_add(struct sqlite3 *db, const char *table, struct sqlite3_stmt **add,
    const struct dedupe_entry *entry, uint32_t *ret_number) MUST_CHECK;

#endif
