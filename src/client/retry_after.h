/* SPDX-License-Identifier: Apache-2.0 */
/* Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date. */
#ifndef PENSTOCK_CLIENT_RETRY_AFTER_H
#define PENSTOCK_CLIENT_RETRY_AFTER_H

#include "base/slice.h"

#include <stdint.h>

/* Returns the delay from now in microseconds, at most a year. Returns 0 if it is in the past or
 * malformed. Skips white space around it. */
int64_t retry_after_parse(struct slice value, int64_t now_wall_us);

#endif
