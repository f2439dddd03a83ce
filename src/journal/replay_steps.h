/* SPDX-License-Identifier: Apache-2.0 */
/* What the requests of replays share (replays.h). Internal to the journal. */
#ifndef PENSTOCK_JOURNAL_REPLAY_STEPS_H
#define PENSTOCK_JOURNAL_REPLAY_STEPS_H

#include "journal/replays.h"

struct store;

/* The states (bits) that a replay reads: those of its filter in which its action is possible. */
unsigned replay_states_of(const struct replay_order *order);
/* The cursor before the first delivery of an endpoint. */
enum err replay_begin_cursor(struct store *store, const struct replay *replay, uint64_t endpoint,
    struct replay_cursor *ret_cursor) MUST_CHECK;

#endif
