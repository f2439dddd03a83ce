/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader of one journal file asks: one event's story, and how many deliveries are in each open state. Each is
 * one short read transaction, since an open one holds the WAL. Owned by the reader's thread.
 */
#ifndef PENSTOCK_JOURNAL_STORY_H
#define PENSTOCK_JOURNAL_STORY_H

#include "journal/alias_rows.h"
#include "journal/delivery_row.h"
#include "journal/event_rows.h"
#include "journal/journal_reader.h"

enum story_statement { STORY_DELIVERIES, STORY_ATTEMPTS, STORY_ACTS, STORY_CENSUS, STORY_STATEMENTS };

struct story_source {
    sqlite3 *db; /* NULL until it is opened */
    struct event_rows events;
    struct alias_rows aliases;
    sqlite3_stmt *statements[STORY_STATEMENTS];
};

/* Opens a journal's file for reading. After a failure `source` is closed again. */
enum err story_source_open(struct story_source *source, const char *directory, unsigned shard) MUST_CHECK;
void story_source_close(struct story_source *source); /* does nothing for one that is not open */

enum err story_source_find(struct story_source *source, const struct event_id *id, struct story **ret_story) MUST_CHECK;

/* A row as readers see it. */
struct story_delivery story_delivery_of(const struct delivery_row *row, bool damaged);

/* Adds to `counts`; untouched on failure. */
enum err story_source_count(struct story_source *source, int64_t counts[DELIVERY_STATES]) MUST_CHECK;

#endif
