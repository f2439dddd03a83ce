/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/checkpoint.h"

#include "journal/sql.h"
#include "runtime/metrics.h"

static void set_wal_pages(struct checkpointer *checkpointer, int pages)
{
    metrics_add(METRIC_JOURNAL_WAL_PAGES, pages - checkpointer->wal_pages);
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

void checkpointer_init(struct checkpointer *checkpointer, sqlite3 *db)
{
    *checkpointer = (struct checkpointer){.db = db, .due_pages = CHECKPOINT_PAGES};
    sqlite3_wal_hook(db, on_commit, checkpointer);
}

void checkpointer_begin(struct checkpointer *checkpointer)
{
    checkpointer->wrote = false;
}

enum err checkpointer_work(struct checkpointer *checkpointer)
{
    if (checkpointer->wal_pages < checkpointer->due_pages) {
        /* The WAL has started over: whatever a reader held back is in the file. */
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
    metrics_add(METRIC_JOURNAL_CHECKPOINTS, 1);
    /* All of it: the next commit starts over. Else a reader holds some back, or the disk is full:
     * not again for each commit. */
    bool all = code == SQLITE_OK && in_wal == in_file;
    checkpointer->due_pages = all ? CHECKPOINT_PAGES : checkpointer->wal_pages + CHECKPOINT_PAGES;
    enum err result = code == SQLITE_BUSY ? OK : sql_err(checkpointer->db, code);
    checkpointer->starved = result == ERR_DISK_FULL && checkpointer->wal_pages >= CHECKPOINT_PAGES;
    *ret_all = all && checkpointer->wal_pages > 0;
    return result;
}

enum err checkpointer_finish(struct checkpointer *checkpointer)
{
    int code =
        sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    set_wal_pages(checkpointer, 0);
    return code == SQLITE_BUSY ? OK : sql_err(checkpointer->db, code);
}
