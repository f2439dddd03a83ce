/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of objects: in memory, read from accounts.db by a leader, written to it by a follower. */
#include "accounts/store_internal.h"

#include "base/memory.h"

#define MARK (-1) /* in the place of a version */

/* In memory. */

const char *accounts_kind_name(enum accounts_kind kind)
{
    static const char *const names[ACCOUNTS_KINDS] = {[ACCOUNTS_KIND_PARTNER] = "partner",
        [ACCOUNTS_KIND_ACCOUNT] = "account",
        [ACCOUNTS_KIND_ENDPOINT] = "endpoint",
        [ACCOUNTS_KIND_CREDENTIAL] = "credential",
        [ACCOUNTS_KIND_GRANT] = "grant",
        [ACCOUNTS_KIND_SWITCH] = "switch"};
    return (unsigned)kind < ACCOUNTS_KINDS ? names[kind] : "unknown";
}

static bool grow(struct accounts_page *page)
{
    size_t capacity = page->capacity ? page->capacity * 2 : 64;
    struct accounts_object *larger = realloc(page->objects, capacity * sizeof *larger);
    if (!larger)
        return false;
    page->objects = larger;
    page->capacity = capacity;
    return true;
}

struct accounts_object *accounts_page_add(struct accounts_page *page, enum accounts_kind kind)
{
    if (page->count == page->capacity && !grow(page))
        return NULL;
    struct accounts_object *object = &page->objects[page->count];
    *object = (struct accounts_object){.kind = kind};
    if (kind == ACCOUNTS_KIND_PARTNER)
        MEMORY_NEW(object->partner);
    if (kind == ACCOUNTS_KIND_ENDPOINT)
        MEMORY_NEW(object->endpoint);
    if (kind == ACCOUNTS_KIND_CREDENTIAL)
        MEMORY_NEW(object->credential);
    if (kind == ACCOUNTS_KIND_SWITCH)
        MEMORY_NEW(object->off);
    page->count++;
    return object;
}

void accounts_page_done(struct accounts_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        if (page->objects[i].kind == ACCOUNTS_KIND_PARTNER)
            free(page->objects[i].partner);
        if (page->objects[i].kind == ACCOUNTS_KIND_ENDPOINT)
            free(page->objects[i].endpoint);
        if (page->objects[i].kind == ACCOUNTS_KIND_CREDENTIAL)
            free(page->objects[i].credential);
        if (page->objects[i].kind == ACCOUNTS_KIND_SWITCH)
            free(page->objects[i].off);
    }
    free(page->objects);
    *page = (struct accounts_page){0};
}

/* A leader's reading. */

struct page_reading {
    struct accounts_page *page;
    enum accounts_kind kind;
};

/* The columns that every reading statement ends with. */
static void read_tail(const struct sql_use *row, struct accounts_object *object)
{
    int tail = sql_columns(row) - 3;
    object->version = sql_column_int(row, tail);
    object->created_us = sql_column_int(row, tail + 1);
    object->removed = sql_column_int(row, tail + 2) != 0;
}

static enum err take_object(struct accounts_store *store, const struct sql_use *row, void *context)
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
        return store_read_credential(store, row, object->credential);
    case ACCOUNTS_KIND_GRANT:
        return store_read_grant(store, row, object->grant.partner, object->grant.account);
    case ACCOUNTS_KIND_SWITCH:
        return store_read_switch(store, row, object->off);
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
        [ACCOUNTS_KIND_GRANT] = STATEMENT_READ_GRANTS,
        [ACCOUNTS_KIND_SWITCH] = STATEMENT_READ_SWITCHES};
    enum err error = OK;
    for (unsigned kind = 0; kind < ACCOUNTS_KINDS && !error; kind++) {
        struct page_reading reading = {.page = page, .kind = (enum accounts_kind)kind};
        struct sql_use use = store_use(store, statements[kind]);
        sql_bind_int(&use, after);
        sql_bind_int(&use, until);
        error = store_each_row(store, &use, take_object, &reading);
    }
    return error;
}

enum err accounts_store_version(struct accounts_store *store, int64_t *ret_version)
{
    struct sql_use use = store_use(store, STATEMENT_VERSION);
    return store_run_for_number(store, &use, ret_version);
}

