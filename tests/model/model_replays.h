/* SPDX-License-Identifier: Apache-2.0 */
/* Replays, as the model sees them (model_replays.c). The driver's side is in replays.c. */
#ifndef PENSTOCK_TESTS_MODEL_MODEL_REPLAYS_H
#define PENSTOCK_TESTS_MODEL_MODEL_REPLAYS_H

#include "journal/replays.h"

#include <sqlite3.h>

struct model_delivery;
struct model_replay;

/* Orders. Each ends with its answer, or with a crash. */
struct model_replay *model_replay_ordered(const struct replay_order *order);
void model_replay_created(struct model_replay *replay, enum err result);
void model_replay_change_ordered(struct model_replay *replay);
/* `state`: of the answer. */
void model_replay_changed(struct model_replay *replay, enum err result, enum replay_state state);

/* One that has not ended and is not being changed; NULL: there is none. */
struct model_replay *model_any_open_replay(uint64_t random);
const struct replay_order *model_replay_order(const struct model_replay *replay);
unsigned model_replays_open(void);              /* not ended, as far as is known */
unsigned model_replay_orders(void);             /* not answered yet */
struct model_replay *model_paused_replay(void); /* one that nobody changes at present, or NULL */

void model_replays_crashed(void);
/* The wall clock is set back. */
void model_replays_clock_went_back(void);
/* A look begins. */
void model_replays_look(void);
/* A row of the table of actions, with this note. False: it is not a replay's. */
bool model_replay_moved(struct model_delivery *delivery, enum delivery_state from,
    enum delivery_state to, const char *note);
/* The row of a delivery has changed since the last look. */
void model_replay_touched(const struct model_delivery *delivery);
/* Whether a replay may have made this move without a look finding it. */
bool model_replay_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to);
/* Reads the table of replays, at the end of a look. */
void model_replays_read(sqlite3 *db, bool first_after_start);

#endif
