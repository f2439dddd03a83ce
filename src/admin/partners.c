/* SPDX-License-Identifier: Apache-2.0 */
/* Partners: who may post, where their events carry the dedupe key, and for which accounts they
 * post. */
#include "admin/admin_internal.h"

#include <stdlib.h>

static json_t *partner_view(const struct partner *partner)
{
    return json_pack("{s:s, s:b, s:s}", "id", partner->id, "enabled", (int)partner->enabled,
        "key_pointer", partner->key_pointer);
}

static void list_partner(const struct partner *partner, void *context)
{
    json_array_append_new(context, partner_view(partner));
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
    return partner_view(&change->request.partner_wanted);
}

void admin_add_partner(struct http_exchange *exchange, void *context)
{
    struct admin_change *change = admin_change_of_name(context, exchange, ACCOUNTS_ADD_PARTNER,
        view_partner, "id", offsetof(struct accounts_request, partner));
    if (change)
        admin_change_submit(context, change);
}

void admin_get_partner(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner)
        return;
    json_t *view = partner_view(partner);
    json_object_set_new(view, "keys", admin_view_keys(admin, partner));
    json_object_set_new(view, "secrets", admin_view_partner_secrets(partner));
    admin_answer_json(exchange, 200, view);
}

/* Reads what a body says of a partner. False after an answer. */
static bool take_partner(struct http_exchange *exchange, const json_t *body,
    struct partner *ret_partner, unsigned *ret_changes)
{
    enum admin_member enabled = admin_take_flag(exchange, body, "enabled", &ret_partner->enabled);
    if (enabled == ADMIN_MEMBER_ANSWERED)
        return false;
    enum admin_member pointer = admin_take_text(exchange, body, "key_pointer", false,
        ret_partner->key_pointer, sizeof ret_partner->key_pointer);
    if (pointer == ADMIN_MEMBER_ANSWERED)
        return false;
    if (pointer == ADMIN_MEMBER_TAKEN &&
        !partner_key_pointer_is_valid(slice_from_string(ret_partner->key_pointer))) {
        admin_refuse_member(exchange, "key_pointer", PARTNER_KEY_POINTER_RULE);
        return false;
    }
    *ret_changes = (enabled == ADMIN_MEMBER_TAKEN ? PARTNER_CHANGE_ENABLED : 0) |
                   (pointer == ADMIN_MEMBER_TAKEN ? PARTNER_CHANGE_KEY_POINTER : 0);
    return true;
}

void admin_change_partner(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"enabled", "key_pointer", NULL};
    struct admin *admin = context;
    const struct partner *present =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    json_t *body = present ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct partner partner = {0};
    unsigned changes;
    struct admin_change *change = NULL;
    if (take_partner(exchange, body, &partner, &changes))
        change = admin_change_new(exchange, ACCOUNTS_CHANGE_PARTNER, 200, view_partner);
    json_decref(body);
    if (!change)
        return;
    memcpy(change->request.partner, present->id, sizeof present->id);
    change->request.changes = changes;
    change->request.partner_wanted = partner;
    admin_change_submit(admin, change);
}

/* Grants: the accounts that a partner posts for. */

struct listing {
    const struct partner *partner;
    json_t *items;
};

static void list_grant(struct slice partner, struct slice account, void *context)
{
    const struct listing *listing = context;
    if (slice_equals_string(partner, listing->partner->id))
        json_array_append_new(listing->items, json_pack("{s:o}", "account", admin_text(account)));
}

void admin_list_grants(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner)
        return;
    struct listing listing = {.partner = partner, .items = json_array()};
    directory_each_grant(accounts_directory(admin->options.accounts), list_grant, &listing);
    admin_answer_json(exchange, 200, json_pack("{s:o}", "accounts", listing.items));
}

static json_t *view_grant(const struct admin_change *change)
{
    return json_pack(
        "{s:s, s:s}", "partner", change->request.partner, "account", change->request.account);
}

void admin_grant_account(struct http_exchange *exchange, void *context)
{
    struct admin_change *change = admin_change_of_name(context, exchange, ACCOUNTS_GRANT,
        view_grant, "account", offsetof(struct accounts_request, account));
    if (change && admin_take_path_name(exchange, 0, change->request.partner))
        admin_change_submit(context, change);
    else
        free(change);
}

void admin_withdraw_grant(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    char partner[NAME_BYTES_MAX + 1], account[NAME_BYTES_MAX + 1];
    if (!admin_authenticate(admin, exchange) || !admin_take_path_name(exchange, 0, partner) ||
        !admin_take_path_name(exchange, 1, account))
        return;
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_WITHDRAW_GRANT, 200, view_grant);
    if (!change)
        return;
    memcpy(change->request.partner, partner, sizeof partner);
    memcpy(change->request.account, account, sizeof account);
    admin_change_submit(admin, change);
}
