/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events and their bodies on disk. The writer adds and reads them, the reader reads them. An event
 * that is read has passed its checksum. Owned by its connection's thread.
 */
#ifndef PENSTOCK_JOURNAL_EVENT_ROWS_H
#define PENSTOCK_JOURNAL_EVENT_ROWS_H

#include "model/event.h"
#include "sqlite/sql.h"

enum event_statement {
    EVENTS_ADD,
    EVENTS_ADD_BODY,
    EVENTS_READ,
    EVENTS_READ_BODY,
    EVENTS_HAS_BODY,
    EVENTS_FIND,
    EVENTS_READ_ID,
    EVENTS_READ_CLASS,
    EVENTS_STATEMENTS
};

struct event_rows {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[EVENTS_STATEMENTS];
};

/* What an event is read for, and from where its memory is taken. */
struct event_reading {
    struct byte_budget *budget; /* may be NULL */
    int budget_share_percent;
    int64_t body_bytes_max;
    bool may_lack_body; /* it is empty then; else its absence is damage */
    bool without_body;  /* it is not looked for */
};

/* The columns that event_row_take reads, in its order. */
#define EVENT_COLUMNS                                                                          \
    "seq, id, accepted_us, occurred_us, partner, account, type, key, class, guarded, amount, " \
    "currency,"                                                                                \
    " traceparent, deliveries, crc"
#define EVENT_COLUMN_PARTNER 4
#define EVENT_COLUMN_ACCOUNT 5
/*
 * Reads a row without its body; the texts are valid until the next step. What the row says of class
 * and guard counts, not what the type means today. False when it is not what was written; it is
 * filled all the same.
 */
bool event_row_take(const struct sql_use *use, int64_t *ret_seq, struct event_parts *ret_parts,
    unsigned *ret_deliveries);

/* The checksum of a body. */
uint32_t event_body_checksum(int64_t seq, struct slice body);

/* event_rows_done is due after a failure as well. */
enum err event_rows_init(struct event_rows *rows, struct sqlite3 *db) MUST_CHECK;
void event_rows_done(struct event_rows *rows);

/* ERR_EXISTS when the file has an event of this id: nothing is written then. */
enum err event_rows_add(struct event_rows *rows, int64_t seq, const struct event *event,
    unsigned deliveries) MUST_CHECK;

/* Whether the event's body is (still) there. */
enum err event_rows_has_body(struct event_rows *rows, int64_t seq, bool *ret_has) MUST_CHECK;

/* ERR_NOT_FOUND when there is none. */
enum err event_rows_find(
    struct event_rows *rows, const struct event_id *id, int64_t *ret_seq) MUST_CHECK;

/* Of the row with this number, believed or not. ERR_NOT_FOUND when there is none, or it has not the
 * form of an id. */
enum err event_rows_read_id(
    struct event_rows *rows, int64_t seq, struct event_id *ret_id) MUST_CHECK;

/* What the row says of class and guard, believed or not. ERR_NOT_FOUND. */
enum err event_rows_read_class(struct event_rows *rows, int64_t seq, enum event_class *ret_class,
    bool *ret_guarded) MUST_CHECK;

/*
 * The caller holds the first reference. `ret_deliveries` (may be NULL): how many were made of it.
 * ERR_DAMAGED: the row or the body is not there or not what was written. ERR_OVERLOADED: the budget
 * is used up. ERR_TOO_LARGE: the body is larger than the reading allows.
 */
enum err event_rows_read(struct event_rows *rows, int64_t seq, const struct event_reading *reading,
    struct event **ret_event, unsigned *ret_deliveries) MUST_CHECK;

#endif
