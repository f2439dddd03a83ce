/* SPDX-License-Identifier: Apache-2.0 */
/* Partners: who may post, with which keys, for which accounts. A key is shown once, when it is made; only its SHA-256
 * is kept. */
#include "admin/admin_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define API_KEY_RANDOM_BYTES 24

/* Answers and frees nothing itself: copies a path part that fits a name, or answers 404. */
static bool take_path_name(struct http_exchange *exchange, unsigned part, char ret_name[NAME_BYTES_MAX + 1])
{
    struct slice text = http_path_part(exchange, part);
    if (text.len > NAME_BYTES_MAX) {
        http_answer_problem(exchange, ERR_NOT_FOUND, "There is nothing of that name.", NULL);
        return false;
    }
    memcpy(ret_name, text.data, text.len);
    ret_name[text.len] = '\0';
    return true;
}

static void list_partner(const struct partner *partner, void *context)
{
    json_array_append_new(context, json_pack("{s:s, s:b}", "id", partner->id, "enabled", (int)partner->enabled));
}

void admin_list_partners(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange))
        return;
    json_t *items = json_array();
    directory_each_partner(accounts_directory(admin->options.accounts), list_partner, items);
    admin_answer_json(exchange, 200, json_pack("{s:o}", "partners", items));
}

static json_t *view_partner(const struct admin_change *change)
{
    return json_pack("{s:s, s:b}", "id", change->request.partner, "enabled", 1);
}

void admin_add_partner(struct http_exchange *exchange, void *context)
{
    struct admin_change *change = admin_change_of_name(
        context, exchange, ACCOUNTS_ADD_PARTNER, view_partner, "id", offsetof(struct accounts_request, partner));
    if (change)
        admin_change_submit(context, change);
}

static json_t *view_key(const struct admin_change *change)
{
    return json_pack("{s:s, s:s}", "partner", change->request.partner, "api_key", change->secret_text);
}

void admin_add_key(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    char partner[NAME_BYTES_MAX + 1];
    if (!admin_authenticate(admin, exchange) || !take_path_name(exchange, 0, partner))
        return;
    struct admin_change *change = admin_change_new(exchange, ACCOUNTS_ADD_CREDENTIAL, 201, view_key);
    if (!change)
        return;
    unsigned char random[API_KEY_RANDOM_BYTES];
    crypto_random(random, sizeof random);
    memcpy(change->secret_text, "pk_", 3);
    base64_encode(slice_of(random, sizeof random), true, change->secret_text + 3);
    crypto_sha256(slice_from_string(change->secret_text), change->request.credential_sha256);
    snprintf(change->request.partner, sizeof change->request.partner, "%s", partner);
    admin_change_submit(admin, change);
}

static json_t *view_grant(const struct admin_change *change)
{
    return json_pack("{s:s, s:s}", "partner", change->request.partner, "account", change->request.account);
}

void admin_grant_account(struct http_exchange *exchange, void *context)
{
    struct admin_change *change = admin_change_of_name(
        context, exchange, ACCOUNTS_GRANT, view_grant, "account", offsetof(struct accounts_request, account));
    if (change && take_path_name(exchange, 0, change->request.partner))
        admin_change_submit(context, change);
    else
        free(change);
}
