/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of money, in millionths of a currency's unit. */
#ifndef PENSTOCK_BENCH_VERDICT_MICROS_H
#define PENSTOCK_BENCH_VERDICT_MICROS_H

typedef __int128 micros_sum; /* a sum of millions of amounts: 64 bits may overflow */
#define MICROS_TEXT_BYTES 48

/* Formats a decimal with 2 to 6 digits after the point. */
void micros_format(micros_sum micros, char ret_text[MICROS_TEXT_BYTES]);

#endif
