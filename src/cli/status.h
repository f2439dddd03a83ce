/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock status`: what the gateway holds, its disks, and its links. */
#ifndef PENSTOCK_CLI_STATUS_H
#define PENSTOCK_CLI_STATUS_H

#include <jansson.h>

/* Prints the answer of GET /api/v1/status. */
void show_status(const json_t *status);

#endif
