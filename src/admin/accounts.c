/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and their endpoints. An endpoint's secret is shown when it is made. */
#include "admin/admin_internal.h"

#include "model/name.h"

#include <stdio.h>

static json_t *endpoint_view(const struct endpoint *endpoint)
{
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(endpoint->id, id);
    json_t *types = json_array();
    for (unsigned i = 0; i < endpoint->types.count; i++)
        json_array_append_new(types, json_string(endpoint->types.patterns[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "id", id, "account",
        endpoint->account, "name", endpoint->name, "url", endpoint->url, "enabled",
        (int)endpoint->enabled, "idempotent", (int)endpoint->idempotent, "final_4xx",
        (int)endpoint->final_4xx, "types", types);
}

static void list_account(const struct account *account, void *context)
{
    json_array_append_new(
        context, json_pack("{s:s, s:b, s:i}", "id", account->id, "enabled", (int)account->enabled,
                     "endpoints", (int)account->endpoints_count));
}

void admin_list_accounts(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange))
        return;
    json_t *items = json_array();
    directory_each_account(accounts_directory(admin->options.accounts), list_account, items);
    admin_answer_json(exchange, 200, json_pack("{s:o}", "accounts", items));
}

static json_t *view_account(const struct admin_change *change)
{
    return json_pack(
        "{s:s, s:b, s:i}", "id", change->request.account, "enabled", 1, "endpoints", 0);
}

void admin_add_account(struct http_exchange *exchange, void *context)
{
    struct admin_change *change = admin_change_of_name(context, exchange, ACCOUNTS_ADD_ACCOUNT,
        view_account, "id", offsetof(struct accounts_request, account));
    if (change)
        admin_change_submit(context, change);
}

void admin_list_endpoints(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct account *account =
        admin_authenticate(admin, exchange) ? admin_find_account(admin, exchange) : NULL;
    if (!account)
        return;
    json_t *items = json_array();
    for (unsigned i = 0; i < account->endpoints_count; i++) {
        const struct endpoint *endpoint =
            directory_endpoint(accounts_directory(admin->options.accounts), account->endpoints[i]);
        if (endpoint)
            json_array_append_new(items, endpoint_view(endpoint));
    }
    admin_answer_json(exchange, 200, json_pack("{s:o}", "endpoints", items));
}

void admin_get_endpoint(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct endpoint *endpoint =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    if (!endpoint)
        return;
    json_t *view = endpoint_view(endpoint);
    json_object_set_new(view, "secrets", admin_view_endpoint_secrets(endpoint));
    admin_answer_json(exchange, 200, view);
}

static json_t *view_endpoint(const struct admin_change *change)
{
    return endpoint_view(&change->request.endpoint);
}

static json_t *view_new_endpoint(const struct admin_change *change)
{
    json_t *view = view_endpoint(change);
    char secret[SECRET_TEXT_BYTES];
    secret_format(&change->request.endpoint.secrets[0], secret);
    json_object_set_new(view, "secret", json_string(secret));
    return view;
}

/* False after an answer, as below. */
static bool take_url(struct admin *admin, struct http_exchange *exchange, const json_t *body,
    bool is_new, struct endpoint *ret_endpoint, unsigned *changes)
{
    enum admin_member taken =
        admin_take_text(exchange, body, "url", is_new, ret_endpoint->url, sizeof ret_endpoint->url);
    const char *problem = NULL;
    if (taken == ADMIN_MEMBER_TAKEN &&
        admin->options.check_url(ret_endpoint->url, &problem, admin->options.context) != OK) {
        admin_refuse_member(exchange, "url", problem);
        return false;
    }
    if (taken == ADMIN_MEMBER_TAKEN)
        *changes |= ENDPOINT_CHANGE_URL;
    return taken != ADMIN_MEMBER_ANSWERED;
}

