/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/store_internal.h"

#include <stdio.h>

enum err accounts_store_begin_copy(struct accounts_store *store)
{
    if (store->in_doubt) {
        snprintf(store->detail, sizeof store->detail,
            "an earlier fsync failed; restart when the disk is well");
        return ERR_DISK;
    }
    return store_run(store, STATEMENT_BEGIN);
}

enum err accounts_store_begin(struct accounts_store *store, int64_t *ret_version)
{
    enum err error = accounts_store_begin_copy(store);
    if (error)
        return error;
    error = store_run_for_number(store, STATEMENT_NEXT_VERSION, ret_version);
    if (error)
        accounts_store_rollback(store);
    return error;
}

enum err accounts_store_commit(struct accounts_store *store)
{
    return store_run(store, STATEMENT_COMMIT);
}

void accounts_store_rollback(struct accounts_store *store)
{
    /* Some failures have rolled back already. A roll-back that fails leaves nothing behind that a
     * commit could take up. / */
    if (sqlite3_get_autocommit(store->db))
        return;
    sqlite3_step(store->statements[STATEMENT_ROLLBACK]);
    sqlite3_reset(store->statements[STATEMENT_ROLLBACK]);
}

enum err accounts_store_try(struct accounts_store *store, int64_t now_us)
{
    enum err error = accounts_store_begin_copy(store);
    if (error)
        return error;
    store_bind_text(store, STATEMENT_SET_META, 1, "tried_us");
    store_bind_number(store, STATEMENT_SET_META, 2, now_us);
    error = store_run(store, STATEMENT_SET_META);
    if (!error)
        error = accounts_store_commit(store);
    if (error)
        accounts_store_rollback(store);
    return error;
}

/* Partners. */

static enum err add_named(struct accounts_store *store, enum statement statement, const char *id,
    bool enabled, int64_t version, int64_t now_us)
{
    store_bind_text(store, statement, 1, id);
    store_bind_number(store, statement, 2, enabled);
    store_bind_number(store, statement, 3, version);
    store_bind_number(store, statement, 4, now_us);
    return store_run(store, statement);
}

enum err accounts_store_add_partner(
    struct accounts_store *store, const struct partner *partner, int64_t now_us)
{
    return add_named(
        store, STATEMENT_ADD_PARTNER, partner->id, partner->enabled, partner->version, now_us);
}

enum err accounts_store_change_partner(struct accounts_store *store, const struct partner *partner)
{
    store_bind_number(store, STATEMENT_CHANGE_PARTNER, 1, partner->enabled);
    store_bind_text(store, STATEMENT_CHANGE_PARTNER, 2, partner->key_pointer);
    store_bind_number(store, STATEMENT_CHANGE_PARTNER, 3, partner->version);
    store_bind_text(store, STATEMENT_CHANGE_PARTNER, 4, partner->id);
    return store_run_on_one_row(store, STATEMENT_CHANGE_PARTNER, "the partner has no row");
}

enum err accounts_store_add_partner_secret(struct accounts_store *store, const char *partner,
    const struct partner_secret *secret, int64_t version)
{
    store_bind_number(store, STATEMENT_ADD_PARTNER_SECRET, 1, (int64_t)secret->id);
    store_bind_text(store, STATEMENT_ADD_PARTNER_SECRET, 2, partner);
    store_bind_blob(
        store, STATEMENT_ADD_PARTNER_SECRET, 3, secret->secret.bytes, secret->secret.len);
    store_bind_number(store, STATEMENT_ADD_PARTNER_SECRET, 4, version);
    store_bind_number(store, STATEMENT_ADD_PARTNER_SECRET, 5, secret->created_us);
    return store_run(store, STATEMENT_ADD_PARTNER_SECRET);
}

enum err accounts_store_remove_partner_secret(
    struct accounts_store *store, uint64_t id, int64_t version)
{
    store_bind_number(store, STATEMENT_REMOVE_PARTNER_SECRET, 1, version);
    store_bind_number(store, STATEMENT_REMOVE_PARTNER_SECRET, 2, (int64_t)id);
    return store_run_on_one_row(
        store, STATEMENT_REMOVE_PARTNER_SECRET, "the partner's secret has no row");
}

enum err accounts_store_add_credential(
    struct accounts_store *store, const struct credential *credential, int64_t version)
{
    store_bind_blob(store, STATEMENT_ADD_CREDENTIAL, 1, credential->sha256, SHA256_BYTES);
    store_bind_text(store, STATEMENT_ADD_CREDENTIAL, 2, credential->partner);
    store_bind_number(store, STATEMENT_ADD_CREDENTIAL, 3, version);
    store_bind_number(store, STATEMENT_ADD_CREDENTIAL, 4, credential->created_us);
    return store_run(store, STATEMENT_ADD_CREDENTIAL);
}

enum err accounts_store_revoke_credential(struct accounts_store *store,
    const unsigned char credential_sha256[SHA256_BYTES], int64_t version, int64_t now_us)
{
    store_bind_number(store, STATEMENT_REVOKE_CREDENTIAL, 1, now_us);
    store_bind_number(store, STATEMENT_REVOKE_CREDENTIAL, 2, version);
    store_bind_blob(store, STATEMENT_REVOKE_CREDENTIAL, 3, credential_sha256, SHA256_BYTES);
    return store_run_on_one_row(store, STATEMENT_REVOKE_CREDENTIAL, "the credential has no row");
}

