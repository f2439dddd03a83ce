/* SPDX-License-Identifier: Apache-2.0 */
/* Partners: their flag and dedupe rule, the keys and secrets that they show, the accounts that they
 * post for. */
#include "accounts/change.h"

#include "model/key_pointer.h"
#include "model/operator_event.h"
#include "runtime/rcu.h"

#include <stdio.h>

enum err change_add_partner(struct change *change)
{
    struct partner *partner = &change->partner;
    enum err error;
    if ((error = change_check_name(change, "partner", TEXT_IN(change->request->partner))))
        return error;
    if (operator_event_is_account(TEXT_IN(change->request->partner)))
        return change_refuse(
            change, ERR_INVALID, "partner: %s is the name of the gateway", OPERATOR_ACCOUNT);
    *partner = (struct partner){.enabled = true, .version = change->version};
    memcpy(partner->id, change->request->partner, sizeof partner->id);
    change->changes_partner = true;
    change_add_entry(change, directory_entry_of_partner(partner));
    error = accounts_store_add_partner(change->store, partner, change->now_us);
    return change_judge_addition(change, error, "partner", partner->id);
}

/* The partner as it is, to be changed; its version moves with whatever changes, its secrets too. */
static enum err begin_change(struct change *change)
{
    const struct partner *present = change_find_partner(change);
    if (!present)
        return ERR_NOT_FOUND;
    change->partner = *present;
    change->partner.version = change->version;
    change->changes_partner = true;
    return OK;
}

static enum err end_change(struct change *change)
{
    enum err error =
        change_judge(change, accounts_store_change_partner(change->store, &change->partner));
    if (!error)
        change_add_entry(change, directory_entry_of_partner(&change->partner));
    return error;
}

bool partner_key_pointer_is_valid(struct slice text)
{
    return text.len == 0 || key_pointer_is_valid(text);
}

enum err change_change_partner(struct change *change)
{
    const struct accounts_request *request = change->request;
    struct partner *partner = &change->partner;
    enum err error = begin_change(change);
    if (error)
        return error;
    const unsigned known =
        PARTNER_CHANGE_ENABLED | PARTNER_CHANGE_KEY_POINTER | PARTNER_CHANGE_RULES;
    if (!request->changes || (request->changes & ~known))
        return change_refuse(
            change, ERR_INVALID, "changes: give at least one of enabled, key_pointer, rules");
    if (request->changes & PARTNER_CHANGE_RULES)
        partner->rules = request->partner_wanted.rules;
    if (request->changes & PARTNER_CHANGE_ENABLED && request->partner_wanted.enabled &&
        operator_event_is_account(TEXT_IN(partner->id)))
        return change_refuse(
            change, ERR_INVALID, "enabled: %s is the name of the gateway", OPERATOR_ACCOUNT);
    if (request->changes & PARTNER_CHANGE_ENABLED)
        partner->enabled = request->partner_wanted.enabled;
    if (request->changes & PARTNER_CHANGE_KEY_POINTER) {
        if (!partner_key_pointer_is_valid(TEXT_IN(request->partner_wanted.key_pointer)))
            return change_refuse(change, ERR_INVALID, "key_pointer: " PARTNER_KEY_POINTER_RULE);
        memcpy(
            partner->key_pointer, request->partner_wanted.key_pointer, sizeof partner->key_pointer);
    }
    return end_change(change);
}

/* Secrets. */

static unsigned find_secret(const struct partner *partner, uint64_t id)
{
    unsigned at = 0;
    while (at < partner->secrets_count && partner->secrets[at].id != id)
        at++;
    return at;
}

/* Among the partner's own, which is where people look; the table refuses what another partner's
 * has. */
static bool is_secret_taken(const struct change *change, uint64_t id)
{
    return find_secret(&change->partner, id) < change->partner.secrets_count;
}

