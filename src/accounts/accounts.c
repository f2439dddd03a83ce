/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accounts thread. Each request is one transaction: operators' changes are rare, and one that
 * fails does not affect another.
 *
 *   change (change.h): check, write, make the entries
 *     -> commit -> publish the entries, take removed ones out -> listener -> answer
 *
 * Everything that can fail happens before the commit: an entry is made before it and published
 * after it. Entries that were replaced are freed once for each batch of requests, after one wait
 * for the readers. The thread blocks on the disk, so it is offline for RCU except while it
 * publishes.
 *
 * Failure: a request that cannot be written is answered with an error, and nothing of it is
 * visible. After ERR_DISK and ERR_DISK_FULL the thread tries the disk every second until it works
 * again (accounts_trouble). The directory keeps serving what it has.
 */
#include "accounts/accounts.h"
#include "accounts/account_endpoints.h"

#include "accounts/apply.h"
#include "accounts/change.h"
#include "base/clock.h"
#include "base/memory.h"
#include "runtime/thread.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#define TRY_MS 1000
/* How often the last uses of keys are written: one commit a minute is no load, and nobody decides
 * about a key by the minute. */
#define USES_US (60 * US_PER_SECOND)

struct accounts {
    /* immutable after init */
    struct directory *directory;
    struct thread thread;

    struct mailbox mailbox;  /* shared */
    _Atomic int64_t version; /* shared: of the last change that is published */
    _Atomic int trouble;     /* shared: enum err of the last write, as far as it was the disk's */
    struct mail stop;

    /* main's until the thread runs, then the thread's */
    struct accounts_store *store;
    struct accounts_listener listener;
    enum store_following following; /* a leader, whose changes alone are taken */
    bool stopping;
    sem_t loaded; /* posted once, when load_result is there */
    enum err load_result;
    char load_detail[STORE_DETAIL_BYTES];
};

/* For each action: `write` checks the change, writes it and makes the entries. `take_out` removes
 * an object from the directory after the commit. */
static const struct {
    enum err (*write)(struct change *change);
    void (*take_out)(struct change *change);
} kinds[] = {
    [ACCOUNTS_ADD_PARTNER] = {.write = change_add_partner},
    [ACCOUNTS_CHANGE_PARTNER] = {.write = change_change_partner},
    [ACCOUNTS_ADD_PARTNER_SECRET] = {.write = change_add_partner_secret},
    [ACCOUNTS_REMOVE_PARTNER_SECRET] = {.write = change_remove_partner_secret},
    [ACCOUNTS_ADD_CREDENTIAL] = {.write = change_add_credential},
    [ACCOUNTS_CHANGE_CREDENTIAL] = {.write = change_change_credential},
    [ACCOUNTS_REVOKE_CREDENTIAL] = {.write = change_revoke_credential,
        .take_out = change_take_out_credential},
    [ACCOUNTS_GRANT] = {.write = change_grant},
    [ACCOUNTS_WITHDRAW_GRANT] = {.write = change_withdraw_grant, .take_out = change_take_out_grant},
    [ACCOUNTS_ADD_ACCOUNT] = {.write = change_add_account},
    [ACCOUNTS_RESERVE_OPERATORS] = {.write = change_reserve_operators},
    [ACCOUNTS_ADD_ENDPOINT] = {.write = change_add_endpoint},
    [ACCOUNTS_CHANGE_ENDPOINT] = {.write = change_change_endpoint},
    [ACCOUNTS_REMOVE_ENDPOINT] = {.write = change_remove_endpoint,
        .take_out = change_take_out_endpoint},
    [ACCOUNTS_ADD_ENDPOINT_SECRET] = {.write = change_add_endpoint_secret},
    [ACCOUNTS_REMOVE_ENDPOINT_SECRET] = {.write = change_remove_endpoint_secret},
    [ACCOUNTS_SET_SWITCH] = {.write = change_set_switch, .take_out = change_take_out_switches},
};

