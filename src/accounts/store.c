/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/store_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

static enum err damaged(struct accounts_store *store, const char *what)
{
    snprintf(store->detail, sizeof store->detail, "%s", what);
    return ERR_DAMAGED;
}

/* Filling and running a statement that changes something. */

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

static enum err run(struct accounts_store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    int result = store->bind_result;
    store->bind_result = SQLITE_OK;
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    enum err error = result == SQLITE_DONE ? OK : accounts_store_fail(store, result);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return error;
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
    sqlite3_stmt *next = store->statements[STATEMENT_NEXT_VERSION];
    int result = sqlite3_step(next);
    if (result == SQLITE_ROW) {
        *ret_version = sqlite3_column_int64(next, 0);
        result = sqlite3_step(next); /* RETURNING gives its rows first; the statement ends here */
    }
    if (result != SQLITE_DONE)
        error = accounts_store_fail(store, result);
    else if (sqlite3_changes(store->db) != 1)
        error = damaged(store, "the version counter is missing");
    sqlite3_reset(next);
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

enum err accounts_store_add_account(struct accounts_store *store, const struct account *account, int64_t now_us)
{
    return add_named(store, STATEMENT_ADD_ACCOUNT, account->id, account->enabled, account->version, now_us);
}

enum err accounts_store_add_credential(struct accounts_store *store,
    const unsigned char credential_sha256[SHA256_BYTES], const char *partner, int64_t version, int64_t now_us)
{
    bind_blob(store, STATEMENT_ADD_CREDENTIAL, 1, credential_sha256, SHA256_BYTES);
    bind_text(store, STATEMENT_ADD_CREDENTIAL, 2, partner);
    bind_number(store, STATEMENT_ADD_CREDENTIAL, 3, version);
    bind_number(store, STATEMENT_ADD_CREDENTIAL, 4, now_us);
    return run(store, STATEMENT_ADD_CREDENTIAL);
}

enum err accounts_store_add_grant(
    struct accounts_store *store, const char *partner, const char *account, int64_t version, int64_t now_us)
{
    bind_text(store, STATEMENT_ADD_GRANT, 1, partner);
    bind_text(store, STATEMENT_ADD_GRANT, 2, account);
    bind_number(store, STATEMENT_ADD_GRANT, 3, version);
    bind_number(store, STATEMENT_ADD_GRANT, 4, now_us);
    return run(store, STATEMENT_ADD_GRANT);
}

enum err accounts_store_add_endpoint(struct accounts_store *store, const struct endpoint *endpoint, int64_t now_us)
{
    bind_number(store, STATEMENT_ADD_ENDPOINT, 1, (int64_t)endpoint->id);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 2, endpoint->account);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 3, endpoint->name);
    bind_text(store, STATEMENT_ADD_ENDPOINT, 4, endpoint->url);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 5, endpoint->enabled);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 6, endpoint->idempotent);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 7, endpoint->final_4xx);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 8, endpoint->version);
    bind_number(store, STATEMENT_ADD_ENDPOINT, 9, now_us);
    enum err error = run(store, STATEMENT_ADD_ENDPOINT);
    for (unsigned i = 0; !error && i < endpoint->secrets_count; i++) {
        bind_number(store, STATEMENT_ADD_SECRET, 1, (int64_t)endpoint->id);
        bind_number(store, STATEMENT_ADD_SECRET, 2, i);
        bind_blob(store, STATEMENT_ADD_SECRET, 3, endpoint->secrets[i].bytes, endpoint->secrets[i].len);
        bind_number(store, STATEMENT_ADD_SECRET, 4, endpoint->version);
        bind_number(store, STATEMENT_ADD_SECRET, 5, now_us);
        error = run(store, STATEMENT_ADD_SECRET);
    }
    return error;
}

enum err accounts_store_change_endpoint(struct accounts_store *store, const struct endpoint *endpoint)
{
    bind_text(store, STATEMENT_CHANGE_ENDPOINT, 1, endpoint->url);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 2, endpoint->enabled);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 3, endpoint->idempotent);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 4, endpoint->final_4xx);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 5, endpoint->version);
    bind_number(store, STATEMENT_CHANGE_ENDPOINT, 6, (int64_t)endpoint->id);
    enum err error = run(store, STATEMENT_CHANGE_ENDPOINT);
    return error ? error : sqlite3_changes(store->db) == 1 ? OK : damaged(store, "the endpoint has no row");
}

/* Loading. */

