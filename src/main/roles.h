/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway is there for (`roles`, `queue.kind`) may change between two runs; what the last
 * run has left must be finished first. */
#ifndef PENSTOCK_MAIN_ROLES_H
#define PENSTOCK_MAIN_ROLES_H

#include "base/buffer.h"
#include "journal/journal.h"

/* OK when a gateway that delivers, or not, and that has a broker, or not, can finish what the
 * journals hold. ERR_CONFIG, with the option, the numbers and the remedy in `complaints`. */
enum err roles_check_found(struct journal *const *journals, unsigned shards, bool delivers,
    bool uses_broker, struct buffer *complaints) MUST_CHECK;

#endif
