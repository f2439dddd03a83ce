/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one API key may do, within the rights of its partner: the accounts and the event types that
 * it may post. An empty list means all of the partner's.
 */
#ifndef PENSTOCK_MODEL_KEY_SCOPE_H
#define PENSTOCK_MODEL_KEY_SCOPE_H

#include "model/type_list.h"

#define KEY_SCOPE_ACCOUNTS_MAX 16

struct key_scope {
    unsigned accounts_count;
    char accounts[KEY_SCOPE_ACCOUNTS_MAX][NAME_BYTES_MAX + 1];
    struct type_list types;
};

/* Returns false if the list is full or the name is not valid. */
bool key_scope_add_account(struct key_scope *scope, struct slice account);

static inline bool key_scope_is_limited(const struct key_scope *scope)
{
    return scope->accounts_count > 0 || scope->types.count > 0;
}

bool key_scope_has_account(const struct key_scope *scope, struct slice account);
bool key_scope_has_type(const struct key_scope *scope, struct slice type);

#endif
