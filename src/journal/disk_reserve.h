/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reserve: room on the disk for what must still be written when the disk is full.
 *
 * What it is. A file of real blocks beside the journal, `reserve-<shard>`. It is filled while there
 * is room, and cut to nothing when the disk is full. The outcomes of deliveries are then written in
 * its room. Without it a delivery could not be recorded, and nothing could be sent: a gateway whose
 * disk is full would never become empty.
 *
 * How it works. The file system is asked about once a second, and the answer decides which classes
 * of events are accepted. `all` is the sum of the reserves of all shards, which share the disk:
 *
 *   plenty   at least 4 * all are free: everything is accepted
 *   low      less than 4 * all: optional events are refused
 *   scarce   less than 2 * all: important events are refused as well
 *   none     the disk said that it is full, or the reserve could not be filled: no event is
 *            accepted. The reserve has been cut, and outcomes are written in its room. It is filled
 *            again when `all` would still be free afterwards. So all shards have theirs again once
 *            twice `all` is free, whichever of them looks first
 *
 * Limits. A checkpoint moves up to CHECKPOINT_PAGES into the journal's file, which may grow by
 * them: a reserve of less than RESERVE_BYTES_MIN is not enough. With 0 bytes there is no reserve,
 * and only the disk's own refusal counts.
 *
 * How it fails. A reserve that cannot be filled is no error: the level is `none` until it can. When
 * the file system does not say what is free, it counts as plenty. When the room of the reserve is
 * used up as well, the journal's requests fail with ERR_DISK_FULL (disk_watch.h).
 *
 * Owned by the journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_DISK_RESERVE_H
#define PENSTOCK_JOURNAL_DISK_RESERVE_H

#include "base/err.h"
#include "model/class.h"

#include <stdint.h>

#define RESERVE_BYTES_MIN (16 * 1024 * 1024)

enum disk_space { SPACE_PLENTY, SPACE_LOW, SPACE_SCARCE, SPACE_NONE };

struct disk_reserve {
    int fd;             /* the file; without a reserve the directory; -1: not open */
    int64_t bytes;      /* 0: without a reserve, nothing but the disk's own refusal counts */
    int64_t all_bytes;  /* of the reserves of all shards, which are on the same disk */
    int64_t free_bytes; /* of the file system when it was looked at last; -1: it does not say */
    bool held;          /* the file has its bytes */
    enum disk_space space;
    int64_t next_look_us; /* monotonic */
};

/* Opens or makes `directory`/reserve-<shard>, and fills it if there is room: that there is none is
 * no error. */
enum err disk_reserve_open(struct disk_reserve *reserve, const char *directory, unsigned shard,
    int64_t bytes, int64_t all_bytes) MUST_CHECK;
void disk_reserve_close(struct disk_reserve *reserve); /* the file stays */

/* What must be free before the next class is accepted; 0: everything is. */
int64_t disk_reserve_wants(const struct disk_reserve *reserve);

/* Looks at the file system if it is time to; true when `space` has changed. */
bool disk_reserve_look(struct disk_reserve *reserve, int64_t now_mono_us);

/* Whether the file system is mounted so that it takes no writes. */
bool disk_reserve_is_read_only(const struct disk_reserve *reserve);

/* The disk said that it is full. */
void disk_reserve_give_up(struct disk_reserve *reserve, int64_t now_mono_us);

/* Whether events of this class are accepted. */
static inline bool disk_reserve_admits(const struct disk_reserve *reserve, enum event_class class)
{
    return reserve->space == SPACE_PLENTY ||
           (reserve->space == SPACE_LOW && class != CLASS_OPTIONAL) ||
           (reserve->space == SPACE_SCARCE && class == CLASS_CRITICAL);
}

const char *disk_space_name(enum disk_space space);

#endif
