/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works as a single change does: check, write, make the entries -> commit -> publish, take out. A
 * page does not have the arrays of endpoints of its accounts. They are made here, in a copy of each
 * account that the page touches, out of the account that is published now and of the endpoints that
 * the page adds and removes.
 *
 *   write      removed objects first, since their names may be taken again; then the others, by
 *              kind
 *   publish    endpoints before their accounts, then the others; then take out the others, and
 *              endpoints last, when no reader holds an account that names them
 */
#include "accounts/apply.h"
#include "accounts/account_endpoints.h"

#include "runtime/rcu.h"

#include <stdio.h>

struct touched_account {
    struct account account;
    bool removed;
};

struct application {
    struct accounts_store *store;
    struct directory *directory;
    struct accounts_page *page;
    char *detail;

    struct touched_account *accounts;
    size_t accounts_count, accounts_capacity;
    uint64_t *leaving; /* endpoints that gave way to others of their name */
    size_t leaving_count, leaving_capacity;
    struct directory_entry **entries; /* to be published, in this order */
    size_t entries_count, entries_capacity;
};

static enum err refuse_object(struct application *application, enum err error, const char *what)
{
    snprintf(application->detail, STORE_DETAIL_BYTES, "%s", what);
    return error;
}

static enum err judge(struct application *application, enum err error)
{
    return error ? refuse_object(application, error, accounts_store_detail(application->store))
                 : OK;
}

/* Room for one more; false when there is no memory. */
static bool reserve(void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *moved = realloc(*array, larger * size);
    if (!moved)
        return false;
    *array = moved;
    *capacity = larger;
    return true;
}

static enum err no_memory(struct application *application)
{
    return refuse_object(application, ERR_NO_MEMORY, "out of memory");
}

/* The copy of an account that the page touches: valid until the next call. NULL when there is no
 * such account, unless it is `new`. */
static enum err touch(
    struct application *application, const char *id, bool new, struct touched_account **ret_touched)
{
    for (size_t i = 0; i < application->accounts_count; i++) {
        if (strcmp(application->accounts[i].account.id, id) == 0) {
            *ret_touched = &application->accounts[i];
            return OK;
        }
    }
    *ret_touched = NULL;
    const struct account *present =
        directory_account(application->directory, slice_from_string(id));
    if (!present && !new)
        return OK;
    if (!reserve((void **)&application->accounts, application->accounts_count,
            &application->accounts_capacity, sizeof *application->accounts))
        return no_memory(application);
    struct touched_account *touched = &application->accounts[application->accounts_count++];
    *touched = (struct touched_account){0};
    if (present)
        touched->account = *present;
    snprintf(touched->account.id, sizeof touched->account.id, "%s", id);
    *ret_touched = touched;
    return OK;
}

static enum err add_entry(struct application *application, struct directory_entry *entry)
{
    if (!reserve((void **)&application->entries, application->entries_count,
            &application->entries_capacity, sizeof *application->entries)) {
        directory_entry_free(entry);
        return no_memory(application);
    }
    application->entries[application->entries_count++] = entry;
    return OK;
}

static enum err remove_object(struct application *application, const struct accounts_object *object)
{
    struct touched_account *touched = NULL;
    enum err error = OK;
    if (object->kind == ACCOUNTS_KIND_ENDPOINT)
        error = touch(application, object->endpoint->account, false, &touched);
    else if (object->kind == ACCOUNTS_KIND_ACCOUNT)
        error = touch(application, object->account.id, true, &touched);
    if (error)
        return error;
    if (touched && object->kind == ACCOUNTS_KIND_ENDPOINT)
        account_endpoints_remove(&touched->account, object->endpoint->id);
    else if (touched)
        touched->removed = true;
    return judge(application, accounts_store_drop(application->store, object));
}

static enum err take_account(struct application *application, const struct account *account)
{
    struct touched_account *touched;
    enum err error = touch(application, account->id, true, &touched);
    if (error)
        return error;
    touched->account.enabled = account->enabled;
    touched->account.version = account->version;
    touched->removed = false;
    return OK;
}

static bool has_room_for(const struct account *account, uint64_t endpoint)
{
    for (unsigned i = 0; i < account->endpoints_count; i++)
        if (account->endpoints[i] == endpoint)
            return true;
    return account->endpoints_count < ACCOUNT_ENDPOINTS_MAX;
}

static enum err take_endpoint(
    struct application *application, const struct endpoint *endpoint, uint64_t namesake)
{
    struct touched_account *touched;
    enum err error = touch(application, endpoint->account, false, &touched);
    if (error)
        return error;
    if (!touched)
        return refuse_object(application, ERR_DAMAGED, "an endpoint is sent before its account");
    if (namesake) {
        if (!reserve((void **)&application->leaving, application->leaving_count,
                &application->leaving_capacity, sizeof *application->leaving))
            return no_memory(application);
        application->leaving[application->leaving_count++] = namesake;
        account_endpoints_remove(&touched->account, namesake);
    }
    if (!has_room_for(&touched->account, endpoint->id))
        return refuse_object(application, ERR_DAMAGED, "an account has too many endpoints");
    account_endpoints_put(&touched->account, endpoint);
    return add_entry(application, directory_entry_of_endpoint(endpoint));
}

