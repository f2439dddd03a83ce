/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/store_internal.h"

#include <stdio.h>

/* Filling and running a statement that changes something. What a statement needs is bound in the order of its
 * parameters, from 1. */

static void note_bind(struct accounts_store *store, int result)
{
    if (store->bind_result == SQLITE_OK)
        store->bind_result = result;
}

/* What is bound must stay until the statement has run. */
static void bind_text(struct accounts_store *store, enum statement statement, int at, const char *text)
{
    note_bind(store, sqlite3_bind_text(store->statements[statement], at, text, -1, SQLITE_STATIC));
}

static void bind_blob(struct accounts_store *store, enum statement statement, int at, const void *bytes, size_t len)
{
    note_bind(store, sqlite3_bind_blob(store->statements[statement], at, bytes, (int)len, SQLITE_STATIC));
}

static void bind_number(struct accounts_store *store, enum statement statement, int at, int64_t number)
{
    note_bind(store, sqlite3_bind_int64(store->statements[statement], at, number));
}

static enum err end(struct accounts_store *store, enum statement which, int result)
{
    sqlite3_stmt *statement = store->statements[which];
    enum err error = result == SQLITE_DONE ? OK : accounts_store_fail(store, result);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return error;
}

/* The first step of what is bound. */
static int begin(struct accounts_store *store, enum statement which)
{
    int result = store->bind_result;
    store->bind_result = SQLITE_OK;
    return result == SQLITE_OK ? sqlite3_step(store->statements[which]) : result;
}

static enum err run(struct accounts_store *store, enum statement which)
{
    return end(store, which, begin(store, which));
}

/* For what must touch one row, since the directory shows it. */
static enum err run_on_one_row(struct accounts_store *store, enum statement which, const char *missing)
{
    enum err error = run(store, which);
    return error || sqlite3_changes(store->db) == 1 ? error : accounts_store_damaged(store, missing);
}

/* With RETURNING and one number. */
static enum err run_for_number(struct accounts_store *store, enum statement which, int64_t *ret_number)
{
    int result = begin(store, which);
    bool has_row = result == SQLITE_ROW;
    if (has_row) {
        *ret_number = sqlite3_column_int64(store->statements[which], 0);
        result = sqlite3_step(store->statements[which]); /* RETURNING gives its rows first; the statement ends here */
    }
    enum err error = end(store, which, result);
    return error || has_row ? error : accounts_store_damaged(store, "a row that must be there is missing");
}

enum err accounts_store_begin(struct accounts_store *store, int64_t *ret_version)
{
    if (store->in_doubt) {
        snprintf(store->detail, sizeof store->detail, "an earlier fsync failed; restart when the disk is well");
        return ERR_DISK;
    }
    enum err error = run(store, STATEMENT_BEGIN);
    if (error)
        return error;
    error = run_for_number(store, STATEMENT_NEXT_VERSION, ret_version);
    if (error)
        accounts_store_rollback(store);
    return error;
}

enum err accounts_store_commit(struct accounts_store *store)
{
    return run(store, STATEMENT_COMMIT);
}

void accounts_store_rollback(struct accounts_store *store)
{
    /* Some failures have rolled back already. A roll-back that fails leaves nothing behind that a commit could take up.
     */
    if (sqlite3_get_autocommit(store->db))
        return;
    sqlite3_step(store->statements[STATEMENT_ROLLBACK]);
    sqlite3_reset(store->statements[STATEMENT_ROLLBACK]);
}

/* Partners. */

static enum err add_named(struct accounts_store *store, enum statement statement, const char *id, bool enabled,
    int64_t version, int64_t now_us)
{
    bind_text(store, statement, 1, id);
    bind_number(store, statement, 2, enabled);
    bind_number(store, statement, 3, version);
    bind_number(store, statement, 4, now_us);
    return run(store, statement);
}

enum err accounts_store_add_partner(struct accounts_store *store, const struct partner *partner, int64_t now_us)
{
    return add_named(store, STATEMENT_ADD_PARTNER, partner->id, partner->enabled, partner->version, now_us);
}

