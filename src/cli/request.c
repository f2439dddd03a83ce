/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"

#include "base/clock.h"
#include "cli/json_file.h"
#include "cli/remote.h"
#include "model/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool request_arguments_are_names(const struct invocation *call)
{
    for (unsigned i = 0; i < call->words_count; i++) {
        if (name_is_valid(slice_from_string(call->words[i])))
            continue;
        command_fail(ERR_USAGE, "%s: \"%s\" is not a name or id: it " NAME_RULE,
            call->command->name, call->words[i]);
        return false;
    }
    return true;
}

/* Fills the arguments into a path of the command table. */
static void add_path(const struct invocation *call, const char *format, struct buffer *path)
{
    for (; *format; format++) {
        if (*format == '%')
            buffer_add_string(path, call->words[*++format - '1']);
        else
            buffer_add_char(path, *format);
    }
}

static json_t *list_of(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t len = strcspn(text, ",");
        json_array_append_new(list, json_stringn(text, len));
        text += len + (text[len] == ',');
    }
    return list;
}

/* As RFC 3339. The parser has checked the text. */
static void write_when(const char *text, char ret_text[CLOCK_TEXT_BYTES])
{
    int64_t wall_us = 0;
    (void)flag_when(text, clock_wall_us(), &wall_us);
    clock_format_rfc3339(wall_us, ret_text);
}

static enum err value_of(
    const struct invocation *call, enum flag_kind kind, const char *text, json_t **ret_value)
{
    switch (kind) {
    case FLAG_KIND_SWITCH:
        *ret_value = json_true();
        break;
    case FLAG_KIND_BOOLEAN:
        *ret_value = json_boolean(strcmp(text, "true") == 0);
        break;
    case FLAG_KIND_LIST:
        *ret_value = list_of(text);
        break;
    case FLAG_KIND_COUNT:
        *ret_value = json_integer(strtoll(text, NULL, 10));
        break;
    case FLAG_KIND_TIME:
        *ret_value = strcmp(text, "never") == 0 ? json_null() : json_string(text);
        break;
    case FLAG_KIND_WHEN: {
        char when[CLOCK_TEXT_BYTES];
        write_when(text, when);
        *ret_value = json_string(when);
        break;
    }
    case FLAG_KIND_FILE:
        return json_file_read(call->command->name, text, ret_value);
    default:
        *ret_value = json_string(text);
        break;
    }
    return OK;
}

/* Adds a member of the body; takes the reference. */
static void add_member(json_t *body, const char *member, json_t *value)
{
    const char *slash = strchr(member, '/');
    if (!slash) {
        json_object_set_new(body, member, value);
        return;
    }
    char outer[32];
    snprintf(outer, sizeof outer, "%.*s", (int)(slash - member), member);
    if (!json_object_get(body, outer))
        json_object_set_new(body, outer, json_object());
    json_object_set_new(json_object_get(body, outer), slash + 1, value);
}

enum err request_body(const struct invocation *call, json_t **ret_body)
{
    json_t *body = json_object();
    enum err err = OK;
    for (unsigned i = 0; i < FLAGS && !err; i++) {
        json_t *value = NULL;
        if (!call->flags[i] || !flag_rows[i].member)
            continue;
        err = value_of(call, flag_rows[i].kind, call->flags[i], &value);
        if (!err)
            add_member(body, flag_rows[i].member, value);
    }
    if (err) {
        json_decref(body);
        return err;
    }
    if (call->command->member)
        json_object_set_new(
            body, call->command->member, json_string(call->words[call->words_count - 1]));
    *ret_body = body;
    return OK;
}

void request_add_parameters(const struct invocation *call, struct buffer *path)
{
    for (unsigned i = 0; i < FLAGS; i++) {
        char when[CLOCK_TEXT_BYTES];
        if (!call->flags[i] || !flag_rows[i].member)
            continue;
        if (flag_rows[i].kind == FLAG_KIND_WHEN)
            write_when(call->flags[i], when);
        remote_add_parameter(path, flag_rows[i].member,
            flag_rows[i].kind == FLAG_KIND_SWITCH ? "true"
            : flag_rows[i].kind == FLAG_KIND_WHEN ? when
                                                  : call->flags[i]);
    }
}

static int send(const struct invocation *call, const char *method, const char *format, json_t *body)
{
    struct buffer path = BUFFER_EMPTY;
    json_t *answer = NULL;
    add_path(call, format, &path);
    enum err err = buffer_status(&path);
    if (err)
        json_decref(body);
    else
        err = remote_request(call, method, path.data, body, &answer);
    buffer_done(&path);
    int code = err_exit_code(err);
    if (!err)
        remote_print(call, answer, call->command->print);
    if (!err && call->command->judge)
        code = call->command->judge(answer);
    json_decref(answer);
    return code;
}

int request_run(const struct invocation *call)
{
    const struct command *command = call->command;
    if (!request_arguments_are_names(call))
        return err_exit_code(ERR_USAGE);
    bool has_body = strcmp(command->method, "POST") == 0 || strcmp(command->method, "PATCH") == 0;
    json_t *body = NULL;
    enum err err = has_body ? request_body(call, &body) : OK;
    if (err)
        return err_exit_code(err);
    if (strcmp(command->method, "PATCH") == 0 && json_object_size(body) == 0) {
        json_decref(body);
        return command_fail(ERR_USAGE,
            "%s: there is no change: give at least one flag, see \"penstock %s --help\"",
            command->name, command->name);
    }
    return send(call, command->method, command->path, body);
}

int request_add_partner(const struct invocation *call)
{
    json_t *answer = NULL, *body = NULL;
    if (!request_arguments_are_names(call))
        return err_exit_code(ERR_USAGE);
    enum err err = request_body(call, &body);
    if (!err)
        err = remote_request(call, "POST", call->command->path, body, &answer);
    json_decref(answer);
    return err ? err_exit_code(err) : send(call, "POST", "/api/v1/partners/%1/keys", json_object());
}
