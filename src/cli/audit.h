/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `penstock audit`: two tables that add up, of events and of deliveries, for finance. The exit code
 * is the verdict: EX_OK complete, EX_TEMPFAIL unfinished (the broker holds events), EX_DATAERR
 * incomplete.
 */
#ifndef PENSTOCK_CLI_AUDIT_H
#define PENSTOCK_CLI_AUDIT_H

#include "cli/command.h"

int command_audit(const struct invocation *call);

#endif
