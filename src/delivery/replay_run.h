/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of replays share: one replay of a shard, while it has not ended (replay.c). */
#ifndef PENSTOCK_DELIVERY_REPLAY_RUN_H
#define PENSTOCK_DELIVERY_REPLAY_RUN_H

#include "base/id_map.h"
#include "delivery/replay.h"
#include "journal/replays.h"
#include "model/token_bucket.h"

/* An endpoint of a replay. */
struct replay_place {
    struct replay_cursor cursor;
    int64_t rests_until_us; /* monotonic */
    int64_t rest_us;        /* the last rest since something was moved; 0: it was not full */
    int64_t stored_us;      /* monotonic: when the cursor was stored */
};

/* A replay that has not ended. */
struct replay_run {
    struct list in_open;
    struct delivery_shard *shard;
    struct replay replay;
    struct replay_place window[REPLAY_WINDOW];
    unsigned window_count;
    unsigned turn; /* in the window: the endpoint of the present step */
    bool from_start, found_all;
    bool busy; /* a request is in flight */
    struct token_bucket bucket;
    struct timer timer;
    struct journal_replay_find find;
    struct journal_replay_look look;
    struct journal_replay_move move;
    struct journal_replay_change end;
    bool is_deciding[REPLAY_STEP_MAX]; /* of the items of the move */
    struct id_map_node deciding[REPLAY_STEP_MAX];
};

/* NULL: the shard has none with this id, or it has ended. */
struct replay_run *replay_run_find(struct delivery_shard *shard, const struct event_id *id);
/* Adds a replay that is stored, and does not make a step. */
struct replay_run *replay_run_add(struct delivery_shard *shard, const struct replay *replay);
/* `rate` is the one over all shards: the shard takes its share of it. */
void replay_run_set_rate(struct replay_run *run, unsigned rate);
/* Makes the next step, if there is none under way. Frees a replay that has ended. */
void replay_run_go_on(struct replay_run *run);

#endif
