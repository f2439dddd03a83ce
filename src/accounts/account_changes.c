/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of accounts and endpoints: URLs, type filters, policies, and the secrets that sign
 * events. */
#include "accounts/account_endpoints.h"
#include "accounts/change.h"

#include "base/cleanup.h"
#include "model/operator_event.h"
#include "runtime/rcu.h"

#include <stdio.h>

enum err change_add_account(struct change *change)
{
    struct account account = {.enabled = true, .version = change->version};
    enum err error;
    if ((error = change_check_name(change, "account", TEXT_IN(change->request->account))))
        return error;
    memcpy(account.id, change->request->account, sizeof account.id);
    change_add_entry(change, directory_entry_of_account(&account));
    error = accounts_store_add_account(change->store, &account, change->now_us);
    return change_judge_addition(change, error, "account", account.id);
}

/* An account of this name that is not marked is from before the name was reserved. It is taken over
 * only if nothing can be posted for it, and if it has no endpoint that would get the events. */
enum err change_reserve_operators(struct change *change)
{
    struct accounts_name_use use;
    enum err error = accounts_store_look_at_name(change->store, OPERATOR_ACCOUNT, &use);
    if (error)
        return change_judge(change, error);
    if (use.is_reserved)
        return change_refuse(
            change, ERR_EXISTS, "the account " OPERATOR_ACCOUNT " is reserved already");
    if (use.grants + use.endpoints + use.partners > 0)
        return change_refuse(change, ERR_INVALID,
            "account \"" OPERATOR_ACCOUNT "\" has %lld grants and %lld endpoints, and %lld enabled "
            "partners have this name",
            (long long)use.grants, (long long)use.endpoints, (long long)use.partners);
    snprintf(change->request->account, sizeof change->request->account, OPERATOR_ACCOUNT);
    error = change_judge(change, accounts_store_reserve_name(change->store));
    if (error || directory_account(change->directory, SLICE_LITERAL(OPERATOR_ACCOUNT)))
        return error;
    return change_add_account(change);
}

/* Endpoints. */

static enum err check_url(struct change *change, const struct endpoint *endpoint)
{
    size_t len = TEXT_IN(endpoint->url).len;
    if (len == 0 || len > URL_BYTES_MAX)
        return change_refuse(change, ERR_INVALID, "url: must have 1 to %d bytes", URL_BYTES_MAX);
    return OK;
}

static enum err check_types(struct change *change, const struct endpoint *endpoint)
{
    const struct type_list *types = &endpoint->types;
    if (types->count > TYPE_LIST_MAX)
        return change_refuse(
            change, ERR_INVALID, "types: must have at most %d items", TYPE_LIST_MAX);
    for (unsigned i = 0; i < types->count; i++)
        if (!type_pattern_is_valid(TEXT_IN(types->patterns[i])))
            return change_refuse(change, ERR_INVALID, "types: " TYPE_PATTERN_RULE);
    return OK;
}

static enum err check_secrets(struct change *change, const struct endpoint *endpoint)
{
    if (endpoint->secrets_count > ENDPOINT_SECRETS_MAX)
        return change_refuse(
            change, ERR_INVALID, "secrets: must have at most %d items", ENDPOINT_SECRETS_MAX);
    enum err error = OK;
    for (unsigned i = 0; !error && i < endpoint->secrets_count; i++)
        error = change_check_secret(change, &endpoint->secrets[i]);
    return error;
}

static enum err check_reason(struct change *change, const struct endpoint *endpoint)
{
    struct slice reason = TEXT_IN(endpoint->disabled_reason);
    if (reason.len > ACTION_NOTE_BYTES_MAX)
        return change_refuse(
            change, ERR_INVALID, "note: must have at most %d bytes", ACTION_NOTE_BYTES_MAX);
    for (size_t i = 0; i < reason.len; i++)
        if ((unsigned char)reason.data[i] < 0x20 || reason.data[i] == 0x7f)
            return change_refuse(
                change, ERR_INVALID, "note: must be one line, without control characters");
    return OK;
}

/* What was disabled before keeps its time and its reason. */
static void set_enabled(struct change *change, bool was_enabled, const struct endpoint *wanted)
{
    struct endpoint *endpoint = &change->endpoint;
    endpoint->enabled = wanted->enabled;
    if (endpoint->enabled) {
        endpoint->disabled_us = 0;
        endpoint->disabled_reason[0] = '\0';
    } else if (was_enabled) {
        endpoint->disabled_us = change->now_us;
        memcpy(
            endpoint->disabled_reason, wanted->disabled_reason, sizeof endpoint->disabled_reason);
    }
}

