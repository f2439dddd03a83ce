/* SPDX-License-Identifier: Apache-2.0 */
/* Reading accounts.db, once, when it is opened. No other program writes to it, so an invalid row
 * stops the opening. */
#include "accounts/store_internal.h"

#include "base/cleanup.h"
#include "model/key_pointer.h"
#include "model/refusal.h"

bool store_read_text(const struct sql_use *row, int column, char *ret_text, size_t size)
{
    struct slice text = sql_column_slice(row, column);
    if (sql_column_is_null(row, column) || text.len >= size ||
        (text.len && memchr(text.data, '\0', text.len)))
        return false;
    if (text.len)
        memcpy(ret_text, text.data, text.len);
    ret_text[text.len] = '\0';
    return true;
}

static bool read_secret(const struct sql_use *row, int column, struct secret *ret_secret)
{
    struct slice bytes = sql_column_slice(row, column);
    if (bytes.len == 0 || bytes.len > sizeof ret_secret->bytes)
        return false;
    memcpy(ret_secret->bytes, bytes.data, bytes.len);
    ret_secret->len = (unsigned)bytes.len;
    return true;
}

/* Patterns, separated by spaces; an empty text is an empty list. */
static bool read_types(const struct sql_use *row, int column, struct type_list *types)
{
    char text[STORE_TYPES_BYTES], *rest = text, *pattern;
    if (!store_read_text(row, column, text, sizeof text))
        return false;
    while ((pattern = strsep(&rest, " ")))
        if (*text && !type_list_add(types, slice_from_string(pattern)))
            return false;
    return true;
}

/* Names, separated by spaces; an empty text is an empty list. */
static bool read_accounts(const struct sql_use *row, int column, struct key_scope *scope)
{
    char text[STORE_ACCOUNTS_BYTES], *rest = text, *name;
    if (!store_read_text(row, column, text, sizeof text))
        return false;
    while ((name = strsep(&rest, " ")))
        if (*text && !key_scope_add_account(scope, slice_from_string(name)))
            return false;
    return true;
}

/* Empty: none. */
static bool read_rules(const struct sql_use *row, int column, struct partner_rules *rules)
{
    struct slice text = sql_column_slice(row, column);
    struct refusal refusal;
    return text.len == 0 || partner_rules_change(rules, text, &refusal) == OK;
}

/* Secrets hang on another row: each row of `statement`, whose parameter has been bound. */

static enum err take_partner_secret(
    struct accounts_store *store, const struct sql_use *row, void *context)
{
    struct partner *partner = context;
    if (partner->secrets_count < PARTNER_SECRETS_MAX) {
        struct partner_secret *secret = &partner->secrets[partner->secrets_count++];
        secret->id = (uint64_t)sql_column_int(row, 0);
        secret->created_us = sql_column_int(row, 2);
        if (read_secret(row, 1, &secret->secret))
            return OK;
    }
    return accounts_store_damaged(store, "a partner's secrets cannot be read");
}

static enum err take_secret(struct accounts_store *store, const struct sql_use *row, void *context)
{
    struct endpoint *endpoint = context;
    if (endpoint->secrets_count < ENDPOINT_SECRETS_MAX) {
        endpoint->secret_numbers[endpoint->secrets_count] = (uint32_t)sql_column_int(row, 0);
        if (read_secret(row, 1, &endpoint->secrets[endpoint->secrets_count++]))
            return OK;
    }
    return accounts_store_damaged(store, "an endpoint's secrets cannot be read");
}

/* The objects. */

enum err store_read_partner(
    struct accounts_store *store, const struct sql_use *row, struct partner *partner)
{
    partner->enabled = sql_column_int(row, 1) != 0;
    partner->version = sql_column_int(row, 2);
    if (!store_read_text(row, 0, partner->id, sizeof partner->id))
        return accounts_store_damaged(store, "a partner's id cannot be read");
    if (!store_read_text(row, 3, partner->key_pointer, sizeof partner->key_pointer) ||
        (partner->key_pointer[0] && !key_pointer_is_valid(slice_from_string(partner->key_pointer))))
        return accounts_store_damaged(store, "a partner's key pointer cannot be read");
    if (!read_rules(row, 4, &partner->rules))
        return accounts_store_damaged(store, "a partner's rules cannot be read");
    struct sql_use use = store_use(store, STATEMENT_LOAD_PARTNER_SECRETS);
    sql_bind_string(&use, partner->id);
    return store_each_row(store, &use, take_partner_secret, partner);
}

enum err store_read_account(
    struct accounts_store *store, const struct sql_use *row, struct account *account)
{
    account->enabled = sql_column_int(row, 1) != 0;
    account->version = sql_column_int(row, 2);
    return store_read_text(row, 0, account->id, sizeof account->id)
               ? OK
               : accounts_store_damaged(store, "an account's id cannot be read");
}

enum err store_read_endpoint(
    struct accounts_store *store, const struct sql_use *row, struct endpoint *endpoint)
{
    endpoint->id = (uint64_t)sql_column_int(row, 0);
    endpoint->enabled = sql_column_int(row, 4) != 0;
    endpoint->idempotent = sql_column_int(row, 5) != 0;
    endpoint->final_4xx = sql_column_int(row, 6) != 0;
    endpoint->version = sql_column_int(row, 7);
    endpoint->disabled_us = sql_column_int(row, 9);
    return store_read_text(row, 1, endpoint->account, sizeof endpoint->account) &&
                   store_read_text(row, 2, endpoint->name, sizeof endpoint->name) &&
                   store_read_text(row, 3, endpoint->url, sizeof endpoint->url) &&
                   read_types(row, 8, &endpoint->types) &&
                   store_read_text(
                       row, 10, endpoint->disabled_reason, sizeof endpoint->disabled_reason)
               ? OK
               : accounts_store_damaged(store, "an endpoint cannot be read");
}

