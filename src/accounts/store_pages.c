/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of accounts.db: read by a leader, written by a follower. */
#include "accounts/store_internal.h"

#include <assert.h>

#define MARK (-1) /* in the place of a version */

struct page_reading {
    struct accounts_page *page;
    enum accounts_kind kind;
};

/* The columns that every reading statement ends with. */
static void read_tail(sqlite3_stmt *row, struct accounts_object *object)
{
    int tail = sqlite3_column_count(row) - 3;
    object->version = sqlite3_column_int64(row, tail);
    object->created_us = sqlite3_column_int64(row, tail + 1);
    object->removed = sqlite3_column_int(row, tail + 2) != 0;
}

static enum err take_object(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    const struct page_reading *reading = context;
    struct accounts_object *object = accounts_page_add(reading->page, reading->kind);
    if (!object)
        return ERR_NO_MEMORY;
    read_tail(row, object);
    switch (reading->kind) {
    case ACCOUNTS_KIND_PARTNER:
        return store_read_partner(store, row, object->partner);
    case ACCOUNTS_KIND_ACCOUNT:
        return store_read_account(store, row, &object->account);
    case ACCOUNTS_KIND_ENDPOINT:
        return store_read_endpoint(store, row, object->endpoint);
    case ACCOUNTS_KIND_CREDENTIAL:
        return store_read_credential(store, row, &object->credential);
    case ACCOUNTS_KIND_GRANT:
        return store_read_grant(store, row, object->grant.partner, object->grant.account);
    case ACCOUNTS_KINDS:
        break;
    }
    return ERR_BUG;
}

/* All objects with a version behind `after`, up to `until`. */
static enum err read_range(
    struct accounts_store *store, int64_t after, int64_t until, struct accounts_page *page)
{
    static const enum statement statements[ACCOUNTS_KINDS] = {
        [ACCOUNTS_KIND_PARTNER] = STATEMENT_READ_PARTNERS,
        [ACCOUNTS_KIND_ACCOUNT] = STATEMENT_READ_ACCOUNTS,
        [ACCOUNTS_KIND_ENDPOINT] = STATEMENT_READ_ENDPOINTS,
        [ACCOUNTS_KIND_CREDENTIAL] = STATEMENT_READ_CREDENTIALS,
        [ACCOUNTS_KIND_GRANT] = STATEMENT_READ_GRANTS};
    enum err error = OK;
    for (unsigned kind = 0; kind < ACCOUNTS_KINDS && !error; kind++) {
        struct page_reading reading = {.page = page, .kind = (enum accounts_kind)kind};
        store_bind_number(store, statements[kind], 1, after);
        store_bind_number(store, statements[kind], 2, until);
        error = store_each_row(store, statements[kind], take_object, &reading);
    }
    return error;
}

enum err accounts_store_version(struct accounts_store *store, int64_t *ret_version)
{
    return store_run_for_number(store, STATEMENT_VERSION, ret_version);
}

struct page_end {
    int64_t version, objects;
};

static enum err take_page_end(struct accounts_store *store, sqlite3_stmt *row, void *context)
{
    struct page_end *end = context;
    end->version = sqlite3_column_int64(row, 0);
    end->objects = sqlite3_column_int64(row, 1);
    return OK;
}

enum err accounts_store_read_page(
    struct accounts_store *store, int64_t after, struct accounts_page *page)
{
    int64_t newest = 0;
    struct page_end end = {0};
    enum err error = accounts_store_version(store, &newest);
    if (error)
        return error;
    if (after > newest)
        return ERR_NOT_FOUND;
    store_bind_number(store, STATEMENT_PAGE_END, 1, after);
    store_bind_number(store, STATEMENT_PAGE_END, 2, REPLICATION_PAGE_OBJECTS);
    if ((error = store_each_row(store, STATEMENT_PAGE_END, take_page_end, &end)))
        return error;
    page->more = end.objects == REPLICATION_PAGE_OBJECTS && end.version < newest;
    page->version = page->more ? end.version : newest;
    return read_range(store, after, page->version, page);
}

enum err accounts_store_following(struct accounts_store *store, enum store_following *ret_following)
{
    int64_t following = 0;
    enum err error = store_run_for_number(store, STATEMENT_FOLLOWING, &following);
    if (!error)
        *ret_following = (enum store_following)following;
    return error;
}

