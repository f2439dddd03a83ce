/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a delivery (one event for one endpoint), and every way between them.
 *
 *              .---------- due, woken ---------.
 *              v                               |
 *   pending --> sending --> delivered          |
 *    |  |  ^      |-------> waiting -----------'    temporary failure; due_at
 *    |  |  |      |-------> dead                    permanent failure, or failed past the horizon
 *    |  |  |      '-------> parked                  ambiguous and guarded; 410
 *    |  |  '-- crash, unguarded: sending -> waiting
 *    |  '----> waiting                              endpoint busy beyond its share, paused, retries off
 *    '-------> parked                               no endpoint, endpoint disabled or gone (also from waiting)
 *
 *   parked --> pending                by itself when the cause is gone (unrouted, disabled, gone), else by an operator
 *   parked --> delivered, discarded   an operator or the status probe resolves
 *   dead ----> pending, discarded     an operator replays or gives up
 *   delivered -> pending              forced replay
 *
 * What has been delivered stays so: a forced replay goes the ways above, and where it ends without
 * success (dead or parked for another one) it is delivered again, as it was
 * (delivery_state_of_replay). Its failed attempts stay in the history.
 *
 * On disk an unguarded delivery stays pending (or waiting) while it is sent: only the guard needs
 * `sending` to be durable.
 */
#ifndef PENSTOCK_MODEL_DELIVERY_STATE_H
#define PENSTOCK_MODEL_DELIVERY_STATE_H

#include <stdbool.h>

/* Written to disk: numbers never change. */
enum delivery_state {
    DELIVERY_PENDING = 0,
    DELIVERY_SENDING = 1,
    DELIVERY_WAITING = 2,
    DELIVERY_PARKED = 3,
    DELIVERY_DELIVERED = 4,
    DELIVERY_DEAD = 5,
    DELIVERY_DISCARDED = 6,
    DELIVERY_STATES
};

/* Why it is parked. Written to disk: numbers never change. */
enum park_reason {
    PARK_NONE = 0,
    PARK_UNROUTED = 1,  /* the account had no endpoint for it */
    PARK_DISABLED = 2,  /* the endpoint is disabled (by hand, or by a 410) */
    PARK_GONE = 3,      /* the endpoint has been deleted */
    PARK_AMBIGUOUS = 4, /* guarded, and nobody can know whether the client did the work */
    PARK_CONFLICT = 5,  /* found late: same key, other money */
    PARK_DAMAGED = 6,   /* its row or body failed the checksum */
    PARK_MISMATCH = 7,  /* consumed from a partition that is not its account's */
    /* Guarded, and accepted before this gateway took delivery over from one that may have sent it.
     * */
    PARK_TAKEN_OVER = 8,
    /* A damaged row of the dedupe store may be its key: nobody can know whether it is a duplicate.
     * */
    PARK_DOUBTFUL = 9
};

/* Written to disk: numbers never change. */
enum delivery_lane { LANE_FRESH = 0, LANE_RETRY = 1, LANE_REPLAY = 2 };

bool delivery_state_may_move(enum delivery_state from, enum delivery_state to);
/* The ways that are an operator's (or a status probe's): out of parked, dead and delivered. */
bool delivery_state_may_move_by_operator(enum delivery_state from, enum delivery_state to);

/* What has become of an operator's wish to send again what was delivered: the last one's. */
enum delivery_replay { REPLAY_NONE, REPLAY_IN_PROGRESS, REPLAY_FAILED, REPLAY_DELIVERED };
const char *delivery_replay_name(enum delivery_replay replay);

/* Where a forced replay comes to when another delivery would come to `to`. */
enum delivery_state delivery_state_of_replay(enum delivery_state to);

/* Delivered or discarded: nothing more happens to it by itself, and nobody has to decide. */
bool delivery_state_is_final(enum delivery_state state);

bool delivery_state_from_name(const char *name, enum delivery_state *ret_state);
const char *delivery_state_name(enum delivery_state state);
const char *park_reason_name(enum park_reason reason);
bool park_reason_from_name(const char *name, enum park_reason *ret_reason); /* but for "none" */
const char *delivery_lane_name(enum delivery_lane lane);

#endif
