/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts, their endpoints, and the secrets that an endpoint's deliveries are signed with: more
 * than one while the client changes to a new one. A secret is shown once, when it is made; later it
 * has only an id.
 */
#include "admin/admin_internal.h"

#include "model/name.h"

#include <stdio.h>

/* Secrets. */

static json_t *secret_id_text(uint64_t number)
{
    char text[ENDPOINT_SECRET_ID_TEXT_BYTES];
    endpoint_secret_id_format((uint32_t)number, text);
    return json_string(text);
}

static json_t *secrets_view(const struct endpoint *endpoint)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < endpoint->secrets_count; i++)
        json_array_append_new(
            items, json_pack("{s:o}", "id", secret_id_text(endpoint->secret_numbers[i])));
    return items;
}

void admin_list_endpoint_secrets(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct endpoint *endpoint =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    if (endpoint)
        admin_answer_json(exchange, 200, json_pack("{s:o}", "secrets", secrets_view(endpoint)));
}

static json_t *secret_view(const struct endpoint *endpoint, uint64_t number)
{
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(endpoint->id, id);
    return json_pack("{s:o, s:s, s:s}", "id", secret_id_text(number), "account", endpoint->account,
        "endpoint", id);
}

static json_t *view_new_secret(const struct admin_change *change)
{
    char secret[SECRET_TEXT_BYTES];
    secret_format(&change->request.secret, secret);
    json_t *view = secret_view(&change->request.endpoint, change->request.ret_secret_id);
    json_object_set_new(view, "secret", json_string(secret));
    return view;
}

void admin_add_endpoint_secret(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct endpoint *endpoint =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    struct admin_change *change =
        endpoint ? admin_change_of_secret(exchange, ACCOUNTS_ADD_ENDPOINT_SECRET, view_new_secret)
                 : NULL;
    if (!change)
        return;
    memcpy(change->request.account, endpoint->account, sizeof endpoint->account);
    change->request.endpoint_id = endpoint->id;
    admin_change_submit(admin, change);
}

static json_t *view_removed_secret(const struct admin_change *change)
{
    return secret_view(&change->request.endpoint, change->request.secret_id);
}

void admin_remove_endpoint_secret(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    uint32_t number;
    const struct endpoint *endpoint =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    if (!endpoint)
        return;
    if (!endpoint_secret_id_parse(http_path_part(exchange, 2), &number)) {
        http_answer_problem(exchange, ERR_NOT_FOUND,
            "The id of an endpoint's secret must be like sec_0: \"penstock endpoint show ACCOUNT "
            "ENDPOINT\" shows the secrets.",
            NULL);
        return;
    }
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_REMOVE_ENDPOINT_SECRET, 200, view_removed_secret);
    if (!change)
        return;
    memcpy(change->request.account, endpoint->account, sizeof endpoint->account);
    change->request.endpoint_id = endpoint->id;
    change->request.secret_id = number;
    admin_change_submit(admin, change);
}

/* Accounts and endpoints. */

static json_t *endpoint_view(const struct admin *admin, const struct endpoint *endpoint)
{
    char id[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(endpoint->id, id);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:b, s:b, s:o, s:o}", "id", id,
        "account", endpoint->account, "name", endpoint->name, "url", endpoint->url, "enabled",
        (int)endpoint->enabled, "disabled_since", admin_time(endpoint->disabled_us),
        "disabled_because", admin_text(slice_from_string(endpoint->disabled_reason)),
        "switched_off", admin_view_switches_of(admin, endpoint), "idempotent",
        (int)endpoint->idempotent, "final_4xx", (int)endpoint->final_4xx, "types",
        admin_view_types(&endpoint->types), "policy", admin_view_policy(endpoint->policy));
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
            json_array_append_new(items, endpoint_view(admin, endpoint));
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
    json_t *view = endpoint_view(admin, endpoint);
    json_object_set_new(view, "secrets", secrets_view(endpoint));
    admin_answer_json(exchange, 200, view);
}

static json_t *view_endpoint(const struct admin_change *change)
{
    struct endpoint endpoint = change->request.endpoint;
    const struct endpoint *present =
        directory_endpoint(accounts_directory(change->admin->options.accounts), endpoint.id);
    endpoint.policy = present ? present->policy : NULL;
    return endpoint_view(change->admin, &endpoint);
}

