/* SPDX-License-Identifier: Apache-2.0 */
/* The replays of a shard (model/replay.h, journal/replays.h): runs them step by step. */
#ifndef PENSTOCK_DELIVERY_REPLAY_H
#define PENSTOCK_DELIVERY_REPLAY_H

#include "base/list.h"
#include "runtime/timer.h"

#include <stdbool.h>

struct delivery_shard;

struct replay_runs {
    struct list open;   /* of struct replay_run: those that have not ended */
    bool loading;       /* the journal is asked for them */
    bool loaded;        /* nothing is moved before */
    struct timer timer; /* asks again */
    /* One LOOK at a time, and none before this time (monotonic). */
    bool looking;
    int64_t look_from_us;
};

void replay_init(struct delivery_shard *shard);
/* The backlog is known: continues the replays that have not ended. */
void replay_load(struct delivery_shard *shard);
void replay_done(struct delivery_shard *shard);

#endif
