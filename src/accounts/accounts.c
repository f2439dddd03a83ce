/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accounts thread. Each request is one transaction: operators' changes are rare, and one that fails takes no other
 * with it.
 *
 *   check (against the directory, which shows what is committed) -> make the entries -> write -> commit -> publish ->
 * listener -> answer
 *
 * Everything that can fail comes before the commit. What publications replaced is freed once per batch of mail, after
 * one wait for the readers. The thread blocks on the disk and stays offline for RCU, except for the moment of a
 * publication.
 *
 * Failure: a request that can't be written is answered with ERR_DISK and nothing of it is seen; the thread goes on. The
 * directory keeps serving what it has.
 */
#include "accounts/accounts.h"

#include "accounts/directory_publish.h"
#include "accounts/load.h"
#include "accounts/store.h"
#include "base/clock.h"
#include "model/name.h"
#include "runtime/thread.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>

struct accounts {
    /* immutable after init */
    struct directory *directory;
    struct thread thread;

    struct mailbox mailbox; /* shared */
    struct mail stop;

    /* main's until the thread runs, then the thread's */
    struct accounts_store *store;
    struct accounts_listener listener;
    bool stopping;
    sem_t loaded; /* posted once, when load_result is there */
    enum err load_result;
    char load_detail[STORE_DETAIL_BYTES];
};

/* One request under work: on success its entries are published, on failure they are freed. */
#define CHANGE_ENTRIES_MAX 2
struct change {
    struct accounts *accounts;
    struct accounts_request *request;
    int64_t version, now_us;
    struct directory_entry *entries[CHANGE_ENTRIES_MAX];
    unsigned entries_count;
    bool changes_endpoint;
    struct endpoint endpoint; /* as it will be */
};

/* Refusals. `detail` is for the operator: what, and why. */

__attribute__((format(printf, 3, 4))) static enum err refuse(
    struct change *change, enum err error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(change->request->detail, sizeof change->request->detail, format, args);
    va_end(args);
    return error;
}

static enum err refuse_for_disk(struct change *change, enum err error)
{
    return refuse(
        change, error, "the account database could not be written: %s", accounts_store_detail(change->accounts->store));
}

/* What the store said when it was asked to add `what`. */
static enum err judge_addition(struct change *change, enum err error, const char *what, const char *name)
{
    if (error == ERR_EXISTS)
        return refuse(change, error, "%s %s exists already", what, name);
    return error ? refuse_for_disk(change, error) : OK;
}

static enum err add_entry(struct change *change, struct directory_entry *entry)
{
    if (!entry)
        return refuse(change, ERR_NO_MEMORY, "out of memory");
    change->entries[change->entries_count++] = entry;
    return OK;
}

static struct slice text_in(const char *text, size_t size)
{
    return slice_of(text, strnlen(text, size));
}

#define TEXT_IN(array) text_in(array, sizeof(array))

static enum err check_name(struct change *change, const char *field, struct slice name)
{
    return name_is_valid(name) ? OK : refuse(change, ERR_INVALID, "%s: " NAME_RULE, field);
}

static enum err check_url(struct change *change, const struct endpoint *endpoint)
{
    size_t len = TEXT_IN(endpoint->url).len;
    if (len == 0 || len > URL_BYTES_MAX)
        return refuse(change, ERR_INVALID, "url: must be 1 to %d bytes", URL_BYTES_MAX);
    return OK;
}

/* NULL, and refused with ERR_NOT_FOUND, when there is none. */
static const struct partner *find_partner(struct change *change)
{
    struct slice id = TEXT_IN(change->request->partner);
    const struct partner *partner = directory_partner(change->accounts->directory, id);
    if (!partner)
        refuse(change, ERR_NOT_FOUND, "partner %.*s is not known", SLICE_ARGS(id));
    return partner;
}

static const struct account *find_account(struct change *change)
{
    struct slice id = TEXT_IN(change->request->account);
    const struct account *account = directory_account(change->accounts->directory, id);
    if (!account)
        refuse(change, ERR_NOT_FOUND, "account %.*s is not known", SLICE_ARGS(id));
    return account;
}

/* The acts: each checks, writes, and makes what is to be published. */

static enum err add_partner(struct change *change)
{
    struct partner partner = {.enabled = true, .version = change->version};
    enum err error;
    if ((error = check_name(change, "partner", TEXT_IN(change->request->partner))))
        return error;
    memcpy(partner.id, change->request->partner, sizeof partner.id);
    if ((error = add_entry(change, directory_entry_of_partner(&partner))))
        return error;
    error = accounts_store_add_partner(change->accounts->store, &partner, change->now_us);
    return judge_addition(change, error, "partner", partner.id);
}

static enum err add_account(struct change *change)
{
    struct account account = {.enabled = true, .version = change->version};
    enum err error;
    if ((error = check_name(change, "account", TEXT_IN(change->request->account))))
        return error;
    memcpy(account.id, change->request->account, sizeof account.id);
    if ((error = add_entry(change, directory_entry_of_account(&account))))
        return error;
    error = accounts_store_add_account(change->accounts->store, &account, change->now_us);
    return judge_addition(change, error, "account", account.id);
}

