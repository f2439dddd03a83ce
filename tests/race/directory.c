/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers look objects up, in turns as a loop does, while the accounts thread publishes, replaces
 * and frees them. Every object that a reader sees must be whole (its URL has its version). A reader
 * must never see an older version of an endpoint after a newer one. Every endpoint in an account's
 * array must exist, also while endpoints are added, removed, and get and lose filters. Readers note
 * the use of a key that is replaced again and again: its label must be whole. At the same time this
 * program is the writer of a second directory that grows and is emptied; requests cannot do that.
 * It ends by itself, after RUN_US.
 */
#include "accounts/accounts.h"
#include "accounts/directory_publish.h"
#include "base/clock.h"
#include "runtime/rcu.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <stdio.h>

#define READERS 3
#define ENDPOINTS 8
#define MANY 3000 /* of the second directory: more than its first buckets */
#define RUN_US (2 * US_PER_SECOND)

static struct accounts *accounts;
static struct directory *growing;
static uint64_t endpoints[ENDPOINTS];
static _Atomic bool stopping;
static _Atomic int failures;
static _Atomic long looked_up, changed;

static void fail(const char *what, const char *detail)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "race/directory: %s: %s\n", what, detail);
}

/* Writes the version twice, at the begin and the end of the URL, so that half an object is
 * noticed. */
static void write_url(char url[URL_BYTES_MAX + 1], int64_t version)
{
    memset(url, 'x', URL_BYTES_MAX);
    int len = snprintf(url, 64, "http://127.0.0.1/%lld/", (long long)version);
    url[len] = 'x';
    snprintf(url + URL_BYTES_MAX - 20, 21, "%020lld", (long long)version);
}

static void check_endpoint(const struct endpoint *endpoint, int64_t *newest)
{
    char expected[URL_BYTES_MAX + 1];
    write_url(expected, atoll(endpoint->url + strlen("http://127.0.0.1/")));
    if (strcmp(endpoint->url, expected) != 0)
        fail("an endpoint that is not whole", endpoint->url);
    if (strcmp(endpoint->account, "acc") != 0 || endpoint->secrets_count != 1)
        fail("an endpoint that is not whole", endpoint->name);
    if (endpoint->version < *newest)
        fail("an endpoint has gone back to an older version", endpoint->name);
    *newest = endpoint->version;
}

static void check_account(const struct directory *directory)
{
    const struct account *account = directory_account(directory, SLICE_LITERAL("acc"));
    if (!account) {
        fail("it is gone", "the account");
        return;
    }
    for (unsigned i = 0; i < account->endpoints_count; i++)
        if (!directory_endpoint(directory, account->endpoints[i]))
            fail("an endpoint of the array is not there", account->id);
}

static void check_growing(unsigned turn)
{
    uint64_t id = 1 + turn % MANY;
    const struct endpoint *endpoint = directory_endpoint(growing, id);
    if (endpoint && (endpoint->id != id || endpoint->version != (int64_t)(id * 3)))
        fail("an endpoint that is not whole", "of the growing directory");
}

static const unsigned char key_sha256[SHA256_BYTES] = {1};

/* A label has one letter again and again. */
static void write_label(char label[CREDENTIAL_LABEL_BYTES_MAX + 1], unsigned turn)
{
    memset(label, (int)('a' + turn % 26), CREDENTIAL_LABEL_BYTES_MAX);
}

static void use_key(const struct directory *directory)
{
    const struct credential *credential = directory_credential(directory, key_sha256);
    if (!credential) {
        fail("it is gone", "the key");
        return;
    }
    for (unsigned i = 1; i < CREDENTIAL_LABEL_BYTES_MAX; i++)
        if (credential->label[i] != credential->label[0])
            fail("a key that is not whole", credential->label);
    directory_note_use(credential, clock_wall_us());
    if (directory_last_use(credential) == 0)
        fail("a use is lost", credential->label);
}

static void look_up(void *context)
{
    const struct directory *directory = accounts_directory(accounts);
    int64_t newest[ENDPOINTS] = {0};
    long count = 0;
    for (unsigned turn = 0; !atomic_load_explicit(&stopping, memory_order_relaxed); turn++) {
        rcu_go_online();
        for (unsigned i = 0; i < ENDPOINTS; i++) {
            const struct endpoint *endpoint = directory_endpoint(directory, endpoints[i]);
            if (endpoint)
                check_endpoint(endpoint, &newest[i]);
            else
                fail("it is gone", "an endpoint");
            check_growing(turn * ENDPOINTS + i);
            count++;
        }
        check_account(directory);
        use_key(directory);
        rcu_go_offline();
    }
    atomic_fetch_add(&looked_up, count);
}

