/* SPDX-License-Identifier: Apache-2.0 */
#include "model/name.h"

#include "base/limits.h"

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static bool all_name_chars(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_char(text.data[i]))
            return false;
    return true;
}

bool name_is_valid(struct slice text)
{
    return text.len >= 1 && text.len <= NAME_BYTES_MAX && text.data[0] != '.' &&
           text.data[0] != '-' && all_name_chars(text);
}

bool name_is_valid_type(struct slice text)
{
    return text.len >= 1 && text.len <= EVENT_TYPE_BYTES_MAX && all_name_chars(text);
}

bool name_is_valid_key(struct slice text)
{
    if (text.len < 1 || text.len > EVENT_KEY_BYTES_MAX || text.data[0] == ' ' ||
        text.data[text.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e)
            return false;
    return true;
}

bool name_is_valid_traceparent(struct slice text)
{
    if (text.len < 55 || text.len > TRACEPARENT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-'))
            return false;
    }
    return true;
}
