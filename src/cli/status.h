/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock status`: once, or again and again with --watch, until Ctrl-C. */
#ifndef PENSTOCK_CLI_STATUS_H
#define PENSTOCK_CLI_STATUS_H

#include "cli/command.h"

int command_status(const struct invocation *call);
void show_status(const json_t *status); /* for people: the verdict first */

#endif
