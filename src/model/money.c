/* SPDX-License-Identifier: Apache-2.0 */
#include "model/money.h"

#include <string.h>

#define TOO_LONG 255 /* the length of no amount */

struct parts {
    bool negative;
    struct slice integer, fraction;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct slice take_digits(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && is_digit(**at))
        (*at)++;
    return slice_of(start, (size_t)(*at - start));
}

/* Splits at the sign and the point. Returns false unless the rest of the text is digits. */
static bool split(struct slice text, struct parts *ret_parts)
{
    const char *at = text.data, *end = text.data + text.len;
    struct parts parts = {0};
    if (at < end && *at == '-') {
        parts.negative = true;
        at++;
    }
    parts.integer = take_digits(&at, end);
    if (at < end && *at == '.') {
        at++;
        parts.fraction = take_digits(&at, end);
        if (parts.fraction.len == 0)
            return false;
    }
    *ret_parts = parts;
    return at == end && parts.integer.len > 0;
}

bool money_check_amount(struct slice text, const char **ret_problem)
{
    struct parts parts;
    if (!split(text, &parts)) {
        *ret_problem =
            "must be a decimal number such as \"129.90\", without an exponent, spaces or commas";
        return false;
    }
    if (parts.integer.len > 1 && parts.integer.data[0] == '0') {
        *ret_problem = "must not have leading zeros";
        return false;
    }
    if (parts.integer.len > AMOUNT_INTEGER_DIGITS_MAX) {
        *ret_problem = "must have at most 18 digits before the point";
        return false;
    }
    if (parts.fraction.len > AMOUNT_FRACTION_DIGITS_MAX) {
        *ret_problem = "must have at most 9 digits after the point";
        return false;
    }
    return true;
}

size_t money_canonical(struct slice checked, char ret_text[AMOUNT_TEXT_BYTES])
{
    struct parts parts = {0};
    if (!split(checked, &parts))
        parts.integer = SLICE_LITERAL("0");
    while (parts.fraction.len > 0 && parts.fraction.data[parts.fraction.len - 1] == '0')
        parts.fraction.len--;
    while (parts.integer.len > 1 && parts.integer.data[0] == '0')
        parts.integer = slice_of(parts.integer.data + 1, parts.integer.len - 1);
    bool zero = parts.fraction.len == 0 && parts.integer.len == 1 && parts.integer.data[0] == '0';
    size_t len = 0;
    if (parts.negative && !zero)
        ret_text[len++] = '-';
    memcpy(ret_text + len, parts.integer.data, parts.integer.len);
    len += parts.integer.len;
    if (parts.fraction.len > 0) {
        ret_text[len++] = '.';
        memcpy(ret_text + len, parts.fraction.data, parts.fraction.len);
        len += parts.fraction.len;
    }
    ret_text[len] = '\0';
    return len;
}

bool money_check_currency(struct slice text)
{
    if (text.len != CURRENCY_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 'A' || text.data[i] > 'Z')
            return false;
    return true;
}

void money_value_of(struct slice amount, struct slice currency, struct money_value *ret_value)
{
    memset(ret_value, 0, sizeof *ret_value);
    if (amount.len >= AMOUNT_TEXT_BYTES || currency.len > CURRENCY_BYTES) {
        ret_value->amount_len = TOO_LONG;
        return;
    }
    if (amount.len)
        ret_value->amount_len = (unsigned char)money_canonical(amount, ret_value->amount);
    ret_value->currency_len = (unsigned char)currency.len;
    if (currency.len)
        memcpy(ret_value->currency, currency.data, currency.len);
}

bool money_value_equal(const struct money_value *one, const struct money_value *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}
