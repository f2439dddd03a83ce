/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities on a command line: 20ms, 1.5s, 2m; 5%, 0.1%; 2000, 64k. */
#ifndef PENSTOCK_BENCH_COMMON_QUANTITY_H
#define PENSTOCK_BENCH_COMMON_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* The whole text must match. On false the output is unchanged. */
/* A number with us, ms, s, m or h; 0 needs no unit. */
bool quantity_parse_duration(const char *text, int64_t *ret_us);
bool quantity_parse_share(const char *text, double *ret_share); /* a percentage, as 0..1 */
/* Not negative; k is thousands, M is millions. */
bool quantity_parse_count(const char *text, int64_t *ret_count);
/* A count from min to max. */
bool quantity_parse_between(const char *text, int64_t min, int64_t max, int64_t *ret_count);

#endif
