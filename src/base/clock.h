/* SPDX-License-Identifier: Apache-2.0 */
/* Time in microseconds, as int64. Wall time (UTC since 1970) is for what is stored or shown,
 * monotonic time for everything that waits. */
#ifndef PENSTOCK_BASE_CLOCK_H
#define PENSTOCK_BASE_CLOCK_H

#include "base/slice.h"

#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (86400 * US_PER_SECOND)

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);

/* Writes RFC 3339 with microseconds and `Z`. `ret_text` holds CLOCK_TEXT_BYTES. Times outside the
 * years 1 to 9999 are clamped. */
#define CLOCK_TEXT_BYTES 28
void clock_format_rfc3339(int64_t wall_us, char ret_text[CLOCK_TEXT_BYTES]);

/* Reads an RFC 3339 date-time: `T` and `Z` in either case, any offset, any fraction. The fraction
 * is cut to microseconds. A leap second is read as the next second; only the end of a month has
 * one. */
bool clock_parse_rfc3339(struct slice text, int64_t *ret_wall_us);

#endif
