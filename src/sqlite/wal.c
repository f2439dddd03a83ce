/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/wal.h"

#include "base/memory.h"
#include "runtime/metrics.h"
#include "sqlite/sql_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Making it durable. By SQLite's own functions for files, so that a test's disk is used as well. */

#define PATH_BYTES_MAX 4400
/* SQLite itself writes less than 128 KiB at a time. A larger piece is refused where SQLite's own
 * writes still find room. */
#define PIECE_BYTES (64 * 1024)

static int write_onto_itself(sqlite3_file *file, char *piece)
{
    sqlite3_int64 size = 0;
    int code = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += PIECE_BYTES) {
        int len = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
        code = file->pMethods->xRead(file, piece, len, at);
        if (code == SQLITE_OK)
            code = file->pMethods->xWrite(file, piece, len, at);
    }
    return code == SQLITE_OK && size > 0 ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : code;
}

enum err wal_make_durable(const char *path)
{
    char name[PATH_BYTES_MAX] = ""; /* two zeros behind it, as SQLite promises its VFS */
    int exists = 0;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs)
        return ERR_BUG;
    snprintf(name, sizeof name - 2, "%s-wal", path);
    if (vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &exists) != SQLITE_OK || !exists)
        return OK;
    /* The VFS's own part, and a piece behind it. */
    sqlite3_file *file = memory_new((size_t)vfs->szOsFile + PIECE_BYTES);
    int code = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
    if (code == SQLITE_OK)
        code = write_onto_itself(file, (char *)file + vfs->szOsFile);
    if (file->pMethods)
        file->pMethods->xClose(file);
    free(file);
    return sql_err(NULL, code);
}

int64_t wal_bytes(sqlite3 *db)
{
    struct stat status;
    const char *path = sqlite3_filename_wal(sqlite3_db_filename(db, "main"));
    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

/* Moving it back. */

static void set_wal_pages(struct checkpointer *checkpointer, int pages)
{
    metrics_add((enum metric)checkpointer->pages_gauge, pages - checkpointer->wal_pages);
    checkpointer->wal_pages = pages;
}

static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct checkpointer *checkpointer = context;
    checkpointer->wrote = true;
    set_wal_pages(checkpointer, pages);
    return SQLITE_OK;
}

void checkpointer_init(
    struct checkpointer *checkpointer, sqlite3 *db, int pages_gauge, int steps_counter)
{
    *checkpointer = (struct checkpointer){.db = db,
        .pages_gauge = pages_gauge,
        .steps_counter = steps_counter,
        .due_pages = CHECKPOINT_PAGES};
    sqlite3_wal_hook(db, on_commit, checkpointer);
}

void checkpointer_begin(struct checkpointer *checkpointer)
{
    checkpointer->wrote = false;
}

enum err checkpointer_work(struct checkpointer *checkpointer)
{
    if (checkpointer->wal_pages < checkpointer->due_pages) {
        /* The WAL has started over: what a reader held back is in the database. */
        if (checkpointer->wal_pages < CHECKPOINT_PAGES)
            checkpointer->due_pages = CHECKPOINT_PAGES;
        return OK;
    }
    bool all;
    return checkpointer_relieve(checkpointer, &all);
}

enum err checkpointer_relieve(struct checkpointer *checkpointer, bool *ret_all)
{
    int in_wal = 0, in_file = 0;
    int code = sqlite3_wal_checkpoint_v2(
        checkpointer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &in_file);
    metrics_add((enum metric)checkpointer->steps_counter, 1);
    /* When a reader holds some of it back, or the disk is full, the next step waits for more pages:
     * there is no point in a try after each commit. */
    bool all = code == SQLITE_OK && in_wal == in_file;
    checkpointer->due_pages = all ? CHECKPOINT_PAGES : checkpointer->wal_pages + CHECKPOINT_PAGES;
    enum err err = code == SQLITE_BUSY ? OK : sql_err(checkpointer->db, code);
    checkpointer->starved = err == ERR_DISK_FULL && checkpointer->wal_pages >= CHECKPOINT_PAGES;
    *ret_all = all && checkpointer->wal_pages > 0;
    return err;
}

enum err checkpointer_finish(struct checkpointer *checkpointer)
{
    int code =
        sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    set_wal_pages(checkpointer, 0);
    return code == SQLITE_BUSY ? OK : sql_err(checkpointer->db, code);
}
