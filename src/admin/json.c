/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out of the admin API. */
#include "admin/admin_internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

void admin_answer_json(struct http_exchange *exchange, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text)
        http_answer(exchange, &(struct http_reply){.status = status,
                                  .content_type = "application/json",
                                  .body = slice_from_string(text)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
    free(text);
}

void admin_refuse_member(struct http_exchange *exchange, const char *name, const char *detail)
{
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/%s", name);
    struct field_problems problems = {0};
    field_problems_add(&problems, pointer, detail);
    http_answer_problem(exchange, ERR_INVALID, "Correct the fields under errors.", &problems);
}

static bool is_known(const char *const *known, const char *name)
{
    for (; *known; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

json_t *admin_read_object(struct http_exchange *exchange, const char *const *known)
{
    struct slice body = http_body(exchange);
    json_error_t error;
    json_t *object =
        json_loadb(body.data ? body.data : "", body.len, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        char detail[200];
        snprintf(
            detail, sizeof detail, "%s (line %d, column %d)", error.text, error.line, error.column);
        http_answer_problem(exchange, ERR_MALFORMED_JSON, detail, NULL);
        return NULL;
    }
    if (!json_is_object(object)) {
        http_answer_problem(exchange, ERR_MALFORMED_JSON, "Send one JSON object.", NULL);
        json_decref(object);
        return NULL;
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (is_known(known, name))
            continue;
        admin_refuse_member(exchange, name, "is not a field of this resource");
        json_decref(object);
        return NULL;
    }
    return object;
}

enum admin_member admin_take_text(struct http_exchange *exchange, const json_t *object,
    const char *name, bool required, char *ret_text, size_t size)
{
    const json_t *value = json_object_get(object, name);
    if (!value && !required)
        return ADMIN_MEMBER_ABSENT;
    if (!value)
        admin_refuse_member(exchange, name, "is required");
    else if (!json_is_string(value))
        admin_refuse_member(exchange, name, "must be a string");
    else if (json_string_length(value) >= size)
        admin_refuse_member(exchange, name, "is too long");
    else {
        memcpy(ret_text, json_string_value(value), json_string_length(value) + 1);
        return ADMIN_MEMBER_TAKEN;
    }
    return ADMIN_MEMBER_ANSWERED;
}

enum admin_member admin_take_flag(
    struct http_exchange *exchange, const json_t *object, const char *name, bool *ret_flag)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        return ADMIN_MEMBER_ABSENT;
    if (!json_is_boolean(value)) {
        admin_refuse_member(exchange, name, "must be true or false");
        return ADMIN_MEMBER_ANSWERED;
    }
    *ret_flag = json_is_true(value);
    return ADMIN_MEMBER_TAKEN;
}

enum admin_member admin_take_types(struct http_exchange *exchange, const json_t *object,
    const char *name, struct type_list *ret_types)
{
    const json_t *value = json_object_get(object, name), *item;
    if (!value)
        return ADMIN_MEMBER_ABSENT;
    if (!json_is_array(value) || json_array_size(value) > TYPE_LIST_MAX) {
        admin_refuse_member(exchange, name, "must be a list of at most 32 patterns of event types");
        return ADMIN_MEMBER_ANSWERED;
    }
    struct type_list types = {0};
    struct field_problems problems = {0};
    size_t i;
    json_array_foreach(value, i, item)
    {
        char pointer[64];
        snprintf(pointer, sizeof pointer, "/%s/%zu", name, i);
        if (!type_list_add(&types, slice_of(json_string_value(item), json_string_length(item))))
            field_problems_add(&problems, pointer, TYPE_PATTERN_RULE);
    }
    if (problems.count > 0) {
        http_answer_problem(exchange, ERR_INVALID, "Correct the fields under errors.", &problems);
        return ADMIN_MEMBER_ANSWERED;
    }
    *ret_types = types;
    return ADMIN_MEMBER_TAKEN;
}

json_t *admin_time(int64_t wall_us)
{
    if (wall_us == 0)
        return json_null();
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(wall_us, text);
    return json_string(text);
}

json_t *admin_text(struct slice text)
{
    return text.len ? json_stringn(text.data, text.len) : json_null();
}
