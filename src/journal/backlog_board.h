/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backlog board: how many deliveries of each endpoint are in each state that is not final, by
 * class. It shows what is in the journal's file, not what has happened since the start.
 *
 * The start counts the indexes of the open states once (backlog_fill.c). From then on, each write
 * of a row moves one count (delivery_rows_write is the only place). What a transaction moves is
 * noted, and counted when it commits. A transaction that is rolled back changes nothing.
 *
 * The journal's thread writes. Any thread reads, without a lock: there is one node for each
 * endpoint, nodes are added at the head of a list and stay until the journal is closed. Each number
 * is true by itself; two numbers may be of different moments. So readers stop before the journal
 * does.
 *
 * Bounds: one node of about 400 bytes for each endpoint that has had something open since the
 * start. The notes of a transaction are as many as the rows that it writes.
 *
 * How it fails: when an index is damaged, the start counts without it, says so in the log, and
 * `is_complete` is false. A row that was damaged may be counted wrong until the next start. Readers
 * never see a number below zero.
 */
#ifndef PENSTOCK_JOURNAL_BACKLOG_BOARD_H
#define PENSTOCK_JOURNAL_BACKLOG_BOARD_H

#include "base/id_map.h"
#include "model/class.h"
#include "model/delivery_state.h"

#include <stdatomic.h>
#include <stdint.h>

/* What is counted. Replays that are pending are apart from the other pending ones, since they are
 * sent at a rate of their own. Parked ones are counted by reason. */
enum backlog_kind {
    BACKLOG_PENDING,
    BACKLOG_REPLAYS,
    BACKLOG_SENDING,
    BACKLOG_WAITING,
    BACKLOG_DEAD,
    BACKLOG_PARKED, /* + reason */
    BACKLOG_KINDS = BACKLOG_PARKED + PARK_REASONS
};

struct backlog_counts {
    int64_t of[BACKLOG_KINDS][EVENT_CLASSES];
};

/* Where a stored row is counted. All zeros: nowhere, as rows that are not stored and final ones. */
struct backlog_place {
    uint64_t endpoint;
    unsigned cell; /* of counts, + 1; 0: nowhere */
};

struct backlog_node {
    struct id_map_node by_endpoint; /* owned by the journal's thread */
    uint64_t endpoint;              /* immutable; 0: unrouted */
    struct backlog_node *next;      /* immutable */
    _Atomic int64_t counts[BACKLOG_KINDS * EVENT_CLASSES];
};

struct backlog_note {
    struct backlog_node *node;
    unsigned cell;
    int64_t by;
};

struct backlog_board {
    /* shared */
    struct backlog_node *_Atomic first;
    _Atomic bool is_complete; /* the start could read all of it */
    struct backlog_node all;  /* sums over all endpoints; not in the list */
    /* owned by the journal's thread */
    struct id_map nodes;
    struct backlog_note *notes; /* of the open transaction */
    size_t notes_count, notes_room;
};

/* By the journal's thread. */

void backlog_board_init(struct backlog_board *board);
void backlog_board_done(struct backlog_board *board);
/* Where a row in this state is counted. Values that a damaged row may have are counted nowhere. */
struct backlog_place backlog_place_of(uint64_t endpoint, enum delivery_state state,
    enum park_reason reason, enum delivery_lane lane, enum event_class class);
/* In a transaction: a row leaves one place and gets to another one. */
void backlog_board_move(
    struct backlog_board *board, const struct backlog_place *from, const struct backlog_place *to);
void backlog_board_committed(struct backlog_board *board);
void backlog_board_rolled_back(struct backlog_board *board);
/* At the start: what the file has. */
void backlog_board_add(
    struct backlog_board *board, const struct backlog_place *place, int64_t count);

/* By any thread, while the journal is open. */

const struct backlog_node *backlog_board_first(const struct backlog_board *board); /* or NULL */
void backlog_node_read(const struct backlog_node *node, struct backlog_counts *ret_counts);
/* Of one endpoint; zeros when it has had nothing. Walks the list. */
void backlog_board_read(
    const struct backlog_board *board, uint64_t endpoint, struct backlog_counts *ret_counts);
/* Adds the sums over all endpoints. */
void backlog_board_add_all(const struct backlog_board *board, struct backlog_counts *counts);

/* The same, without these endpoints. Walks the list. */
void backlog_board_add_all_but(const struct backlog_board *board, const uint64_t *endpoints,
    unsigned endpoints_count, struct backlog_counts *counts);

int64_t backlog_sum(const struct backlog_counts *counts, enum backlog_kind kind);
/* Pending, replays, sending and waiting: what is delivered without a person. */
int64_t backlog_in_progress(const struct backlog_counts *counts);
int64_t backlog_parked(const struct backlog_counts *counts);

#endif
