/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities as people write them on a command line: 20ms, 1.5s, 2m; 5%, 0.1%; 2000, 64k. */
#ifndef PENSTOCK_BENCH_COMMON_QUANTITY_H
#define PENSTOCK_BENCH_COMMON_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* All take the whole text or nothing; on false the output is untouched. */
bool quantity_parse_duration(
    const char *text, int64_t *ret_us); /* a number with us, ms, s, m or h; 0 needs none */
bool quantity_parse_share(const char *text, double *ret_share); /* a percentage, to 0..1 */
bool quantity_parse_count(
    const char *text, int64_t *ret_count); /* not negative; k and M are thousands and millions */
bool quantity_parse_between(
    const char *text, int64_t min, int64_t max, int64_t *ret_count); /* a count; both included */

#endif
