/* SPDX-License-Identifier: Apache-2.0 */
#include "model/delivery_state.h"

#include "base/cleanup.h"

#include <string.h>

#define TO(state) (1u << (state))

static const unsigned moves[DELIVERY_STATES] = {
    [DELIVERY_PENDING] = TO(DELIVERY_SENDING) | TO(DELIVERY_WAITING) | TO(DELIVERY_PARKED),
    [DELIVERY_SENDING] =
        TO(DELIVERY_DELIVERED) | TO(DELIVERY_WAITING) | TO(DELIVERY_DEAD) | TO(DELIVERY_PARKED),
    [DELIVERY_WAITING] =
        TO(DELIVERY_SENDING) | TO(DELIVERY_PARKED) | TO(DELIVERY_PENDING) | TO(DELIVERY_DISCARDED),
    [DELIVERY_PARKED] = TO(DELIVERY_PENDING) | TO(DELIVERY_DELIVERED) | TO(DELIVERY_DISCARDED),
    [DELIVERY_DELIVERED] = TO(DELIVERY_PENDING),
    [DELIVERY_DEAD] = TO(DELIVERY_PENDING) | TO(DELIVERY_DISCARDED),
};

bool delivery_state_may_move(enum delivery_state from, enum delivery_state to)
{
    return (unsigned)from < DELIVERY_STATES && (unsigned)to < DELIVERY_STATES &&
           (moves[from] & TO(to));
}

bool delivery_state_may_move_by_operator(enum delivery_state from, enum delivery_state to)
{
    if (from == DELIVERY_WAITING)
        return to == DELIVERY_PENDING || to == DELIVERY_DISCARDED;
    bool is_theirs = from == DELIVERY_PARKED || from == DELIVERY_DEAD || from == DELIVERY_DELIVERED;
    return is_theirs && delivery_state_may_move(from, to);
}

enum delivery_state delivery_state_of_replay(enum delivery_state to)
{
    bool is_end = to == DELIVERY_DEAD || to == DELIVERY_PARKED || to == DELIVERY_DISCARDED;
    return is_end ? DELIVERY_DELIVERED : to;
}

const char *delivery_replay_name(enum delivery_replay replay)
{
    static const char *const names[] = {"none", "in_progress", "failed", "delivered"};
    return (unsigned)replay < ARRAY_LENGTH(names) ? names[replay] : "unknown";
}

bool delivery_state_is_final(enum delivery_state state)
{
    return state == DELIVERY_DELIVERED || state == DELIVERY_DISCARDED;
}

bool delivery_state_from_name(const char *name, enum delivery_state *ret_state)
{
    for (int state = 0; state < DELIVERY_STATES; state++) {
        if (strcmp(name, delivery_state_name((enum delivery_state)state)) == 0) {
            *ret_state = (enum delivery_state)state;
            return true;
        }
    }
    return false;
}

const char *delivery_state_name(enum delivery_state state)
{
    static const char *const names[] = {
        "pending", "sending", "waiting", "parked", "delivered", "dead", "discarded"};
    return (unsigned)state < ARRAY_LENGTH(names) ? names[state] : "unknown";
}

const char *park_reason_name(enum park_reason reason)
{
    static const char *const names[] = {"none", "unrouted", "disabled", "gone", "ambiguous",
        "conflict", "damaged", "mismatch", "taken-over", "doubtful"};
    return (unsigned)reason < ARRAY_LENGTH(names) ? names[reason] : "unknown";
}

bool park_reason_is_doubt(enum park_reason reason)
{
    return reason == PARK_AMBIGUOUS || reason == PARK_TAKEN_OVER || reason == PARK_DOUBTFUL;
}

bool park_reason_from_name(const char *name, enum park_reason *ret_reason)
{
    for (int reason = PARK_NONE + 1; reason <= PARK_DOUBTFUL; reason++) {
        if (strcmp(name, park_reason_name((enum park_reason)reason)) == 0) {
            *ret_reason = (enum park_reason)reason;
            return true;
        }
    }
    return false;
}

const char *wait_cause_name(enum wait_cause cause)
{
    static const char *const names[] = {"none", "endpoint", "event", "ourselves"};
    return (unsigned)cause < ARRAY_LENGTH(names) ? names[cause] : "unknown";
}

const char *delivery_lane_name(enum delivery_lane lane)
{
    static const char *const names[] = {"fresh", "retry", "replay"};
    return (unsigned)lane < ARRAY_LENGTH(names) ? names[lane] : "unknown";
}
