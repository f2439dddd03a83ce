/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a database file, and what concerns a connection as a whole.
 *
 * Every connection gets what our promises need: extended error codes, no memory-mapped reading (an
 * I/O error must come back as a code, not as SIGBUS), no mutex (one thread owns it), and a schema
 * that cannot call functions. A connection that writes calls sql_make_wal once it has checked whose
 * file it is: only from then on a commit is synced.
 */
#ifndef PENSTOCK_SQLITE_DATABASE_H
#define PENSTOCK_SQLITE_DATABASE_H

#include "sqlite/sql.h"

#define SQL_REASON_BYTES 256

enum sql_access {
    SQL_READ,            /* the file must be there */
    SQL_WRITE,           /* the file must be there */
    SQL_CREATE,          /* made where it is missing */
    SQL_READ_FILE_ALONE, /* without its WAL, which is not even looked for. Nothing may write */
};

struct sql_options {
    enum sql_access access;
    unsigned busy_ms; /* how long a lock is waited for */
    /* Nothing is moved from the WAL into the file, at no commit and not at the end: another
     * connection does that. */
    bool leaves_wal;
    const char *pragmas; /* more of them, or NULL */
};

/* On failure `ret_reason` says why (SQL_REASON_BYTES; may be NULL). ERR_DISK: there is no file. */
enum err sql_open(const char *path, const struct sql_options *options, struct sqlite3 **ret_db,
    char *ret_reason) MUST_CHECK;
/* All statements are finalized. Takes NULL. */
void sql_close(struct sqlite3 *db);
/* Whether the connection, when it is closed as the last one, moves the WAL into the file. */
void sql_checkpoint_on_close(struct sqlite3 *db, bool checkpoint);

/*
 * Commits go to a WAL from now on, and each is synced (synchronous = FULL). Where shared memory is
 * not to be had, on some network file systems, SQLite silently stays in its old mode: ERR_DISK, and
 * `ret_reason` says so.
 */
enum err sql_make_wal(struct sqlite3 *db, char *ret_reason) MUST_CHECK;

/* Ends the open transaction, if there is one: after some errors SQLite has ended it already. */
enum err sql_roll_back(struct sqlite3 *db) MUST_CHECK;

/*
 * What the file says it is. `ret_version` is 0 for a file that is empty, or has been made with its
 * stamp (file_stamp.h) and nothing else. ERR_NEWER_FORMAT: beyond `version_max`. ERR_DAMAGED: it is
 * no database, or another application's. Writes nothing. `ret_reason` says what to do.
 */
enum err sql_identify(struct sqlite3 *db, int64_t application, int64_t version_max,
    int64_t *ret_version, char *ret_reason) MUST_CHECK;

#endif