static enum err add_credential(struct change *change)
{
    const unsigned char *sha256 = change->request->credential_sha256;
    const struct partner *partner = find_partner(change);
    if (!partner)
        return ERR_NOT_FOUND;
    enum err error = add_entry(change, directory_entry_of_credential(sha256, partner->id));
    if (error)
        return error;
    error =
        accounts_store_add_credential(change->accounts->store, sha256, partner->id, change->version, change->now_us);
    return judge_addition(change, error, "the", "credential");
}

static enum err grant(struct change *change)
{
    const struct partner *partner = find_partner(change);
    const struct account *account = partner ? find_account(change) : NULL;
    if (!account)
        return ERR_NOT_FOUND;
    enum err error = add_entry(change, directory_entry_of_grant(partner->id, account->id));
    if (error)
        return error;
    error =
        accounts_store_add_grant(change->accounts->store, partner->id, account->id, change->version, change->now_us);
    return judge_addition(change, error, "a grant for", account->id);
}

static uint64_t make_endpoint_id(const struct directory *directory)
{
    uint64_t id;
    do {
        crypto_random(&id, sizeof id);
        id &= INT64_MAX;
    } while (id == 0 || directory_endpoint(directory, id));
    return id;
}

static enum err check_secrets(struct change *change, const struct endpoint *endpoint)
{
    bool fits = endpoint->secrets_count <= ENDPOINT_SECRETS_MAX;
    for (unsigned i = 0; fits && i < endpoint->secrets_count; i++)
        fits = endpoint->secrets[i].len > 0 && endpoint->secrets[i].len <= sizeof endpoint->secrets[i].bytes;
    return fits ? OK
                : refuse(change, ERR_INVALID, "secrets: must be at most %d of up to 64 bytes", ENDPOINT_SECRETS_MAX);
}

static enum err add_endpoint(struct change *change)
{
    struct accounts *accounts = change->accounts;
    const struct account *account = find_account(change);
    struct endpoint *endpoint = &change->endpoint;
    *endpoint = change->request->endpoint;
    if (!account)
        return ERR_NOT_FOUND;
    enum err error;
    if ((error = check_name(change, "name", TEXT_IN(endpoint->name))) || (error = check_url(change, endpoint)) ||
        (error = check_secrets(change, endpoint)))
        return error;
    if (account->endpoints_count >= ACCOUNT_ENDPOINTS_MAX)
        return refuse(change, ERR_INVALID, "account: %s has %d endpoints already, which is the most", account->id,
            ACCOUNT_ENDPOINTS_MAX);
    endpoint->id = make_endpoint_id(accounts->directory);
    memcpy(endpoint->account, account->id, sizeof endpoint->account);
    endpoint->version = change->version;
    if (endpoint->secrets_count == 0)
        secret_make(&endpoint->secrets[endpoint->secrets_count++]);
    change->changes_endpoint = true;
    /* The endpoint first: an id in an account's array can then always be looked up. */
    if ((error = add_entry(change, directory_entry_of_endpoint(endpoint))) ||
        (error = add_entry(change, directory_entry_of_account_with(account, endpoint->id))))
        return error;
    error = accounts_store_add_endpoint(accounts->store, endpoint, change->now_us);
    return judge_addition(change, error, "endpoint", endpoint->name);
}

#define ENDPOINT_CHANGES \
    (ENDPOINT_CHANGE_URL | ENDPOINT_CHANGE_ENABLED | ENDPOINT_CHANGE_IDEMPOTENT | ENDPOINT_CHANGE_FINAL_4XX)

static enum err change_endpoint(struct change *change)
{
    struct accounts *accounts = change->accounts;
    const struct accounts_request *request = change->request;
    const struct account *account = find_account(change);
    enum err error;
    if (!account)
        return ERR_NOT_FOUND;
    const struct endpoint *current = directory_endpoint(accounts->directory, request->endpoint_id);
    if (!current || strcmp(current->account, account->id) != 0) {
        char text[ENDPOINT_ID_TEXT_BYTES];
        endpoint_id_format(request->endpoint_id, text);
        return refuse(change, ERR_NOT_FOUND, "account %s has no endpoint %s", account->id, text);
    }
    if (!request->changes || (request->changes & ~(unsigned)ENDPOINT_CHANGES))
        return refuse(change, ERR_INVALID, "changes: name at least one of url, enabled, idempotent, final_4xx");
    struct endpoint *endpoint = &change->endpoint;
    *endpoint = *current;
    endpoint->version = change->version;
    if (request->changes & ENDPOINT_CHANGE_URL) {
        if ((error = check_url(change, &request->endpoint)))
            return error;
        memcpy(endpoint->url, request->endpoint.url, sizeof endpoint->url);
    }
    if (request->changes & ENDPOINT_CHANGE_ENABLED)
        endpoint->enabled = request->endpoint.enabled;
    if (request->changes & ENDPOINT_CHANGE_IDEMPOTENT)
        endpoint->idempotent = request->endpoint.idempotent;
    if (request->changes & ENDPOINT_CHANGE_FINAL_4XX)
        endpoint->final_4xx = request->endpoint.final_4xx;
    change->changes_endpoint = true;
    if ((error = add_entry(change, directory_entry_of_endpoint(endpoint))))
        return error;
    error = accounts_store_change_endpoint(accounts->store, endpoint);
    return error ? refuse_for_disk(change, error) : OK;
}