enum err accounts_store_add_grant(struct accounts_store *store, const char *partner,
    const char *account, int64_t version, int64_t now_us)
{
    store_bind_text(store, STATEMENT_ADD_GRANT, 1, partner);
    store_bind_text(store, STATEMENT_ADD_GRANT, 2, account);
    store_bind_number(store, STATEMENT_ADD_GRANT, 3, version);
    store_bind_number(store, STATEMENT_ADD_GRANT, 4, now_us);
    enum err error = store_run(store, STATEMENT_ADD_GRANT);
    return error || sqlite3_changes(store->db) == 1
               ? error
               : ERR_EXISTS; /* a withdrawn one is taken up again */
}

enum err accounts_store_withdraw_grant(
    struct accounts_store *store, const char *partner, const char *account, int64_t version)
{
    store_bind_number(store, STATEMENT_WITHDRAW_GRANT, 1, version);
    store_bind_text(store, STATEMENT_WITHDRAW_GRANT, 2, partner);
    store_bind_text(store, STATEMENT_WITHDRAW_GRANT, 3, account);
    return store_run_on_one_row(store, STATEMENT_WITHDRAW_GRANT, "the grant has no row");
}

/* Accounts and their endpoints. */

enum err accounts_store_add_account(
    struct accounts_store *store, const struct account *account, int64_t now_us)
{
    return add_named(
        store, STATEMENT_ADD_ACCOUNT, account->id, account->enabled, account->version, now_us);
}

/* The column of a list: its patterns, separated by spaces. */
static void format_types(const struct type_list *types, char ret_text[STORE_TYPES_BYTES])
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < types->count; i++)
        len += (size_t)snprintf(
            ret_text + len, STORE_TYPES_BYTES - len, "%s%s", i ? " " : "", types->patterns[i]);
}

enum err store_run_with_endpoint(struct accounts_store *store, enum statement which,
    const struct endpoint *endpoint, int64_t created_us)
{
    char types[STORE_TYPES_BYTES];
    format_types(&endpoint->types, types);
    store_bind_number(store, which, 1, (int64_t)endpoint->id);
    store_bind_text(store, which, 2, endpoint->account);
    store_bind_text(store, which, 3, endpoint->name);
    store_bind_text(store, which, 4, endpoint->url);
    store_bind_number(store, which, 5, endpoint->enabled);
    store_bind_number(store, which, 6, endpoint->idempotent);
    store_bind_number(store, which, 7, endpoint->final_4xx);
    store_bind_text(store, which, 8, types);
    store_bind_number(store, which, 9, endpoint->version);
    store_bind_number(store, which, 10, created_us);
    return store_run(store, which);
}

enum err accounts_store_add_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint, int64_t now_us)
{
    return store_run_with_endpoint(store, STATEMENT_ADD_ENDPOINT, endpoint, now_us);
}

enum err accounts_store_change_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint)
{
    char types[STORE_TYPES_BYTES];
    format_types(&endpoint->types, types);
    store_bind_text(store, STATEMENT_CHANGE_ENDPOINT, 1, endpoint->url);
    store_bind_number(store, STATEMENT_CHANGE_ENDPOINT, 2, endpoint->enabled);
    store_bind_number(store, STATEMENT_CHANGE_ENDPOINT, 3, endpoint->idempotent);
    store_bind_number(store, STATEMENT_CHANGE_ENDPOINT, 4, endpoint->final_4xx);
    store_bind_text(store, STATEMENT_CHANGE_ENDPOINT, 5, types);
    store_bind_number(store, STATEMENT_CHANGE_ENDPOINT, 6, endpoint->version);
    store_bind_number(store, STATEMENT_CHANGE_ENDPOINT, 7, (int64_t)endpoint->id);
    return store_run_on_one_row(store, STATEMENT_CHANGE_ENDPOINT, "the endpoint has no row");
}

enum err accounts_store_remove_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint, int64_t version)
{
    store_bind_number(store, STATEMENT_REMOVE_ENDPOINT, 1, version);
    store_bind_number(store, STATEMENT_REMOVE_ENDPOINT, 2, (int64_t)endpoint->id);
    enum err error =
        store_run_on_one_row(store, STATEMENT_REMOVE_ENDPOINT, "the endpoint has no row");
    for (unsigned i = 0; !error && i < endpoint->secrets_count; i++)
        error =
            accounts_store_remove_secret(store, endpoint->id, endpoint->secret_numbers[i], version);
    return error;
}

enum err accounts_store_add_secret(struct accounts_store *store, uint64_t endpoint,
    const struct secret *secret, int64_t version, int64_t now_us, uint32_t *ret_number)
{
    int64_t number = 0;
    store_bind_number(store, STATEMENT_ADD_SECRET, 1, (int64_t)endpoint);
    store_bind_blob(store, STATEMENT_ADD_SECRET, 2, secret->bytes, secret->len);
    store_bind_number(store, STATEMENT_ADD_SECRET, 3, version);
    store_bind_number(store, STATEMENT_ADD_SECRET, 4, now_us);
    enum err error = store_run_for_number(store, STATEMENT_ADD_SECRET, &number);
    if (!error)
        *ret_number = (uint32_t)number;
    return error;
}

enum err accounts_store_remove_secret(
    struct accounts_store *store, uint64_t endpoint, uint32_t number, int64_t version)
{
    store_bind_number(store, STATEMENT_REMOVE_SECRET, 1, version);
    store_bind_number(store, STATEMENT_REMOVE_SECRET, 2, (int64_t)endpoint);
    store_bind_number(store, STATEMENT_REMOVE_SECRET, 3, number);
    return store_run_on_one_row(store, STATEMENT_REMOVE_SECRET, "the endpoint's secret has no row");
}