static enum err set_meta(struct accounts_store *store, const char *name, int64_t value)
{
    store_bind_text(store, STATEMENT_SET_META, 1, name);
    store_bind_number(store, STATEMENT_SET_META, 2, value);
    return store_run(store, STATEMENT_SET_META);
}

enum err accounts_store_end_page(struct accounts_store *store, int64_t version, bool complete)
{
    enum err error = complete ? set_meta(store, "following", STORE_HAS_FOLLOWED) : OK;
    return error ? error : set_meta(store, "version", version);
}

enum err accounts_store_mark_all(struct accounts_store *store)
{
    /* Secrets of endpoints are of no use here, and had better not lie about. */
    static const char sql[] =
        "UPDATE partners SET version = -1; UPDATE accounts SET version = -1;"
        "UPDATE endpoints SET version = -1; UPDATE credentials SET version = -1;"
        "UPDATE grants SET version = -1; DELETE FROM secrets;";
    enum store_following following = STORE_LEADS;
    enum err error = store_execute(store, sql);
    if (!error)
        error = accounts_store_following(store, &following);
    if (!error && following == STORE_LEADS)
        error = set_meta(store, "following", STORE_FOLLOWS);
    return error ? error : set_meta(store, "version", 0);
}

enum err accounts_store_read_marked(struct accounts_store *store, struct accounts_page *page)
{
    size_t before = page->count;
    enum err error = read_range(store, MARK - 1, MARK, page);
    for (size_t i = before; i < page->count; i++)
        page->objects[i].removed = true;
    return error;
}

/* A follower's writing. */

static enum err put_partner(struct accounts_store *store, const struct accounts_object *object)
{
    const struct partner *partner = object->partner;
    store_bind_text(store, STATEMENT_PUT_PARTNER, 1, partner->id);
    store_bind_number(store, STATEMENT_PUT_PARTNER, 2, partner->enabled);
    store_bind_text(store, STATEMENT_PUT_PARTNER, 3, partner->key_pointer);
    store_bind_number(store, STATEMENT_PUT_PARTNER, 4, object->version);
    store_bind_number(store, STATEMENT_PUT_PARTNER, 5, object->created_us);
    enum err error = store_run(store, STATEMENT_PUT_PARTNER);
    store_bind_text(store, STATEMENT_CLEAR_PARTNER_SECRETS, 1, partner->id);
    if (!error)
        error = store_run(store, STATEMENT_CLEAR_PARTNER_SECRETS);
    for (unsigned i = 0; !error && i < partner->secrets_count; i++) {
        const struct partner_secret *secret = &partner->secrets[i];
        store_bind_number(store, STATEMENT_PUT_PARTNER_SECRET, 1, (int64_t)secret->id);
        store_bind_text(store, STATEMENT_PUT_PARTNER_SECRET, 2, partner->id);
        store_bind_blob(
            store, STATEMENT_PUT_PARTNER_SECRET, 3, secret->secret.bytes, secret->secret.len);
        store_bind_number(store, STATEMENT_PUT_PARTNER_SECRET, 4,
            i); /* their order; here a version says nothing else */
        store_bind_number(store, STATEMENT_PUT_PARTNER_SECRET, 5, secret->created_us);
        error = store_run(store, STATEMENT_PUT_PARTNER_SECRET);
    }
    return error;
}

static enum err put_account(struct accounts_store *store, const struct accounts_object *object)
{
    store_bind_text(store, STATEMENT_PUT_ACCOUNT, 1, object->account.id);
    store_bind_number(store, STATEMENT_PUT_ACCOUNT, 2, object->account.enabled);
    store_bind_number(store, STATEMENT_PUT_ACCOUNT, 3, object->version);
    store_bind_number(store, STATEMENT_PUT_ACCOUNT, 4, object->created_us);
    return store_run(store, STATEMENT_PUT_ACCOUNT);
}

