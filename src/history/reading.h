/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only connection to a journal's file, beside its writer. A read transaction holds the WAL
 * from its first statement on, and the writer's checkpoints need moments without readers to start
 * the WAL over. So each transaction is short (READING_US_MAX). A long reading takes many of them,
 * and rests while the WAL is large. Owned by one thread.
 */
#ifndef PENSTOCK_HISTORY_READING_H
#define PENSTOCK_HISTORY_READING_H

#include "journal/event_range.h"
#include "sqlite/sql.h"

/* Questions wait for each other, and a page should be answered within 100 ms on a busy machine. */
#define READING_US_MAX 30000

/* ERR_DISK when there is no such file, ERR_DAMAGED, ERR_UNAVAILABLE, ERR_NO_MEMORY. The caller
 * closes the connection, with all of its statements finalized. */
enum err reading_open(
    const char *directory, unsigned shard, unsigned cache_kib, struct sqlite3 **ret_db) MUST_CHECK;

enum err reading_begin(struct sqlite3 *db) MUST_CHECK;
void reading_end(struct sqlite3 *db); /* takes one that has not begun, or that an error has ended */

/* The WAL is large: a long reading should rest for a while. */
bool reading_must_rest(struct sqlite3 *db);

/* See event_range_find. */
#define READING_DISORDER_US EVENT_RANGE_DISORDER_US
enum err reading_find_range(struct sqlite3 *db, int64_t from_us, int64_t end_us,
    int64_t *ret_after_seq, int64_t *ret_last_seq) MUST_CHECK;

/* An integer of the table `meta`; `otherwise` where there is none. */
enum err reading_meta(
    struct sqlite3 *db, const char *key, int64_t otherwise, int64_t *ret_value) MUST_CHECK;

#endif
