/* SPDX-License-Identifier: Apache-2.0 */
/* Time: int64 microseconds. Wall time (UTC since 1970) is for disks and people, monotonic time for
 * everything that waits. */
#ifndef PENSTOCK_BASE_CLOCK_H
#define PENSTOCK_BASE_CLOCK_H

#include "base/slice.h"

#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (86400 * US_PER_SECOND)

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);

/* RFC 3339 with microseconds and `Z`; `ret_text` holds CLOCK_TEXT_BYTES. Times outside the years 1
 * to 9999 are clamped. / */
#define CLOCK_TEXT_BYTES 28
void clock_format_rfc3339(int64_t wall_us, char ret_text[CLOCK_TEXT_BYTES]);

/* RFC 3339 date-time as its grammar has it: `T` and `Z` in either case, any offset, a fraction (cut
 * to microseconds). A leap second, which only the end of a month can have, is taken as the next
 * second. */
bool clock_parse_rfc3339(struct slice text, int64_t *ret_wall_us);

#endif
