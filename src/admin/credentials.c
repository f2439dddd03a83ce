/* SPDX-License-Identifier: Apache-2.0 */
/* What partners prove themselves with: API keys, of which only the SHA-256 is kept, and secrets
 * that they sign with. Either is shown once, when it is made, and named by its id from then on. */
#include "admin/admin_internal.h"

#include <stdio.h>

#define API_KEY_RANDOM_BYTES 24

/* Keys. */

static json_t *key_view(uint64_t id, int64_t created_us)
{
    char text[CREDENTIAL_ID_TEXT_BYTES];
    credential_id_format(id, text);
    return json_pack("{s:s, s:o}", "id", text, "created_at", admin_time(created_us));
}

struct listing {
    const struct partner *partner;
    json_t *items;
};

static void list_key(const struct credential *credential, void *context)
{
    const struct listing *listing = context;
    if (strcmp(credential->partner, listing->partner->id) == 0)
        json_array_append_new(
            listing->items, key_view(credential_id(credential->sha256), credential->created_us));
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

static json_t *view_new_key(const struct admin_change *change)
{
    char id[CREDENTIAL_ID_TEXT_BYTES];
    credential_id_format(credential_id(change->request.credential_sha256), id);
    return json_pack("{s:s, s:s, s:s}", "id", id, "partner", change->request.partner, "api_key",
        change->secret_text);
}

void admin_add_key(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    char partner[NAME_BYTES_MAX + 1];
    if (!admin_authenticate(admin, exchange) || !admin_take_path_name(exchange, 0, partner))
        return;
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_ADD_CREDENTIAL, 201, view_new_key);
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

static json_t *view_revoked_key(const struct admin_change *change)
{
    char id[CREDENTIAL_ID_TEXT_BYTES];
    credential_id_format(change->request.credential_id, id);
    return json_pack("{s:s, s:s}", "id", id, "partner", change->request.partner);
}

void admin_revoke_key(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    uint64_t id;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner)
        return;
    if (!credential_id_parse(http_path_part(exchange, 1), &id)) {
        http_answer_problem(
            exchange, ERR_NOT_FOUND, "The ids of keys look like key_0123456789abcdef.", NULL);
        return;
    }
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_REVOKE_CREDENTIAL, 200, view_revoked_key);
    if (!change)
        return;
    change->request.credential_id = id;
    memcpy(change->request.partner, partner->id, sizeof partner->id);
    admin_change_submit(admin, change);
}

/* Secrets. */

static json_t *secret_id_text(uint64_t id)
{
    char text[PARTNER_SECRET_ID_TEXT_BYTES];
    partner_secret_id_format(id, text);
    return json_string(text);
}

json_t *admin_view_partner_secrets(const struct partner *partner)
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
        admin_answer_json(
            exchange, 200, json_pack("{s:o}", "secrets", admin_view_partner_secrets(partner)));
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
        http_answer_problem(
            exchange, ERR_NOT_FOUND, "The ids of secrets look like sec_0123456789abcdef.", NULL);
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