static bool is_endpoint_taken(const struct change *change, uint64_t id)
{
    return directory_endpoint(change->directory, id) != NULL;
}

static enum err store_endpoint(struct change *change)
{
    struct endpoint *endpoint = &change->endpoint;
    enum err error = accounts_store_add_endpoint(change->store, endpoint, change->now_us);
    for (unsigned i = 0; !error && i < endpoint->secrets_count; i++)
        error = accounts_store_add_secret(change->store, endpoint->id, &endpoint->secrets[i],
            change->version, change->now_us, &endpoint->secret_numbers[i]);
    return change_judge_addition(change, error, "endpoint", endpoint->name);
}

/* The endpoint first, then the account if it has to say something else of it. */
static void add_entries(struct change *change, const struct account *account)
{
    struct account with = *account;
    change_add_entry(change, directory_entry_of_endpoint(&change->endpoint));
    if (account_endpoints_put(&with, &change->endpoint))
        change_add_entry(change, directory_entry_of_account(&with));
}

enum err change_add_endpoint(struct change *change)
{
    const struct account *account = change_find_account(change);
    struct endpoint *endpoint = &change->endpoint;
    if (!account)
        return ERR_NOT_FOUND;
    *endpoint = change->request->endpoint;
    enum err error;
    if ((error = change_check_name(change, "name", TEXT_IN(endpoint->name))) ||
        (error = check_url(change, endpoint)) || (error = check_types(change, endpoint)) ||
        (error = check_secrets(change, endpoint)) || (error = check_reason(change, endpoint)))
        return error;
    if (account->endpoints_count >= ACCOUNT_ENDPOINTS_MAX)
        return change_refuse(change, ERR_INVALID,
            "account %s already has %d endpoints, and more are not allowed: remove one first",
            account->id, ACCOUNT_ENDPOINTS_MAX);
    endpoint->id = change_make_id(change, is_endpoint_taken);
    memcpy(endpoint->account, account->id, sizeof endpoint->account);
    endpoint->version = change->version;
    endpoint->policy = change->request->policy;
    set_enabled(change, true, &change->request->endpoint);
    if (endpoint->secrets_count == 0)
        secret_make(&endpoint->secrets[endpoint->secrets_count++]);
    change->changes_endpoint = true;
    if ((error = store_endpoint(change)))
        return error;
    add_entries(change, account);
    return OK;
}

/* Takes the endpoint as it is, to be changed, and returns its account. NULL, and refused with
 * ERR_NOT_FOUND, when there is none. */
static const struct account *begin_change(struct change *change)
{
    const struct accounts_request *request = change->request;
    const struct account *account = change_find_account(change);
    if (!account)
        return NULL;
    const struct endpoint *present = directory_endpoint(change->directory, request->endpoint_id);
    if (!present || strcmp(present->account, account->id) != 0) {
        char text[ENDPOINT_ID_TEXT_BYTES];
        endpoint_id_format(request->endpoint_id, text);
        change_refuse(change, ERR_NOT_FOUND, "account %s has no endpoint %s", account->id, text);
        return NULL;
    }
    change->endpoint = *present;
    change->endpoint.version = change->version;
    change->changes_endpoint = true;
    return account;
}

static enum err end_change(struct change *change, const struct account *account)
{
    enum err error =
        change_judge(change, accounts_store_change_endpoint(change->store, &change->endpoint));
    if (!error)
        add_entries(change, account);
    return error;
}

#define ENDPOINT_CHANGES                                                          \
    (ENDPOINT_CHANGE_URL | ENDPOINT_CHANGE_ENABLED | ENDPOINT_CHANGE_IDEMPOTENT | \
        ENDPOINT_CHANGE_FINAL_4XX | ENDPOINT_CHANGE_TYPES | ENDPOINT_CHANGE_POLICY)