/* One transaction: after it the change is durable, or nothing of it is left. */
static enum err write_change(struct change *change, bool follows)
{
    if ((unsigned)change->request->base.kind >= ARRAY_LENGTH(kinds))
        return change_refuse(change, ERR_BUG, "there is no such kind of change");
    if (follows)
        return change_refuse(change, ERR_FORBIDDEN,
            "these accounts are a copy of the leader's accounts: change them on the leader");
    enum err error = accounts_store_begin(change->store, &change->version);
    if (error)
        return change_refuse_for_disk(change, error);
    error = kinds[change->request->base.kind].write(change);
    if (!error)
        error = change_judge(change, accounts_store_commit(change->store));
    if (error)
        accounts_store_rollback(change->store);
    return error;
}

static void note_write(struct accounts *accounts, enum err result)
{
    if (result == OK || result == ERR_DISK || result == ERR_DISK_FULL)
        atomic_store(&accounts->trouble, result);
}

static void publish_change(struct accounts *accounts, struct change *change)
{
    struct accounts_request *request = change->request;
    for (unsigned i = 0; i < change->entries_count; i++)
        directory_publish(accounts->directory, change->entries[i]);
    if (kinds[request->base.kind].take_out)
        kinds[request->base.kind].take_out(change);
    if (change->changes_partner)
        request->partner_wanted = change->partner;
    if (change->changes_credential)
        request->credential_wanted = change->credential;
    for (unsigned i = 0; i < change->switches_count && accounts->listener.on_switch_changed; i++)
        accounts->listener.on_switch_changed(accounts->listener.context, &change->switches[i]);
    if (!change->changes_endpoint)
        return;
    request->endpoint = change->endpoint;
    request->endpoint.policy = NULL; /* a later change may free it */
    request->ret_endpoint = change->endpoint.id;
    if (accounts->listener.on_endpoint_changed)
        accounts->listener.on_endpoint_changed(accounts->listener.context, change->endpoint.id,
            slice_from_string(change->endpoint.account), change->version);
}

static void on_request(struct mail *mail, void *receiver)
{
    struct accounts *accounts = receiver;
    struct accounts_request *request = CONTAINER_OF(mail, struct accounts_request, base.mail);
    struct change change = {.directory = accounts->directory,
        .store = accounts->store,
        .request = request,
        .now_us = clock_wall_us()};
    request->detail[0] = '\0';
    request->base.result = write_change(&change, accounts->following != STORE_LEADS);
    note_write(accounts, request->base.result);
    if (request->base.result == OK) {
        publish_change(accounts, &change);
        atomic_store(&accounts->version, change.version);
    } else {
        for (unsigned i = 0; i < change.entries_count; i++)
            directory_entry_free(change.entries[i]);
    }
    request_answer(&request->base, request->base.result);
}

/* Replication. */

static void tell_of_switch(struct accounts *accounts, const struct accounts_object *object)
{
    const struct operator_switch *off = object->off;
    struct switch_change change = {.kind = off->kind,
        .endpoint = off->endpoint,
        .is_off = !object->removed,
        .at_us = object->removed ? clock_wall_us() : off->since_us};
    if (!accounts->listener.on_switch_changed)
        return;
    memcpy(change.account, off->account, sizeof change.account);
    if (change.is_off)
        memcpy(change.reason, off->reason, sizeof change.reason);
    accounts->listener.on_switch_changed(accounts->listener.context, &change);
}

static enum err apply(struct accounts *accounts, struct accounts_page *page, char *ret_detail)
{
    enum err error = apply_page(accounts->store, accounts->directory, page, ret_detail);
    if (error)
        return error;
    for (size_t i = 0; i < page->count; i++)
        if (page->objects[i].is_news)
            tell_of_switch(accounts, &page->objects[i]);
    if (!page->more)
        accounts->following = STORE_HAS_FOLLOWED;
    atomic_store(&accounts->version, page->version);
    return OK;
}

