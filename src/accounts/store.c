/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running statements, transactions, and the statements that change something. Loading is in
 * store_load.c, pages for replicas in store_pages.c, opening and the schema in store_open.c.
 */
#include "accounts/store_internal.h"

#include "sqlite/database.h"

#include <stdio.h>

/* Running a statement. */

enum err accounts_store_fail(struct accounts_store *store, enum err error, bool while_committing)
{
    snprintf(store->detail, sizeof store->detail, "%s", sql_reason(store->db));
    if (sql_is_in_doubt(store->db, while_committing))
        store->in_doubt = true;
    return error == ERR_BUG && sql_broke_constraint(store->db) ? ERR_EXISTS : error;
}

enum err accounts_store_damaged(struct accounts_store *store, const char *what)
{
    snprintf(store->detail, sizeof store->detail, "%s", what);
    return ERR_DAMAGED;
}

/* Right after the last step, while the connection still says what failed. */
static enum err finish(struct accounts_store *store, struct sql_use *use, enum err error)
{
    if (error)
        error = accounts_store_fail(
            store, error, use->statement == store->statements[STATEMENT_COMMIT]);
    sql_finish(use);
    return error;
}

enum err store_run(struct accounts_store *store, struct sql_use *use)
{
    bool row;
    enum err error = sql_step(use, &row);
    return finish(store, use, error);
}

enum err store_run_alone(struct accounts_store *store, enum statement which)
{
    struct sql_use use = store_use(store, which);
    return store_run(store, &use);
}

enum err store_run_on_one_row(
    struct accounts_store *store, struct sql_use *use, const char *missing)
{
    enum err error = store_run(store, use);
    return error || sql_changes(store->db) == 1 ? error : accounts_store_damaged(store, missing);
}

enum err store_each_row(struct accounts_store *store, struct sql_use *use,
    enum err (*on_row)(struct accounts_store *store, const struct sql_use *row, void *context),
    void *context)
{
    bool row;
    enum err error = OK, row_error = OK;
    while (!row_error && !(error = sql_step(use, &row)) && row)
        row_error = on_row(store, use, context);
    error = finish(store, use, error);
    return row_error ? row_error : error;
}

enum err store_run_for_number(
    struct accounts_store *store, struct sql_use *use, int64_t *ret_number)
{
    bool has_row, more;
    enum err error = sql_step(use, &has_row);
    if (!error && has_row) {
        *ret_number = sql_column_int(use, 0);
        error = sql_step(use, &more); /* RETURNING gives its rows first: here it ends */
    }
    error = finish(store, use, error);
    return error || has_row ? error
                            : accounts_store_damaged(store, "a row that must be there is missing");
}

/* Transactions. */

enum err accounts_store_begin_copy(struct accounts_store *store)
{
    if (store->in_doubt) {
        snprintf(store->detail, sizeof store->detail,
            "an earlier fsync failed: restart the gateway when the disk works again");
        return ERR_DISK;
    }
    return store_run_alone(store, STATEMENT_BEGIN);
}

enum err accounts_store_begin(struct accounts_store *store, int64_t *ret_version)
{
    enum err error = accounts_store_begin_copy(store);
    if (error)
        return error;
    struct sql_use use = store_use(store, STATEMENT_NEXT_VERSION);
    error = store_run_for_number(store, &use, ret_version);
    if (error)
        accounts_store_rollback(store);
    return error;
}

enum err accounts_store_commit(struct accounts_store *store)
{
    return store_run_alone(store, STATEMENT_COMMIT);
}

void accounts_store_rollback(struct accounts_store *store)
{
    /* A roll-back that fails leaves nothing behind that a commit could take up. */
    (void)!sql_roll_back(store->db);
}

enum err accounts_store_try(struct accounts_store *store, int64_t now_us)
{
    enum err error = accounts_store_begin_copy(store);
    if (error)
        return error;
    struct sql_use use = store_use(store, STATEMENT_SET_META);
    sql_bind_string(&use, "tried_us");
    sql_bind_int(&use, now_us);
    error = store_run(store, &use);
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
    struct sql_use use = store_use(store, statement);
    sql_bind_string(&use, id);
    sql_bind_int(&use, enabled);
    sql_bind_int(&use, version);
    sql_bind_int(&use, now_us);
    return store_run(store, &use);
}

enum err accounts_store_add_partner(
    struct accounts_store *store, const struct partner *partner, int64_t now_us)
{
    return add_named(
        store, STATEMENT_ADD_PARTNER, partner->id, partner->enabled, partner->version, now_us);
}

enum err store_print_rules(const struct partner_rules *rules, struct buffer *text)
{
    partner_rules_print(rules, text);
    enum err error = buffer_status(text);
    if (error)
        buffer_done(text);
    else if (slice_equals_string(buffer_slice(text), "{}"))
        buffer_clear(text);
    return error;
}

