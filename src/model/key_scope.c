/* SPDX-License-Identifier: Apache-2.0 */
#include "model/key_scope.h"

#include "model/name.h"

bool key_scope_add_account(struct key_scope *scope, struct slice account)
{
    if (scope->accounts_count == KEY_SCOPE_ACCOUNTS_MAX || !name_is_valid(account))
        return false;
    char *text = scope->accounts[scope->accounts_count++];
    memcpy(text, account.data, account.len);
    text[account.len] = '\0';
    return true;
}

bool key_scope_has_account(const struct key_scope *scope, struct slice account)
{
    for (unsigned i = 0; i < scope->accounts_count; i++)
        if (slice_equals_string(account, scope->accounts[i]))
            return true;
    return scope->accounts_count == 0;
}

bool key_scope_has_type(const struct key_scope *scope, struct slice type)
{
    return scope->types.count == 0 || type_list_matches(&scope->types, type);
}
