/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says of deliveries that end without success: which one, and why. The lines have the
 * ids that commands take.
 */
#ifndef PENSTOCK_DELIVERY_END_LOG_H
#define PENSTOCK_DELIVERY_END_LOG_H

#include "journal/journal.h"

struct job;

/* The delivery is dead after this attempt. At most one line a minute for each endpoint, with the
 * number of those that were left out. */
void end_log_dead(const struct job *job, const struct attempt *attempt);
/* It is guarded, and it is unknown whether the client did the work. */
void end_log_in_doubt(const struct job *job, const struct attempt *attempt);

#endif
