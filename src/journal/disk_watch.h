/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a journal's thread has found out about its disk: whether the last transactions failed and
 * why, whether the file is in doubt, and what it publishes of that (disk_board.h).
 *
 *   well --> trouble    a transaction failed: the disk is full, read-only, or fails otherwise. The
 *     ^         |       log says it once
 *     '---------'       a commit has written something. After a full disk it must have accepted an
 *                       event, or 1 MiB must be free: a single page finds room where an event does
 *                       not
 *   any  --> failed     the file is in doubt (sql_is_in_doubt): everything is refused until a
 *                       restart
 *
 * Beside it, the reserve says which classes of events are accepted while the disk fills up
 * (disk_reserve.h), and the checkpointer whether the WAL finds room in the file (sqlite/wal.h).
 * Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_DISK_WATCH_H
#define PENSTOCK_JOURNAL_DISK_WATCH_H

#include "journal/store.h"

/* Between two tries of a disk that fails. */
#define DISK_RETRY_US US_PER_SECOND

struct disk_watch {
    struct store *store;
    struct disk_board *board;
    void (*on_failed)(void *context, enum err error); /* once; may be NULL */
    void *context;

    bool failed;
    enum room_reason trouble; /* of the last transactions; ROOM_WELL: none */
    int64_t next_try_us;      /* monotonic; while there is trouble */
    int64_t next_relief_us;
    struct room room;   /* as it is on the board */
    int64_t space_said; /* enum disk_space, as the metric has it */
};

/* After the store has been opened. */
void disk_watch_begin(struct disk_watch *watch);
void disk_watch_end(struct disk_watch *watch);

/* A transaction failed with `error`; right after the failure, while the connection still says what
 * it was. Rolls it back. */
void disk_watch_abandon(struct disk_watch *watch, enum err error, bool while_committing);
/* A commit wrote something. */
void disk_watch_note_success(struct disk_watch *watch, bool took_event);

/* Looks at the free space, about once a second. */
void disk_watch_look(struct disk_watch *watch, int64_t now_us);
/* The disk is full: the reserve is given up, so that outcomes find room. */
void disk_watch_give_reserve_up(struct disk_watch *watch);

/* A step of the checkpointer, if one is due; not while it is starved. */
void disk_watch_keep_wal_small(struct disk_watch *watch);
/* On a full disk: moves the WAL into the file. True when the WAL starts over, in the room that it
 * has. */
bool disk_watch_relieve_wal(struct disk_watch *watch);

/* While there is trouble, about once a second: what to try, since without requests nothing else
 * would find out that the disk is well again. */
enum disk_try { DISK_TRY_NOTHING, DISK_TRY_CHECKPOINT, DISK_TRY_WRITE };
enum disk_try disk_watch_next_try(struct disk_watch *watch, int64_t now_us);

static inline bool disk_watch_is_well(const struct disk_watch *watch)
{
    return !watch->trouble && !watch->store->checkpointer.starved &&
           watch->store->reserve.space == SPACE_PLENTY;
}

#endif