struct page_end {
    int64_t version, objects;
};

static enum err take_page_end(
    struct accounts_store *store, const struct sql_use *row, void *context)
{
    struct page_end *end = context;
    end->version = sql_column_int(row, 0);
    end->objects = sql_column_int(row, 1);
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
    struct sql_use use = store_use(store, STATEMENT_PAGE_END);
    sql_bind_int(&use, after);
    sql_bind_int(&use, REPLICATION_PAGE_OBJECTS);
    if ((error = store_each_row(store, &use, take_page_end, &end)))
        return error;
    page->more = end.objects == REPLICATION_PAGE_OBJECTS && end.version < newest;
    page->version = page->more ? end.version : newest;
    return read_range(store, after, page->version, page);
}

enum err accounts_store_following(struct accounts_store *store, enum store_following *ret_following)
{
    int64_t following = 0;
    struct sql_use use = store_use(store, STATEMENT_FOLLOWING);
    enum err error = store_run_for_number(store, &use, &following);
    if (!error)
        *ret_following = (enum store_following)following;
    return error;
}

static enum err set_meta(struct accounts_store *store, const char *name, int64_t value)
{
    struct sql_use use = store_use(store, STATEMENT_SET_META);
    sql_bind_string(&use, name);
    sql_bind_int(&use, value);
    return store_run(store, &use);
}

enum err accounts_store_end_page(struct accounts_store *store, int64_t version, bool complete)
{
    enum err error = complete ? set_meta(store, "following", STORE_HAS_FOLLOWED) : OK;
    return error ? error : set_meta(store, "version", version);
}

enum err accounts_store_mark_all(struct accounts_store *store)
{
    /* A follower sends nothing to endpoints: it keeps neither their secrets nor their policies. */
    static const char sql[] = "UPDATE partners SET version = -1; UPDATE accounts SET version = -1;"
                              "UPDATE endpoints SET version = -1, policy = '';"
                              "UPDATE credentials SET version = -1;"
                              "UPDATE grants SET version = -1; DELETE FROM secrets;"
                              "UPDATE switches SET version = -1;";
    enum store_following following = STORE_LEADS;
    enum err error = sql_run(store->db, sql);
    if (error)
        error = accounts_store_fail(store, error, false);
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

static enum err run_for_int(struct accounts_store *store, enum statement which, int64_t key)
{
    struct sql_use use = store_use(store, which);
    sql_bind_int(&use, key);
    return store_run(store, &use);
}

static enum err run_for_string(struct accounts_store *store, enum statement which, const char *key)
{
    struct sql_use use = store_use(store, which);
    sql_bind_string(&use, key);
    return store_run(store, &use);
}

static enum err put_partner_secret(struct accounts_store *store, const char *partner,
    const struct partner_secret *secret, unsigned number)
{
    struct sql_use use = store_use(store, STATEMENT_PUT_PARTNER_SECRET);
    sql_bind_int(&use, (int64_t)secret->id);
    sql_bind_string(&use, partner);
    sql_bind_blob(&use, slice_of(secret->secret.bytes, secret->secret.len));
    sql_bind_int(&use, number); /* in place of a version, which says nothing here: their order */
    sql_bind_int(&use, secret->created_us);
    return store_run(store, &use);
}

static enum err put_partner(struct accounts_store *store, const struct accounts_object *object)
{
    const struct partner *partner = object->partner;
    struct buffer rules = BUFFER_EMPTY;
    enum err error = store_print_rules(&partner->rules, &rules);
    if (error)
        return error;
    struct sql_use use = store_use(store, STATEMENT_PUT_PARTNER);
    sql_bind_string(&use, partner->id);
    sql_bind_int(&use, partner->enabled);
    sql_bind_string(&use, partner->key_pointer);
    sql_bind_text(&use, buffer_slice(&rules));
    sql_bind_int(&use, object->version);
    sql_bind_int(&use, object->created_us);
    error = store_run(store, &use);
    buffer_done(&rules);
    if (!error)
        error = run_for_string(store, STATEMENT_CLEAR_PARTNER_SECRETS, partner->id);
    for (unsigned i = 0; !error && i < partner->secrets_count; i++)
        error = put_partner_secret(store, partner->id, &partner->secrets[i], i);
    return error;
}

static enum err put_account(struct accounts_store *store, const struct accounts_object *object)
{
    struct sql_use use = store_use(store, STATEMENT_PUT_ACCOUNT);
    sql_bind_string(&use, object->account.id);
    sql_bind_int(&use, object->account.enabled);
    sql_bind_int(&use, object->version);
    sql_bind_int(&use, object->created_us);
    return store_run(store, &use);
}

static enum err put_endpoint(
    struct accounts_store *store, const struct accounts_object *object, uint64_t *ret_namesake)
{
    const struct endpoint *endpoint = object->endpoint;
    int64_t namesake = 0;
    struct sql_use use = store_use(store, STATEMENT_FIND_NAMESAKE);
    sql_bind_string(&use, endpoint->account);
    sql_bind_string(&use, endpoint->name);
    sql_bind_int(&use, (int64_t)endpoint->id);
    enum err error = store_run_for_number(store, &use, &namesake);
    *ret_namesake = (uint64_t)namesake;
    if (!error)
        error = run_for_int(store, STATEMENT_DROP_ENDPOINT, namesake);
    return error ? error
                 : store_run_with_endpoint(
                       store, STATEMENT_PUT_ENDPOINT, endpoint, object->created_us);
}

static enum err put_grant(struct accounts_store *store, const struct accounts_object *object)
{
    struct sql_use use = store_use(store, STATEMENT_PUT_GRANT);
    sql_bind_string(&use, object->grant.partner);
    sql_bind_string(&use, object->grant.account);
    sql_bind_int(&use, object->version);
    sql_bind_int(&use, object->created_us);
    return store_run(store, &use);
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
        return store_run_with_credential(store, STATEMENT_PUT_CREDENTIAL, object->credential,
            object->version, object->created_us);
    case ACCOUNTS_KIND_GRANT:
        return put_grant(store, object);
    case ACCOUNTS_KIND_SWITCH:
        return accounts_store_switch_off(store, object->off);
    case ACCOUNTS_KINDS:
        break;
    }
    return ERR_BUG;
}

