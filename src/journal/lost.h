/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lost events: the broker has confirmed them, their queue has been consumed past them, and they
 * were not in it (queue/losses.c). Only the id of such an event is left, which has its time of
 * acceptance. It is kept for the audit. When the event arrives later, it is found as an event or an
 * alias, and is not lost any more. Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_LOST_H
#define PENSTOCK_JOURNAL_LOST_H

#include "journal/journal.h"
#include "sqlite/sql.h"

enum lost_statement {
    LOST_ADD,
    LOST_READ_OFFSET,
    LOST_WRITE_OFFSET,
    LOST_READ_SINCE,
    LOST_WRITE_SINCE,
    LOST_FORGET,
    LOST_COUNT,
    LOST_STATEMENTS
};

struct lost {
    struct sqlite3_stmt *statements[LOST_STATEMENTS];
};

/* lost_done is due after a failure as well. */
enum err lost_init(struct lost *lost, struct sqlite3 *db) MUST_CHECK;
void lost_done(struct lost *lost);

#define LOST_COLUMNS "id, found_us, crc"
/* False when it is not what was written. */
bool lost_row_take(const struct sql_use *use, struct event_id *ret_id, int64_t *ret_found_us);

#endif
