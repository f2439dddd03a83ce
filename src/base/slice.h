/* SPDX-License-Identifier: Apache-2.0 */
/* A view of bytes that another object owns. Not NUL-terminated. */
#ifndef PENSTOCK_BASE_SLICE_H
#define PENSTOCK_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data;
    size_t len;
};

#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})

/* For "%.*s". */
#define SLICE_ARGS(slice) (int)(slice).len, (slice).data

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){data, len};
}

static inline struct slice slice_from_string(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_equals_string(struct slice a, const char *text)
{
    return slice_equal(a, slice_from_string(text));
}

static inline bool slice_starts_with(struct slice a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && memcmp(a.data, prefix, len) == 0;
}

/* Removes the text up to the next separator, and the separator, from *rest. Returns that text
 * without spaces around it. */
static inline struct slice slice_take_until(struct slice *rest, char separator)
{
    const char *found = rest->len ? (const char *)memchr(rest->data, separator, rest->len) : NULL;
    size_t len = found ? (size_t)(found - rest->data) : rest->len, taken = found ? len + 1 : len;
    struct slice part = {rest->data, len};
    *rest = (struct slice){rest->data + taken, rest->len - taken};
    while (part.len > 0 && part.data[0] == ' ')
        part = (struct slice){part.data + 1, part.len - 1};
    while (part.len > 0 && part.data[part.len - 1] == ' ')
        part.len--;
    return part;
}

#endif
