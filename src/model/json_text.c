/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_text.h"

/* The length of the well-formed UTF-8 sequence of more than one byte at `p` (Unicode 15, table 3-7), or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max, len;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
            continue;
        size_t len = forms[i].len;
        if (left < len || p[1] < forms[i].second_min || p[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < len; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return len;
    }
    return 0;
}

/* The code unit of a \uXXXX at `p`, or -1 when there is none. */
static int escaped_unit(const unsigned char *p, size_t left)
{
    if (left < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int unit = 0;
    for (int i = 2; i < 6; i++) {
        int lower = p[i] | 0x20;
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* The length of the escape at `p`, or 0 with a problem. What is no escape at all is left to the parser. */
static size_t check_escape(const unsigned char *p, size_t left, const char **ret_problem)
{
    int unit = escaped_unit(p, left);
    if (unit < 0)
        return left < 2 ? left : 2;
    if (unit == 0) {
        *ret_problem = "\\u0000 is not allowed";
        return 0;
    }
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    int second = unit < 0xdc00 ? escaped_unit(p + 6, left - 6) : -1;
    if (second >= 0xdc00 && second <= 0xdfff)
        return 12;
    *ret_problem = "a \\u escape is half of a surrogate pair";
    return 0;
}

bool json_text_check(struct slice text, size_t *ret_at, const char **ret_problem)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    bool in_string = false;
    for (size_t at = 0; at < text.len;) {
        unsigned char c = bytes[at];
        size_t len = 1;
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string && c == '\\') {
            len = check_escape(bytes + at, text.len - at, ret_problem);
        } else if (c >= 0x80) {
            len = utf8_sequence(bytes + at, text.len - at);
            *ret_problem = "it is not UTF-8";
        } else if (c < 0x20 && (in_string || (c != ' ' && c != '\t' && c != '\n' && c != '\r'))) {
            len = 0;
            *ret_problem = "a control character is not allowed here";
        }
        if (len == 0) {
            *ret_at = at;
            return false;
        }
        at += len;
    }
    return true;
}
