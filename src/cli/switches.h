/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about switches. */
#ifndef PENSTOCK_CLI_SWITCHES_H
#define PENSTOCK_CLI_SWITCHES_H

#include "cli/command.h"

int command_switch_list(const struct invocation *call);
int command_switch(const struct invocation *call);

/* Prints one of an answer: "deliveries  OFF for account acme since TIME: REASON". */
void show_switch(const json_t *it);

#endif