/* The next page is the first one. The directory keeps what it has. */
static enum err begin_again(struct accounts *accounts)
{
    enum err error = accounts_store_begin_copy(accounts->store);
    if (!error)
        error = accounts_store_mark_all(accounts->store);
    if (!error)
        error = accounts_store_commit(accounts->store);
    if (error) {
        accounts_store_rollback(accounts->store);
    } else {
        if (accounts->following == STORE_LEADS)
            accounts->following = STORE_FOLLOWS;
        atomic_store(&accounts->version, 0);
    }
    return error;
}

static enum err replicate(
    struct accounts *accounts, struct accounts_replication *request, char *ret_detail)
{
    switch (request->base.kind) {
    case REPLICATION_READ:
        return accounts_store_read_page(accounts->store, request->after, &request->page);
    case REPLICATION_APPLY:
        return apply(accounts, &request->page, ret_detail);
    case REPLICATION_RESTART:
        return begin_again(accounts);
    case REPLICATION_STATE:
        request->ret_follows = accounts->following != STORE_LEADS;
        request->ret_is_complete = accounts->following == STORE_HAS_FOLLOWED;
        return OK;
    case REPLICATION_FOLLOW:
        return accounts->following == STORE_LEADS ? begin_again(accounts) : OK;
    case REPLICATION_LEAD:
        if (accounts->following == STORE_LEADS)
            return OK;
        snprintf(ret_detail, STORE_DETAIL_BYTES,
            "accounts.db is a follower's copy, without the secrets of endpoints");
        return ERR_CONFIG;
    }
    return ERR_BUG;
}

static void on_replication(struct mail *mail, void *receiver)
{
    struct accounts *accounts = receiver;
    struct accounts_replication *request =
        CONTAINER_OF(mail, struct accounts_replication, base.mail);
    char detail[STORE_DETAIL_BYTES] = "";
    request->base.result = replicate(accounts, request, detail);
    if (request->base.kind == REPLICATION_APPLY)
        note_write(accounts, request->base.result);
    if (request->base.result && !*detail)
        snprintf(detail, sizeof detail, "%s",
            request->base.result == ERR_NOT_FOUND ? "this version does not exist yet"
                                                  : accounts_store_detail(accounts->store));
    snprintf(request->detail, sizeof request->detail, "%s", detail);
    request_answer(&request->base, request->base.result);
}

/* The history of switches. */

static void on_switch_history(struct mail *mail, void *receiver)
{
    struct accounts *accounts = receiver;
    struct accounts_switch_history *request =
        CONTAINER_OF(mail, struct accounts_switch_history, base.mail);
    unsigned count_max =
        request->count_max < SWITCH_HISTORY_MAX ? request->count_max : SWITCH_HISTORY_MAX;
    request_answer(&request->base, accounts_store_list_switch_changes(accounts->store, count_max,
                                       request->ret_changes, &request->ret_count));
}

/* The last uses of keys. */

struct use_writing {
    struct accounts_store *store;
    bool has_begun;
};

static enum err write_use(const struct credential *credential, int64_t used_us, void *context)
{
    struct use_writing *writing = context;
    enum err error = writing->has_begun ? OK : accounts_store_begin_copy(writing->store);
    if (error)
        return error;
    writing->has_begun = true;
    return accounts_store_note_use(writing->store, credential->sha256, used_us);
}

/* A use is no change of an object: it takes no version and is not sent to followers. What cannot be
 * written is tried again with the next uses. */
static void write_uses(struct accounts *accounts)
{
    struct use_writing writing = {.store = accounts->store};
    enum err error = directory_each_new_use(accounts->directory, write_use, &writing);
    if (!error && writing.has_begun)
        error = accounts_store_commit(accounts->store);
    if (!error)
        directory_keep_uses(accounts->directory);
    else if (writing.has_begun)
        accounts_store_rollback(accounts->store);
    if (error || writing.has_begun)
        note_write(accounts, error);
}

/* The thread. */

static void on_stop(struct mail *mail, void *receiver)
{
    ((struct accounts *)receiver)->stopping = true;
}

