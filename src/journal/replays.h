/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays as a journal keeps and runs them (model/replay.h). Each shard that may have deliveries of
 * a replay has a row for it, with its order, its state and its progress.
 *
 * The owner of the deliveries (delivery/replay.c) runs a replay in steps:
 *
 *   FIND   the next endpoints that have something in the wanted states. Each gets a cursor, which
 *          is stored
 *   LOOK   reads up to REPLAY_STEP_MAX candidates of one endpoint behind its cursor, and writes
 *          nothing
 *   MOVE   moves the candidates that the owner has left on the list, writes an operator action for
 *          each, the cursor and the progress: all in one transaction
 *
 * So a crash between two steps loses nothing and repeats nothing: a delivery is moved exactly if
 * the cursor has passed it. Between LOOK and MOVE the owner keeps waiting deliveries out of its
 * memory. MOVE passes over a delivery whose state or generation is no longer the one that LOOK
 * found, and does nothing when the replay is not running any more.
 *
 * What has changed since the replay was created is not moved (model/replay.h). Times tell it, and
 * a clock that is set back makes them doubtful. Two facts do not depend on the clock: events that
 * were accepted later have higher numbers, and the actions show what the replay has moved before.
 *
 * A LOOK takes at most LOOK_US_MAX and REPLAY_ROWS_MAX rows, so that the writer is never held. The
 * states of an endpoint are read one after the other: dead, parked, waiting, delivered. Dead,
 * parked and waiting ones come out of the indexes of their states. Delivered ones come from the
 * rows of the events of the filter's time; they have no index by endpoint.
 */
#ifndef PENSTOCK_JOURNAL_REPLAYS_H
#define PENSTOCK_JOURNAL_REPLAYS_H

#include "journal/journal.h"
#include "model/replay.h"

#define REPLAY_WINDOW 256    /* endpoints of one replay that are worked on */
#define REPLAY_STEP_MAX 256  /* deliveries moved in one transaction */
#define REPLAY_ROWS_MAX 1024 /* rows looked at in one step */
/* Pending replays of one endpoint. When a replay is cancelled, at most so many are still sent. */
#define REPLAY_LEAD_MAX 256
#define REPLAY_LIST_MAX 100 /* replays in one list */

/* Where a replay is within an endpoint. Stored. */
struct replay_cursor {
    uint64_t endpoint;
    enum delivery_state place; /* the state whose deliveries are read */
    int64_t key,
        id; /* the last row: its place in the index (delivered: where it ends), its number */
};

/* What an operator asks of the owner, which passes it to the journal (delivery_shard_replay). The
 * answer is that of `ask`. */

/* OK also when the id is there already. ERR_OVERLOADED: REPLAYS_OPEN_MAX have not ended yet. */
struct journal_replay_create {
    struct request request, ask;
    struct replay_order order;
    bool paused; /* it moves nothing before JOURNAL_REPLAY_CHANGE makes it run */
    struct replay ret_replay;
};

/* ERR_NOT_FOUND. ERR_MOVED_ON: it has ended (ret_replay says how). */
struct journal_replay_change {
    struct request request, ask;
    struct event_id id;
    bool has_state, has_rate;
    enum replay_state state;
    unsigned rate;
    enum replay_state state_before; /* the owner's */
    struct replay ret_replay;
};

/* Replays, newest first. */
struct journal_replay_list {
    struct request request, ask;
    bool has_id, has_before, open_only;
    struct event_id id;     /* only this one */
    struct event_id before; /* those with smaller ids */
    unsigned count_max;     /* of `ret_replays`, which the requester allocated */
    unsigned ret_count;
    struct replay *ret_replays;
};

/*
 * Adds cursors for the endpoints behind those that were found before, as long as there are less
 * than `count_max`. `given` are endpoints that are to be looked at whatever the indexes say: those
 * of the filter's account. With `from_start` the stored cursors are returned first.
 */
struct journal_replay_find {
    struct request request;
    struct event_id id;
    bool from_start;
    unsigned given_count;
    uint64_t given[ACCOUNT_ENDPOINTS_MAX];
    unsigned count_max;
    unsigned ret_count;
    bool ret_all; /* there are no more endpoints */
    struct replay_cursor ret_cursors[REPLAY_WINDOW];
};

struct replay_item {
    int64_t delivery;
    uint32_t generation;
    enum delivery_state state;
    enum replay_refusal refusal; /* of LOOK, or of the owner */
    bool ret_moved;
};

struct journal_replay_look {
    struct request request;
    struct event_id id;
    struct replay replay; /* a copy: the requester's may change meanwhile */
    struct replay_cursor cursor;
    unsigned count_max; /* REPLAY_STEP_MAX or less */
    /* It has REPLAY_LEAD_MAX pending replays: nothing was looked at. */
    bool ret_is_full;
    bool ret_over;                   /* the endpoint has no more */
    struct replay_cursor ret_cursor; /* behind what was looked at */
    int64_t ret_took_us;
    unsigned ret_count;
    struct replay_item ret_items[REPLAY_STEP_MAX];
};

/* ERR_MOVED_ON: the replay is not running. ERR_DISK_FULL also while the disk takes no new events.
 * Nothing has been changed then. */
struct journal_replay_move {
    struct request request;
    struct event_id id;
    struct replay_cursor cursor;
    bool over; /* the cursor is removed */
    unsigned count;
    struct replay_item items[REPLAY_STEP_MAX];
    struct replay_progress ret_progress; /* of the replay, after it */
};

#endif
