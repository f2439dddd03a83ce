/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and their endpoints. An endpoint's secret is shown when it is made. */
#include "admin/admin_internal.h"

#include <stdio.h>

static json_t *endpoint_view(const struct endpoint *endpoint)
{
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(endpoint->id, id);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "id", id, "account", endpoint->account, "name",
        endpoint->name, "url", endpoint->url, "enabled", (int)endpoint->enabled, "idempotent",
        (int)endpoint->idempotent, "final_4xx", (int)endpoint->final_4xx);
}

static void list_account(const struct account *account, void *context)
{
    json_array_append_new(context, json_pack("{s:s, s:b, s:i}", "id", account->id, "enabled", (int)account->enabled,
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
    return json_pack("{s:s, s:b, s:i}", "id", change->request.account, "enabled", 1, "endpoints", 0);
}

void admin_add_account(struct http_exchange *exchange, void *context)
{
    struct admin_change *change = admin_change_of_name(
        context, exchange, ACCOUNTS_ADD_ACCOUNT, view_account, "id", offsetof(struct accounts_request, account));
    if (change)
        admin_change_submit(context, change);
}

/* The account of the path, or NULL after a 404. */
static const struct account *find_account(struct admin *admin, struct http_exchange *exchange)
{
    const struct account *account =
        directory_account(accounts_directory(admin->options.accounts), http_path_part(exchange, 0));
    if (!account)
        http_answer_problem(exchange, ERR_NOT_FOUND, "There is no such account.", NULL);
    return account;
}

/* The endpoint of the path, or NULL after a 404. */
static const struct endpoint *find_endpoint(struct admin *admin, struct http_exchange *exchange)
{
    uint64_t id;
    const struct endpoint *endpoint = NULL;
    if (endpoint_id_parse(http_path_part(exchange, 1), &id))
        endpoint = directory_endpoint(accounts_directory(admin->options.accounts), id);
    if (endpoint && slice_equals_string(http_path_part(exchange, 0), endpoint->account))
        return endpoint;
    http_answer_problem(exchange, ERR_NOT_FOUND, "The account has no such endpoint.", NULL);
    return NULL;
}

void admin_list_endpoints(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct account *account = admin_authenticate(admin, exchange) ? find_account(admin, exchange) : NULL;
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
    const struct endpoint *endpoint = admin_authenticate(admin, exchange) ? find_endpoint(admin, exchange) : NULL;
    if (endpoint)
        admin_answer_json(exchange, 200, endpoint_view(endpoint));
}

static json_t *view_new_endpoint(const struct admin_change *change)
{
    struct endpoint endpoint = change->request.endpoint;
    endpoint.id = change->request.ret_endpoint;
    snprintf(endpoint.account, sizeof endpoint.account, "%s", change->request.account);
    json_t *view = endpoint_view(&endpoint);
    char secret[SECRET_TEXT_BYTES];
    secret_format(&endpoint.secrets[0], secret);
    json_object_set_new(view, "secret", json_string(secret));
    return view;
}

static json_t *view_changed_endpoint(const struct admin_change *change)
{
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(change->request.endpoint_id, id);
    json_t *view = json_pack("{s:s, s:s}", "id", id, "account", change->request.account);
    const struct endpoint *endpoint = &change->request.endpoint;
    if (change->request.changes & ENDPOINT_CHANGE_URL)
        json_object_set_new(view, "url", json_string(endpoint->url));
    if (change->request.changes & ENDPOINT_CHANGE_ENABLED)
        json_object_set_new(view, "enabled", json_boolean(endpoint->enabled));
    if (change->request.changes & ENDPOINT_CHANGE_IDEMPOTENT)
        json_object_set_new(view, "idempotent", json_boolean(endpoint->idempotent));
    if (change->request.changes & ENDPOINT_CHANGE_FINAL_4XX)
        json_object_set_new(view, "final_4xx", json_boolean(endpoint->final_4xx));
    return view;
}

/* Reads what a body says of an endpoint. False after an answer. */
static bool take_endpoint(struct admin *admin, struct http_exchange *exchange, const json_t *body, bool is_new,
    struct endpoint *ret_endpoint, unsigned *ret_changes)
{
    enum admin_member url = admin_take_text(exchange, body, "url", is_new, ret_endpoint->url, sizeof ret_endpoint->url);
    const char *problem = NULL;
    if (url == ADMIN_MEMBER_TAKEN &&
        admin->options.check_url(ret_endpoint->url, &problem, admin->options.context) != OK) {
        struct field_problems problems = {0};
        field_problems_add(&problems, "/url", problem);
        http_answer_problem(exchange, ERR_INVALID, "Correct the fields under errors.", &problems);
        return false;
    }
    if (url == ADMIN_MEMBER_ANSWERED)
        return false;
    enum admin_member name = ADMIN_MEMBER_ABSENT;
    if (is_new)
        name = admin_take_text(exchange, body, "name", false, ret_endpoint->name, sizeof ret_endpoint->name);
    if (name == ADMIN_MEMBER_ANSWERED)
        return false;
    const struct {
        const char *name;
        bool *flag;
        unsigned change;
    } flags[] = {{"enabled", &ret_endpoint->enabled, ENDPOINT_CHANGE_ENABLED},
        {"idempotent", &ret_endpoint->idempotent, ENDPOINT_CHANGE_IDEMPOTENT},
        {"final_4xx", &ret_endpoint->final_4xx, ENDPOINT_CHANGE_FINAL_4XX}};
    *ret_changes = url == ADMIN_MEMBER_TAKEN ? ENDPOINT_CHANGE_URL : 0;
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        enum admin_member taken = admin_take_flag(exchange, body, flags[i].name, flags[i].flag);
        if (taken == ADMIN_MEMBER_ANSWERED)
            return false;
        if (taken == ADMIN_MEMBER_TAKEN)
            *ret_changes |= flags[i].change;
    }
    return true;
}

void admin_add_endpoint(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"name", "url", "enabled", "idempotent", "final_4xx", NULL};
    struct admin *admin = context;
    const struct account *account = admin_authenticate(admin, exchange) ? find_account(admin, exchange) : NULL;
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
    static const char *const known[] = {"url", "enabled", "idempotent", "final_4xx", NULL};
    struct admin *admin = context;
    const struct endpoint *present = admin_authenticate(admin, exchange) ? find_endpoint(admin, exchange) : NULL;
    json_t *body = present ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct endpoint endpoint = {0};
    unsigned changes;
    struct admin_change *change = NULL;
    if (take_endpoint(admin, exchange, body, false, &endpoint, &changes))
        change = admin_change_new(exchange, ACCOUNTS_CHANGE_ENDPOINT, 200, view_changed_endpoint);
    json_decref(body);
    if (!change)
        return;
    snprintf(change->request.account, sizeof change->request.account, "%s", present->account);
    change->request.endpoint_id = present->id;
    change->request.changes = changes;
    change->request.endpoint = endpoint;
    admin_change_submit(admin, change);
}
