/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the WAL goes back into the file. SQLite's own way runs inside some unlucky commit; here the
 * journal's thread does it between two transactions, after the answers have left, each time the WAL
 * has grown by another CHECKPOINT_PAGES: small steps, since a step is the longest that a commit has
 * to wait. A step takes what no reader needs any more (PASSIVE), and the WAL starts over when it
 * took all.
 *
 * On a disk that is nearly full the file may find no room to grow where the WAL still does. Left
 * alone the WAL would take all that is freed, and nothing could ever go back: the journal takes no
 * events while it is starved (store.h), and tries again every second.
 */
#ifndef PENSTOCK_JOURNAL_CHECKPOINT_H
#define PENSTOCK_JOURNAL_CHECKPOINT_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdbool.h>

#define CHECKPOINT_PAGES 1000

/* Owned by the journal's thread; must not move while the connection is open. */
struct checkpointer {
    sqlite3 *db;
    int wal_pages; /* after the last commit that wrote */
    int due_pages;
    bool wrote; /* the commit since checkpointer_begin wrote something */
    bool
        /* what is in the WAL found no room in the file: the WAL must not grow by new events */
        starved;
};

void checkpointer_init(struct checkpointer *checkpointer, sqlite3 *db);

/* Before a transaction; `wrote` then tells what its commit did. */
void checkpointer_begin(struct checkpointer *checkpointer);

/* Between transactions: a step if one is due. A file that is busy is no error. */
enum err checkpointer_work(struct checkpointer *checkpointer) MUST_CHECK;

/* The same whatever the WAL's size: on a full disk, where the WAL can't grow but may start over.
 * `ret_all`: it will. */
enum err checkpointer_relieve(struct checkpointer *checkpointer, bool *ret_all) MUST_CHECK;

/* At the end: all of it, and the WAL is cut to nothing. */
enum err checkpointer_finish(struct checkpointer *checkpointer) MUST_CHECK;

#endif
