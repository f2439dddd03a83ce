/* SPDX-License-Identifier: Apache-2.0 */
/* Switches in accounts.db: those that are off, and the last changes. */
#include "accounts/store_internal.h"

enum err accounts_store_count_switches(struct accounts_store *store, int64_t *ret_count)
{
    struct sql_use use = store_use(store, STATEMENT_COUNT_SWITCHES);
    return store_run_for_number(store, &use, ret_count);
}

enum err accounts_store_switch_off(struct accounts_store *store, const struct operator_switch *off)
{
    struct sql_use use = store_use(store, STATEMENT_SWITCH_OFF);
    sql_bind_string(&use, switch_name(off->kind));
    sql_bind_string(&use, off->account);
    sql_bind_int(&use, (int64_t)off->endpoint);
    sql_bind_string(&use, off->reason);
    sql_bind_int(&use, off->version);
    sql_bind_int(&use, off->since_us);
    return store_run(store, &use);
}

enum err accounts_store_switch_on(struct accounts_store *store, enum switch_kind kind,
    const char *account, uint64_t endpoint, int64_t version)
{
    struct sql_use use = store_use(store, STATEMENT_SWITCH_ON);
    sql_bind_int(&use, version);
    sql_bind_string(&use, switch_name(kind));
    sql_bind_string(&use, account);
    sql_bind_int(&use, (int64_t)endpoint);
    return store_run_on_one_row(store, &use, "the switch has no row");
}

enum err accounts_store_note_switch(
    struct accounts_store *store, const struct switch_change *change)
{
    struct sql_use use = store_use(store, STATEMENT_ADD_SWITCH_CHANGE);
    sql_bind_int(&use, change->at_us);
    sql_bind_string(&use, switch_name(change->kind));
    sql_bind_string(&use, change->account);
    sql_bind_int(&use, (int64_t)change->endpoint);
    sql_bind_int(&use, change->is_off);
    sql_bind_string(&use, change->reason);
    sql_bind_string(&use, change->actor);
    enum err error = store_run(store, &use);
    if (error)
        return error;
    use = store_use(store, STATEMENT_TRIM_SWITCH_CHANGES);
    sql_bind_int(&use, SWITCH_CHANGES_KEPT);
    return store_run(store, &use);
}

struct change_list {
    struct switch_change *changes;
    unsigned count, count_max;
};

static enum err take_change(struct accounts_store *store, const struct sql_use *row, void *context)
{
    struct change_list *list = context;
    if (list->count == list->count_max)
        return OK;
    struct switch_change *change = &list->changes[list->count++];
    *change = (struct switch_change){.endpoint = (uint64_t)sql_column_int(row, 2),
        .is_off = sql_column_int(row, 3) != 0,
        .at_us = sql_column_int(row, 6)};
    return switch_find(sql_column_slice(row, 0), &change->kind) &&
                   store_read_text(row, 1, change->account, sizeof change->account) &&
                   store_read_text(row, 4, change->reason, sizeof change->reason) &&
                   store_read_text(row, 5, change->actor, sizeof change->actor)
               ? OK
               : accounts_store_damaged(store, "a change of a switch cannot be read");
}

enum err accounts_store_list_switch_changes(struct accounts_store *store, unsigned count_max,
    struct switch_change *ret_changes, unsigned *ret_count)
{
    struct change_list list = {.changes = ret_changes, .count_max = count_max};
    struct sql_use use = store_use(store, STATEMENT_LIST_SWITCH_CHANGES);
    sql_bind_int(&use, count_max);
    enum err error = store_each_row(store, &use, take_change, &list);
    *ret_count = error ? 0 : list.count;
    return error;
}