/* False when the column doesn't fit: what we wrote always does. */
static bool read_text(sqlite3_stmt *row, int column, char *ret_text, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    int len = sqlite3_column_bytes(row, column);
    if (!text || (size_t)len >= size || strlen(text) != (size_t)len)
        return false;
    memcpy(ret_text, text, (size_t)len + 1);
    return true;
}

static enum err take_partner(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    struct partner partner = {.enabled = sqlite3_column_int(row, 1) != 0, .version = sqlite3_column_int64(row, 2)};
    if (!read_text(row, 0, partner.id, sizeof partner.id))
        return damaged(store, "a partner's id can't be read");
    return visitor->on_partner(&partner, visitor->context);
}

static enum err take_account(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    struct account account = {.enabled = sqlite3_column_int(row, 1) != 0, .version = sqlite3_column_int64(row, 2)};
    if (!read_text(row, 0, account.id, sizeof account.id))
        return damaged(store, "an account's id can't be read");
    return visitor->on_account(&account, visitor->context);
}

static enum err load_secrets(struct accounts_store *store, struct endpoint *endpoint)
{
    sqlite3_stmt *row = store->statements[STATEMENT_LOAD_SECRETS];
    sqlite3_bind_int64(row, 1, (int64_t)endpoint->id);
    enum err error = OK;
    int result;
    while (!error && (result = sqlite3_step(row)) == SQLITE_ROW) {
        struct secret *secret = &endpoint->secrets[endpoint->secrets_count];
        const void *bytes = sqlite3_column_blob(row, 0);
        int len = sqlite3_column_bytes(row, 0);
        if (endpoint->secrets_count == ENDPOINT_SECRETS_MAX || !bytes || (size_t)len > sizeof secret->bytes) {
            error = damaged(store, "an endpoint's secrets can't be read");
        } else {
            memcpy(secret->bytes, bytes, (size_t)len);
            secret->len = (unsigned)len;
            endpoint->secrets_count++;
        }
    }
    if (!error && result != SQLITE_DONE)
        error = accounts_store_fail(store, result);
    sqlite3_reset(row);
    return error;
}

static enum err take_endpoint(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    struct endpoint endpoint = {.id = (uint64_t)sqlite3_column_int64(row, 0),
        .enabled = sqlite3_column_int(row, 4) != 0,
        .idempotent = sqlite3_column_int(row, 5) != 0,
        .final_4xx = sqlite3_column_int(row, 6) != 0,
        .version = sqlite3_column_int64(row, 7)};
    if (!read_text(row, 1, endpoint.account, sizeof endpoint.account) ||
        !read_text(row, 2, endpoint.name, sizeof endpoint.name) ||
        !read_text(row, 3, endpoint.url, sizeof endpoint.url))
        return damaged(store, "an endpoint can't be read");
    enum err error = load_secrets(store, &endpoint);
    return error ? error : visitor->on_endpoint(&endpoint, visitor->context);
}

static enum err take_credential(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    char partner[NAME_BYTES_MAX + 1];
    const void *sha256 = sqlite3_column_blob(row, 0);
    if (sqlite3_column_bytes(row, 0) != SHA256_BYTES || !read_text(row, 1, partner, sizeof partner))
        return damaged(store, "a credential can't be read");
    return visitor->on_credential(sha256, partner, visitor->context);
}

static enum err take_grant(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    char partner[NAME_BYTES_MAX + 1], account[NAME_BYTES_MAX + 1];
    if (!read_text(row, 0, partner, sizeof partner) || !read_text(row, 1, account, sizeof account))
        return damaged(store, "a grant can't be read");
    return visitor->on_grant(partner, account, visitor->context);
}

enum err accounts_store_load(struct accounts_store *store, const struct store_visitor *visitor)
{
    static const struct {
        enum statement statement;
        enum err (*take)(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor);
    } steps[] = {
        {STATEMENT_LOAD_PARTNERS, take_partner},
        {STATEMENT_LOAD_ACCOUNTS, take_account},
        {STATEMENT_LOAD_ENDPOINTS, take_endpoint},
        {STATEMENT_LOAD_CREDENTIALS, take_credential},
        {STATEMENT_LOAD_GRANTS, take_grant},
    };
    enum err error = OK;
    for (size_t i = 0; !error && i < ARRAY_LENGTH(steps); i++) {
        sqlite3_stmt *row = store->statements[steps[i].statement];
        int result = SQLITE_ROW;
        while (!error && (result = sqlite3_step(row)) == SQLITE_ROW)
            error = steps[i].take(store, row, visitor);
        if (!error && result != SQLITE_DONE)
            error = accounts_store_fail(store, result);
        sqlite3_reset(row);
    }
    return error;
}
