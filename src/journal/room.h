/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a journal stands with its disk, as others see it: which classes of events it takes, and if
 * not all of them, why. Written by the journal's thread when something changes and about once a
 * second while not all is well; read by anybody (readyz, `penstock status`). Each value is true by
 * itself; two of them may be of different moments.
 *
 *   well        everything is accepted
 *   reserve     the disk fills up, and what is left is kept for outcomes: space says which classes are refused
 *   full        the disk (or a quota) has no room, or what is in the WAL finds none in the journal's file
 *   read-only   the file system takes no writes
 *   failing     writes fail otherwise, or the file is in doubt: see the log
 */
#ifndef PENSTOCK_JOURNAL_ROOM_H
#define PENSTOCK_JOURNAL_ROOM_H

#include "journal/reserve.h"

#include <stdatomic.h>

enum room_reason { ROOM_WELL, ROOM_RESERVE, ROOM_FULL, ROOM_READ_ONLY, ROOM_FAILING };

struct room {
    enum disk_space space;
    enum room_reason reason;
    int64_t since_us;   /* wall time of the last change of the two above */
    int64_t free_bytes; /* of the file system; -1: it does not say */
    int64_t
        /* that must be free before the next class is accepted; 0: room is not what is missing */
        wanted_bytes;
};

struct room_board {
    _Atomic int space, reason;
    _Atomic int64_t since_us, free_bytes, wanted_bytes;
    /* monotonic: what the journal's thread is at began (0: it waits); what took longest lately, and
     * when it ended */
    _Atomic int64_t busy_since_us, took_us, took_until_us;
};

void room_board_set(struct room_board *board, const struct room *room);
struct room room_board_get(const struct room_board *board);

/* By the journal's thread: it begins with something that requests wait for (a transaction, the
 * house); that has ended. / */
void room_board_begin(struct room_board *board, int64_t now_mono_us);
void room_board_end(struct room_board *board, int64_t now_mono_us);
/* All classes are taken, and nothing has kept a request waiting for longer than `within_us` within
 * the last second. */
bool room_board_is_prompt(const struct room_board *board, int64_t now_mono_us, int64_t within_us);

/* By the journal's thread: adds to the gauges (what is well counts nowhere); says a level of the
 * reserve that is new. / */
void room_count(const struct room *room, int64_t amount);
void room_say_space(const struct reserve *reserve, unsigned shard, int64_t *said);

const char *room_reason_name(enum room_reason reason);
/* "no events", "only critical events", ...: what is taken. */
const char *room_taken(enum disk_space space);

#endif