enum err change_add_partner_secret(struct change *change)
{
    struct accounts_request *request = change->request;
    struct partner *partner = &change->partner;
    enum err error = begin_change(change);
    if (error)
        return error;
    if (partner->secrets_count == PARTNER_SECRETS_MAX)
        return change_refuse(change, ERR_INVALID,
            "partner %s already has %d secrets, and more are not allowed: remove one first",
            partner->id, PARTNER_SECRETS_MAX);
    if (request->secret.len == 0)
        secret_make(&request->secret);
    if ((error = change_check_secret(change, &request->secret)))
        return error;
    struct partner_secret secret = {.id = change_make_id(change, is_secret_taken),
        .secret = request->secret,
        .created_us = change->now_us};
    request->ret_secret_id = secret.id;
    error = accounts_store_add_partner_secret(change->store, partner->id, &secret, change->version);
    if ((error = change_judge_addition(change, error, "the", "secret")))
        return error;
    partner->secrets[partner->secrets_count++] = secret;
    return end_change(change);
}

enum err change_remove_partner_secret(struct change *change)
{
    struct partner *partner = &change->partner;
    enum err error = begin_change(change);
    if (error)
        return error;
    uint64_t id = change->request->secret_id;
    unsigned at = find_secret(partner, id);
    if (at == partner->secrets_count) {
        char text[PARTNER_SECRET_ID_TEXT_BYTES];
        partner_secret_id_format(id, text);
        return change_refuse(change, ERR_NOT_FOUND,
            "partner %s has no secret %s: \"penstock partner show PARTNER\" shows its secrets",
            partner->id, text);
    }
    for (partner->secrets_count--; at < partner->secrets_count; at++)
        partner->secrets[at] = partner->secrets[at + 1];
    memset(&partner->secrets[at], 0, sizeof partner->secrets[at]);
    if ((error = change_judge(
             change, accounts_store_remove_partner_secret(change->store, id, change->version))))
        return error;
    return end_change(change);
}

/* Credentials: API keys, known by their SHA-256 only. */

bool credential_label_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.data[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || is_c1)
            return false;
    }
    return text.len <= CREDENTIAL_LABEL_BYTES_MAX;
}

static enum err check_label(struct change *change)
{
    return credential_label_is_valid(TEXT_IN(change->request->credential_wanted.label))
               ? OK
               : change_refuse(change, ERR_INVALID, "label: " CREDENTIAL_LABEL_RULE);
}

static enum err check_expiry(struct change *change)
{
    return !credential_has_expired(&change->request->credential_wanted, change->now_us)
               ? OK
               : change_refuse(change, ERR_INVALID, "expires_at: " CREDENTIAL_EXPIRY_RULE);
}

/* A key for an account that the partner may not post for is a mistake: it would do nothing. */
static enum err check_scope(struct change *change, const struct partner *partner)
{
    const struct key_scope *scope = &change->request->credential_wanted.scope;
    if (scope->accounts_count > KEY_SCOPE_ACCOUNTS_MAX || scope->types.count > TYPE_LIST_MAX)
        return change_refuse(change, ERR_INVALID, "accounts, types: too many items");
    for (unsigned i = 0; i < scope->types.count; i++)
        if (!type_pattern_is_valid(TEXT_IN(scope->types.patterns[i])))
            return change_refuse(change, ERR_INVALID, "types: " TYPE_PATTERN_RULE);
    for (unsigned i = 0; i < scope->accounts_count; i++)
        if (!directory_may_post(
                change->directory, slice_from_string(partner->id), TEXT_IN(scope->accounts[i])))
            return change_refuse(change, ERR_INVALID,
                "accounts: partner %s may not post for account %.*s: run \"penstock partner "
                "grant\" first",
                partner->id, SLICE_ARGS(TEXT_IN(scope->accounts[i])));
    return OK;
}

enum err change_add_credential(struct change *change)
{
    struct credential *credential = &change->credential;
    const struct partner *partner = change_find_partner(change);
    enum err error;
    if (!partner)
        return ERR_NOT_FOUND;
    if ((error = check_label(change)) || (error = check_expiry(change)) ||
        (error = check_scope(change, partner)))
        return error;
    *credential = change->request->credential_wanted;
    credential->used_us = 0;
    change->changes_credential = true;
    credential->created_us = change->now_us;
    memcpy(credential->sha256, change->request->credential_sha256, SHA256_BYTES);
    memcpy(credential->partner, partner->id, sizeof credential->partner);
    change_add_entry(change, directory_entry_of_credential(credential));
    error = accounts_store_add_credential(change->store, credential, change->version);
    return change_judge_addition(change, error, "the", "credential");
}

