/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out of the admin API, and the way of a change to the accounts thread and back. */
#include "admin/admin_internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

void admin_answer_json(struct http_exchange *exchange, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text)
        http_answer(
            exchange, &(struct http_reply){
                          .status = status, .content_type = "application/json", .body = slice_from_string(text)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
    free(text);
}

static void refuse_member(struct http_exchange *exchange, const char *name, const char *detail)
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
    json_t *object = json_loadb(body.data ? body.data : "", body.len, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        char detail[200];
        snprintf(detail, sizeof detail, "%s (line %d, column %d)", error.text, error.line, error.column);
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
        refuse_member(exchange, name, "is not a field of this resource");
        json_decref(object);
        return NULL;
    }
    return object;
}

enum admin_member admin_take_text(
    struct http_exchange *exchange, const json_t *object, const char *name, bool required, char *ret_text, size_t size)
{
    const json_t *value = json_object_get(object, name);
    if (!value && !required)
        return ADMIN_MEMBER_ABSENT;
    if (!value)
        refuse_member(exchange, name, "is required");
    else if (!json_is_string(value))
        refuse_member(exchange, name, "must be a string");
    else if (json_string_length(value) >= size)
        refuse_member(exchange, name, "is too long");
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
        refuse_member(exchange, name, "must be true or false");
        return ADMIN_MEMBER_ANSWERED;
    }
    *ret_flag = json_is_true(value);
    return ADMIN_MEMBER_TAKEN;
}

struct admin_change *admin_change_new(struct http_exchange *exchange, enum accounts_act act, int status,
    json_t *(*view)(const struct admin_change *change))
{
    struct admin_change *change = calloc(1, sizeof *change);
    if (!change) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return NULL;
    }
    change->request.act = act;
    change->exchange = exchange;
    change->status = status;
    change->view = view;
    return change;
}

struct admin_change *admin_change_of_name(struct admin *admin, struct http_exchange *exchange, enum accounts_act act,
    json_t *(*view)(const struct admin_change *change), const char *member, size_t offset)
{
    const char *const known[] = {member, NULL};
    json_t *body = admin_authenticate(admin, exchange) ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return NULL;
    char name[NAME_BYTES_MAX + 1];
    struct admin_change *change = NULL;
    if (admin_take_text(exchange, body, member, true, name, sizeof name) == ADMIN_MEMBER_TAKEN)
        change = admin_change_new(exchange, act, 201, view);
    json_decref(body);
    if (change)
        memcpy((char *)&change->request + offset, name, sizeof name);
    return change;
}

static void on_changed(struct accounts_request *request, void *receiver)
{
    struct admin_change *change = CONTAINER_OF(request, struct admin_change, request);
    if (request->result == OK)
        admin_answer_json(change->exchange, change->status, change->view(change));
    else
        http_answer_problem(change->exchange, request->result, request->detail, NULL);
    free(change);
}

void admin_change_submit(struct admin *admin, struct admin_change *change)
{
    change->request.reply_to = &admin->mailbox;
    change->request.on_done = on_changed;
    accounts_submit(admin->options.accounts, &change->request);
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
