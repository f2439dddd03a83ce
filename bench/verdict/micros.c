/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/micros.h"

#include <stdbool.h>
#include <stddef.h>

#define MICRO_DIGITS 6
#define MICRO_DIGITS_MIN 2

void micros_format(micros_sum micros, char ret_text[MICROS_TEXT_BYTES])
{
    char backwards[MICROS_TEXT_BYTES];
    size_t len = 0;
    unsigned __int128 rest = micros < 0 ? -(unsigned __int128)micros : (unsigned __int128)micros;
    bool begun = false; /* a digit that must be written was found */
    for (unsigned digit = 0; rest || digit <= MICRO_DIGITS; digit++, rest /= 10) {
        if (digit == MICRO_DIGITS)
            backwards[len++] = '.';
        begun = begun || rest % 10 != 0 || digit >= MICRO_DIGITS - MICRO_DIGITS_MIN;
        if (begun)
            backwards[len++] = (char)('0' + (int)(rest % 10));
    }
    if (micros < 0)
        backwards[len++] = '-';
    for (size_t i = 0; i < len; i++)
        ret_text[i] = backwards[len - 1 - i];
    ret_text[len] = '\0';
}