enum err accounts_store_change_partner(struct accounts_store *store, const struct partner *partner)
{
    struct buffer rules = BUFFER_EMPTY;
    enum err error = store_print_rules(&partner->rules, &rules);
    if (error)
        return error;
    struct sql_use use = store_use(store, STATEMENT_CHANGE_PARTNER);
    sql_bind_int(&use, partner->enabled);
    sql_bind_string(&use, partner->key_pointer);
    sql_bind_text(&use, buffer_slice(&rules));
    sql_bind_int(&use, partner->version);
    sql_bind_string(&use, partner->id);
    error = store_run_on_one_row(store, &use, "the partner has no row");
    buffer_done(&rules);
    return error;
}

enum err accounts_store_add_partner_secret(struct accounts_store *store, const char *partner,
    const struct partner_secret *secret, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_ADD_PARTNER_SECRET);
    sql_bind_int(&use, (int64_t)secret->id);
    sql_bind_string(&use, partner);
    sql_bind_blob(&use, slice_of(secret->secret.bytes, secret->secret.len));
    sql_bind_int(&use, version);
    sql_bind_int(&use, secret->created_us);
    return store_run(store, &use);
}

enum err accounts_store_remove_partner_secret(
    struct accounts_store *store, uint64_t id, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_REMOVE_PARTNER_SECRET);
    sql_bind_int(&use, version);
    sql_bind_int(&use, (int64_t)id);
    return store_run_on_one_row(store, &use, "the partner's secret has no row");
}

/* The columns of lists: their items, separated by spaces. */

static void format_types(const struct type_list *types, char ret_text[STORE_TYPES_BYTES])
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < types->count; i++)
        len += (size_t)snprintf(
            ret_text + len, STORE_TYPES_BYTES - len, "%s%s", i ? " " : "", types->patterns[i]);
}

static void format_accounts(const struct key_scope *scope, char ret_text[STORE_ACCOUNTS_BYTES])
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < scope->accounts_count; i++)
        len += (size_t)snprintf(
            ret_text + len, STORE_ACCOUNTS_BYTES - len, "%s%s", i ? " " : "", scope->accounts[i]);
}

enum err store_run_with_credential(struct accounts_store *store, enum statement which,
    const struct credential *credential, int64_t version, int64_t created_us)
{
    char accounts[STORE_ACCOUNTS_BYTES], types[STORE_TYPES_BYTES];
    format_accounts(&credential->scope, accounts);
    format_types(&credential->scope.types, types);
    struct sql_use use = store_use(store, which);
    sql_bind_blob(&use, slice_of(credential->sha256, SHA256_BYTES));
    sql_bind_string(&use, credential->partner);
    sql_bind_string(&use, credential->label);
    sql_bind_int(&use, credential->expires_us);
    sql_bind_string(&use, accounts);
    sql_bind_string(&use, types);
    sql_bind_int(&use, version);
    sql_bind_int(&use, created_us);
    return store_run(store, &use);
}

enum err accounts_store_add_credential(
    struct accounts_store *store, const struct credential *credential, int64_t version)
{
    return store_run_with_credential(
        store, STATEMENT_ADD_CREDENTIAL, credential, version, credential->created_us);
}

enum err accounts_store_change_credential(
    struct accounts_store *store, const struct credential *credential, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_CHANGE_CREDENTIAL);
    sql_bind_string(&use, credential->label);
    sql_bind_int(&use, credential->expires_us);
    sql_bind_int(&use, version);
    sql_bind_blob(&use, slice_of(credential->sha256, SHA256_BYTES));
    return store_run_on_one_row(store, &use, "the credential has no row");
}

enum err accounts_store_note_use(struct accounts_store *store,
    const unsigned char credential_sha256[SHA256_BYTES], int64_t used_us)
{
    struct sql_use use = store_use(store, STATEMENT_NOTE_USE);
    sql_bind_int(&use, used_us);
    sql_bind_blob(&use, slice_of(credential_sha256, SHA256_BYTES));
    return store_run(store, &use);
}

enum err accounts_store_revoke_credential(struct accounts_store *store,
    const unsigned char credential_sha256[SHA256_BYTES], int64_t version, int64_t now_us)
{
    struct sql_use use = store_use(store, STATEMENT_REVOKE_CREDENTIAL);
    sql_bind_int(&use, now_us);
    sql_bind_int(&use, version);
    sql_bind_blob(&use, slice_of(credential_sha256, SHA256_BYTES));
    return store_run_on_one_row(store, &use, "the credential has no row");
}

enum err accounts_store_add_grant(struct accounts_store *store, const char *partner,
    const char *account, int64_t version, int64_t now_us)
{
    struct sql_use use = store_use(store, STATEMENT_ADD_GRANT);
    sql_bind_string(&use, partner);
    sql_bind_string(&use, account);
    sql_bind_int(&use, version);
    sql_bind_int(&use, now_us);
    enum err error = store_run(store, &use);
    return error || sql_changes(store->db) == 1
               ? error
               : ERR_EXISTS; /* a withdrawn one is taken up again */
}

enum err accounts_store_withdraw_grant(
    struct accounts_store *store, const char *partner, const char *account, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_WITHDRAW_GRANT);
    sql_bind_int(&use, version);
    sql_bind_string(&use, partner);
    sql_bind_string(&use, account);
    return store_run_on_one_row(store, &use, "the grant has no row");
}