enum err accounts_store_change_partner(struct accounts_store *store, const struct partner *partner)
{
    bind_number(store, STATEMENT_CHANGE_PARTNER, 1, partner->enabled);
    bind_text(store, STATEMENT_CHANGE_PARTNER, 2, partner->key_pointer);
    bind_number(store, STATEMENT_CHANGE_PARTNER, 3, partner->version);
    bind_text(store, STATEMENT_CHANGE_PARTNER, 4, partner->id);
    return run_on_one_row(store, STATEMENT_CHANGE_PARTNER, "the partner has no row");
}

enum err accounts_store_add_partner_secret(
    struct accounts_store *store, const char *partner, const struct partner_secret *secret, int64_t version)
{
    bind_number(store, STATEMENT_ADD_PARTNER_SECRET, 1, (int64_t)secret->id);
    bind_text(store, STATEMENT_ADD_PARTNER_SECRET, 2, partner);
    bind_blob(store, STATEMENT_ADD_PARTNER_SECRET, 3, secret->secret.bytes, secret->secret.len);
    bind_number(store, STATEMENT_ADD_PARTNER_SECRET, 4, version);
    bind_number(store, STATEMENT_ADD_PARTNER_SECRET, 5, secret->created_us);
    return run(store, STATEMENT_ADD_PARTNER_SECRET);
}

enum err accounts_store_remove_partner_secret(struct accounts_store *store, uint64_t id, int64_t version)
{
    bind_number(store, STATEMENT_REMOVE_PARTNER_SECRET, 1, version);
    bind_number(store, STATEMENT_REMOVE_PARTNER_SECRET, 2, (int64_t)id);
    return run_on_one_row(store, STATEMENT_REMOVE_PARTNER_SECRET, "the partner's secret has no row");
}

enum err accounts_store_add_credential(
    struct accounts_store *store, const struct credential *credential, int64_t version)
{
    bind_blob(store, STATEMENT_ADD_CREDENTIAL, 1, credential->sha256, SHA256_BYTES);
    bind_text(store, STATEMENT_ADD_CREDENTIAL, 2, credential->partner);
    bind_number(store, STATEMENT_ADD_CREDENTIAL, 3, version);
    bind_number(store, STATEMENT_ADD_CREDENTIAL, 4, credential->created_us);
    return run(store, STATEMENT_ADD_CREDENTIAL);
}

enum err accounts_store_revoke_credential(
    struct accounts_store *store, const unsigned char credential_sha256[SHA256_BYTES], int64_t version, int64_t now_us)
{
    bind_number(store, STATEMENT_REVOKE_CREDENTIAL, 1, now_us);
    bind_number(store, STATEMENT_REVOKE_CREDENTIAL, 2, version);
    bind_blob(store, STATEMENT_REVOKE_CREDENTIAL, 3, credential_sha256, SHA256_BYTES);
    return run_on_one_row(store, STATEMENT_REVOKE_CREDENTIAL, "the credential has no row");
}

enum err accounts_store_add_grant(
    struct accounts_store *store, const char *partner, const char *account, int64_t version, int64_t now_us)
{
    bind_text(store, STATEMENT_ADD_GRANT, 1, partner);
    bind_text(store, STATEMENT_ADD_GRANT, 2, account);
    bind_number(store, STATEMENT_ADD_GRANT, 3, version);
    bind_number(store, STATEMENT_ADD_GRANT, 4, now_us);
    enum err error = run(store, STATEMENT_ADD_GRANT);
    return error || sqlite3_changes(store->db) == 1 ? error : ERR_EXISTS; /* a withdrawn one is taken up again */
}

enum err accounts_store_withdraw_grant(
    struct accounts_store *store, const char *partner, const char *account, int64_t version)
{
    bind_number(store, STATEMENT_WITHDRAW_GRANT, 1, version);
    bind_text(store, STATEMENT_WITHDRAW_GRANT, 2, partner);
    bind_text(store, STATEMENT_WITHDRAW_GRANT, 3, account);
    return run_on_one_row(store, STATEMENT_WITHDRAW_GRANT, "the grant has no row");
}

