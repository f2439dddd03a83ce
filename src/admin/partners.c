/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partners: whether they may post, where their events carry the dedupe key, their rules
 * (model/partner_rules.h), the secrets that they sign with, and the accounts they post for. A
 * secret is shown once, when it is made; later it has only an id. Keys are in keys.c.
 */
#include "admin/admin_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* What belongs to one partner, as it is gathered. */
struct listing {
    const struct partner *partner;
    json_t *items;
};

/* Secrets. */

static json_t *secret_id_text(uint64_t id)
{
    char text[PARTNER_SECRET_ID_TEXT_BYTES];
    partner_secret_id_format(id, text);
    return json_string(text);
}

static json_t *secrets_view(const struct partner *partner)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < partner->secrets_count; i++)
        json_array_append_new(
            items, json_pack("{s:o, s:o}", "id", secret_id_text(partner->secrets[i].id),
                       "created_at", admin_time(partner->secrets[i].created_us)));
    return items;
}

void admin_list_partner_secrets(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (partner)
        admin_answer_json(exchange, 200, json_pack("{s:o}", "secrets", secrets_view(partner)));
}

static json_t *view_new_secret(const struct admin_change *change)
{
    char secret[SECRET_TEXT_BYTES];
    secret_format(&change->request.secret, secret);
    return json_pack("{s:o, s:s, s:s}", "id", secret_id_text(change->request.ret_secret_id),
        "partner", change->request.partner, "secret", secret);
}

void admin_add_partner_secret(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    struct admin_change *change =
        partner ? admin_change_of_secret(exchange, ACCOUNTS_ADD_PARTNER_SECRET, view_new_secret)
                : NULL;
    if (!change)
        return;
    memcpy(change->request.partner, partner->id, sizeof partner->id);
    admin_change_submit(admin, change);
}

static json_t *view_removed_secret(const struct admin_change *change)
{
    return json_pack("{s:o, s:s}", "id", secret_id_text(change->request.secret_id), "partner",
        change->request.partner);
}

void admin_remove_partner_secret(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    uint64_t id;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner)
        return;
    if (!partner_secret_id_parse(http_path_part(exchange, 1), &id)) {
        http_answer_problem(exchange, ERR_NOT_FOUND,
            "The id of a secret must be like sec_0123456789abcdef: \"penstock partner show "
            "PARTNER\" "
            "shows the secrets.",
            NULL);
        return;
    }
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_REMOVE_PARTNER_SECRET, 200, view_removed_secret);
    if (!change)
        return;
    change->request.secret_id = id;
    memcpy(change->request.partner, partner->id, sizeof partner->id);
    admin_change_submit(admin, change);
}

/* Partners. */

json_t *admin_view_rules(const struct partner_rules *rules)
{
    struct buffer text = BUFFER_EMPTY;
    partner_rules_print(rules, &text);
    json_t *view = buffer_status(&text) == OK ? json_loadb(text.data, text.len, 0, NULL) : NULL;
    buffer_done(&text);
    return view;
}

static json_t *partner_view(const struct partner *partner)
{
    return json_pack("{s:s, s:b, s:s, s:o}", "id", partner->id, "enabled", (int)partner->enabled,
        "key_pointer", partner->key_pointer, "rules", admin_view_rules(&partner->rules));
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
    json_object_set_new(view, "secrets", secrets_view(partner));
    admin_answer_json(exchange, 200, view);
}

/* The member `rules`: an object changes the present rules member by member, null resets all of
 * them. */
static enum admin_member take_rules(struct http_exchange *exchange, const json_t *body,
    const struct partner *present, struct partner_rules *ret_rules)
{
    const json_t *value = json_object_get(body, "rules");
    if (!value)
        return ADMIN_MEMBER_ABSENT;
    *ret_rules = json_is_null(value) ? (struct partner_rules){0} : present->rules;
    if (json_is_null(value))
        return ADMIN_MEMBER_TAKEN;
    struct refusal refusal = {.error = ERR_NO_MEMORY};
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    enum err err =
        text ? partner_rules_change(ret_rules, slice_from_string(text), &refusal) : ERR_NO_MEMORY;
    free(text);
    if (!err)
        return ADMIN_MEMBER_TAKEN;
    admin_refuse_nested(exchange, "/rules", &refusal);
    return ADMIN_MEMBER_ANSWERED;
}

/* Reads the members of a partner from a body. False after an answer. */
static bool take_partner(struct http_exchange *exchange, const json_t *body,
    const struct partner *present, struct partner *ret_partner, unsigned *ret_changes)
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
    enum admin_member rules = take_rules(exchange, body, present, &ret_partner->rules);
    *ret_changes = (enabled == ADMIN_MEMBER_TAKEN ? PARTNER_CHANGE_ENABLED : 0) |
                   (pointer == ADMIN_MEMBER_TAKEN ? PARTNER_CHANGE_KEY_POINTER : 0) |
                   (rules == ADMIN_MEMBER_TAKEN ? PARTNER_CHANGE_RULES : 0);
    return rules != ADMIN_MEMBER_ANSWERED;
}

void admin_change_partner(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"enabled", "key_pointer", "rules", NULL};
    struct admin *admin = context;
    const struct partner *present =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    json_t *body = present ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct partner partner = {0};
    unsigned changes;
    struct admin_change *change = NULL;
    if (take_partner(exchange, body, present, &partner, &changes))
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