static void match_credential(const struct credential *credential, void *context)
{
    struct change *change = context;
    if (credential_id(credential->sha256) != change->request->credential_id ||
        !slice_equals_string(TEXT_IN(change->request->partner), credential->partner))
        return;
    change->credential = *credential;
    change->credential.used_us = directory_last_use(credential);
}

/* Takes the credential that the request names, as it is. */
static enum err find_credential(struct change *change)
{
    const struct accounts_request *request = change->request;
    const struct partner *partner = change_find_partner(change);
    if (!partner)
        return ERR_NOT_FOUND;
    rcu_go_online();
    directory_each_credential(change->directory, match_credential, change);
    rcu_go_offline();
    if (change->credential.partner[0] == '\0') {
        char text[CREDENTIAL_ID_TEXT_BYTES];
        credential_id_format(request->credential_id, text);
        return change_refuse(change, ERR_NOT_FOUND,
            "partner %s has no key %s: \"penstock partner show PARTNER\" shows its keys",
            partner->id, text);
    }
    return OK;
}

enum err change_change_credential(struct change *change)
{
    const struct accounts_request *request = change->request;
    struct credential *credential = &change->credential;
    enum err error = find_credential(change);
    if (error)
        return error;
    const unsigned known = CREDENTIAL_CHANGE_LABEL | CREDENTIAL_CHANGE_EXPIRY;
    if (!request->changes || (request->changes & ~known))
        return change_refuse(
            change, ERR_INVALID, "changes: give at least one of label, expires_at");
    if (request->changes & CREDENTIAL_CHANGE_LABEL) {
        if ((error = check_label(change)))
            return error;
        memcpy(credential->label, request->credential_wanted.label, sizeof credential->label);
    }
    if (request->changes & CREDENTIAL_CHANGE_EXPIRY) {
        if ((error = check_expiry(change)))
            return error;
        credential->expires_us = request->credential_wanted.expires_us;
    }
    change->changes_credential = true;
    change_add_entry(change, directory_entry_of_credential(credential));
    return change_judge(
        change, accounts_store_change_credential(change->store, credential, change->version));
}

enum err change_revoke_credential(struct change *change)
{
    enum err error = find_credential(change);
    return error ? error
                 : change_judge(
                       change, accounts_store_revoke_credential(change->store,
                                   change->credential.sha256, change->version, change->now_us));
}

void change_take_out_credential(struct change *change)
{
    directory_withdraw_credential(change->directory, change->credential.sha256);
}

/* Grants. */

enum err change_grant(struct change *change)
{
    const struct partner *partner = change_find_partner(change);
    const struct account *account = partner ? change_find_account(change) : NULL;
    if (!account)
        return ERR_NOT_FOUND;
    if (operator_event_is_account(slice_from_string(account->id)))
        return change_refuse(change, ERR_INVALID,
            "account: %s is for operator events, and no partner may post for it", account->id);
    change_add_entry(change, directory_entry_of_grant(partner->id, account->id));
    enum err error = accounts_store_add_grant(
        change->store, partner->id, account->id, change->version, change->now_us);
    return change_judge_addition(change, error, "a grant for", account->id);
}

enum err change_withdraw_grant(struct change *change)
{
    const struct partner *partner = change_find_partner(change);
    const struct account *account = partner ? change_find_account(change) : NULL;
    if (!account)
        return ERR_NOT_FOUND;
    if (!directory_may_post(
            change->directory, slice_from_string(partner->id), slice_from_string(account->id)))
        return change_refuse(change, ERR_NOT_FOUND, "partner %s may not post for account %s",
            partner->id, account->id);
    return change_judge(change,
        accounts_store_withdraw_grant(change->store, partner->id, account->id, change->version));
}

void change_take_out_grant(struct change *change)
{
    directory_withdraw_grant(change->directory, change->request->partner, change->request->account);
}
