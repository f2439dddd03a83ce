/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/change.h"

#include "model/name.h"

#include <stdarg.h>
#include <stdio.h>

enum err change_refuse(struct change *change, enum err error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(change->request->detail, sizeof change->request->detail, format, args);
    va_end(args);
    return error;
}

enum err change_refuse_for_disk(struct change *change, enum err error)
{
    return change_refuse(change, error, "the account database could not be written: %s",
        accounts_store_detail(change->store));
}

enum err change_judge(struct change *change, enum err error)
{
    return error ? change_refuse_for_disk(change, error) : OK;
}

enum err change_judge_addition(
    struct change *change, enum err error, const char *what, const char *name)
{
    if (error == ERR_EXISTS)
        return change_refuse(change, error, "%s %s already exists", what, name);
    return change_judge(change, error);
}

void change_add_entry(struct change *change, struct directory_entry *entry)
{
    change->entries[change->entries_count++] = entry;
}

enum err change_check_name(struct change *change, const char *field, struct slice name)
{
    return name_is_valid(name) ? OK : change_refuse(change, ERR_INVALID, "%s: " NAME_RULE, field);
}

enum err change_check_secret(struct change *change, const struct secret *secret)
{
    if (secret->len > 0 && secret->len <= sizeof secret->bytes)
        return OK;
    return change_refuse(
        change, ERR_INVALID, "secret: must have 1 to %zu bytes", sizeof secret->bytes);
}

const struct partner *change_find_partner(struct change *change)
{
    struct slice id = TEXT_IN(change->request->partner);
    const struct partner *partner = directory_partner(change->directory, id);
    if (!partner)
        change_refuse(change, ERR_NOT_FOUND,
            "partner \"%.*s\" does not exist: add it with \"penstock partner add\"",
            SLICE_ARGS(id));
    return partner;
}

const struct account *change_find_account(struct change *change)
{
    struct slice id = TEXT_IN(change->request->account);
    const struct account *account = directory_account(change->directory, id);
    if (!account)
        change_refuse(change, ERR_NOT_FOUND,
            "account \"%.*s\" does not exist: add it with \"penstock account add\"",
            SLICE_ARGS(id));
    return account;
}

uint64_t change_make_id(
    const struct change *change, bool (*is_taken)(const struct change *change, uint64_t id))
{
    uint64_t id;
    do {
        crypto_random(&id, sizeof id);
        id &= INT64_MAX;
    } while (id == 0 || is_taken(change, id));
    return id;
}
