/* SPDX-License-Identifier: Apache-2.0 */
#include "model/replay.h"

#include "base/cleanup.h"

#include <assert.h>

#define REPLAY_PREFIX "rpl_"
#define EVENT_PREFIX "evt_"
#define PREFIX_BYTES (sizeof REPLAY_PREFIX - 1)

static_assert(sizeof REPLAY_PREFIX == sizeof EVENT_PREFIX, "one prefix replaces the other");

void replay_id_format(const struct event_id *id, char ret_text[REPLAY_ID_TEXT_BYTES])
{
    event_id_format(id, ret_text);
    memcpy(ret_text, REPLAY_PREFIX, PREFIX_BYTES);
}

bool replay_id_parse(struct slice text, struct event_id *ret_id)
{
    char event[EVENT_ID_TEXT_BYTES];
    if (text.len != sizeof event - 1 || !slice_starts_with(text, REPLAY_PREFIX))
        return false;
    memcpy(event, text.data, text.len);
    memcpy(event, EVENT_PREFIX, PREFIX_BYTES);
    return event_id_parse(slice_of(event, text.len), ret_id);
}

/* Names. */

static const char *const actions[REPLAY_ACTIONS] = {"retry", "discard", "resolve"};
static const char *const states[REPLAY_STATES] = {"running", "paused", "cancelled", "done"};
static const char *const refusals[REPLAY_REFUSALS] = {"none", "in_doubt", "guarded_delivered",
    "body_expired", "endpoint_gone", "endpoint_disabled", "unrouted", "damaged", "moved_on",
    "reason_needed"};

static bool find(const char *const *names, unsigned count, const char *name, unsigned *ret_index)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *ret_index = i;
        return true;
    }
    return false;
}

const char *replay_action_name(enum replay_action action)
{
    return (unsigned)action < REPLAY_ACTIONS ? actions[action] : "unknown";
}

bool replay_action_from_name(const char *name, enum replay_action *ret_action)
{
    unsigned index;
    if (!find(actions, REPLAY_ACTIONS, name, &index))
        return false;
    *ret_action = (enum replay_action)index;
    return true;
}

const char *replay_state_name(enum replay_state state)
{
    return (unsigned)state < REPLAY_STATES ? states[state] : "unknown";
}

bool replay_state_from_name(const char *name, enum replay_state *ret_state)
{
    unsigned index;
    if (!find(states, REPLAY_STATES, name, &index))
        return false;
    *ret_state = (enum replay_state)index;
    return true;
}

const char *replay_refusal_name(enum replay_refusal refusal)
{
    return (unsigned)refusal < REPLAY_REFUSALS ? refusals[refusal] : "unknown";
}

/* Rules. */

bool replay_state_may_change(enum replay_state from, enum replay_state to)
{
    return !replay_state_is_end(from) && (to != REPLAY_DONE || from == REPLAY_RUNNING);
}

enum delivery_state replay_target(enum replay_action action)
{
    static const enum delivery_state targets[REPLAY_ACTIONS] = {
        DELIVERY_PENDING, DELIVERY_DISCARDED, DELIVERY_DELIVERED};
    return targets[action];
}

unsigned replay_states(enum replay_action action, bool force)
{
    enum delivery_state to = replay_target(action);
    unsigned bits = 0;
    for (int from = 0; from < DELIVERY_STATES; from++)
        if (delivery_state_may_move_by_operator((enum delivery_state)from, to) &&
            (from != DELIVERY_DELIVERED || force))
            bits |= 1u << from;
    return bits;
}

/*
 * What is parked for different reasons must not get one action by accident. A conflict or a
 * mismatch is sent only after somebody has looked at it: a second payout would be made. And only
 * what is in doubt can have reached the client, so that nothing else is resolved as delivered. The
 * filter may name the reason: then the operator means it.
 */
static bool needs_reason(const struct replay_order *order, const struct replay_candidate *candidate)
{
    enum park_reason reason = candidate->reason;
    if (candidate->state != DELIVERY_PARKED || order->filter.park_reason == reason)
        return false;
    if (order->action == REPLAY_ACTION_RETRY)
        return reason == PARK_CONFLICT || reason == PARK_MISMATCH;
    return order->action == REPLAY_ACTION_RESOLVE && !park_reason_is_doubt(reason);
}

static enum replay_refusal judge_retry(
    const struct replay_order *order, const struct replay_candidate *candidate)
{
    if (!candidate->routed)
        return REPLAY_UNROUTED;
    if (candidate->state == DELIVERY_DELIVERED && candidate->guarded && !order->guarded)
        return REPLAY_GUARDED_DELIVERED;
    return candidate->has_body ? REPLAY_NOT_REFUSED : REPLAY_BODY_EXPIRED;
}

enum replay_refusal replay_judge(
    const struct replay_order *order, const struct replay_candidate *candidate)
{
    bool in_doubt = candidate->state == DELIVERY_PARKED && park_reason_is_doubt(candidate->reason);
    if (order->action == REPLAY_ACTION_RETRY && candidate->damaged)
        return REPLAY_DAMAGED;
    /* To resolve what is in doubt is what the action is for. */
    if (in_doubt && !order->guarded && order->action != REPLAY_ACTION_RESOLVE)
        return REPLAY_IN_DOUBT;
    if (needs_reason(order, candidate))
        return REPLAY_REASON_NEEDED;
    return order->action == REPLAY_ACTION_RETRY ? judge_retry(order, candidate)
                                                : REPLAY_NOT_REFUSED;
}

void replay_progress_add(struct replay_progress *sum, const struct replay_progress *more)
{
    sum->moved += more->moved;
    for (unsigned i = 0; i < REPLAY_REFUSALS; i++)
        sum->refused[i] += more->refused[i];
}

int64_t replay_progress_refused(const struct replay_progress *progress)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < REPLAY_REFUSALS; i++)
        sum += progress->refused[i];
    return sum;
}
