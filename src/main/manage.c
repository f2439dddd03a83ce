/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that list and change partners, accounts and endpoints. */
#include "base/slice.h"
#include "main/remote.h"
#include "model/name.h"

#include <stdio.h>
#include <string.h>

/* Words become parts of a path: they must be names. */
static bool words_are_names(const struct invocation *call)
{
    for (unsigned i = 0; i < call->words_count; i++) {
        if (name_is_valid(slice_from_string(call->words[i])))
            continue;
        command_fail(ERR_USAGE, "\"%s\" " NAME_RULE, call->words[i]);
        return false;
    }
    return true;
}

/* Prints every member as `name: value`. */
static void print_members(const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (json_is_string(value))
            printf("%-10s %s\n", name, json_string_value(value));
        else if (json_is_boolean(value))
            printf("%-10s %s\n", name, json_is_true(value) ? "true" : "false");
        else if (json_is_integer(value))
            printf("%-10s %lld\n", name, (long long)json_integer_value(value));
    }
}

/* Prints the one list of an answer, a line an item. */
static void print_list(const json_t *answer)
{
    json_t *items = json_object_iter_value(json_object_iter((json_t *)answer)), *item, *value;
    size_t i;
    const char *name;
    json_array_foreach(items, i, item)
    {
        bool first = true;
        json_object_foreach(item, name, value)
        {
            if (json_is_string(value))
                printf("%s%s", first ? "" : "  ", json_string_value(value));
            else if (json_is_boolean(value) && (strcmp(name, "enabled") == 0) != json_is_true(value))
                printf("  %s%s", json_is_true(value) ? "" : "not ", name);
            first = false;
        }
        putchar('\n');
    }
    if (json_array_size(items) == 0)
        fputs("none\n", stderr);
}

static int list(const struct invocation *call, const char *path)
{
    return remote_show(call, "GET", path, NULL, print_list);
}

int command_partner_list(const struct invocation *call)
{
    return list(call, "/api/v1/partners");
}

int command_account_list(const struct invocation *call)
{
    return list(call, "/api/v1/accounts");
}

int command_partner_key(const struct invocation *call)
{
    char path[256];
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    snprintf(path, sizeof path, "/api/v1/partners/%s/keys", call->words[0]);
    return remote_show(call, "POST", path, json_object(), print_members);
}

int command_partner_add(const struct invocation *call)
{
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    json_t *answer = NULL;
    enum err failed =
        remote_request(call, "POST", "/api/v1/partners", json_pack("{s:s}", "id", call->words[0]), &answer);
    json_decref(answer);
    return failed ? err_exit_code(failed) : command_partner_key(call);
}

int command_partner_grant(const struct invocation *call)
{
    char path[256];
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    snprintf(path, sizeof path, "/api/v1/partners/%s/accounts", call->words[0]);
    return remote_show(call, "POST", path, json_pack("{s:s}", "account", call->words[1]), print_members);
}

int command_account_add(const struct invocation *call)
{
    return remote_show(call, "POST", "/api/v1/accounts", json_pack("{s:s}", "id", call->words[0]), print_members);
}

/* /api/v1/accounts/{a}/endpoints[/{e}] from the words. */
static void endpoints_path(const struct invocation *call, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "/api/v1/accounts/%s/endpoints%s%s", call->words[0], call->words_count > 1 ? "/" : "",
        call->words_count > 1 ? call->words[1] : "");
}

int command_endpoint_list(const struct invocation *call)
{
    char path[256];
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    endpoints_path(call, path, sizeof path);
    return list(call, path);
}

int command_endpoint_show(const struct invocation *call)
{
    char path[256];
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    endpoints_path(call, path, sizeof path);
    return remote_show(call, "GET", path, NULL, print_members);
}

int command_endpoint_add(const struct invocation *call)
{
    char path[256];
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    if (!call->flags[FLAG_URL])
        return command_fail(ERR_USAGE, "endpoint add: say where it is with --url URL");
    endpoints_path(call, path, sizeof path);
    json_t *body = json_pack("{s:s}", "url", call->flags[FLAG_URL]);
    if (call->flags[FLAG_NAME])
        json_object_set_new(body, "name", json_string(call->flags[FLAG_NAME]));
    return remote_show(call, "POST", path, body, print_members);
}

int command_endpoint_change(const struct invocation *call)
{
    char path[256];
    if (!words_are_names(call))
        return err_exit_code(ERR_USAGE);
    endpoints_path(call, path, sizeof path);
    json_t *body = json_object();
    if (call->flags[FLAG_URL])
        json_object_set_new(body, "url", json_string(call->flags[FLAG_URL]));
    const char *enabled = call->flags[FLAG_ENABLED];
    if (enabled && strcmp(enabled, "true") != 0 && strcmp(enabled, "false") != 0) {
        json_decref(body);
        return command_fail(ERR_USAGE, "--enabled takes true or false, not \"%s\"", enabled);
    }
    if (enabled)
        json_object_set_new(body, "enabled", json_boolean(strcmp(enabled, "true") == 0));
    if (json_object_size(body) == 0) {
        json_decref(body);
        return command_fail(ERR_USAGE, "endpoint change: say what to change: --url URL or --enabled true|false");
    }
    return remote_show(call, "PATCH", path, body, print_members);
}
