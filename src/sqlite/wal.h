/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write-ahead log (the file "-wal" beside a database): made durable before it is believed, and
 * moved back into the database in small steps.
 *
 * Before a file is opened: a process that ended at a failed sync, or was killed before one, leaves
 * frames in the kernel's memory that read as written and may not be. The kernel has marked them
 * clean when their writing failed, and no later sync writes them. SQLite would take them for
 * committed and build on them, and the next loss of power would leave a hole in the middle. So
 * wal_make_durable writes the WAL onto itself and syncs it: then what is read is on the disk.
 *
 * While it is open: SQLite's own checkpoints run inside some unlucky commit. A checkpointer takes
 * their place. The writing thread calls it between two transactions, after the answers have left.
 * Each time the WAL has grown by another CHECKPOINT_PAGES it takes one step, and a step is the
 * longest that a commit has to wait. A step moves what no reader needs any more (PASSIVE). When it
 * moved all, the next commit starts the WAL over. When a reader held some back, the next step is
 * due another CHECKPOINT_PAGES later.
 *
 * On a disk that is nearly full the database may find no room to grow where the WAL still does.
 * Left alone, the WAL would take all that is freed, and nothing could ever be moved. Then the
 * checkpointer is starved: its owner takes no new events, and calls checkpointer_relieve about once
 * a second.
 */
#ifndef PENSTOCK_SQLITE_WAL_H
#define PENSTOCK_SQLITE_WAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sqlite3;

/* `path` is the database's. Before it is opened; without a WAL nothing is done. ERR_DISK_FULL,
 * ERR_DISK. */
enum err wal_make_durable(const char *path) MUST_CHECK;

/* The size of the WAL's file; 0 when there is none. */
int64_t wal_bytes(struct sqlite3 *db);

#define CHECKPOINT_PAGES 1000

/* Owned by the connection's thread; must not move while the connection is open. */
struct checkpointer {
    struct sqlite3 *db;
    int pages_gauge, steps_counter; /* enum metric */
    int wal_pages;                  /* after the last commit that wrote */
    int due_pages;
    bool wrote;   /* the commit since checkpointer_begin wrote something */
    bool starved; /* what is in the WAL found no room in the database */
};

/* `pages_gauge` shows the pages of the WAL, `steps_counter` the steps. */
void checkpointer_init(
    struct checkpointer *checkpointer, struct sqlite3 *db, int pages_gauge, int steps_counter);

/* Before a transaction; `wrote` then tells what its commit did. */
void checkpointer_begin(struct checkpointer *checkpointer);

/* Between transactions: a step if one is due. A file that is busy is no error. */
enum err checkpointer_work(struct checkpointer *checkpointer) MUST_CHECK;

/* Does a step, whatever the WAL's size: for a full disk, where the WAL cannot grow but may start
 * over. *ret_all: it will start over. */
enum err checkpointer_relieve(struct checkpointer *checkpointer, bool *ret_all) MUST_CHECK;

/* At the end: moves all of it, and cuts the WAL to nothing. */
enum err checkpointer_finish(struct checkpointer *checkpointer) MUST_CHECK;

#endif
