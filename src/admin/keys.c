/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API keys of a partner. A key is kept as SHA-256 and shown once, when it is made; later it has
 * only an id. It can have a label, an end, and a scope: the accounts and event types that it may
 * post. For a rotation, the old key gets an end (PATCH), and the partner changes to a new key until
 * then. The scope of a key never changes.
 */
#include "admin/admin_internal.h"

#include "base/clock.h"
#include "model/name.h"

#include <stdio.h>
#include <stdlib.h>

#define API_KEY_RANDOM_BYTES 24
#define TIME_TEXT_BYTES 64

/* Views. */

static json_t *id_text(uint64_t id)
{
    char text[CREDENTIAL_ID_TEXT_BYTES];
    credential_id_format(id, text);
    return json_string(text);
}

static json_t *key_view(const struct credential *credential, int64_t used_us)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "id",
        id_text(credential_id(credential->sha256)), "label",
        admin_text(slice_from_string(credential->label)), "created_at",
        admin_time(credential->created_us), "expires_at", admin_time(credential->expires_us),
        "expired", (int)credential_has_expired(credential, clock_wall_us()), "last_used_at",
        admin_time(used_us), "accounts", admin_view_accounts(&credential->scope), "types",
        admin_view_types(&credential->scope.types));
}

/* The keys of one partner, as they are gathered. */
struct listing {
    const struct partner *partner;
    json_t *items;
};

static void list_key(const struct credential *credential, void *context)
{
    const struct listing *listing = context;
    if (strcmp(credential->partner, listing->partner->id) == 0)
        json_array_append_new(listing->items, key_view(credential, directory_last_use(credential)));
}

json_t *admin_view_keys(const struct admin *admin, const struct partner *partner)
{
    struct listing listing = {.partner = partner, .items = json_array()};
    directory_each_credential(accounts_directory(admin->options.accounts), list_key, &listing);
    return listing.items;
}

void admin_list_keys(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (partner)
        admin_answer_json(
            exchange, 200, json_pack("{s:o}", "keys", admin_view_keys(admin, partner)));
}

/* Members of a body. */

/* The end of a key: a time in the future, or null for none. */
static enum admin_member take_expiry(
    struct http_exchange *exchange, const json_t *body, int64_t *ret_expires_us)
{
    static const char name[] = "expires_at";
    char text[TIME_TEXT_BYTES];
    *ret_expires_us = 0;
    if (json_is_null(json_object_get(body, name)))
        return ADMIN_MEMBER_TAKEN;
    enum admin_member taken = admin_take_text(exchange, body, name, false, text, sizeof text);
    if (taken != ADMIN_MEMBER_TAKEN)
        return taken;
    if (!clock_parse_rfc3339(slice_from_string(text), ret_expires_us))
        admin_refuse_member(exchange, name,
            "must be a time such as 2027-01-31T12:00:00Z, or null for a key without an end");
    else if (*ret_expires_us <= clock_wall_us())
        admin_refuse_member(exchange, name, CREDENTIAL_EXPIRY_RULE);
    else
        return ADMIN_MEMBER_TAKEN;
    return ADMIN_MEMBER_ANSWERED;
}

static enum admin_member take_label(
    struct http_exchange *exchange, const json_t *body, struct credential *ret_credential)
{
    enum admin_member taken = admin_take_text(
        exchange, body, "label", false, ret_credential->label, sizeof ret_credential->label);
    if (taken != ADMIN_MEMBER_TAKEN ||
        credential_label_is_valid(slice_from_string(ret_credential->label)))
        return taken;
    admin_refuse_member(exchange, "label", CREDENTIAL_LABEL_RULE);
    return ADMIN_MEMBER_ANSWERED;
}

/* Accounts that the partner may post for. The 422 names each wrong one, as /accounts/index. */
static enum admin_member take_accounts(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, const struct partner *partner, struct key_scope *ret_scope)
{
    const json_t *value = json_object_get(body, "accounts"), *item;
    _Static_assert(KEY_SCOPE_ACCOUNTS_MAX == 16, "as the text says");
    if (!value)
        return ADMIN_MEMBER_ABSENT;
    if (!json_is_array(value) || json_array_size(value) > KEY_SCOPE_ACCOUNTS_MAX) {
        admin_refuse_member(exchange, "accounts", "must be a list of at most 16 accounts");
        return ADMIN_MEMBER_ANSWERED;
    }
    struct field_problems problems = {0};
    size_t i;
    json_array_foreach(value, i, item)
    {
        char pointer[64];
        struct slice name = slice_of(json_string_value(item), json_string_length(item));
        snprintf(pointer, sizeof pointer, "/accounts/%zu", i);
        if (!key_scope_add_account(ret_scope, name))
            field_problems_add(&problems, pointer, NAME_RULE);
        else if (!directory_may_post(accounts_directory(admin->options.accounts),
                     slice_from_string(partner->id), name))
            field_problems_add(&problems, pointer,
                "is not an account that the partner may post for: run \"penstock partner grant\" "
                "first");
    }
    if (problems.count == 0)
        return ADMIN_MEMBER_TAKEN;
    http_answer_problem(exchange, ERR_INVALID, ADMIN_SEE_ERRORS, &problems);
    return ADMIN_MEMBER_ANSWERED;
}

