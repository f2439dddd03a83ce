/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 768
#define FIELD_OVERHEAD 32

void head_begin(struct head *head)
{
    head->text = memory_new_raw(FIRST_CAPACITY);
    head->text_len = 0;
    head->text_capacity = FIRST_CAPACITY;
    head->counted_bytes = 0;
    head->fields_count = 0;
    head->is_too_large = false;
    head->method = head->target = head->authority = (struct head_part){0};
}

void head_done(struct head *head)
{
    free(head->text);
    head->text = NULL;
}

static bool count(struct head *head, size_t bytes)
{
    if (head->is_too_large || bytes > HEAD_BYTES_MAX - head->counted_bytes)
        head->is_too_large = true;
    else
        head->counted_bytes += (uint32_t)bytes;
    return !head->is_too_large;
}

/* The bytes are counted. */
static struct head_part add(struct head *head, struct slice bytes)
{
    if (bytes.len > head->text_capacity - head->text_len) {
        while (bytes.len > head->text_capacity - head->text_len)
            head->text_capacity *= 2;
        head->text = memory_resize(head->text, head->text_capacity);
    }
    struct head_part part = {.at = head->text_len, .len = (uint32_t)bytes.len};
    if (bytes.len)
        memcpy(head->text + head->text_len, bytes.data, bytes.len);
    head->text_len += (uint32_t)bytes.len;
    return part;
}

void head_set_method(struct head *head, struct slice method)
{
    if (count(head, method.len))
        head->method = add(head, method);
}

void head_set_authority(struct head *head, struct slice authority)
{
    if (count(head, authority.len))
        head->authority = add(head, authority);
}

/* Removes "http://" or "https://" and the host. RFC 9112 section 3.2.2: every server must take the
 * absolute form. */
static struct slice take_authority(struct slice target, struct slice *ret_authority)
{
    size_t scheme = slice_starts_with(target, "http://")    ? 7
                    : slice_starts_with(target, "https://") ? 8
                                                            : 0;
    if (!scheme)
        return target;
    struct slice rest = slice_of(target.data + scheme, target.len - scheme);
    const char *slash = memchr(rest.data, '/', rest.len);
    size_t host = slash ? (size_t)(slash - rest.data) : rest.len;
    *ret_authority = slice_of(rest.data, host);
    return host < rest.len ? slice_of(rest.data + host, rest.len - host) : slice_from_string("/");
}

void head_set_target(struct head *head, struct slice target)
{
    struct slice authority = {0}, path = take_authority(target, &authority);
    if (!count(head, path.len))
        return;
    head->target = add(head, path);
    if (authority.data)
        head_set_authority(head, authority);
}

void head_add_field(struct head *head, struct slice name, struct slice value)
{
    if (head->fields_count == HEAD_FIELDS_MAX)
        head->is_too_large = true;
    if (!count(head, name.len + value.len + FIELD_OVERHEAD))
        return;
    struct head_field *field = &head->fields[head->fields_count++];
    field->name = add(head, name);
    char *lower = head->text + field->name.at;
    for (size_t i = 0; i < name.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] |= 0x20;
    field->value = add(head, value);
}

static size_t path_len(struct slice target)
{
    const char *mark = target.len ? memchr(target.data, '?', target.len) : NULL;
    return mark ? (size_t)(mark - target.data) : target.len;
}

struct slice head_path(const struct head *head)
{
    struct slice target = head_slice(head, head->target);
    return slice_of(target.data, path_len(target));
}

struct slice head_query(const struct head *head)
{
    struct slice target = head_slice(head, head->target);
    size_t len = path_len(target);
    return len < target.len ? slice_of(target.data + len + 1, target.len - len - 1)
                            : slice_of(NULL, 0);
}

struct slice head_find(const struct head *head, const char *lower_case_name)
{
    size_t len = strlen(lower_case_name);
    for (unsigned i = 0; i < head->fields_count; i++) {
        const struct head_field *field = &head->fields[i];
        if (field->name.len == len &&
            memcmp(head->text + field->name.at, lower_case_name, len) == 0)
            return head_slice(head, field->value);
    }
    return slice_of(NULL, 0);
}
