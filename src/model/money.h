/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact decimals. An amount is stored as the text that was sent. Comparison uses its canonical form
 * (`1.10` and `01.1` are `1.1`, `-0` is `0`). There is no floating point.
 *
 * Two posts with the same key are a duplicate if their money is equal, and otherwise a conflict.
 */
#ifndef PENSTOCK_MODEL_MONEY_H
#define PENSTOCK_MODEL_MONEY_H

#include "base/limits.h"
#include "base/slice.h"

/* Checks JSON's number grammar without an exponent, within AMOUNT_*_DIGITS_MAX. If it returns
 * false, *ret_problem is the reason (static). */
bool money_check_amount(struct slice text, const char **ret_problem);

/* Writes the canonical form of a checked amount. Returns its length, NUL not counted. */
size_t money_canonical(struct slice checked, char ret_text[AMOUNT_TEXT_BYTES]);

/* The money of an event, for comparison. It is equal if its bytes are. */
struct money_value {
    unsigned char amount_len, currency_len; /* 0: none */
    char amount[AMOUNT_TEXT_BYTES];         /* canonical */
    char currency[CURRENCY_BYTES];
};

/* Both may be empty. A checked amount, or one that is canonical already. A text that is too
 * long was damaged on the disk: it is equal to no money. */
void money_value_of(struct slice amount, struct slice currency, struct money_value *ret_value);
bool money_value_equal(const struct money_value *one, const struct money_value *other);

bool money_check_currency(struct slice text); /* [A-Z]{3}, as ISO 4217 */

#endif