/* The writer of the second directory. */
static void grow_and_empty(void *context)
{
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        for (uint64_t id = 1; id <= MANY; id++) {
            struct endpoint endpoint = {.id = id, .version = (int64_t)(id * 3)};
            struct directory_entry *entry = directory_entry_of_endpoint(&endpoint);
            if (!entry) {
                fail("no memory", "for an entry");
                return;
            }
            directory_publish(growing, entry);
        }
        for (uint64_t id = 1; id <= MANY; id += 2)
            if (!directory_withdraw_endpoint(growing, id))
                fail("it is gone", "an endpoint of the growing directory");
        directory_free_retired(growing);
    }
}

static bool call(struct accounts_request *request)
{
    if (accounts_call(accounts, request) == OK)
        return true;
    fail("a change was refused", request->detail);
    return false;
}

static bool set_up(void)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ACCOUNT, .account = "acc"};
    if (!call(&request))
        return false;
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        request = (struct accounts_request){.base.kind = ACCOUNTS_ADD_ENDPOINT, .account = "acc"};
        snprintf(request.endpoint.name, sizeof request.endpoint.name, "e%u", i);
        write_url(request.endpoint.url, 1);
        if (!call(&request))
            return false;
        endpoints[i] = request.ret_endpoint;
    }
    request = (struct accounts_request){.base.kind = ACCOUNTS_ADD_PARTNER, .partner = "pa"};
    if (!call(&request))
        return false;
    request = (struct accounts_request){.base.kind = ACCOUNTS_ADD_CREDENTIAL, .partner = "pa"};
    memcpy(request.credential_sha256, key_sha256, sizeof key_sha256);
    write_label(request.credential_wanted.label, 0);
    return call(&request);
}

static bool change_key(unsigned turn)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_CREDENTIAL,
        .partner = "pa",
        .credential_id = credential_id(key_sha256),
        .changes = CREDENTIAL_CHANGE_LABEL};
    write_label(request.credential_wanted.label, turn);
    return call(&request);
}

/* Adds one endpoint, or removes the added one, so that the account is replaced as well. */
static bool add_or_remove(uint64_t *added, unsigned turn)
{
    struct accounts_request request = {
        .base.kind = *added ? ACCOUNTS_REMOVE_ENDPOINT : ACCOUNTS_ADD_ENDPOINT,
        .account = "acc",
        .endpoint_id = *added};
    snprintf(request.endpoint.name, sizeof request.endpoint.name, "more");
    write_url(request.endpoint.url, turn + 2);
    bool done = call(&request);
    *added = *added ? 0 : request.ret_endpoint;
    return done;
}

/* Changes the endpoints in turn. Each has a filter every second time. */
static void change_until(int64_t end_mono_us)
{
    uint64_t added = 0;
    for (unsigned turn = 0; clock_mono_us() < end_mono_us && atomic_load(&failures) == 0; turn++) {
        struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_ENDPOINT,
            .account = "acc",
            .endpoint_id = endpoints[turn % ENDPOINTS],
            .changes = ENDPOINT_CHANGE_URL | ENDPOINT_CHANGE_ENABLED | ENDPOINT_CHANGE_TYPES};
        write_url(request.endpoint.url, turn + 2);
        if (turn / ENDPOINTS % 2 == 0 &&
            !type_list_add(&request.endpoint.types, SLICE_LITERAL("lead.*")))
            fail("it is no pattern", "lead.*");
        if (!call(&request) || (turn % 4 == 3 && !add_or_remove(&added, turn)) ||
            (turn % 4 == 1 && !change_key(turn)))
            return;
        atomic_fetch_add(&changed, 1);
    }
}

static bool run(void)
{
    static struct thread readers[READERS], writer;
    bool started = thread_start(&writer, "writer", grow_and_empty, NULL) == OK;
    for (unsigned i = 0; i < READERS; i++)
        started = started && thread_start(&readers[i], "reader", look_up, NULL) == OK;
    if (started)
        change_until(clock_mono_us() + RUN_US);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    thread_join(&writer);
    return started;
}

static void remove_directory(const char *path)
{
    static const char *const names[] = {"accounts.db", "accounts.db-wal", "accounts.db-shm"};
    char file[128];
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

int main(void)
{
    static const struct hash_seed seed = {"0123456789abcde"};
    char path[] = "/tmp/penstock-race-XXXXXX", detail[256] = "no directory";
    thread_adopt_main();
    if (!mkdtemp(path) || directory_new(&seed, &growing) ||
        accounts_open(path, &seed, &accounts, detail)) {
        fprintf(stderr, "race/directory: could not start: %s\n", detail);
        return 1;
    }
    bool done = set_up() && run();
    accounts_stop(accounts);
    directory_free(growing);
    thread_leave_main();
    remove_directory(path);
    printf("race/directory: %ld look-ups, %ld changes, %d failures\n", atomic_load(&looked_up),
        atomic_load(&changed), atomic_load(&failures));
    return done && atomic_load(&failures) == 0 && atomic_load(&looked_up) > 0 &&
                   atomic_load(&changed) > 0
               ? 0
               : 1;
}