static bool take_name(
    struct http_exchange *exchange, const json_t *body, struct endpoint *ret_endpoint)
{
    enum admin_member taken = admin_take_text(
        exchange, body, "name", false, ret_endpoint->name, sizeof ret_endpoint->name);
    if (taken == ADMIN_MEMBER_TAKEN && !name_is_valid(slice_from_string(ret_endpoint->name))) {
        admin_refuse_member(exchange, "name", NAME_RULE);
        return false;
    }
    return taken != ADMIN_MEMBER_ANSWERED;
}

/* Reads what a body says of an endpoint. False after an answer. */
static bool take_endpoint(struct admin *admin, struct http_exchange *exchange, const json_t *body,
    bool is_new, struct endpoint *ret_endpoint, unsigned *ret_changes)
{
    *ret_changes = 0;
    if (!take_url(admin, exchange, body, is_new, ret_endpoint, ret_changes) ||
        (is_new && !take_name(exchange, body, ret_endpoint)))
        return false;
    const struct {
        const char *name;
        bool *flag;
        unsigned change;
    } flags[] = {{"enabled", &ret_endpoint->enabled, ENDPOINT_CHANGE_ENABLED},
        {"idempotent", &ret_endpoint->idempotent, ENDPOINT_CHANGE_IDEMPOTENT},
        {"final_4xx", &ret_endpoint->final_4xx, ENDPOINT_CHANGE_FINAL_4XX}};
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        enum admin_member taken = admin_take_flag(exchange, body, flags[i].name, flags[i].flag);
        if (taken == ADMIN_MEMBER_ANSWERED)
            return false;
        if (taken == ADMIN_MEMBER_TAKEN)
            *ret_changes |= flags[i].change;
    }
    enum admin_member types = admin_take_types(exchange, body, "types", &ret_endpoint->types);
    if (types == ADMIN_MEMBER_TAKEN)
        *ret_changes |= ENDPOINT_CHANGE_TYPES;
    return types != ADMIN_MEMBER_ANSWERED;
}

void admin_add_endpoint(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {
        "name", "url", "enabled", "idempotent", "final_4xx", "types", NULL};
    struct admin *admin = context;
    const struct account *account =
        admin_authenticate(admin, exchange) ? admin_find_account(admin, exchange) : NULL;
    json_t *body = account ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct endpoint endpoint = {.name = "main", .enabled = true};
    unsigned changes;
    struct admin_change *change = NULL;
    if (take_endpoint(admin, exchange, body, true, &endpoint, &changes))
        change = admin_change_new(exchange, ACCOUNTS_ADD_ENDPOINT, 201, view_new_endpoint);
    json_decref(body);
    if (!change)
        return;
    secret_make(&endpoint.secrets[0]);
    endpoint.secrets_count = 1;
    snprintf(change->request.account, sizeof change->request.account, "%s", account->id);
    change->request.endpoint = endpoint;
    admin_change_submit(admin, change);
}

void admin_change_endpoint(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"url", "enabled", "idempotent", "final_4xx", "types", NULL};
    struct admin *admin = context;
    const struct endpoint *present =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    json_t *body = present ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct endpoint endpoint = {0};
    unsigned changes;
    struct admin_change *change = NULL;
    if (take_endpoint(admin, exchange, body, false, &endpoint, &changes))
        change = admin_change_new(exchange, ACCOUNTS_CHANGE_ENDPOINT, 200, view_endpoint);
    json_decref(body);
    if (!change)
        return;
    snprintf(change->request.account, sizeof change->request.account, "%s", present->account);
    change->request.endpoint_id = present->id;
    change->request.changes = changes;
    change->request.endpoint = endpoint;
    admin_change_submit(admin, change);
}

void admin_remove_endpoint(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct endpoint *endpoint =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    struct admin_change *change =
        endpoint ? admin_change_new(exchange, ACCOUNTS_REMOVE_ENDPOINT, 200, view_endpoint) : NULL;
    if (!change)
        return;
    memcpy(change->request.account, endpoint->account, sizeof endpoint->account);
    change->request.endpoint_id = endpoint->id;
    admin_change_submit(admin, change);
}