static enum err put_endpoint(
    struct accounts_store *store, const struct accounts_object *object, uint64_t *ret_namesake)
{
    const struct endpoint *endpoint = object->endpoint;
    int64_t namesake = 0;
    store_bind_text(store, STATEMENT_FIND_NAMESAKE, 1, endpoint->account);
    store_bind_text(store, STATEMENT_FIND_NAMESAKE, 2, endpoint->name);
    store_bind_number(store, STATEMENT_FIND_NAMESAKE, 3, (int64_t)endpoint->id);
    enum err error = store_run_for_number(store, STATEMENT_FIND_NAMESAKE, &namesake);
    *ret_namesake = (uint64_t)namesake;
    store_bind_number(store, STATEMENT_DROP_ENDPOINT, 1, namesake);
    if (!error)
        error = store_run(store, STATEMENT_DROP_ENDPOINT);
    return error ? error
                 : store_run_with_endpoint(
                       store, STATEMENT_PUT_ENDPOINT, endpoint, object->created_us);
}

static enum err put_credential(struct accounts_store *store, const struct accounts_object *object)
{
    store_bind_blob(store, STATEMENT_PUT_CREDENTIAL, 1, object->credential.sha256, SHA256_BYTES);
    store_bind_text(store, STATEMENT_PUT_CREDENTIAL, 2, object->credential.partner);
    store_bind_number(store, STATEMENT_PUT_CREDENTIAL, 3, object->version);
    store_bind_number(store, STATEMENT_PUT_CREDENTIAL, 4, object->created_us);
    return store_run(store, STATEMENT_PUT_CREDENTIAL);
}

static enum err put_grant(struct accounts_store *store, const struct accounts_object *object)
{
    store_bind_text(store, STATEMENT_PUT_GRANT, 1, object->grant.partner);
    store_bind_text(store, STATEMENT_PUT_GRANT, 2, object->grant.account);
    store_bind_number(store, STATEMENT_PUT_GRANT, 3, object->version);
    store_bind_number(store, STATEMENT_PUT_GRANT, 4, object->created_us);
    return store_run(store, STATEMENT_PUT_GRANT);
}

enum err accounts_store_put(
    struct accounts_store *store, const struct accounts_object *object, uint64_t *ret_namesake)
{
    *ret_namesake = 0;
    switch (object->kind) {
    case ACCOUNTS_KIND_PARTNER:
        return put_partner(store, object);
    case ACCOUNTS_KIND_ACCOUNT:
        return put_account(store, object);
    case ACCOUNTS_KIND_ENDPOINT:
        return put_endpoint(store, object, ret_namesake);
    case ACCOUNTS_KIND_CREDENTIAL:
        return put_credential(store, object);
    case ACCOUNTS_KIND_GRANT:
        return put_grant(store, object);
    case ACCOUNTS_KINDS:
        break;
    }
    return ERR_BUG;
}

static enum err drop_partner(struct accounts_store *store, const char *partner)
{
    store_bind_text(store, STATEMENT_CLEAR_PARTNER_SECRETS, 1, partner);
    enum err error = store_run(store, STATEMENT_CLEAR_PARTNER_SECRETS);
    store_bind_text(store, STATEMENT_DROP_PARTNER, 1, partner);
    return error ? error : store_run(store, STATEMENT_DROP_PARTNER);
}

enum err accounts_store_drop(struct accounts_store *store, const struct accounts_object *object)
{
    switch (object->kind) {
    case ACCOUNTS_KIND_PARTNER:
        return drop_partner(store, object->partner->id);
    case ACCOUNTS_KIND_ACCOUNT:
        store_bind_text(store, STATEMENT_DROP_ACCOUNT, 1, object->account.id);
        return store_run(store, STATEMENT_DROP_ACCOUNT);
    case ACCOUNTS_KIND_ENDPOINT:
        store_bind_number(store, STATEMENT_DROP_ENDPOINT, 1, (int64_t)object->endpoint->id);
        return store_run(store, STATEMENT_DROP_ENDPOINT);
    case ACCOUNTS_KIND_CREDENTIAL:
        store_bind_blob(
            store, STATEMENT_DROP_CREDENTIAL, 1, object->credential.sha256, SHA256_BYTES);
        return store_run(store, STATEMENT_DROP_CREDENTIAL);
    case ACCOUNTS_KIND_GRANT:
        store_bind_text(store, STATEMENT_DROP_GRANT, 1, object->grant.partner);
        store_bind_text(store, STATEMENT_DROP_GRANT, 2, object->grant.account);
        return store_run(store, STATEMENT_DROP_GRANT);
    case ACCOUNTS_KINDS:
        break;
    }
    return ERR_BUG;
}
