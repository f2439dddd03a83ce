/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a delivery (one event for one endpoint), and every allowed change.
 *
 *              .---------- due, woken ---------.
 *              v                               |
 *   pending --> sending --> delivered          |
 *    |  |  ^      |-------> waiting -----------'  temporary failure; due_at
 *    |  |  |      |-------> dead                  permanent failure, or failed past the horizon
 *    |  |  |      '-------> parked                ambiguous and guarded; 410
 *    |  |  '-- crash, unguarded: sending -> waiting
 *    |  '----> waiting                            nothing was sent: a switch, a shortage
 *    '-------> parked                             no endpoint; endpoint disabled or deleted
 *                                                 (also from waiting)
 *
 *   parked --> pending                by itself when the cause is gone (unrouted, disabled, gone),
 *                                     otherwise by an operator
 *   parked --> delivered, discarded   an operator or the status probe resolves it
 *   dead ----> pending, discarded     an operator retries or discards it
 *   waiting -> pending, discarded     the same
 *   delivered -> pending              forced replay
 *
 * A delivered event stays delivered. A forced replay uses the same changes. If it fails or is
 * discarded (would be dead, or parked for another reason), the delivery returns to delivered
 * (delivery_state_of_replay). Its failed attempts stay in the history.
 *
 * On disk an unguarded delivery stays pending or waiting while it is sent. Only a guarded one needs
 * a durable `sending`.
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

/* Why a delivery is parked. Written to disk: numbers never change. */
enum park_reason {
    PARK_NONE = 0,
    PARK_UNROUTED = 1,  /* the account has no endpoint for it */
    PARK_DISABLED = 2,  /* the endpoint is disabled, by an operator or by a 410 */
    PARK_GONE = 3,      /* the endpoint is deleted */
    PARK_AMBIGUOUS = 4, /* guarded, and it is unknown whether the client did the work */
    PARK_CONFLICT = 5,  /* found late: same key, other amount or currency */
    PARK_DAMAGED = 6,   /* its row or body failed the checksum */
    PARK_MISMATCH = 7,  /* consumed from a partition that is not its account's */
    /* Guarded, and accepted before this gateway took delivery over. The other gateway may have sent
     * it. */
    PARK_TAKEN_OVER = 8,
    /* A damaged row of the dedupe store may be its key: it is unknown whether it is a duplicate. */
    PARK_DOUBTFUL = 9
};
#define PARK_REASONS (PARK_DOUBTFUL + 1)

/*
 * Why a delivery waits. Written to disk: numbers never change.
 *
 *   WAIT_ENDPOINT    the endpoint failed: connect, TLS, timeout, lost answer, 5xx, 408, 425, 429.
 *                    When it recovers, the delivery is due at once
 *   WAIT_EVENT       this event is the problem: another 4xx, 3xx, a success rule that was not met.
 *                    It keeps its due time
 *   WAIT_OURSELVES   this machine lacked something, or a kept connection was lost. It was no
 *                    attempt of the client
 */
enum wait_cause { WAIT_NONE = 0, WAIT_ENDPOINT = 1, WAIT_EVENT = 2, WAIT_OURSELVES = 3 };

/* Written to disk: numbers never change. */
enum delivery_lane { LANE_FRESH = 0, LANE_RETRY = 1, LANE_REPLAY = 2 };

bool delivery_state_may_move(enum delivery_state from, enum delivery_state to);
/* The changes that only an operator or a status probe makes: out of parked, dead and delivered, and
 * out of waiting to pending or discarded. */
bool delivery_state_may_move_by_operator(enum delivery_state from, enum delivery_state to);

/* The result of the last forced replay of a delivered event. */
enum delivery_replay { REPLAY_NONE, REPLAY_IN_PROGRESS, REPLAY_FAILED, REPLAY_DELIVERED };
const char *delivery_replay_name(enum delivery_replay replay);

/* Returns the state that a forced replay gets when another delivery would get `to`. */
enum delivery_state delivery_state_of_replay(enum delivery_state to);

/* Delivered or discarded: it does not change by itself and needs no decision. */
bool delivery_state_is_final(enum delivery_state state);

bool delivery_state_from_name(const char *name, enum delivery_state *ret_state);
const char *delivery_state_name(enum delivery_state state);
const char *park_reason_name(enum park_reason reason);
/* The client may have done the work already, or the event may be a duplicate. */
bool park_reason_is_doubt(enum park_reason reason);
bool park_reason_from_name(const char *name, enum park_reason *ret_reason); /* except "none" */
const char *wait_cause_name(enum wait_cause cause);
const char *delivery_lane_name(enum delivery_lane lane);

#endif