static enum err put_object(struct application *application, const struct accounts_object *object)
{
    uint64_t namesake;
    enum err error = judge(application, accounts_store_put(application->store, object, &namesake));
    if (error)
        return error;
    switch (object->kind) {
    case ACCOUNTS_KIND_PARTNER:
        return add_entry(application, directory_entry_of_partner(object->partner));
    case ACCOUNTS_KIND_ACCOUNT:
        return take_account(application, &object->account);
    case ACCOUNTS_KIND_ENDPOINT:
        return take_endpoint(application, object->endpoint, namesake);
    case ACCOUNTS_KIND_CREDENTIAL:
        return add_entry(application, directory_entry_of_credential(object->credential));
    case ACCOUNTS_KIND_GRANT:
        return add_entry(
            application, directory_entry_of_grant(object->grant.partner, object->grant.account));
    case ACCOUNTS_KIND_SWITCH:
        return add_entry(application, directory_entry_of_switch(object->off));
    case ACCOUNTS_KINDS:
        break;
    }
    return refuse_object(application, ERR_BUG, "there is no such kind of object");
}

static enum err remove_from(struct application *application, size_t first)
{
    enum err error = OK;
    for (size_t i = first; !error && i < application->page->count; i++)
        if (application->page->objects[i].removed)
            error = remove_object(application, &application->page->objects[i]);
    return error;
}

/* By kind, so that an account is there before its endpoints, whatever the order of the page. */
static enum err put_all(struct application *application)
{
    enum err error = OK;
    for (unsigned kind = 0; kind < ACCOUNTS_KINDS; kind++)
        for (size_t i = 0; !error && i < application->page->count; i++)
            if (application->page->objects[i].kind == kind &&
                !application->page->objects[i].removed)
                error = put_object(application, &application->page->objects[i]);
    return error;
}

static enum err write_page(struct application *application)
{
    struct accounts_page *page = application->page;
    enum err error = remove_from(application, 0);
    if (!error)
        error = put_all(application);
    if (!error && !page->more) {
        size_t first = page->count;
        error = judge(application, accounts_store_read_marked(application->store, page));
        if (!error)
            error = remove_from(application, first);
    }
    for (size_t i = 0; !error && i < application->accounts_count; i++)
        if (!application->accounts[i].removed)
            error = add_entry(
                application, directory_entry_of_account(&application->accounts[i].account));
    return error ? error
                 : judge(application,
                       accounts_store_end_page(application->store, page->version, !page->more));
}

/* A page also brings switches that this follower has already. */
static void note_news(struct application *application)
{
    for (size_t i = 0; i < application->page->count; i++) {
        struct accounts_object *object = &application->page->objects[i];
        if (object->kind != ACCOUNTS_KIND_SWITCH)
            continue;
        bool was_off = directory_switch_at(application->directory, object->off->kind,
            slice_from_string(object->off->account), object->off->endpoint);
        object->is_news = was_off == object->removed;
    }
}

/* Cannot fail: the change is on the disk. */
static void publish(struct application *application)
{
    struct directory *directory = application->directory;
    const struct accounts_page *page = application->page;
    note_news(application);
    for (size_t i = 0; i < application->entries_count; i++)
        directory_publish(directory, application->entries[i]);
    bool endpoints_leave = application->leaving_count > 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct accounts_object *object = &page->objects[i];
        if (!object->removed)
            continue;
        if (object->kind == ACCOUNTS_KIND_PARTNER)
            directory_withdraw_partner(directory, object->partner->id);
        else if (object->kind == ACCOUNTS_KIND_CREDENTIAL)
            directory_withdraw_credential(directory, object->credential->sha256);
        else if (object->kind == ACCOUNTS_KIND_GRANT)
            directory_withdraw_grant(directory, object->grant.partner, object->grant.account);
        else if (object->kind == ACCOUNTS_KIND_SWITCH)
            directory_withdraw_switch(
                directory, object->off->kind, object->off->account, object->off->endpoint);
        endpoints_leave |= object->kind == ACCOUNTS_KIND_ENDPOINT;
    }
    for (size_t i = 0; i < application->accounts_count; i++)
        if (application->accounts[i].removed)
            directory_withdraw_account(directory, application->accounts[i].account.id);
    if (!endpoints_leave)
        return;
    rcu_wait_for_readers();
    for (size_t i = 0; i < page->count; i++)
        if (page->objects[i].removed && page->objects[i].kind == ACCOUNTS_KIND_ENDPOINT)
            directory_withdraw_endpoint(directory, page->objects[i].endpoint->id);
    for (size_t i = 0; i < application->leaving_count; i++)
        directory_withdraw_endpoint(directory, application->leaving[i]);
}

enum err apply_page(struct accounts_store *store, struct directory *directory,
    struct accounts_page *page, char *ret_detail)
{
    struct application application = {
        .store = store, .directory = directory, .page = page, .detail = ret_detail};
    enum err error = judge(&application, accounts_store_begin_copy(store));
    if (!error)
        error = write_page(&application);
    if (!error)
        error = judge(&application, accounts_store_commit(store));
    if (!error) {
        publish(&application);
    } else {
        accounts_store_rollback(store);
        for (size_t i = 0; i < application.entries_count; i++)
            directory_entry_free(application.entries[i]);
    }
    free(application.accounts);
    free(application.leaving);
    free(application.entries);
    return error;
}