/* Tells operators that one of them has disabled or enabled it. */
static json_t *view_changed_endpoint(const struct admin_change *change)
{
    const struct endpoint *endpoint = &change->request.endpoint;
    struct operator_event event = {
        .kind = endpoint->enabled ? OPERATOR_ENDPOINT_ENABLED : OPERATOR_ENDPOINT_DISABLED};
    if (endpoint->enabled != change->request.ret_was_enabled) {
        snprintf(event.account, sizeof event.account, "%s", endpoint->account);
        snprintf(event.endpoint_name, sizeof event.endpoint_name, "%s", endpoint->name);
        snprintf(event.cause, sizeof event.cause, "operator");
        endpoint_id_format(endpoint->id, event.endpoint);
        operator_event_set_detail(&event, endpoint->disabled_reason);
        operator_event_post(&change->admin->options.operator_events, &event);
    }
    return view_endpoint(change);
}

static json_t *view_new_endpoint(const struct admin_change *change)
{
    json_t *view = view_endpoint(change);
    char secret[SECRET_TEXT_BYTES];
    secret_format(&change->request.endpoint.secrets[0], secret);
    json_object_set_new(view, "secret", json_string(secret));
    return view;
}

/* Reads the URL. False after an answer. */
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

/* The reason of an operator who does not send a reason. */
#define DISABLED_BY_OPERATOR "an operator disabled it"

/* Reads why it is disabled. False after an answer. */
static bool take_reason(struct http_exchange *exchange, const json_t *body, unsigned changes,
    struct endpoint *ret_endpoint)
{
    enum admin_member taken =
        admin_take_reason(exchange, body, false, ret_endpoint->disabled_reason);
    bool disables = (changes & ENDPOINT_CHANGE_ENABLED) && !ret_endpoint->enabled;
    if (taken == ADMIN_MEMBER_TAKEN && !disables) {
        admin_refuse_member(exchange, "reason",
            "says why an endpoint is disabled: send it with \"enabled\": false, or remove it");
        return false;
    }
    if (disables && !ret_endpoint->disabled_reason[0])
        snprintf(ret_endpoint->disabled_reason, sizeof ret_endpoint->disabled_reason, "%s",
            DISABLED_BY_OPERATOR);
    return taken != ADMIN_MEMBER_ANSWERED;
}

/* Reads the members of an endpoint from a body, except its policy. False after an answer. */
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
    return types != ADMIN_MEMBER_ANSWERED &&
           take_reason(exchange, body, *ret_changes, ret_endpoint);
}

void admin_add_endpoint(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {
        "name", "url", "enabled", "reason", "idempotent", "final_4xx", "types", "policy", NULL};
    struct admin *admin = context;
    const struct account *account =
        admin_authenticate(admin, exchange) ? admin_find_account(admin, exchange) : NULL;
    json_t *body = account ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct endpoint endpoint = {.name = "main", .enabled = true};
    const struct endpoint_policy *policy = NULL;
    unsigned changes;
    struct admin_change *change = NULL;
    if (take_endpoint(admin, exchange, body, true, &endpoint, &changes) &&
        admin_take_policy(admin, exchange, body, NULL, &policy) != ADMIN_MEMBER_ANSWERED)
        change = admin_change_new(exchange, ACCOUNTS_ADD_ENDPOINT, 201, view_new_endpoint);
    json_decref(body);
    if (!change)
        return;
    secret_make(&endpoint.secrets[0]);
    endpoint.secrets_count = 1;
    snprintf(change->request.account, sizeof change->request.account, "%s", account->id);
    change->request.endpoint = endpoint;
    change->request.policy = policy;
    admin_change_submit(admin, change);
}

void admin_change_endpoint(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {
        "url", "enabled", "reason", "idempotent", "final_4xx", "types", "policy", NULL};
    struct admin *admin = context;
    const struct endpoint *present =
        admin_authenticate(admin, exchange) ? admin_find_endpoint(admin, exchange) : NULL;
    json_t *body = present ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct endpoint endpoint = {0};
    const struct endpoint_policy *policy = NULL;
    unsigned changes;
    enum admin_member taken = ADMIN_MEMBER_ANSWERED;
    if (take_endpoint(admin, exchange, body, false, &endpoint, &changes))
        taken = admin_take_policy(admin, exchange, body, present->policy, &policy);
    json_decref(body);
    if (taken == ADMIN_MEMBER_ANSWERED)
        return;
    if (taken == ADMIN_MEMBER_TAKEN)
        changes |= ENDPOINT_CHANGE_POLICY;
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_CHANGE_ENDPOINT, 200, view_changed_endpoint);
    change->request.policy = policy;
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
