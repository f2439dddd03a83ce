/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock account ...` and `penstock endpoint ...` */
#include "main/manage.h"

#define ACCOUNTS "/api/v1/accounts"
#define ENDPOINTS ACCOUNTS "/%s/endpoints"

int command_account_list(const struct invocation *call)
{
    return manage_call(call, "GET", NULL, manage_print_list, ACCOUNTS);
}

int command_account_add(const struct invocation *call)
{
    return manage_call(
        call, "POST", json_pack("{s:s}", "id", call->words[0]), manage_print_members, ACCOUNTS);
}

int command_endpoint_list(const struct invocation *call)
{
    return manage_call(call, "GET", NULL, manage_print_list, ENDPOINTS, call->words[0]);
}

int command_endpoint_show(const struct invocation *call)
{
    return manage_call(
        call, "GET", NULL, manage_print_members, ENDPOINTS "/%s", call->words[0], call->words[1]);
}

/* What the flags say of an endpoint; NULL after a complaint. */
static json_t *endpoint_of_flags(const struct invocation *call)
{
    json_t *body = json_object();
    manage_add_text(call, FLAG_URL, "url", body);
    manage_add_text(call, FLAG_NAME, "name", body);
    manage_add_list(call, FLAG_TYPES, "types", body);
    if (manage_add_boolean(call, FLAG_ENABLED, "enabled", body) &&
        manage_add_boolean(call, FLAG_IDEMPOTENT, "idempotent", body) &&
        manage_add_boolean(call, FLAG_FINAL_4XX, "final_4xx", body))
        return body;
    json_decref(body);
    return NULL;
}

int command_endpoint_add(const struct invocation *call)
{
    if (!call->flags[FLAG_URL])
        return command_fail(ERR_USAGE, "endpoint add: say where it is with --url URL");
    json_t *body = endpoint_of_flags(call);
    if (!body)
        return err_exit_code(ERR_USAGE);
    return manage_call(call, "POST", body, manage_print_members, ENDPOINTS, call->words[0]);
}

int command_endpoint_change(const struct invocation *call)
{
    json_t *body = endpoint_of_flags(call);
    if (!body)
        return err_exit_code(ERR_USAGE);
    if (json_object_size(body) == 0) {
        json_decref(body);
        return command_fail(
            ERR_USAGE, "endpoint change: say what to change; see penstock endpoint change --help");
    }
    return manage_call(
        call, "PATCH", body, manage_print_members, ENDPOINTS "/%s", call->words[0], call->words[1]);
}

int command_endpoint_remove(const struct invocation *call)
{
    return manage_call(call, "DELETE", NULL, manage_print_members, ENDPOINTS "/%s", call->words[0],
        call->words[1]);
}

int command_endpoint_secret(const struct invocation *call)
{
    json_t *body = json_object();
    manage_add_text(call, FLAG_SECRET, "secret", body);
    return manage_call(call, "POST", body, manage_print_members, ENDPOINTS "/%s/secrets",
        call->words[0], call->words[1]);
}

int command_endpoint_secret_remove(const struct invocation *call)
{
    return manage_call(call, "DELETE", NULL, manage_print_members, ENDPOINTS "/%s/secrets/%s",
        call->words[0], call->words[1], call->words[2]);
}