enum err store_read_credential(
    struct accounts_store *store, const struct sql_use *row, struct credential *credential)
{
    struct slice sha256 = sql_column_slice(row, 0);
    credential->created_us = sql_column_int(row, 2);
    credential->expires_us = sql_column_int(row, 4);
    credential->used_us = sql_column_int(row, 7);
    if (sha256.len != SHA256_BYTES ||
        !store_read_text(row, 1, credential->partner, sizeof credential->partner) ||
        !store_read_text(row, 3, credential->label, sizeof credential->label) ||
        !read_accounts(row, 5, &credential->scope) || !read_types(row, 6, &credential->scope.types))
        return accounts_store_damaged(store, "a credential cannot be read");
    memcpy(credential->sha256, sha256.data, SHA256_BYTES);
    return OK;
}

enum err store_read_grant(struct accounts_store *store, const struct sql_use *row,
    char ret_partner[NAME_BYTES_MAX + 1], char ret_account[NAME_BYTES_MAX + 1])
{
    return store_read_text(row, 0, ret_partner, NAME_BYTES_MAX + 1) &&
                   store_read_text(row, 1, ret_account, NAME_BYTES_MAX + 1)
               ? OK
               : accounts_store_damaged(store, "a grant cannot be read");
}

enum err store_read_switch(
    struct accounts_store *store, const struct sql_use *row, struct operator_switch *off)
{
    off->endpoint = (uint64_t)sql_column_int(row, 2);
    off->since_us = sql_column_int(row, 4);
    off->version = sql_column_int(row, 5);
    return switch_find(sql_column_slice(row, 0), &off->kind) &&
                   store_read_text(row, 1, off->account, sizeof off->account) &&
                   store_read_text(row, 3, off->reason, sizeof off->reason)
               ? OK
               : accounts_store_damaged(store, "a switch cannot be read");
}

/* All of them. */

static enum err visit_partner(
    struct accounts_store *store, const struct sql_use *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct partner partner = {0};
    enum err error = store_read_partner(store, row, &partner);
    return error ? error : visitor->on_partner(&partner, visitor->context);
}

static enum err visit_account(
    struct accounts_store *store, const struct sql_use *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct account account = {0};
    enum err error = store_read_account(store, row, &account);
    return error ? error : visitor->on_account(&account, visitor->context);
}

/* Empty: none. The caller gets a reference. */
static enum err read_policy(struct accounts_store *store, const struct sql_use *row, int column,
    const struct endpoint_policy **ret_policy)
{
    struct slice text = sql_column_slice(row, column);
    struct refusal refusal;
    if (text.len == 0)
        return OK;
    enum err error = endpoint_policy_parse(text, NULL, ret_policy, &refusal);
    return error == OK || error == ERR_NO_MEMORY
               ? error
               : accounts_store_damaged(store, "the policy of an endpoint cannot be read");
}

static enum err visit_endpoint(
    struct accounts_store *store, const struct sql_use *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct endpoint endpoint = {0};
    enum err error = store_read_endpoint(store, row, &endpoint);
    if (error)
        return error;
    struct sql_use use = store_use(store, STATEMENT_LOAD_SECRETS);
    sql_bind_int(&use, (int64_t)endpoint.id);
    error = store_each_row(store, &use, take_secret, &endpoint);
    if (!error)
        error = read_policy(store, row, 11, &endpoint.policy);
    if (!error)
        error = visitor->on_endpoint(&endpoint, visitor->context);
    endpoint_policy_unref(endpoint.policy);
    return error;
}

static enum err visit_credential(
    struct accounts_store *store, const struct sql_use *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct credential credential = {0};
    enum err error = store_read_credential(store, row, &credential);
    return error ? error : visitor->on_credential(&credential, visitor->context);
}

static enum err visit_grant(struct accounts_store *store, const struct sql_use *row, void *context)
{
    const struct store_visitor *visitor = context;
    char partner[NAME_BYTES_MAX + 1], account[NAME_BYTES_MAX + 1];
    enum err error = store_read_grant(store, row, partner, account);
    return error ? error : visitor->on_grant(partner, account, visitor->context);
}

static enum err visit_switch(struct accounts_store *store, const struct sql_use *row, void *context)
{
    const struct store_visitor *visitor = context;
    struct operator_switch off = {0};
    enum err error = store_read_switch(store, row, &off);
    return error ? error : visitor->on_switch(&off, visitor->context);
}

enum err accounts_store_load(struct accounts_store *store, const struct store_visitor *visitor)
{
    static const struct {
        enum statement statement;
        enum err (*visit)(struct accounts_store *store, const struct sql_use *row, void *context);
    } steps[] = {
        {STATEMENT_LOAD_PARTNERS, visit_partner},
        {STATEMENT_LOAD_ACCOUNTS, visit_account},
        {STATEMENT_LOAD_ENDPOINTS, visit_endpoint},
        {STATEMENT_LOAD_CREDENTIALS, visit_credential},
        {STATEMENT_LOAD_GRANTS, visit_grant},
        {STATEMENT_LOAD_SWITCHES, visit_switch},
    };
    enum err error = OK;
    for (size_t i = 0; !error && i < ARRAY_LENGTH(steps); i++) {
        struct sql_use use = store_use(store, steps[i].statement);
        error = store_each_row(store, &use, steps[i].visit, (void *)visitor);
    }
    return error;
}
