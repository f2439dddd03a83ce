/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replay: one operator action on all deliveries that a filter selects. It is started once, runs
 * slowly, and can be paused, resumed and cancelled.
 *
 *              .----- pause -----.
 *              |                 v
 *   create --> running <--- paused
 *                |   resume      |
 *                |               |
 *                +--> done       |      nothing is left
 *                '--> cancelled <'
 *
 * A replay concerns what was in its state when the replay was created, and has not changed since.
 * So a delivery that fails again is not sent again by the same replay, and events that are accepted
 * while it runs are not touched.
 *
 * Some deliveries are refused. replay_judge has the rules, for the replay itself and for a dry run.
 */
#ifndef PENSTOCK_MODEL_REPLAY_H
#define PENSTOCK_MODEL_REPLAY_H

#include "model/delivery_filter.h"

/* Running and paused ones of a shard. Each has at most REPLAY_WINDOW endpoints in memory. */
#define REPLAYS_OPEN_MAX 16
/* Ended ones that a journal keeps. */
#define REPLAYS_KEPT_MAX 1000

/* With the id of the replay, it is the note of each action. */
#define REPLAY_REASON_BYTES_MAX 150

#define REPLAY_SHARE_ALL 1000000
#define REPLAY_RATE_DEFAULT 100 /* deliveries per second, over all shards */
#define REPLAY_RATE_MAX 10000

/* Written to disk: numbers never change. */
enum replay_action {
    REPLAY_ACTION_RETRY = 0,   /* to pending */
    REPLAY_ACTION_DISCARD = 1, /* to discarded */
    REPLAY_ACTION_RESOLVE = 2  /* to delivered: the client has it */
};
#define REPLAY_ACTIONS (REPLAY_ACTION_RESOLVE + 1)

/* Written to disk: numbers never change. */
enum replay_state { REPLAY_RUNNING = 0, REPLAY_PAUSED = 1, REPLAY_CANCELLED = 2, REPLAY_DONE = 3 };
#define REPLAY_STATES (REPLAY_DONE + 1)

/* Why a replay leaves a delivery as it is. Written to disk: new ones are added at the end. */
enum replay_refusal {
    REPLAY_NOT_REFUSED,
    REPLAY_IN_DOUBT,          /* the client may have done the work: only with `guarded` */
    REPLAY_GUARDED_DELIVERED, /* a payout that was delivered: only with `force` and `guarded` */
    REPLAY_BODY_EXPIRED,      /* there is nothing left to send */
    REPLAY_ENDPOINT_GONE,     /* the endpoint does not exist any more */
    REPLAY_ENDPOINT_DISABLED, /* or takes nothing */
    REPLAY_UNROUTED,          /* there is no endpoint to send it to */
    REPLAY_DAMAGED,           /* the row or its event is damaged */
    REPLAY_MOVED_ON,          /* it was being sent, or another request changed it */
    REPLAY_REASON_NEEDED,     /* parked for a reason that the filter must name for this action */
    REPLAY_REFUSALS
};

#define REPLAY_ID_TEXT_BYTES EVENT_ID_TEXT_BYTES /* rpl_ and a UUID */

/* What an operator asks for. */
struct replay_order {
    struct event_id id; /* a UUIDv7, made as those of events are */
    struct delivery_filter filter;
    enum replay_action action;
    bool force;         /* delivered ones as well */
    bool guarded;       /* those in doubt, and with `force` delivered payouts, as well */
    unsigned rate;      /* deliveries per second, over all shards that have a part of it */
    unsigned share_ppm; /* the part of the rate that this shard gets, in millionths */
    int64_t total;      /* how many the filter selected when it was created; -1: not known */
    char reason[REPLAY_REASON_BYTES_MAX + 1];
};

struct replay_progress {
    int64_t moved;
    int64_t refused[REPLAY_REFUSALS];
};

/* A replay of one shard. */
struct replay {
    struct replay_order order;
    enum replay_state state;
    int64_t created_us, changed_us; /* wall time */
    int64_t last_delivery;          /* later ones came after it was created */
    struct replay_progress progress;
    unsigned resting; /* endpoints that get one at a time, since they fail. Not stored */
};

void replay_id_format(const struct event_id *id, char ret_text[REPLAY_ID_TEXT_BYTES]);
bool replay_id_parse(struct slice text, struct event_id *ret_id);

const char *replay_action_name(enum replay_action action);
bool replay_action_from_name(const char *name, enum replay_action *ret_action);
const char *replay_state_name(enum replay_state state);
bool replay_state_from_name(const char *name, enum replay_state *ret_state);
const char *replay_refusal_name(enum replay_refusal refusal);

/* Whether a replay in this state may get the other one. The same state is no change: true while the
 * replay has not ended. */
bool replay_state_may_change(enum replay_state from, enum replay_state to);
static inline bool replay_state_is_end(enum replay_state state)
{
    return state == REPLAY_CANCELLED || state == REPLAY_DONE;
}

/* The state that a delivery gets. */
enum delivery_state replay_target(enum replay_action action);
/* The states (bits) in which the action is possible. `force`: delivered ones can be retried. */
unsigned replay_states(enum replay_action action, bool force);

/* What is known of a delivery that the filter selects. */
struct replay_candidate {
    enum delivery_state state;
    enum park_reason reason; /* of a parked one */
    bool routed, guarded, has_body, damaged;
};
/* Says whether the action may be done. The owner of the delivery looks at the endpoint. */
enum replay_refusal replay_judge(
    const struct replay_order *order, const struct replay_candidate *candidate);

void replay_progress_add(struct replay_progress *sum, const struct replay_progress *more);
int64_t replay_progress_refused(const struct replay_progress *progress);

#endif
