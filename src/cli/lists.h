/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that list what the journals hold: deliveries, conflicts, and messages that are no
 * events. */
#ifndef PENSTOCK_CLI_LISTS_H
#define PENSTOCK_CLI_LISTS_H

#include "cli/command.h"

int command_event_list(const struct invocation *call);
int command_event_find(const struct invocation *call);
int command_event_show(const struct invocation *call);
int command_delivery_list(const struct invocation *call);
int command_event_conflicts(const struct invocation *call);
int command_event_poison(const struct invocation *call);

#endif
