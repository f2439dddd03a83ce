/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock partner ...` */
#include "main/manage.h"

#define PARTNERS "/api/v1/partners"

int command_partner_list(const struct invocation *call)
{
    return manage_call(call, "GET", NULL, manage_print_list, PARTNERS);
}

int command_partner_show(const struct invocation *call)
{
    return manage_call(call, "GET", NULL, manage_print_members, PARTNERS "/%s", call->words[0]);
}

int command_partner_key(const struct invocation *call)
{
    return manage_call(
        call, "POST", json_object(), manage_print_members, PARTNERS "/%s/keys", call->words[0]);
}

int command_partner_add(const struct invocation *call)
{
    json_t *answer = NULL;
    enum err failed =
        remote_request(call, "POST", PARTNERS, json_pack("{s:s}", "id", call->words[0]), &answer);
    json_decref(answer);
    return failed ? err_exit_code(failed) : command_partner_key(call);
}

int command_partner_change(const struct invocation *call)
{
    json_t *body = json_object();
    manage_add_text(call, FLAG_KEY_POINTER, "key_pointer", body);
    if (!manage_add_boolean(call, FLAG_ENABLED, "enabled", body)) {
        json_decref(body);
        return err_exit_code(ERR_USAGE);
    }
    if (json_object_size(body) == 0) {
        json_decref(body);
        return command_fail(
            ERR_USAGE, "partner change: say what to change; see penstock partner change --help");
    }
    return manage_call(call, "PATCH", body, manage_print_members, PARTNERS "/%s", call->words[0]);
}

int command_partner_key_remove(const struct invocation *call)
{
    return manage_call(call, "DELETE", NULL, manage_print_members, PARTNERS "/%s/keys/%s",
        call->words[0], call->words[1]);
}

int command_partner_secret(const struct invocation *call)
{
    json_t *body = json_object();
    manage_add_text(call, FLAG_SECRET, "secret", body);
    return manage_call(
        call, "POST", body, manage_print_members, PARTNERS "/%s/secrets", call->words[0]);
}

int command_partner_secret_remove(const struct invocation *call)
{
    return manage_call(call, "DELETE", NULL, manage_print_members, PARTNERS "/%s/secrets/%s",
        call->words[0], call->words[1]);
}

int command_partner_accounts(const struct invocation *call)
{
    return manage_call(
        call, "GET", NULL, manage_print_list, PARTNERS "/%s/accounts", call->words[0]);
}

int command_partner_grant(const struct invocation *call)
{
    return manage_call(call, "POST", json_pack("{s:s}", "account", call->words[1]),
        manage_print_members, PARTNERS "/%s/accounts", call->words[0]);
}

int command_partner_revoke(const struct invocation *call)
{
    return manage_call(call, "DELETE", NULL, manage_print_members, PARTNERS "/%s/accounts/%s",
        call->words[0], call->words[1]);
}
