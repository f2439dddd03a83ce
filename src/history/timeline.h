/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader of one journal file asks: one event's timeline. It is one short read transaction,
 * since an open one holds the WAL. Owned by the reader's thread.
 */
#ifndef PENSTOCK_HISTORY_TIMELINE_H
#define PENSTOCK_HISTORY_TIMELINE_H

#include "history/journal_reader.h"
#include "journal/delivery_row.h"
#include "journal/duplicate_rows.h"
#include "journal/event_rows.h"

enum timeline_statement {
    TIMELINE_DELIVERIES,
    TIMELINE_ATTEMPTS,
    TIMELINE_ACTIONS,
    TIMELINE_STATEMENTS
};

struct timeline_source {
    struct sqlite3 *db; /* NULL until it is opened */
    struct event_rows events;
    struct alias_rows aliases;
    struct sqlite3_stmt *statements[TIMELINE_STATEMENTS];
};

/* Opens a journal's file for reading. After a failure `source` is closed again. */
enum err timeline_source_open(
    struct timeline_source *source, const char *directory, unsigned shard) MUST_CHECK;
/* Does nothing for a source that is not open. */
void timeline_source_close(struct timeline_source *source);

enum err timeline_source_find(struct timeline_source *source, const struct event_id *id,
    struct timeline **ret_timeline) MUST_CHECK;

/* A row as readers see it. */
struct timeline_delivery timeline_delivery_of(const struct delivery_row *row, bool damaged);

#endif