/* Accounts and their endpoints. */

enum err accounts_store_add_account(
    struct accounts_store *store, const struct account *account, int64_t now_us)
{
    return add_named(
        store, STATEMENT_ADD_ACCOUNT, account->id, account->enabled, account->version, now_us);
}

static enum err count_of_name(
    struct accounts_store *store, enum statement which, const char *name, int64_t *ret_count)
{
    struct sql_use use = store_use(store, which);
    sql_bind_string(&use, name);
    return store_run_for_number(store, &use, ret_count);
}

enum err accounts_store_look_at_name(
    struct accounts_store *store, const char *name, struct accounts_name_use *ret_use)
{
    struct sql_use use = store_use(store, STATEMENT_IS_RESERVED);
    struct accounts_name_use found = {0};
    int64_t reserved;
    enum err error = store_run_for_number(store, &use, &reserved);
    if (!error)
        error = count_of_name(store, STATEMENT_COUNT_GRANTS_FOR, name, &found.grants);
    if (!error)
        error = count_of_name(store, STATEMENT_COUNT_ENDPOINTS_OF, name, &found.endpoints);
    if (!error)
        error = count_of_name(store, STATEMENT_COUNT_PARTNERS_NAMED, name, &found.partners);
    if (error)
        return error;
    found.is_reserved = reserved != 0;
    *ret_use = found;
    return OK;
}

enum err accounts_store_reserve_name(struct accounts_store *store)
{
    struct sql_use use = store_use(store, STATEMENT_SET_META);
    sql_bind_string(&use, "operators");
    sql_bind_int(&use, 1);
    return store_run(store, &use);
}

static const char *policy_text(const struct endpoint *endpoint)
{
    return endpoint->policy ? endpoint_policy_text(endpoint->policy).data : "";
}

enum err store_run_with_endpoint(struct accounts_store *store, enum statement which,
    const struct endpoint *endpoint, int64_t created_us)
{
    char types[STORE_TYPES_BYTES];
    format_types(&endpoint->types, types);
    struct sql_use use = store_use(store, which);
    sql_bind_int(&use, (int64_t)endpoint->id);
    sql_bind_string(&use, endpoint->account);
    sql_bind_string(&use, endpoint->name);
    sql_bind_string(&use, endpoint->url);
    sql_bind_int(&use, endpoint->enabled);
    sql_bind_int(&use, endpoint->idempotent);
    sql_bind_int(&use, endpoint->final_4xx);
    sql_bind_string(&use, types);
    sql_bind_int(&use, endpoint->disabled_us);
    sql_bind_string(&use, endpoint->disabled_reason);
    sql_bind_string(&use, policy_text(endpoint));
    sql_bind_int(&use, endpoint->version);
    sql_bind_int(&use, created_us);
    return store_run(store, &use);
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
    struct sql_use use = store_use(store, STATEMENT_CHANGE_ENDPOINT);
    sql_bind_string(&use, endpoint->url);
    sql_bind_int(&use, endpoint->enabled);
    sql_bind_int(&use, endpoint->idempotent);
    sql_bind_int(&use, endpoint->final_4xx);
    sql_bind_string(&use, types);
    sql_bind_int(&use, endpoint->disabled_us);
    sql_bind_string(&use, endpoint->disabled_reason);
    sql_bind_string(&use, policy_text(endpoint));
    sql_bind_int(&use, endpoint->version);
    sql_bind_int(&use, (int64_t)endpoint->id);
    return store_run_on_one_row(store, &use, "the endpoint has no row");
}

enum err accounts_store_remove_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_REMOVE_ENDPOINT);
    sql_bind_int(&use, version);
    sql_bind_int(&use, (int64_t)endpoint->id);
    enum err error = store_run_on_one_row(store, &use, "the endpoint has no row");
    for (unsigned i = 0; !error && i < endpoint->secrets_count; i++)
        error =
            accounts_store_remove_secret(store, endpoint->id, endpoint->secret_numbers[i], version);
    return error;
}

enum err accounts_store_add_secret(struct accounts_store *store, uint64_t endpoint,
    const struct secret *secret, int64_t version, int64_t now_us, uint32_t *ret_number)
{
    int64_t number = 0;
    struct sql_use use = store_use(store, STATEMENT_ADD_SECRET);
    sql_bind_int(&use, (int64_t)endpoint);
    sql_bind_blob(&use, slice_of(secret->bytes, secret->len));
    sql_bind_int(&use, version);
    sql_bind_int(&use, now_us);
    enum err error = store_run_for_number(store, &use, &number);
    if (!error)
        *ret_number = (uint32_t)number;
    return error;
}

enum err accounts_store_remove_secret(
    struct accounts_store *store, uint64_t endpoint, uint32_t number, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_REMOVE_SECRET);
    sql_bind_int(&use, version);
    sql_bind_int(&use, (int64_t)endpoint);
    sql_bind_int(&use, number);
    return store_run_on_one_row(store, &use, "the endpoint's secret has no row");
}
