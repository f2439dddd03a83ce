/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `penstock status` about the backlog, and `penstock endpoint list`. */
#ifndef PENSTOCK_CLI_LAG_H
#define PENSTOCK_CLI_LAG_H

#include "cli/command.h"

/* "All well", or what is wrong and what to do. */
void lag_print_verdict(const json_t *status);
void lag_print_rates(const json_t *status);
/* By state and class, with the oldest past due and the time to drain. */
void lag_print_backlog(const json_t *status);
/* The worst endpoints; nothing when none has anything in progress. */
void lag_print_worst(const json_t *status);
void lag_print_disk(const json_t *status);

/* The endpoints of an account; with --backlog, those with something open, worst first. */
int command_endpoint_list(const struct invocation *call);

#endif