/* Changes. */

static json_t *view_new_key(const struct admin_change *change)
{
    json_t *view = key_view(&change->request.credential_wanted, 0);
    json_object_set_new(view, "partner", json_string(change->request.partner));
    json_object_set_new(view, "api_key", json_string(change->secret_text));
    return view;
}

static bool take_new_key(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, const struct partner *partner, struct credential *ret_credential)
{
    return take_label(exchange, body, ret_credential) != ADMIN_MEMBER_ANSWERED &&
           take_expiry(exchange, body, &ret_credential->expires_us) != ADMIN_MEMBER_ANSWERED &&
           take_accounts(admin, exchange, body, partner, &ret_credential->scope) !=
               ADMIN_MEMBER_ANSWERED &&
           admin_take_types(exchange, body, "types", &ret_credential->scope.types) !=
               ADMIN_MEMBER_ANSWERED;
}

void admin_add_key(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"label", "expires_at", "accounts", "types", NULL};
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner)
        return;
    json_t *body = http_body(exchange).len ? admin_read_object(exchange, known) : json_object();
    if (!body)
        return;
    struct credential credential = {0};
    struct admin_change *change = NULL;
    if (take_new_key(admin, exchange, body, partner, &credential))
        change = admin_change_new(exchange, ACCOUNTS_ADD_CREDENTIAL, 201, view_new_key);
    json_decref(body);
    if (!change)
        return;
    unsigned char random[API_KEY_RANDOM_BYTES];
    crypto_random(random, sizeof random);
    memcpy(change->secret_text, "pk_", 3);
    base64_encode(slice_of(random, sizeof random), true, change->secret_text + 3);
    crypto_sha256(slice_from_string(change->secret_text), change->request.credential_sha256);
    change->request.credential_wanted = credential;
    memcpy(change->request.partner, partner->id, sizeof partner->id);
    admin_change_submit(admin, change);
}

/* The partner and the key of the path. NULL after an answer. */
static const struct partner *take_path(
    const struct admin *admin, struct http_exchange *exchange, uint64_t *ret_id)
{
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner || credential_id_parse(http_path_part(exchange, 1), ret_id))
        return partner;
    http_answer_problem(exchange, ERR_NOT_FOUND,
        "The id of a key must be like key_0123456789abcdef: \"penstock partner show PARTNER\" "
        "shows the keys.",
        NULL);
    return NULL;
}

static json_t *view_key(const struct admin_change *change)
{
    const struct credential *credential = &change->request.credential_wanted;
    json_t *view = key_view(credential, credential->used_us);
    json_object_set_new(view, "partner", json_string(change->request.partner));
    return view;
}

void admin_change_key(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"label", "expires_at", NULL};
    struct admin *admin = context;
    uint64_t id;
    const struct partner *partner = take_path(admin, exchange, &id);
    json_t *body = partner ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return;
    struct credential credential = {0};
    enum admin_member label = take_label(exchange, body, &credential), expiry = label;
    if (label != ADMIN_MEMBER_ANSWERED)
        expiry = take_expiry(exchange, body, &credential.expires_us);
    json_decref(body);
    if (expiry == ADMIN_MEMBER_ANSWERED)
        return;
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_CHANGE_CREDENTIAL, 200, view_key);
    change->request.changes = (label == ADMIN_MEMBER_TAKEN ? CREDENTIAL_CHANGE_LABEL : 0) |
                              (expiry == ADMIN_MEMBER_TAKEN ? CREDENTIAL_CHANGE_EXPIRY : 0);
    change->request.credential_id = id;
    change->request.credential_wanted = credential;
    memcpy(change->request.partner, partner->id, sizeof partner->id);
    admin_change_submit(admin, change);
}

static json_t *view_revoked_key(const struct admin_change *change)
{
    return json_pack("{s:o, s:s}", "id", id_text(change->request.credential_id), "partner",
        change->request.partner);
}

void admin_revoke_key(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    uint64_t id;
    const struct partner *partner = take_path(admin, exchange, &id);
    if (!partner)
        return;
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_REVOKE_CREDENTIAL, 200, view_revoked_key);
    change->request.credential_id = id;
    memcpy(change->request.partner, partner->id, sizeof partner->id);
    admin_change_submit(admin, change);
}
