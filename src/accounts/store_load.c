/* SPDX-License-Identifier: Apache-2.0 */
/* Reading accounts.db, once, when it is opened. What can't be right stops the opening: nobody else
 * writes here. */
#include "accounts/store_internal.h"

#include "base/cleanup.h"
#include "model/key_pointer.h"

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

static bool read_secret(sqlite3_stmt *row, int column, struct secret *ret_secret)
{
    const void *bytes = sqlite3_column_blob(row, column);
    int len = sqlite3_column_bytes(row, column);
    if (!bytes || (size_t)len > sizeof ret_secret->bytes)
        return false;
    memcpy(ret_secret->bytes, bytes, (size_t)len);
    ret_secret->len = (unsigned)len;
    return true;
}

/* Patterns, separated by spaces; an empty text is an empty list. */
static bool read_types(sqlite3_stmt *row, int column, struct type_list *types)
{
    char text[STORE_TYPES_BYTES], *rest = text, *pattern;
    if (!read_text(row, column, text, sizeof text))
        return false;
    while ((pattern = strsep(&rest, " ")))
        if (*text && !type_list_add(types, slice_from_string(pattern)))
            return false;
    return true;
}

/* Secrets hang on another row: each row of `statement`, whose parameter has been bound. */

static enum err take_partner_secret(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    struct partner *partner = context;
    if (partner->secrets_count < PARTNER_SECRETS_MAX) {
        struct partner_secret *secret = &partner->secrets[partner->secrets_count++];
        secret->id = (uint64_t)sqlite3_column_int64(row, 0);
        secret->created_us = sqlite3_column_int64(row, 2);
        if (read_secret(row, 1, &secret->secret))
            return OK;
    }
    return accounts_store_damaged(store, "a partner's secrets can't be read");
}

static enum err take_secret(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    struct endpoint *endpoint = context;
    if (endpoint->secrets_count < ENDPOINT_SECRETS_MAX) {
        endpoint->secret_numbers[endpoint->secrets_count] = (uint32_t)sqlite3_column_int64(row, 0);
        if (read_secret(row, 1, &endpoint->secrets[endpoint->secrets_count++]))
            return OK;
    }
    return accounts_store_damaged(store, "an endpoint's secrets can't be read");
}

/* The objects. */

enum err store_read_partner(
    struct accounts_store *store, sqlite3_stmt *row, struct partner *partner)
{
    partner->enabled = sqlite3_column_int(row, 1) != 0;
    partner->version = sqlite3_column_int64(row, 2);
    if (!read_text(row, 0, partner->id, sizeof partner->id))
        return accounts_store_damaged(store, "a partner's id can't be read");
    if (!read_text(row, 3, partner->key_pointer, sizeof partner->key_pointer) ||
        (partner->key_pointer[0] && !key_pointer_is_valid(slice_from_string(partner->key_pointer))))
        return accounts_store_damaged(store, "a partner's key pointer can't be read");
    store_bind_text(store, STATEMENT_LOAD_PARTNER_SECRETS, 1, partner->id);
    return store_each_row(store, STATEMENT_LOAD_PARTNER_SECRETS, take_partner_secret, partner);
}

enum err store_read_account(
    struct accounts_store *store, sqlite3_stmt *row, struct account *account)
{
    account->enabled = sqlite3_column_int(row, 1) != 0;
    account->version = sqlite3_column_int64(row, 2);
    return read_text(row, 0, account->id, sizeof account->id)
               ? OK
               : accounts_store_damaged(store, "an account's id can't be read");
}

enum err store_read_endpoint(
    struct accounts_store *store, sqlite3_stmt *row, struct endpoint *endpoint)
{
    endpoint->id = (uint64_t)sqlite3_column_int64(row, 0);
    endpoint->enabled = sqlite3_column_int(row, 4) != 0;
    endpoint->idempotent = sqlite3_column_int(row, 5) != 0;
    endpoint->final_4xx = sqlite3_column_int(row, 6) != 0;
    endpoint->version = sqlite3_column_int64(row, 7);
    return read_text(row, 1, endpoint->account, sizeof endpoint->account) &&
                   read_text(row, 2, endpoint->name, sizeof endpoint->name) &&
                   read_text(row, 3, endpoint->url, sizeof endpoint->url) &&
                   read_types(row, 8, &endpoint->types)
               ? OK
               : accounts_store_damaged(store, "an endpoint can't be read");
}

enum err store_read_credential(
    struct accounts_store *store, sqlite3_stmt *row, struct credential *credential)
{
    const void *sha256 = sqlite3_column_blob(row, 0);
    credential->created_us = sqlite3_column_int64(row, 2);
    if (sqlite3_column_bytes(row, 0) != SHA256_BYTES ||
        !read_text(row, 1, credential->partner, sizeof credential->partner))
        return accounts_store_damaged(store, "a credential can't be read");
    memcpy(credential->sha256, sha256, SHA256_BYTES);
    return OK;
}

enum err store_read_grant(struct accounts_store *store, sqlite3_stmt *row,
    char ret_partner[NAME_BYTES_MAX + 1], char ret_account[NAME_BYTES_MAX + 1])
{
    return read_text(row, 0, ret_partner, NAME_BYTES_MAX + 1) &&
                   read_text(row, 1, ret_account, NAME_BYTES_MAX + 1)
               ? OK
               : accounts_store_damaged(store, "a grant can't be read");
}

/* All of them. */

static enum err visit_partner(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct partner partner = {0};
    enum err error = store_read_partner(store, row, &partner);
    return error ? error : visitor->on_partner(&partner, visitor->context);
}

static enum err visit_account(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct account account = {0};
    enum err error = store_read_account(store, row, &account);
    return error ? error : visitor->on_account(&account, visitor->context);
}

static enum err visit_endpoint(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct endpoint endpoint = {0};
    enum err error = store_read_endpoint(store, row, &endpoint);
    if (error)
        return error;
    store_bind_number(store, STATEMENT_LOAD_SECRETS, 1, (int64_t)endpoint.id);
    error = store_each_row(store, STATEMENT_LOAD_SECRETS, take_secret, &endpoint);
    return error ? error : visitor->on_endpoint(&endpoint, visitor->context);
}

static enum err visit_credential(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct credential credential = {0};
    enum err error = store_read_credential(store, row, &credential);
    return error ? error : visitor->on_credential(&credential, visitor->context);
}

static enum err visit_grant(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    const struct store_visitor *visitor = context;
    char partner[NAME_BYTES_MAX + 1], account[NAME_BYTES_MAX + 1];
    enum err error = store_read_grant(store, row, partner, account);
    return error ? error : visitor->on_grant(partner, account, visitor->context);
}

enum err accounts_store_load(struct accounts_store *store, const struct store_visitor *visitor)
{
    static const struct {
        enum statement statement;
        enum err (*visit)(struct accounts_store *store, sqlite3_stmt *row, void *context);
    } steps[] = {
        {STATEMENT_LOAD_PARTNERS, visit_partner},
        {STATEMENT_LOAD_ACCOUNTS, visit_account},
        {STATEMENT_LOAD_ENDPOINTS, visit_endpoint},
        {STATEMENT_LOAD_CREDENTIALS, visit_credential},
        {STATEMENT_LOAD_GRANTS, visit_grant},
    };
    enum err error = OK;
    for (size_t i = 0; !error && i < ARRAY_LENGTH(steps); i++)
        error = store_each_row(store, steps[i].statement, steps[i].visit, (void *)visitor);
    return error;
}
