/* SPDX-License-Identifier: Apache-2.0 */
#include "model/money_sum.h"

#include "base/limits.h"

#define UNITS_PER_ONE 1000000000
#define DIGITS_MAX 39 /* of a 128-bit number */

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 unsigned_wide;

static bool append_digit(wide *value, char digit)
{
    /* Negative, because the least number has no positive counterpart. */
    return digit >= '0' && digit <= '9' && !__builtin_mul_overflow(*value, (wide)10, value) &&
           !__builtin_sub_overflow(*value, (wide)(digit - '0'), value);
}

bool money_sum_parse(struct slice text, struct money_sum *ret_sum)
{
    size_t at = 0;
    bool negative = text.len > 0 && text.data[0] == '-';
    at += negative;
    size_t integer_start = at;
    wide value = 0;
    for (; at < text.len && text.data[at] != '.'; at++)
        if (!append_digit(&value, text.data[at]))
            return false;
    if (at == integer_start)
        return false;
    size_t point = at;
    for (at++; at < text.len; at++)
        if (!append_digit(&value, text.data[at]))
            return false;
    size_t fraction_len = point < text.len ? text.len - point - 1 : 0;
    if (fraction_len > AMOUNT_FRACTION_DIGITS_MAX || (point < text.len && fraction_len == 0))
        return false;
    for (size_t i = fraction_len; i < AMOUNT_FRACTION_DIGITS_MAX; i++)
        if (!append_digit(&value, '0'))
            return false;
    if (!negative && __builtin_sub_overflow((wide)0, value, &value))
        return false;
    ret_sum->units = value;
    return true;
}

bool money_sum_add_sum(struct money_sum *sum, const struct money_sum *other, int sign)
{
    wide units;
    if (sign < 0 ? __builtin_sub_overflow(sum->units, other->units, &units)
                 : __builtin_add_overflow(sum->units, other->units, &units))
        return false;
    sum->units = units;
    return true;
}

bool money_sum_add(struct money_sum *sum, struct slice checked_amount, int sign)
{
    struct money_sum amount = {0};
    return checked_amount.len == 0 ||
           (money_sum_parse(checked_amount, &amount) && money_sum_add_sum(sum, &amount, sign));
}

/* Writes at least `digits_min` digits of `value` before `end`. Returns the first one. */
static char *write_digits(unsigned_wide value, int digits_min, char *end)
{
    for (int digits = 0; value > 0 || digits < digits_min; digits++) {
        *--end = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    return end;
}

size_t money_sum_format(const struct money_sum *sum, char ret_text[MONEY_SUM_TEXT_BYTES])
{
    bool negative = sum->units < 0;
    unsigned_wide magnitude = negative ? -(unsigned_wide)sum->units : (unsigned_wide)sum->units;
    char digits[DIGITS_MAX + 1];
    char *integer_end = digits + DIGITS_MAX - AMOUNT_FRACTION_DIGITS_MAX,
         *fraction_end = digits + DIGITS_MAX;
    char *integer = write_digits(magnitude / UNITS_PER_ONE, 1, integer_end);
    write_digits(magnitude % UNITS_PER_ONE, AMOUNT_FRACTION_DIGITS_MAX, fraction_end);
    while (fraction_end > integer_end && fraction_end[-1] == '0')
        fraction_end--;

    size_t len = 0;
    if (negative)
        ret_text[len++] = '-';
    memcpy(ret_text + len, integer, (size_t)(integer_end - integer));
    len += (size_t)(integer_end - integer);
    if (fraction_end > integer_end) {
        ret_text[len++] = '.';
        memcpy(ret_text + len, integer_end, (size_t)(fraction_end - integer_end));
        len += (size_t)(fraction_end - integer_end);
    }
    ret_text[len] = '\0';
    return len;
}
