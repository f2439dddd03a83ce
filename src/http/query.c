/* SPDX-License-Identifier: Apache-2.0 */
#include "http/query.h"

#include "base/crypto.h"

#include <string.h>

bool http_query_take(struct slice *query, struct slice *ret_name, struct slice *ret_value)
{
    while (query->len > 0) {
        const char *end = memchr(query->data, '&', query->len);
        size_t len = end ? (size_t)(end - query->data) : query->len, skip = end ? len + 1 : len;
        struct slice text = slice_of(query->data, len);
        *query = slice_of(query->data + skip, query->len - skip);
        if (len == 0)
            continue;
        const char *equals = memchr(text.data, '=', text.len);
        size_t name_len = equals ? (size_t)(equals - text.data) : text.len;
        size_t value_at = equals ? name_len + 1 : name_len;
        *ret_name = slice_of(text.data, name_len);
        *ret_value = slice_of(text.data + value_at, text.len - value_at);
        return true;
    }
    return false;
}

bool http_query_decode(struct slice text, char *ret_text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)(text.data[i] == '+' ? ' ' : text.data[i]);
        if (c == '%') {
            if (i + 2 >= text.len || !hex_decode(slice_of(text.data + i + 1, 2), &c))
                return false;
            i += 2;
        }
        if (c == '\0' || len + 1 >= size)
            return false;
        ret_text[len++] = (char)c;
    }
    ret_text[len] = '\0';
    return true;
}
