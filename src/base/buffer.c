/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = BUFFER_EMPTY;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = '\0';
}

static bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    size_t needed = buffer->len + more + 1;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : 256;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
    if (!buffer_reserve(buffer, len))
        return;
    if (len)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    buffer->data[buffer->len] = '\0';
}

void buffer_add_string(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_add_slice(struct buffer *buffer, struct slice slice)
{
    buffer_add(buffer, slice.data, slice.len);
}

void buffer_add_char(struct buffer *buffer, char c)
{
    buffer_add(buffer, &c, 1);
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char small[256];
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len < 0) {
        buffer->failed = true;
    } else if ((size_t)len < sizeof small) {
        buffer_add(buffer, small, (size_t)len);
    } else if (buffer_reserve(buffer, (size_t)len)) {
        va_start(args, format);
        vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, args);
        va_end(args);
        buffer->len += (size_t)len;
    }
}

enum err buffer_status(const struct buffer *buffer)
{
    return buffer->failed ? ERR_NO_MEMORY : OK;
}

void buffer_add_json_string(struct buffer *buffer, struct slice text)
{
    buffer_add_char(buffer, '"');
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_add(buffer, text.data + start, i - start);
        start = i + 1;
        switch (c) {
        case '"':
            buffer_add_string(buffer, "\\\"");
            break;
        case '\\':
            buffer_add_string(buffer, "\\\\");
            break;
        case '\n':
            buffer_add_string(buffer, "\\n");
            break;
        case '\t':
            buffer_add_string(buffer, "\\t");
            break;
        default:
            buffer_add_format(buffer, "\\u%04x", c);
        }
    }
    buffer_add(buffer, text.data + start, text.len - start);
    buffer_add_char(buffer, '"');
}
