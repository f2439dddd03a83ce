/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact decimals. An amount is kept as the text that was sent; for comparing it has one canonical
 * form (`1.10` and `01.1` are `1.1`, `-0` is `0`). No floating point anywhere.
 */
#ifndef PENSTOCK_MODEL_MONEY_H
#define PENSTOCK_MODEL_MONEY_H

#include "base/limits.h"
#include "base/slice.h"

/* JSON's number grammar without an exponent, within AMOUNT_*_DIGITS_MAX. On false *ret_problem says
 * what is wrong (static). */
bool money_check_amount(struct slice text, const char **ret_problem);

/* The canonical form of a checked amount. Returns its length, NUL not counted. */
size_t money_canonical(struct slice checked, char ret_text[AMOUNT_TEXT_BYTES]);

bool money_check_currency(struct slice text); /* [A-Z]{3}, as ISO 4217 */

#endif
