/* SPDX-License-Identifier: Apache-2.0 */
#include "config/complaint.h"

#include <stdarg.h>
#include <stdio.h>

#define QUOTED_BYTES_MAX 80

void complaint_add(
    struct complaints *complaints, const struct complaint_place *place, const char *format, ...)
{
    struct buffer *text = complaints->text;
    complaints->count++;
    if (place->file) {
        buffer_add_string(text, place->file);
        if (place->line > 0)
            buffer_add_format(text, ":%zu:%zu", place->line, place->column);
        buffer_add_string(text, ": ");
    }
    if (place->subject)
        buffer_add_format(text, "%s: ", place->subject);
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    buffer_add_format(text, "%s\n", message);
}

void complaint_quote(struct buffer *text, struct slice value)
{
    buffer_add_char(text, '"');
    for (size_t i = 0; i < value.len && i < QUOTED_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c < 0x20 || c == 0x7f)
            buffer_add_format(text, "\\x%02x", c);
        else
            buffer_add_char(text, (char)c);
    }
    buffer_add_string(text, value.len > QUOTED_BYTES_MAX ? "...\"" : "\"");
}
