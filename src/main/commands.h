/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that need a whole gateway or its data directory (cli/command.h). */
#ifndef PENSTOCK_MAIN_COMMANDS_H
#define PENSTOCK_MAIN_COMMANDS_H

#include "cli/command.h"

int command_dev(const struct invocation *call);
int command_serve(const struct invocation *call);
int command_check(const struct invocation *call);
int command_accept_loss(const struct invocation *call); /* data accept-loss */

#endif