/* Filling the directory from accounts.db, once, before anybody reads it. */

struct loading {
    struct directory *directory;
    char *detail;
};

static enum err publish(const struct loading *loading, struct directory_entry *entry)
{
    directory_publish(loading->directory, entry);
    return OK;
}

static enum err on_partner(const struct partner *partner, void *context)
{
    return publish(context, directory_entry_of_partner(partner));
}

static enum err on_account(const struct account *account, void *context)
{
    return publish(context, directory_entry_of_account(account));
}

/* Its account is published again with each endpoint. There are no readers yet, and sixteen copies
 * are soon freed. */
static enum err on_endpoint(const struct endpoint *endpoint, void *context)
{
    const struct loading *loading = context;
    const struct account *present =
        directory_account(loading->directory, slice_from_string(endpoint->account));
    if (!present || present->endpoints_count >= ACCOUNT_ENDPOINTS_MAX) {
        snprintf(loading->detail, STORE_DETAIL_BYTES,
            "accounts.db cannot be read: the account %s of an endpoint %s", endpoint->account,
            present ? "has too many endpoints" : "does not exist");
        return ERR_DAMAGED;
    }
    struct account account = *present;
    account_endpoints_put(&account, endpoint);
    enum err error = publish(loading, directory_entry_of_endpoint(endpoint));
    return error ? error : publish(loading, directory_entry_of_account(&account));
}

static enum err on_credential(const struct credential *credential, void *context)
{
    return publish(context, directory_entry_of_credential(credential));
}

static enum err on_grant(const char *partner, const char *account, void *context)
{
    return publish(context, directory_entry_of_grant(partner, account));
}

static enum err on_switch(const struct operator_switch *off, void *context)
{
    return publish(context, directory_entry_of_switch(off));
}

static enum err load_directory(
    struct accounts_store *store, struct directory *directory, char *ret_detail)
{
    struct loading loading = {.directory = directory, .detail = ret_detail};
    struct store_visitor visitor = {.on_partner = on_partner,
        .on_account = on_account,
        .on_endpoint = on_endpoint,
        .on_credential = on_credential,
        .on_grant = on_grant,
        .on_switch = on_switch,
        .context = &loading};
    ret_detail[0] = '\0';
    enum err error = accounts_store_load(store, &visitor);
    if (error && !ret_detail[0])
        snprintf(ret_detail, STORE_DETAIL_BYTES, "accounts.db cannot be read: %.200s",
            accounts_store_detail(store));
    directory_free_retired(directory);
    return error;
}

static enum err load(struct accounts *accounts)
{
    int64_t version = 0;
    enum err error = load_directory(accounts->store, accounts->directory, accounts->load_detail);
    if (error)
        return error;
    if ((error = accounts_store_version(accounts->store, &version)) ||
        (error = accounts_store_following(accounts->store, &accounts->following)))
        snprintf(accounts->load_detail, sizeof accounts->load_detail,
            "accounts.db cannot be read: %.200s", accounts_store_detail(accounts->store));
    atomic_store(&accounts->version, version);
    return error;
}

static int wait_ms(const struct accounts *accounts, int64_t next_uses_us)
{
    int64_t left_us = next_uses_us - clock_mono_us();
    if (atomic_load(&accounts->trouble) != OK)
        return TRY_MS;
    return left_us > 0 ? (int)(left_us / US_PER_MS) + 1 : 0;
}

static void run(void *context)
{
    struct accounts *accounts = context;
    accounts->load_result = load(accounts);
    accounts->stopping = accounts->load_result != OK;
    int64_t next_try_us = 0, next_uses_us = clock_mono_us() + USES_US;
    sem_post(&accounts->loaded);
    while (!accounts->stopping) {
        mailbox_wait(&accounts->mailbox, wait_ms(accounts, next_uses_us));
        mailbox_work(&accounts->mailbox);
        if (clock_mono_us() >= next_uses_us) {
            next_uses_us = clock_mono_us() + USES_US;
            write_uses(accounts);
        }
        if (atomic_load(&accounts->trouble) != OK && clock_mono_us() >= next_try_us) {
            next_try_us = clock_mono_us() + TRY_MS * US_PER_MS;
            note_write(accounts, accounts_store_try(accounts->store, clock_wall_us()));
        }
        directory_free_retired(accounts->directory);
    }
    write_uses(accounts);
    /* Not in accounts_stop: its caller need not be known to RCU. */
    directory_free(accounts->directory);
}