/* Accounts and their endpoints. */

enum err accounts_store_add_account(struct accounts_store *store, const struct account *account, int64_t now_us)
{
    return add_named(store, STATEMENT_ADD_ACCOUNT, account->id, account->enabled, account->version, now_us);
}

/* The column of a list: its patterns, separated by spaces. */
static void format_types(const struct type_list *types, char ret_text[STORE_TYPES_BYTES])
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < types->count; i++)
        len += (size_t)snprintf(ret_text + len, STORE_TYPES_BYTES - len, "%s%s", i ? " " : "", types->patterns[i]);
}

enum err accounts_store_add_endpoint(struct accounts_store *store, const struct endpoint *endpoint, int64_t now_us)
{
    char types[STORE_TYPES_BYTES];
    format_types(&endpoint->types, types);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 1, (int64_t)endpoint->id);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 2, endpoint->account);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 3, endpoint->name);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 4, endpoint->url);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 5, endpoint->enabled);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 6, endpoint->idempotent);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 7, endpoint->final_4xx);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 8, types);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 9, endpoint->version);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 10, now_us);
    return run(store, STATEMENT_ADD_ENDPOINT);
}

enum err accounts_store_change_endpoint(struct accounts_store *store, const struct endpoint *endpoint)
{
    char types[STORE_TYPES_BYTES];
    format_types(&endpoint->types, types);
    bind_text(store, STATEMENT_CHANGE_ENDPOINT, 1, endpoint->url);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 2, endpoint->enabled);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 3, endpoint->idempotent);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 4, endpoint->final_4xx);
    bind_text(store, STATEMENT_CHANGE_ENDPOINT, 5, types);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 6, endpoint->version);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 7, (int64_t)endpoint->id);
    return run_on_one_row(store, STATEMENT_CHANGE_ENDPOINT, "the endpoint has no row");
}

enum err accounts_store_remove_endpoint(struct accounts_store *store, const struct endpoint *endpoint, int64_t version)
{
    bind_number(store, STATEMENT_REMOVE_ENDPOINT, 1, version);
    bind_number(store, STATEMENT_REMOVE_ENDPOINT, 2, (int64_t)endpoint->id);
    enum err error = run_on_one_row(store, STATEMENT_REMOVE_ENDPOINT, "the endpoint has no row");
    for (unsigned i = 0; !error && i < endpoint->secrets_count; i++)
        error = accounts_store_remove_secret(store, endpoint->id, endpoint->secret_numbers[i], version);
    return error;
}

enum err accounts_store_add_secret(struct accounts_store *store, uint64_t endpoint, const struct secret *secret,
    int64_t version, int64_t now_us, uint32_t *ret_number)
{
    int64_t number = 0;
    bind_number(store, STATEMENT_ADD_SECRET, 1, (int64_t)endpoint);
    bind_blob(store, STATEMENT_ADD_SECRET, 2, secret->bytes, secret->len);
    bind_number(store, STATEMENT_ADD_SECRET, 3, version);
    bind_number(store, STATEMENT_ADD_SECRET, 4, now_us);
    enum err error = run_for_number(store, STATEMENT_ADD_SECRET, &number);
    if (!error)
        *ret_number = (uint32_t)number;
    return error;
}

enum err accounts_store_remove_secret(struct accounts_store *store, uint64_t endpoint, uint32_t number, int64_t version)
{
    bind_number(store, STATEMENT_REMOVE_SECRET, 1, version);
    bind_number(store, STATEMENT_REMOVE_SECRET, 2, (int64_t)endpoint);
    bind_number(store, STATEMENT_REMOVE_SECRET, 3, number);
    return run_on_one_row(store, STATEMENT_REMOVE_SECRET, "the endpoint's secret has no row");
}
