/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact sums of amounts, for totals that must add up to the last digit (P8). A sum holds 10^11 of
 * the largest amounts. A result that does not fit is rejected and never wraps.
 */
#ifndef PENSTOCK_MODEL_MONEY_SUM_H
#define PENSTOCK_MODEL_MONEY_SUM_H

#include "base/slice.h"

struct money_sum {
    __extension__ __int128 units; /* of 10^-9 */
};

#define MONEY_SUM_TEXT_BYTES 48 /* a sign, 30 digits, the point, 9 digits, NUL */

/* Adds (`sign` 1) or subtracts (-1) a checked amount (money.h). An empty one adds nothing. Returns
 * false and leaves the sum unchanged if the result does not fit or the text is not a checked
 * amount. */
bool money_sum_add(struct money_sum *sum, struct slice checked_amount, int sign);
bool money_sum_add_sum(struct money_sum *sum, const struct money_sum *other, int sign);

/* Writes the canonical form, as money_canonical: no zeros at the end, never "-0". Returns the
 * length, NUL not counted. */
size_t money_sum_format(const struct money_sum *sum, char ret_text[MONEY_SUM_TEXT_BYTES]);

/* Reads what money_sum_format writes, and `1.10` and `-0`. Returns false for other text or if it
 * does not fit. */
bool money_sum_parse(struct slice text, struct money_sum *ret_sum);

#endif
