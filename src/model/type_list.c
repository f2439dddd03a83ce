/* SPDX-License-Identifier: Apache-2.0 */
#include "model/type_list.h"

#include "model/name.h"

#include <strings.h>

static bool is_prefix(struct slice pattern)
{
    return pattern.len > 0 && pattern.data[pattern.len - 1] == '*';
}

bool type_pattern_is_valid(struct slice pattern)
{
    if (!is_prefix(pattern))
        return name_is_valid_type(pattern);
    struct slice prefix = slice_of(pattern.data, pattern.len - 1);
    return prefix.len == 0 || (prefix.len < EVENT_TYPE_BYTES_MAX && name_is_valid_type(prefix));
}

bool type_list_add(struct type_list *list, struct slice pattern)
{
    if (list->count == TYPE_LIST_MAX || !type_pattern_is_valid(pattern))
        return false;
    char *text = list->patterns[list->count++];
    memcpy(text, pattern.data, pattern.len);
    text[pattern.len] = '\0';
    return true;
}

bool type_list_matches(const struct type_list *list, struct slice type)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct slice pattern = slice_from_string(list->patterns[i]);
        if (is_prefix(pattern) ? type.len >= pattern.len - 1 &&
                                     memcmp(type.data, pattern.data, pattern.len - 1) == 0
                               : slice_equal(pattern, type))
            return true;
    }
    return false;
}

bool type_list_names(const struct type_list *list, struct slice type)
{
    for (unsigned i = 0; i < list->count; i++)
        if (slice_equals_string(type, list->patterns[i]))
            return true;
    return false;
}

const char *type_list_match_any_case(const struct type_list *list, struct slice type)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct slice pattern = slice_from_string(list->patterns[i]);
        size_t len = is_prefix(pattern) ? pattern.len - 1 : pattern.len;
        bool fits = is_prefix(pattern) ? type.len >= len : type.len == len;
        if (fits && strncasecmp(type.data, pattern.data, len) == 0)
            return list->patterns[i];
    }
    return NULL;
}
