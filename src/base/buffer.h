/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable run of bytes. A failed allocation sets `failed`, which stays set until the buffer is
 * cleared, like stdio's error flag. A writer of many pieces checks once, at the end. A NUL always
 * follows the content; `len` does not count it.
 */
#ifndef PENSTOCK_BASE_BUFFER_H
#define PENSTOCK_BASE_BUFFER_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

struct buffer {
    char *data;
    size_t len;
    size_t capacity;
    bool failed;
};

#define BUFFER_EMPTY ((struct buffer){0})

void buffer_done(struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory */

void buffer_add(struct buffer *buffer, const void *data, size_t len);
void buffer_add_string(struct buffer *buffer, const char *text);
void buffer_add_slice(struct buffer *buffer, struct slice slice);
void buffer_add_char(struct buffer *buffer, char c);
void buffer_add_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* OK, or ERR_NO_MEMORY when any of the writes failed. */
enum err buffer_status(const struct buffer *buffer) MUST_CHECK;

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data, buffer->len);
}

/* Adds a JSON string with its quotes. The text must be valid UTF-8. */
void buffer_add_json_string(struct buffer *buffer, struct slice text);

#endif
