/* SPDX-License-Identifier: Apache-2.0 */
/* Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date, in any of its three forms. */
#ifndef PENSTOCK_CLIENT_RETRY_AFTER_H
#define PENSTOCK_CLIENT_RETRY_AFTER_H

#include "base/slice.h"

#include <stdint.h>

/*
 * Returns the delay from now in microseconds, at most a year. Returns 0 for a date in the past, and
 * for anything else: a sign, a fraction, a unit such as `ms`. Skips white space around it. If
 * several values are joined with commas, the longest delay counts.
 */
int64_t retry_after_parse(struct slice value, int64_t now_wall_us);

#endif