static enum err drop_partner(struct accounts_store *store, const char *partner)
{
    enum err error = run_for_string(store, STATEMENT_CLEAR_PARTNER_SECRETS, partner);
    return error ? error : run_for_string(store, STATEMENT_DROP_PARTNER, partner);
}

static enum err drop_credential(
    struct accounts_store *store, const unsigned char sha256[SHA256_BYTES])
{
    struct sql_use use = store_use(store, STATEMENT_DROP_CREDENTIAL);
    sql_bind_blob(&use, slice_of(sha256, SHA256_BYTES));
    return store_run(store, &use);
}

static enum err drop_grant(struct accounts_store *store, const char *partner, const char *account)
{
    struct sql_use use = store_use(store, STATEMENT_DROP_GRANT);
    sql_bind_string(&use, partner);
    sql_bind_string(&use, account);
    return store_run(store, &use);
}

static enum err drop_switch(struct accounts_store *store, const struct operator_switch *off)
{
    struct sql_use use = store_use(store, STATEMENT_DROP_SWITCH);
    sql_bind_string(&use, switch_name(off->kind));
    sql_bind_string(&use, off->account);
    sql_bind_int(&use, (int64_t)off->endpoint);
    return store_run(store, &use);
}

enum err accounts_store_drop(struct accounts_store *store, const struct accounts_object *object)
{
    switch (object->kind) {
    case ACCOUNTS_KIND_PARTNER:
        return drop_partner(store, object->partner->id);
    case ACCOUNTS_KIND_ACCOUNT:
        return run_for_string(store, STATEMENT_DROP_ACCOUNT, object->account.id);
    case ACCOUNTS_KIND_ENDPOINT:
        return run_for_int(store, STATEMENT_DROP_ENDPOINT, (int64_t)object->endpoint->id);
    case ACCOUNTS_KIND_CREDENTIAL:
        return drop_credential(store, object->credential->sha256);
    case ACCOUNTS_KIND_GRANT:
        return drop_grant(store, object->grant.partner, object->grant.account);
    case ACCOUNTS_KIND_SWITCH:
        return drop_switch(store, object->off);
    case ACCOUNTS_KINDS:
        break;
    }
    return ERR_BUG;
}
