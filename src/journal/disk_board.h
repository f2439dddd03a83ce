/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk board: shows other threads which classes of events a journal accepts, and why not all of
 * them. disk_reserve.h decides it. The journal's thread writes the board when something changes,
 * and about once a second while something is wrong. Any thread reads it (readyz, `penstock
 * status`). Each value is true by itself; two of them may be of different moments.
 *
 *   well        everything is accepted
 *   reserve     the disk fills up, and the rest is kept for outcomes. `space` says which classes
 *               are refused
 *   full        the disk or the quota has no room, or the WAL finds none in the journal's file
 *   read-only   the file system takes no writes
 *   failing     writes fail for another reason, or the file is in doubt: see the log
 */
#ifndef PENSTOCK_JOURNAL_DISK_BOARD_H
#define PENSTOCK_JOURNAL_DISK_BOARD_H

#include "journal/disk_reserve.h"

#include <stdatomic.h>

enum room_reason { ROOM_WELL, ROOM_RESERVE, ROOM_FULL, ROOM_READ_ONLY, ROOM_FAILING };

struct room {
    enum disk_space space;
    enum room_reason reason;
    int64_t since_us;   /* wall time of the last change of the two above */
    int64_t free_bytes; /* of the file system; -1: it does not say */
    /* That must be free before the next class is accepted; 0: room is not what is missing. */
    int64_t wanted_bytes;
};

struct disk_board {
    _Atomic int space, reason;
    _Atomic int64_t since_us, free_bytes, wanted_bytes;
    /* monotonic: what the journal's thread is at began (0: it waits); what took longest lately, and
     * when it ended */
    _Atomic int64_t busy_since_us, took_us, took_until_us;
};

void disk_board_set(struct disk_board *board, const struct room *room);
struct room disk_board_get(const struct disk_board *board);

/* By the journal's thread, around everything that requests wait for: a transaction, the work
 * between two of them. */
void disk_board_begin(struct disk_board *board, int64_t now_mono_us);
void disk_board_end(struct disk_board *board, int64_t now_mono_us);
/* All classes are accepted, and within the last second no request has waited for longer than
 * `within_us`. */
bool disk_board_is_prompt(const struct disk_board *board, int64_t now_mono_us, int64_t within_us);

/* By the journal's thread: adds to the gauges, unless all is well; logs a new level of the reserve.
 */
void room_count(const struct room *room, int64_t amount);
void room_say_space(const struct disk_reserve *reserve, unsigned shard, int64_t *said);

const char *room_reason_name(enum room_reason reason);
/* What is accepted: "no events", "only critical events", ... */
const char *room_taken(enum disk_space space);

#endif
