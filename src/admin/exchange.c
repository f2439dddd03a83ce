/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers read from a request (JSON body, parameters), and how they answer. What is unknown
 * or wrong is a 422 that names the member or parameter. */
#include "admin/admin_internal.h"

#include "base/clock.h"
#include "http/query.h"
#include "model/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PARAMETER_NAME_BYTES 32

bool admin_follows(const struct admin *admin)
{
    return admin->options.leader_url && *admin->options.leader_url;
}

bool admin_refuse_as_follower(const struct admin *admin, struct http_exchange *exchange)
{
    char detail[1200];
    if (!admin_follows(admin))
        return false;
    snprintf(detail, sizeof detail,
        "Only the leader of this gateway can do this: send the request to %s.",
        admin->options.leader_url);
    http_answer_problem(exchange, ERR_FORBIDDEN, detail, NULL);
    return true;
}

/* Answers. */

void admin_answer_json(struct http_exchange *exchange, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(json);
    if (text)
        http_answer(exchange, &(struct http_reply){.status = status,
                                  .content_type = "application/json",
                                  .body = slice_from_string(text)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, ADMIN_ASK_LATER, NULL);
    free(text);
}

void admin_refuse_member(struct http_exchange *exchange, const char *name, const char *detail)
{
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/%s", name);
    struct field_problems problems = {0};
    field_problems_add(&problems, pointer, detail);
    http_answer_problem(exchange, ERR_INVALID, ADMIN_SEE_ERRORS, &problems);
}

void admin_answer_unknown(struct http_exchange *exchange, const char *what, const char *id)
{
    char detail[NAME_BYTES_MAX + 160];
    snprintf(detail, sizeof detail,
        "The %s \"%s\" does not exist, and the journals hold nothing for it: \"penstock %s list\" "
        "shows what exists.",
        what, id, what);
    http_answer_problem(exchange, ERR_NOT_FOUND, detail, NULL);
}

/* The body. */

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
        http_answer_problem(
            exchange, ERR_MALFORMED_JSON, "The body must be one JSON object.", NULL);
        json_decref(object);
        return NULL;
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (is_known(known, name))
            continue;
        admin_refuse_member(exchange, name, "is not a field of this resource: remove it");
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

/* Texts that people read later: no line ends, no control characters (C1 included, which are two
 * bytes in UTF-8). */
static bool is_printable(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
            return false;
    return true;
}

static enum admin_member take_line(struct http_exchange *exchange, const json_t *object,
    const char *name, bool required, char ret_text[ACTION_NOTE_BYTES_MAX + 1])
{
    enum admin_member taken =
        admin_take_text(exchange, object, name, required, ret_text, ACTION_NOTE_BYTES_MAX + 1);
    if (taken != ADMIN_MEMBER_TAKEN || is_printable(ret_text))
        return taken;
    admin_refuse_member(exchange, name, "must be printable text in one line");
    return ADMIN_MEMBER_ANSWERED;
}

enum admin_member admin_take_reason(struct http_exchange *exchange, const json_t *object,
    bool required, char ret_reason[ACTION_NOTE_BYTES_MAX + 1])
{
    enum admin_member taken = take_line(exchange, object, "reason", required, ret_reason);
    if (taken != ADMIN_MEMBER_TAKEN || *ret_reason || !required)
        return taken;
    admin_refuse_member(exchange, "reason", "must say why: it is stored with the action");
    return ADMIN_MEMBER_ANSWERED;
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
        http_answer_problem(exchange, ERR_INVALID, ADMIN_SEE_ERRORS, &problems);
        return ADMIN_MEMBER_ANSWERED;
    }
    *ret_types = types;
    return ADMIN_MEMBER_TAKEN;
}

/* Parameters. */

static struct admin_parameter *find(
    struct admin_parameter *parameters, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(parameters[i].name, name) == 0)
            return &parameters[i];
    return NULL;
}

/* False after an answer. */
static bool take_one(struct http_exchange *exchange, struct slice encoded_name, struct slice value,
    struct admin_parameter *parameters, size_t count)
{
    char name[PARAMETER_NAME_BYTES];
    struct admin_parameter *parameter =
        http_query_decode(encoded_name, name, sizeof name) ? find(parameters, count, name) : NULL;
    if (!parameter) {
        snprintf(name, sizeof name, "%.*s",
            (int)(encoded_name.len < sizeof name ? encoded_name.len : sizeof name - 1),
            encoded_name.data);
        admin_refuse_member(exchange, name, "is not a parameter of this resource: remove it");
    } else if (parameter->given) {
        admin_refuse_member(exchange, name, "must be given once");
    } else if (!http_query_decode(value, parameter->value, sizeof parameter->value)) {
        admin_refuse_member(exchange, name, "is too long, or not percent-encoded");
    } else {
        parameter->given = true;
        return true;
    }
    return false;
}

bool admin_take_parameters(
    struct http_exchange *exchange, struct admin_parameter *parameters, size_t count)
{
    struct slice rest = http_query(exchange), name, value;
    while (http_query_take(&rest, &name, &value))
        if (!take_one(exchange, name, value, parameters, count))
            return false;
    return true;
}

bool admin_take_day(
    struct http_exchange *exchange, const struct admin_parameter *parameter, int64_t *ret_day)
{
    char text[ADMIN_PARAMETER_BYTES + 16];
    int64_t us;
    if (!parameter->given)
        return true;
    snprintf(text, sizeof text, "%sT00:00:00Z", parameter->value);
    if (strlen(parameter->value) != 10 || !clock_parse_rfc3339(slice_from_string(text), &us) ||
        us < 0) {
        admin_refuse_member(exchange, parameter->name, "must be a day (UTC) such as 2026-01-31");
        return false;
    }
    *ret_day = us / US_PER_DAY;
    return true;
}

void admin_day_text(int64_t day, char ret_text[ADMIN_DAY_BYTES])
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(day * US_PER_DAY, text);
    snprintf(ret_text, ADMIN_DAY_BYTES, "%.10s", text);
}

bool admin_take_name(struct http_exchange *exchange, const struct admin_parameter *parameter,
    char ret_name[NAME_BYTES_MAX + 1])
{
    if (!parameter->given)
        return true;
    if (!name_is_valid(slice_from_string(parameter->value))) {
        admin_refuse_member(exchange, parameter->name, NAME_RULE);
        return false;
    }
    snprintf(ret_name, NAME_BYTES_MAX + 1, "%.*s", NAME_BYTES_MAX, parameter->value);
    return true;
}

bool admin_knows_account(const struct admin *admin, const char *id)
{
    return !*id || !admin->options.accounts ||
           directory_account(accounts_directory(admin->options.accounts), slice_from_string(id));
}

bool admin_knows_partner(const struct admin *admin, const char *id)
{
    return !*id || !admin->options.accounts ||
           directory_partner(accounts_directory(admin->options.accounts), slice_from_string(id));
}

/* Values of an answer. */

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

json_t *admin_view_types(const struct type_list *types)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < types->count; i++)
        json_array_append_new(list, json_string(types->patterns[i]));
    return list;
}

json_t *admin_view_accounts(const struct key_scope *scope)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < scope->accounts_count; i++)
        json_array_append_new(list, json_string(scope->accounts[i]));
    return list;
}
