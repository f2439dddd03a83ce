/* SPDX-License-Identifier: Apache-2.0 */
/* What operators do to deliveries: to single ones by their ids, or to all that a filter selects. */
#ifndef PENSTOCK_CLI_REPLAY_H
#define PENSTOCK_CLI_REPLAY_H

#include "cli/command.h"

/* `delivery retry`, `discard` and `resolve`: with ids one action for each, else a replay. */
int command_delivery_act(const struct invocation *call);

int command_replay_pause(const struct invocation *call);
int command_replay_resume(const struct invocation *call);
int command_replay_cancel(const struct invocation *call);

/* Prints a replay, or the answer to a dry run. */
void show_replay(const json_t *replay);
void show_replays(const json_t *answer);

/* Seconds that a dry run, or the creation of a replay, may take. */
#define REPLAY_TIMEOUT_S 60

#endif