enum err change_change_endpoint(struct change *change)
{
    struct accounts_request *request = change->request;
    struct endpoint *endpoint = &change->endpoint;
    const struct account *account = begin_change(change);
    if (!account)
        return ERR_NOT_FOUND;
    request->ret_was_enabled = endpoint->enabled;
    if (!request->changes || (request->changes & ~(unsigned)ENDPOINT_CHANGES))
        return change_refuse(change, ERR_INVALID,
            "changes: give at least one of url, enabled, idempotent, final_4xx, types, policy");
    enum err error;
    if (request->changes & ENDPOINT_CHANGE_URL) {
        if ((error = check_url(change, &request->endpoint)))
            return error;
        memcpy(endpoint->url, request->endpoint.url, sizeof endpoint->url);
    }
    if (request->changes & ENDPOINT_CHANGE_TYPES) {
        if ((error = check_types(change, &request->endpoint)))
            return error;
        endpoint->types = request->endpoint.types;
    }
    if (request->changes & ENDPOINT_CHANGE_ENABLED) {
        if ((error = check_reason(change, &request->endpoint)))
            return error;
        set_enabled(change, endpoint->enabled, &request->endpoint);
    }
    if (request->changes & ENDPOINT_CHANGE_POLICY)
        endpoint->policy = request->policy;
    if (request->changes & ENDPOINT_CHANGE_IDEMPOTENT)
        endpoint->idempotent = request->endpoint.idempotent;
    if (request->changes & ENDPOINT_CHANGE_FINAL_4XX)
        endpoint->final_4xx = request->endpoint.final_4xx;
    return end_change(change, account);
}

enum err change_remove_endpoint(struct change *change)
{
    const struct account *account = begin_change(change);
    if (!account)
        return ERR_NOT_FOUND;
    struct account without = *account;
    account_endpoints_remove(&without, change->endpoint.id);
    change_add_entry(change, directory_entry_of_account(&without));
    enum err error = change_judge(
        change, accounts_store_remove_endpoint(change->store, &change->endpoint, change->version));
    return error ? error : change_remove_switches_of(change, &change->endpoint);
}

void change_take_out_endpoint(struct change *change)
{
    /* Until here a reader may hold the account that still names it, and look it up. */
    rcu_wait_for_readers();
    directory_withdraw_endpoint(change->directory, change->endpoint.id);
    change_take_out_switches(change);
}

/* Secrets. All that are there sign, so that a client can change from one to the next at its own
 * time. */

enum err change_add_endpoint_secret(struct change *change)
{
    struct accounts_request *request = change->request;
    struct endpoint *endpoint = &change->endpoint;
    const struct account *account = begin_change(change);
    if (!account)
        return ERR_NOT_FOUND;
    if (endpoint->secrets_count == ENDPOINT_SECRETS_MAX)
        return change_refuse(change, ERR_INVALID,
            "endpoint %s already has %d secrets, and more are not allowed: remove one first",
            endpoint->name, ENDPOINT_SECRETS_MAX);
    if (request->secret.len == 0)
        secret_make(&request->secret);
    enum err error = change_check_secret(change, &request->secret);
    if (error)
        return error;
    unsigned at = endpoint->secrets_count++;
    endpoint->secrets[at] = request->secret;
    error = accounts_store_add_secret(change->store, endpoint->id, &request->secret,
        change->version, change->now_us, &endpoint->secret_numbers[at]);
    if ((error = change_judge(change, error)))
        return error;
    request->ret_secret_id = endpoint->secret_numbers[at];
    return end_change(change, account);
}

enum err change_remove_endpoint_secret(struct change *change)
{
    struct endpoint *endpoint = &change->endpoint;
    const struct account *account = begin_change(change);
    if (!account)
        return ERR_NOT_FOUND;
    unsigned at = 0;
    while (
        at < endpoint->secrets_count && endpoint->secret_numbers[at] != change->request->secret_id)
        at++;
    if (at == endpoint->secrets_count)
        return change_refuse(change, ERR_NOT_FOUND,
            "endpoint %s has no such secret: \"penstock endpoint show ACCOUNT ENDPOINT\" shows its "
            "secrets",
            endpoint->name);
    if (endpoint->secrets_count == 1)
        return change_refuse(change, ERR_INVALID,
            "endpoint %s has no other secret, and Penstock sends nothing unsigned: add a secret "
            "first",
            endpoint->name);
    uint32_t number = endpoint->secret_numbers[at];
    for (endpoint->secrets_count--; at < endpoint->secrets_count; at++) {
        endpoint->secrets[at] = endpoint->secrets[at + 1];
        endpoint->secret_numbers[at] = endpoint->secret_numbers[at + 1];
    }
    memset(&endpoint->secrets[at], 0, sizeof endpoint->secrets[at]);
    enum err error =
        accounts_store_remove_secret(change->store, endpoint->id, number, change->version);
    if ((error = change_judge(change, error)))
        return error;
    return end_change(change, account);
}