static enum err (*const acts[])(struct change *change) = {
    [ACCOUNTS_ADD_PARTNER] = add_partner,
    [ACCOUNTS_ADD_CREDENTIAL] = add_credential,
    [ACCOUNTS_ADD_ACCOUNT] = add_account,
    [ACCOUNTS_GRANT] = grant,
    [ACCOUNTS_ADD_ENDPOINT] = add_endpoint,
    [ACCOUNTS_CHANGE_ENDPOINT] = change_endpoint,
};

/* One transaction: after it the change is durable, or nothing of it is left. */
static enum err write_change(struct change *change)
{
    struct accounts_store *store = change->accounts->store;
    if ((unsigned)change->request->act >= ARRAY_LENGTH(acts))
        return refuse(change, ERR_BUG, "no such act");
    enum err error = accounts_store_begin(store, &change->version);
    if (error)
        return refuse_for_disk(change, error);
    error = acts[change->request->act](change);
    if (!error && (error = accounts_store_commit(store)))
        refuse_for_disk(change, error);
    if (error)
        accounts_store_rollback(store);
    return error;
}

static void publish_change(struct change *change)
{
    struct accounts *accounts = change->accounts;
    for (unsigned i = 0; i < change->entries_count; i++)
        directory_publish(accounts->directory, change->entries[i]);
    if (!change->changes_endpoint)
        return;
    change->request->endpoint = change->endpoint;
    change->request->ret_endpoint = change->endpoint.id;
    if (accounts->listener.on_endpoint_changed)
        accounts->listener.on_endpoint_changed(
            accounts->listener.context, change->endpoint.id, slice_from_string(change->endpoint.account));
}

static void on_answer(struct mail *mail, void *receiver)
{
    struct accounts_request *request = CONTAINER_OF(mail, struct accounts_request, mail);
    request->on_done(request, receiver);
}

static void on_request(struct mail *mail, void *receiver)
{
    struct accounts *accounts = receiver;
    struct accounts_request *request = CONTAINER_OF(mail, struct accounts_request, mail);
    struct change change = {.accounts = accounts, .request = request, .now_us = clock_wall_us()};
    request->detail[0] = '\0';
    request->result = write_change(&change);
    if (request->result == OK) {
        publish_change(&change);
    } else {
        for (unsigned i = 0; i < change.entries_count; i++)
            directory_entry_free(change.entries[i]);
    }
    mail->on_receive = on_answer;
    mailbox_post(request->reply_to, mail); /* from here on it is the requester's */
}

/* The thread. */

static void on_stop(struct mail *mail, void *receiver)
{
    ((struct accounts *)receiver)->stopping = true;
}

static void run(void *context)
{
    struct accounts *accounts = context;
    accounts->load_result = accounts_load_directory(accounts->store, accounts->directory, accounts->load_detail);
    accounts->stopping = accounts->load_result != OK;
    sem_post(&accounts->loaded);
    while (!accounts->stopping) {
        mailbox_wait(&accounts->mailbox, -1);
        mailbox_work(&accounts->mailbox);
        directory_free_retired(accounts->directory);
    }
    /* Here and not in accounts_stop: whoever calls that need not be known to RCU. */
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

enum err accounts_open(
    const char *directory, const struct hash_seed *seed, struct accounts **ret_accounts, char *ret_detail)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);
    if (!accounts) {
        snprintf(ret_detail, STORE_DETAIL_BYTES, "out of memory");
        return ERR_NO_MEMORY;
    }
    sem_init(&accounts->loaded, 0, 0);
    accounts->mailbox.event_fd = -1;
    enum err error = accounts_store_open(directory, &accounts->store, ret_detail);
    if (!error) {
        snprintf(ret_detail, STORE_DETAIL_BYTES, "no memory or no file descriptors for the accounts");
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
    request->mail.on_receive = on_request;
    mailbox_post(&accounts->mailbox, &request->mail);
}

static void on_call_done(struct accounts_request *request, void *receiver)
{
    *(bool *)receiver = true;
}

enum err accounts_call(struct accounts *accounts, struct accounts_request *request)
{
    bool done = false;
    struct mailbox answers;
    enum err error = mailbox_init(&answers, &done);
    if (error) {
        snprintf(request->detail, sizeof request->detail, "no file descriptor for the answer");
        return request->result = error;
    }
    request->reply_to = &answers;
    request->on_done = on_call_done;
    accounts_submit(accounts, request);
    /* The bell, not the queue, says that the sender is through with the mailbox, which ends here. */
    struct pollfd bell = {.fd = answers.event_fd, .events = POLLIN};
    while (!done)
        if (poll(&bell, 1, -1) > 0)
            mailbox_work(&answers);
    mailbox_done(&answers);
    return request->result;
}
