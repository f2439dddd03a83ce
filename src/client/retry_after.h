/* SPDX-License-Identifier: Apache-2.0 */
/* Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date. */
#ifndef PENSTOCK_CLIENT_RETRY_AFTER_H
#define PENSTOCK_CLIENT_RETRY_AFTER_H

#include "base/slice.h"

#include <stdint.h>

/* What it asks for from now on, at most a year; 0 when it is in the past or can't be read. White
 * space around it is skipped. */
int64_t retry_after_parse(struct slice value, int64_t now_wall_us);

#endif