static enum err start(struct accounts *accounts, char *ret_detail)
{
    enum err error = thread_start(&accounts->thread, "accounts", run, accounts);
    if (error) {
        snprintf(ret_detail, STORE_DETAIL_BYTES, "the accounts thread could not be started");
        return error;
    }
    while (sem_wait(&accounts->loaded) && errno == EINTR)
        continue;
    if (accounts->load_result) {
        thread_join(&accounts->thread);
        accounts->directory = NULL;
        memcpy(ret_detail, accounts->load_detail, STORE_DETAIL_BYTES);
    }
    return accounts->load_result;
}

static void accounts_free(struct accounts *accounts)
{
    accounts_store_close(accounts->store);
    mailbox_done(&accounts->mailbox);
    sem_destroy(&accounts->loaded);
    free(accounts);
}

enum err accounts_open(const char *directory, const struct hash_seed *seed,
    struct accounts **ret_accounts, char *ret_detail)
{
    struct accounts *accounts;
    MEMORY_NEW(accounts);
    sem_init(&accounts->loaded, 0, 0);
    accounts->mailbox.event_fd = -1;
    enum err error = accounts_store_open(directory, &accounts->store, ret_detail);
    if (!error) {
        snprintf(ret_detail, STORE_DETAIL_BYTES,
            "there is no memory or no file descriptor for the accounts");
        if (!(error = mailbox_init(&accounts->mailbox, accounts)) &&
            !(error = directory_new(seed, &accounts->directory)))
            error = start(accounts, ret_detail);
    }
    if (error) {
        directory_free(accounts->directory);
        accounts_free(accounts);
        return error;
    }
    ret_detail[0] = '\0';
    *ret_accounts = accounts;
    return OK;
}

void accounts_listen(struct accounts *accounts, const struct accounts_listener *listener)
{
    accounts->listener = *listener;
}

void accounts_stop(struct accounts *accounts)
{
    if (!accounts)
        return;
    accounts->stop.on_receive = on_stop;
    mailbox_post(&accounts->mailbox, &accounts->stop);
    thread_join(&accounts->thread);
    accounts_free(accounts);
}

const struct directory *accounts_directory(const struct accounts *accounts)
{
    return accounts->directory;
}

void accounts_submit(struct accounts *accounts, struct accounts_request *request)
{
    request_submit(&request->base, &accounts->mailbox, on_request);
}

void accounts_replicate(struct accounts *accounts, struct accounts_replication *request)
{
    request_submit(&request->base, &accounts->mailbox, on_replication);
}

void accounts_list_switch_changes(
    struct accounts *accounts, struct accounts_switch_history *request)
{
    request_submit(&request->base, &accounts->mailbox, on_switch_history);
}

enum err accounts_trouble(const struct accounts *accounts)
{
    return (enum err)atomic_load(&accounts->trouble);
}

int64_t accounts_version(const struct accounts *accounts)
{
    return atomic_load(&accounts->version);
}

/* Waiting for an answer. */

enum err accounts_call(struct accounts *accounts, struct accounts_request *request)
{
    snprintf(request->detail, sizeof request->detail, "there is no file descriptor for the answer");
    return request_call(&request->base, &accounts->mailbox, on_request);
}

enum err accounts_replicate_call(struct accounts *accounts, struct accounts_replication *request)
{
    snprintf(request->detail, sizeof request->detail, "there is no file descriptor for the answer");
    return request_call(&request->base, &accounts->mailbox, on_replication);
}
