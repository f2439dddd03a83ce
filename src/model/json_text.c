/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_text.h"

#include <endian.h>
#include <stdint.h>

#define EACH_BYTE(value) (0x0101010101010101 * (uint64_t)(value))

static bool needs_a_look(unsigned char c)
{
    return c < 0x20 || c == '\\' || c >= 0x80;
}

/* Counts the quotes among the bytes of `word` that `mask` covers, without carries between bytes. */
static unsigned count_quotes(uint64_t word, uint64_t mask)
{
    uint64_t differs = word ^ EACH_BYTE('"');
    uint64_t quotes =
        ~(((differs & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f)) | differs) & EACH_BYTE(0x80) & mask;
    return (unsigned)((quotes >> 7) * EACH_BYTE(1) >> 56);
}

/*
 * Returns the position of the first byte from `at` that needs a check of its own, or `len`. Each
 * quote on the way changes *in_string. Most bytes need no check, inside strings or outside, so
 * eight are tested at once. A subtraction borrows into the top bit of a byte that is below the
 * subtrahend, or that was equal to the xored byte. A borrow that continues only marks bytes above
 * the first marked one, and only the first one counts.
 */
static size_t skip_plain(const unsigned char *bytes, size_t at, size_t len, bool *in_string)
{
    for (; at + 8 <= len; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        word = le64toh(word);
        uint64_t backslash = (word ^ EACH_BYTE('\\')) - EACH_BYTE(1);
        uint64_t found = ((word - EACH_BYTE(0x20)) | backslash | word) & EACH_BYTE(0x80);
        *in_string ^= count_quotes(word, found ? (found & -found) - 1 : UINT64_MAX) & 1;
        if (found)
            return at + (size_t)__builtin_ctzll(found) / 8;
    }
    for (; at < len && !needs_a_look(bytes[at]); at++)
        *in_string ^= bytes[at] == '"';
    return at;
}

/* Returns the length of the well-formed UTF-8 sequence of more than one byte at `p` (Unicode 15,
 * table 3-7), or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max, len;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
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

/* Returns the code unit of the \uXXXX at `p`, or -1 if there is none. */
static int escaped_unit(const unsigned char *p, size_t left)
{
    if (left < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int unit = 0;
    for (int i = 2; i < 6; i++) {
        int lower = p[i] | 0x20;
        int digit = p[i] >= '0' && p[i] <= '9'     ? p[i] - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Returns the length of the escape at `p`, or 0 with a problem. */
static size_t check_escape(const unsigned char *p, size_t left, const char **ret_problem)
{
    *ret_problem = "a backslash must begin an escape such as \\n or \\u00e4";
    if (left < 2 || p[1] == '\0' || !strchr("\"\\/bfnrtu", p[1]))
        return 0;
    if (p[1] != 'u')
        return 2;
    int unit = escaped_unit(p, left);
    if (unit < 0)
        return 0;
    if (unit == 0) {
        *ret_problem = "\\u0000 is not allowed";
        return 0;
    }
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    int second = unit < 0xdc00 ? escaped_unit(p + 6, left - 6) : -1;
    if (second >= 0xdc00 && second <= 0xdfff)
        return 12;
    *ret_problem =
        "a \\u escape is incomplete: write both parts of the pair, such as \\ud83d\\ude00";
    return 0;
}

/* Returns the length of the byte or sequence at `p` that needs a check, or 0 with a problem. */
static size_t check_special(
    const unsigned char *p, size_t left, bool in_string, const char **ret_problem)
{
    if (p[0] >= 0x80) {
        *ret_problem = "the text is not UTF-8";
        size_t len = utf8_sequence(p, left);
        if (len > 0 && !in_string)
            *ret_problem = "characters that are not ASCII are allowed only in strings";
        return in_string ? len : 0;
    }
    if (p[0] == '\\') {
        *ret_problem = "a backslash is allowed only in a string";
        return in_string ? check_escape(p, left, ret_problem) : 0;
    }
    *ret_problem = "a control character is not allowed here";
    return !in_string && (p[0] == '\t' || p[0] == '\n' || p[0] == '\r') ? 1 : 0;
}

bool json_text_check(struct slice text, size_t *ret_at, const char **ret_problem)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    const char *problem = "the text is empty";
    bool in_string = false;
    size_t at = 0;
    if (text.len == 0)
        goto bad;
    problem = "a byte order mark is not allowed: remove the first three bytes";
    if (slice_starts_with(text, "\xef\xbb\xbf"))
        goto bad;
    while ((at = skip_plain(bytes, at, text.len, &in_string)) < text.len) {
        size_t len = check_special(bytes + at, text.len - at, in_string, &problem);
        if (len == 0)
            goto bad;
        at += len;
    }
    if (!in_string)
        return true;
    problem = "a string is not closed";
bad:
    *ret_at = at;
    *ret_problem = problem;
    return false;
}
