/* SPDX-License-Identifier: Apache-2.0 */
/* Reading accounts.db, once, when it is opened. What can't be right stops the opening: nobody else writes here. */
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

/* What hangs on another row: each row of `statement`, whose parameter has been bound. */
static enum err each_row_of(struct accounts_store *store, enum statement statement, void *object,
    bool (*take)(sqlite3_stmt *row, void *object), const char *problem)
{
    sqlite3_stmt *row = store->statements[statement];
    enum err error = OK;
    int result = SQLITE_ROW;
    while (!error && (result = sqlite3_step(row)) == SQLITE_ROW)
        error = take(row, object) ? OK : accounts_store_damaged(store, problem);
    if (!error && result != SQLITE_DONE)
        error = accounts_store_fail(store, result);
    sqlite3_reset(row);
    return error;
}

static bool take_partner_secret(sqlite3_stmt *row, void *object)
{
    struct partner *partner = object;
    if (partner->secrets_count == PARTNER_SECRETS_MAX)
        return false;
    struct partner_secret *secret = &partner->secrets[partner->secrets_count++];
    secret->id = (uint64_t)sqlite3_column_int64(row, 0);
    secret->created_us = sqlite3_column_int64(row, 2);
    return read_secret(row, 1, &secret->secret);
}

static enum err take_partner(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    struct partner partner = {.enabled = sqlite3_column_int(row, 1) != 0, .version = sqlite3_column_int64(row, 2)};
    if (!read_text(row, 0, partner.id, sizeof partner.id))
        return accounts_store_damaged(store, "a partner's id can't be read");
    if (!read_text(row, 3, partner.key_pointer, sizeof partner.key_pointer) ||
        (partner.key_pointer[0] && !key_pointer_is_valid(slice_from_string(partner.key_pointer))))
        return accounts_store_damaged(store, "a partner's key pointer can't be read");
    sqlite3_bind_text(store->statements[STATEMENT_LOAD_PARTNER_SECRETS], 1, partner.id, -1, SQLITE_STATIC);
    enum err error = each_row_of(
        store, STATEMENT_LOAD_PARTNER_SECRETS, &partner, take_partner_secret, "a partner's secrets can't be read");
    return error ? error : visitor->on_partner(&partner, visitor->context);
}

static enum err take_account(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    struct account account = {.enabled = sqlite3_column_int(row, 1) != 0, .version = sqlite3_column_int64(row, 2)};
    if (!read_text(row, 0, account.id, sizeof account.id))
        return accounts_store_damaged(store, "an account's id can't be read");
    return visitor->on_account(&account, visitor->context);
}

static bool take_secret(sqlite3_stmt *row, void *object)
{
    struct endpoint *endpoint = object;
    if (endpoint->secrets_count == ENDPOINT_SECRETS_MAX)
        return false;
    endpoint->secret_numbers[endpoint->secrets_count] = (uint32_t)sqlite3_column_int64(row, 0);
    return read_secret(row, 1, &endpoint->secrets[endpoint->secrets_count++]);
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
        !read_text(row, 3, endpoint.url, sizeof endpoint.url) || !read_types(row, 8, &endpoint.types))
        return accounts_store_damaged(store, "an endpoint can't be read");
    sqlite3_bind_int64(store->statements[STATEMENT_LOAD_SECRETS], 1, (int64_t)endpoint.id);
    enum err error =
        each_row_of(store, STATEMENT_LOAD_SECRETS, &endpoint, take_secret, "an endpoint's secrets can't be read");
    return error ? error : visitor->on_endpoint(&endpoint, visitor->context);
}

static enum err take_credential(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    struct credential credential = {.created_us = sqlite3_column_int64(row, 2)};
    const void *sha256 = sqlite3_column_blob(row, 0);
    if (sqlite3_column_bytes(row, 0) != SHA256_BYTES ||
        !read_text(row, 1, credential.partner, sizeof credential.partner))
        return accounts_store_damaged(store, "a credential can't be read");
    memcpy(credential.sha256, sha256, SHA256_BYTES);
    return visitor->on_credential(&credential, visitor->context);
}

static enum err take_grant(struct accounts_store *store, sqlite3_stmt *row, const struct store_visitor *visitor)
{
    char partner[NAME_BYTES_MAX + 1], account[NAME_BYTES_MAX + 1];
    if (!read_text(row, 0, partner, sizeof partner) || !read_text(row, 1, account, sizeof account))
        return accounts_store_damaged(store, "a grant can't be read");
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
