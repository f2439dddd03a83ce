/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of RFC 8259 with Penstock's limits, written to be read and not to be fast. The parser
 * is compared with it. */
#ifndef PENSTOCK_TESTS_FUZZ_JSON_REFERENCE_H
#define PENSTOCK_TESTS_FUZZ_JSON_REFERENCE_H

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <stdlib.h>

struct reference {
    const unsigned char *at, *end;
    unsigned depth;
};

static bool reference_take(struct reference *text, unsigned char c)
{
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool reference_word(struct reference *text, const char *word)
{
    for (; *word; word++)
        if (!reference_take(text, (unsigned char)*word))
            return false;
    return true;
}

static void reference_blanks(struct reference *text)
{
    while (text->at < text->end && memchr(" \t\r\n", *text->at, 4))
        text->at++;
}

static bool reference_digits(struct reference *text)
{
    const unsigned char *begin = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9')
        text->at++;
    return text->at > begin;
}

static bool reference_number(struct reference *text)
{
    reference_take(text, '-');
    if (!reference_take(text, '0') && !reference_digits(text))
        return false;
    if (reference_take(text, '.') && !reference_digits(text))
        return false;
    if (reference_take(text, 'e') || reference_take(text, 'E')) {
        if (!reference_take(text, '-'))
            reference_take(text, '+');
        return reference_digits(text);
    }
    return true;
}

static bool reference_hex(struct reference *text, unsigned *ret_unit)
{
    *ret_unit = 0;
    for (int i = 0; i < 4; i++, text->at++) {
        const char *digits = "0123456789abcdefABCDEF";
        const char *found = text->at < text->end && *text->at ? strchr(digits, *text->at) : NULL;
        if (!found)
            return false;
        size_t value = (size_t)(found - digits);
        *ret_unit = *ret_unit * 16 + (unsigned)(value > 15 ? value - 6 : value);
    }
    return true;
}

static void reference_add(struct buffer *out, unsigned point)
{
    const int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char marks[] = {0, 0xc0, 0xe0, 0xf0};
    buffer_add_char(out, (char)(marks[more] | point >> (6 * more)));
    for (int i = more - 1; i >= 0; i--)
        buffer_add_char(out, (char)(0x80 | ((point >> (6 * i)) & 0x3f)));
}

static bool reference_escape(struct reference *text, struct buffer *out)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (reference_take(text, 'u')) {
        unsigned unit, second;
        if (!reference_hex(text, &unit) || unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
            return false;
        if (unit >= 0xd800 && unit <= 0xdbff) {
            if (!reference_word(text, "\\u") || !reference_hex(text, &second) || second < 0xdc00 ||
                second > 0xdfff)
                return false;
            unit = 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
        }
        reference_add(out, unit);
        return true;
    }
    const char *found = text->at < text->end && *text->at ? strchr(letters, *text->at) : NULL;
    if (!found)
        return false;
    text->at++;
    buffer_add_char(out, meant[found - letters]);
    return true;
}

/* Decodes by arithmetic and encodes again. If the result differs, the input is not well-formed. */
static bool reference_utf8(struct reference *text, struct buffer *out)
{
    unsigned first = *text->at;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    if (len == 0 || first >= 0xf8 || (size_t)(text->end - text->at) < len)
        return false;
    unsigned point = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        point = point << 6 | (text->at[i] & 0x3f);
    size_t before = out->len;
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return false;
    reference_add(out, point);
    bool same = out->len - before == len && memcmp(out->data + before, text->at, len) == 0;
    text->at += len;
    return same;
}

static bool reference_string(struct reference *text, struct buffer *out)
{
    if (!reference_take(text, '"'))
        return false;
    while (text->at < text->end && *text->at != '"') {
        if (*text->at < 0x20)
            return false;
        if (*text->at >= 0x80) {
            if (!reference_utf8(text, out))
                return false;
        } else if (reference_take(text, '\\')) {
            if (!reference_escape(text, out))
                return false;
        } else {
            buffer_add_char(out, (char)*text->at++);
        }
    }
    return reference_take(text, '"');
}

static bool reference_value(struct reference *text);

static bool reference_array(struct reference *text)
{
    reference_blanks(text);
    if (reference_take(text, ']'))
        return true;
    do {
        if (!reference_value(text))
            return false;
    } while (reference_take(text, ','));
    return reference_take(text, ']');
}

static bool reference_members(struct reference *text, struct buffer *names, size_t *count)
{
    do {
        reference_blanks(text);
        names[*count] = BUFFER_EMPTY;
        struct buffer *name = &names[(*count)++];
        if (!reference_string(text, name))
            return false;
        for (size_t i = 0; i + 1 < *count; i++)
            if (slice_equal(buffer_slice(&names[i]), buffer_slice(name)))
                return false;
        reference_blanks(text);
        if (!reference_take(text, ':') || !reference_value(text))
            return false;
    } while (reference_take(text, ','));
    return reference_take(text, '}');
}

static bool reference_object(struct reference *text)
{
    reference_blanks(text);
    if (reference_take(text, '}'))
        return true;
    struct buffer *names = calloc((size_t)(text->end - text->at) + 1, sizeof *names);
    size_t count = 0;
    bool good = reference_members(text, names, &count);
    for (size_t i = 0; i < count; i++)
        buffer_done(&names[i]);
    free(names);
    return good;
}

/* A value with the blanks around it. */
static bool reference_value(struct reference *text)
{
    reference_blanks(text);
    bool good = false, is_array = false;
    struct buffer string = BUFFER_EMPTY;
    if (reference_take(text, '{') || (is_array = reference_take(text, '['))) {
        good = ++text->depth <= EVENT_JSON_DEPTH_MAX &&
               (is_array ? reference_array(text) : reference_object(text));
        text->depth--;
    } else if (text->at < text->end) {
        unsigned char c = *text->at;
        good = c == '"'   ? reference_string(text, &string)
               : c == 't' ? reference_word(text, "true")
               : c == 'f' ? reference_word(text, "false")
               : c == 'n' ? reference_word(text, "null")
                          : reference_number(text);
    }
    buffer_done(&string);
    reference_blanks(text);
    return good;
}

/* Accepts one JSON value and nothing else, within the limit of depth after `depth` levels. With
 * `first` the value must begin with that character. */
static bool reference_accepts(struct slice body, unsigned char first, unsigned depth)
{
    struct reference text = {.at = (const unsigned char *)body.data,
        .end = (const unsigned char *)body.data + body.len,
        .depth = depth};
    reference_blanks(&text);
    return text.at < text.end && (!first || *text.at == first) && reference_value(&text) &&
           text.at == text.end;
}

#endif
