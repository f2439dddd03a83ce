/* SPDX-License-Identifier: Apache-2.0 */
#include "model/key_pointer.h"

bool key_pointer_is_valid(struct slice text)
{
    if (text.len < 1 || text.len > KEY_POINTER_BYTES_MAX || text.data[0] != '/')
        return false;
    unsigned parts = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c < 0x20 || c > 0x7e)
            return false;
        parts += c == '/';
        if (c == '~' && (i + 1 == text.len || (text.data[i + 1] != '0' && text.data[i + 1] != '1')))
            return false;
    }
    return parts <= EVENT_JSON_DEPTH_MAX;
}

/* Returns the first part, still escaped, without its slash. */
static struct slice first_part(struct slice pointer)
{
    const char *begin = pointer.data + 1;
    const char *slash = memchr(begin, '/', pointer.len - 1);
    return slice_of(begin, slash ? (size_t)(slash - begin) : pointer.len - 1);
}

static struct slice behind_first_part(struct slice pointer)
{
    size_t len = 1 + first_part(pointer).len;
    return slice_of(pointer.data + len, pointer.len - len);
}

static bool part_is_name(struct slice part, struct slice name)
{
    size_t at = 0;
    for (size_t i = 0; i < part.len; i++, at++) {
        char c = part.data[i];
        if (c == '~')
            c = part.data[++i] == '0' ? '~' : '/';
        if (at == name.len || name.data[at] != c)
            return false;
    }
    return at == name.len;
}

/* An index is `0`, or digits that do not begin with 0. An index too large for a body never
 * matches. */
static bool part_is_index(struct slice part, size_t index)
{
    size_t value = 0;
    if (part.len < 1 || part.len > 9 || (part.len > 1 && part.data[0] == '0'))
        return false;
    for (size_t i = 0; i < part.len; i++) {
        if (part.data[i] < '0' || part.data[i] > '9')
            return false;
        value = value * 10 + (size_t)(part.data[i] - '0');
    }
    return value == index;
}

void key_search_begin(struct key_search *search, struct slice pointer)
{
    *search = (struct key_search){.over = pointer.len == 0, .rest = pointer};
}

void key_search_on_name(struct key_search *search, unsigned depth, struct slice name)
{
    if (!search->over && depth == search->level)
        search->name_fits = part_is_name(first_part(search->rest), name);
}

bool key_search_on_value(struct key_search *search, unsigned depth, enum json_kind kind)
{
    if (search->over || depth != search->level)
        return false;
    if (depth > 0) {
        bool fits = search->in_array ? part_is_index(first_part(search->rest), search->index++)
                                     : search->name_fits;
        if (!fits)
            return false;
        search->rest = behind_first_part(search->rest);
    }
    /* The pointer ends here, or it continues inside, and a scalar has no inside. */
    bool found = search->rest.len == 0;
    search->over = found || kind == JSON_SCALAR;
    search->level++;
    search->in_array = kind == JSON_ARRAY;
    search->index = 0;
    return found;
}

void key_search_on_end(struct key_search *search, unsigned depth)
{
    if (depth == search->level)
        search->over = true;
}
