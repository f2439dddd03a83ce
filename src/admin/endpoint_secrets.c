/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets that an endpoint's deliveries are signed with: a second one while the client changes
 * to it. Each is shown once, when it is made, and named by its id from then on. */
#include "admin/admin_internal.h"

static json_t *secret_id_text(uint64_t number)
{
    char text[ENDPOINT_SECRET_ID_TEXT_BYTES];
    endpoint_secret_id_format((uint32_t)number, text);
    return json_string(text);
}

json_t *admin_view_endpoint_secrets(const struct endpoint *endpoint)
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
        admin_answer_json(
            exchange, 200, json_pack("{s:o}", "secrets", admin_view_endpoint_secrets(endpoint)));
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
        http_answer_problem(
            exchange, ERR_NOT_FOUND, "The ids of an endpoint's secrets look like sec_0.", NULL);
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
