/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table for all kinds: an entry is a key (a letter for the kind, then the id) and the object
 * behind it. The table is made without liburcu's automatic resizing, which would bring a worker
 * thread and call_rcu: the only writer counts what it adds and doubles the buckets itself, while
 * readers continue.
 *
 * The writer looks things up offline, which no other thread may: only it frees entries.
 */
#include "accounts/directory_publish.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"

#include <assert.h>
#include <stdatomic.h>
#include <urcu/rculfhash.h>

#define BUCKETS_INITIAL 1024

enum kind {
    KIND_PARTNER = 'p',
    KIND_ACCOUNT = 'a',
    KIND_ENDPOINT = 'e',
    KIND_CREDENTIAL = 'c',
    KIND_GRANT = 'g',
    KIND_SWITCH = 's'
};

/* The longest is a grant's: the kind, two names and a NUL between them. */
#define KEY_BYTES_MAX (1 + 2 * NAME_BYTES_MAX + 1)

struct key {
    unsigned len;
    unsigned char bytes[KEY_BYTES_MAX];
};

/* Immutable once published, except the links and the last use of a credential. */
struct directory_entry {
    struct cds_lfht_node node;
    _Atomic int64_t used_us; /* shared; relaxed: nothing depends on it */
    /* owned by the writer */
    int64_t given_us, kept_us; /* the uses that directory_each_new_use has given, that are kept */
    struct directory_entry *next_retired;
    struct key key;
    _Alignas(max_align_t) unsigned char object
        []; /* as the kind says; a grant has none, its key says it all */
};

struct directory {
    struct hash_seed seed; /* immutable after init */
    struct cds_lfht *table;
    /* shared: atomic; written by the writer */
    _Atomic unsigned kinds_off;      /* a bit for each kind of switch that is off somewhere */
    _Atomic uint64_t switch_changes; /* of switches, counted */
    /* owned by the writer */
    unsigned long entries, buckets;
    unsigned switches_off[SWITCHES]; /* entries of each kind */
    struct directory_entry *retired;
};

/* Keys. False where an id is too long to be known. */

static bool key_add(struct key *key, struct slice text)
{
    if (text.len > sizeof key->bytes - key->len)
        return false;
    if (text.len)
        memcpy(key->bytes + key->len, text.data, text.len);
    key->len += (unsigned)text.len;
    return true;
}

static bool key_of(enum kind kind, struct slice id, struct key *ret_key)
{
    ret_key->bytes[0] = (unsigned char)kind;
    ret_key->len = 1;
    return key_add(ret_key, id);
}

static bool key_of_grant(struct slice partner, struct slice account, struct key *ret_key)
{
    return key_of(KIND_GRANT, partner, ret_key) && key_add(ret_key, slice_of("", 1)) &&
           key_add(ret_key, account);
}

/* The kind of the switch and the endpoint have a fixed length, so the account ends the key. */
static bool key_of_switch(
    enum switch_kind kind, struct slice account, uint64_t endpoint, struct key *ret_key)
{
    char letter = (char)kind;
    return key_of(KIND_SWITCH, slice_of(&letter, 1), ret_key) &&
           key_add(ret_key, slice_of(&endpoint, sizeof endpoint)) && key_add(ret_key, account);
}

static unsigned long hash_of(const struct directory *directory, const struct key *key)
{
    return (unsigned long)hash_siphash(&directory->seed, slice_of(key->bytes, key->len));
}

static enum kind kind_of(const struct directory_entry *entry)
{
    return (enum kind)entry->key.bytes[0];
}

static const struct endpoint *endpoint_of(const struct directory_entry *entry)
{
    return (const struct endpoint *)entry->object;
}

/* Looking up. */

static int matches(struct cds_lfht_node *node, const void *wanted)
{
    const struct directory_entry *entry = CONTAINER_OF(node, struct directory_entry, node);
    const struct key *key = wanted;
    TSAN_ACQUIRE((void *)entry);
    return entry->key.len == key->len && memcmp(entry->key.bytes, key->bytes, key->len) == 0;
}

static struct directory_entry *find(const struct directory *directory, const struct key *key)
{
    struct cds_lfht_iter at;
    cds_lfht_lookup(directory->table, hash_of(directory, key), matches, key, &at);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&at);
    return node ? CONTAINER_OF(node, struct directory_entry, node) : NULL;
}

static const void *find_object(const struct directory *directory, enum kind kind, struct slice id)
{
    struct key key;
    struct directory_entry *entry = key_of(kind, id, &key) ? find(directory, &key) : NULL;
    return entry ? entry->object : NULL;
}

const struct partner *directory_partner(const struct directory *directory, struct slice id)
{
    return find_object(directory, KIND_PARTNER, id);
}

const struct account *directory_account(const struct directory *directory, struct slice id)
{
    return find_object(directory, KIND_ACCOUNT, id);
}

const struct endpoint *directory_endpoint(const struct directory *directory, uint64_t id)
{
    return find_object(directory, KIND_ENDPOINT, slice_of(&id, sizeof id));
}

const struct credential *directory_credential(
    const struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES])
{
    return find_object(directory, KIND_CREDENTIAL, slice_of(credential_sha256, SHA256_BYTES));
}

const struct partner *directory_partner_of_credential(
    const struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES])
{
    const struct credential *credential = directory_credential(directory, credential_sha256);
    return credential ? directory_partner(directory, slice_from_string(credential->partner)) : NULL;
}

unsigned directory_endpoints_of(const struct directory *directory, struct slice account,
    uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX])
{
    const struct account *found = directory_account(directory, account);
    if (!found)
        return 0;
    memcpy(ret_endpoints, found->endpoints, found->endpoints_count * sizeof ret_endpoints[0]);
    return found->endpoints_count;
}

bool directory_may_post(
    const struct directory *directory, struct slice partner, struct slice account)
{
    struct key key;
    return key_of_grant(partner, account, &key) && find(directory, &key);
}

/* Switches. */

static bool is_off_somewhere(const struct directory *directory, enum switch_kind kind)
{
    return (atomic_load_explicit(&directory->kinds_off, memory_order_acquire) >> kind) & 1;
}

const struct operator_switch *directory_switch_at(const struct directory *directory,
    enum switch_kind kind, struct slice account, uint64_t endpoint)
{
    struct key key;
    if (!is_off_somewhere(directory, kind) || !key_of_switch(kind, account, endpoint, &key))
        return NULL;
    struct directory_entry *entry = find(directory, &key);
    return entry ? (const struct operator_switch *)entry->object : NULL;
}

const struct operator_switch *directory_switch_off(const struct directory *directory,
    enum switch_kind kind, struct slice account, uint64_t endpoint)
{
    static const struct slice everything = SLICE_LITERAL("");
    const struct operator_switch *off = NULL;
    if (!is_off_somewhere(directory, kind))
        return NULL;
    off = directory_switch_at(directory, kind, everything, 0);
    if (!off && account.len > 0)
        off = directory_switch_at(directory, kind, account, 0);
    if (!off && account.len > 0 && endpoint != 0)
        off = directory_switch_at(directory, kind, account, endpoint);
    return off;
}

uint64_t directory_switch_changes(const struct directory *directory)
{
    return atomic_load_explicit(&directory->switch_changes, memory_order_acquire);
}

/* Walking over everything of one kind. */

struct walk {
    struct cds_lfht *table;
    struct cds_lfht_iter at;
    enum kind kind;
};

static struct walk walk_begin(const struct directory *directory, enum kind kind)
{
    struct walk walk = {.table = directory->table, .kind = kind};
    cds_lfht_first(walk.table, &walk.at);
    return walk;
}

static const struct directory_entry *walk_next_entry(struct walk *walk)
{
    for (struct cds_lfht_node *node; (node = cds_lfht_iter_get_node(&walk->at));) {
        struct directory_entry *entry = CONTAINER_OF(node, struct directory_entry, node);
        TSAN_ACQUIRE(entry);
        cds_lfht_next(walk->table, &walk->at);
        if (kind_of(entry) == walk->kind)
            return entry;
    }
    return NULL;
}

static const void *walk_next(struct walk *walk)
{
    const struct directory_entry *entry = walk_next_entry(walk);
    return entry ? entry->object : NULL;
}

void directory_each_partner(const struct directory *directory,
    void (*on_each)(const struct partner *partner, void *context), void *context)
{
    struct walk walk = walk_begin(directory, KIND_PARTNER);
    for (const struct partner *partner; (partner = walk_next(&walk));)
        on_each(partner, context);
}

void directory_each_account(const struct directory *directory,
    void (*on_each)(const struct account *account, void *context), void *context)
{
    struct walk walk = walk_begin(directory, KIND_ACCOUNT);
    for (const struct account *account; (account = walk_next(&walk));)
        on_each(account, context);
}

void directory_each_credential(const struct directory *directory,
    void (*on_each)(const struct credential *credential, void *context), void *context)
{
    struct walk walk = walk_begin(directory, KIND_CREDENTIAL);
    for (const struct credential *credential; (credential = walk_next(&walk));)
        on_each(credential, context);
}

void directory_each_switch(const struct directory *directory,
    void (*on_each)(const struct operator_switch *off, void *context), void *context)
{
    struct walk walk = walk_begin(directory, KIND_SWITCH);
    for (const struct operator_switch *off; (off = walk_next(&walk));)
        on_each(off, context);
}

void directory_each_grant(const struct directory *directory,
    void (*on_each)(struct slice partner, struct slice account, void *context), void *context)
{
    struct walk walk = walk_begin(directory, KIND_GRANT);
    for (const struct directory_entry *entry; (entry = walk_next_entry(&walk));) {
        const char *partner = (const char *)entry->key.bytes + 1;
        size_t partner_len = strlen(partner); /* the NUL between the two ends it */
        on_each(slice_of(partner, partner_len),
            slice_of(partner + partner_len + 1, entry->key.len - 1 - partner_len - 1), context);
    }
}

/* The last use of credentials. */

static struct directory_entry *entry_of(const struct credential *credential)
{
    return CONTAINER_OF(credential, struct directory_entry, object);
}

void directory_note_use(const struct credential *credential, int64_t now_us)
{
    struct directory_entry *entry = entry_of(credential);
    int64_t before_us = atomic_load_explicit(&entry->used_us, memory_order_relaxed);
    if (now_us - before_us >= US_PER_SECOND || now_us < before_us)
        atomic_store_explicit(&entry->used_us, now_us, memory_order_relaxed);
}

int64_t directory_last_use(const struct credential *credential)
{
    return atomic_load_explicit(&entry_of(credential)->used_us, memory_order_relaxed);
}

enum err directory_each_new_use(struct directory *directory,
    enum err (*on_each)(const struct credential *credential, int64_t used_us, void *context),
    void *context)
{
    struct walk walk = walk_begin(directory, KIND_CREDENTIAL);
    enum err err = OK;
    for (const struct credential *credential; !err && (credential = walk_next(&walk));) {
        struct directory_entry *entry = entry_of(credential);
        entry->given_us = directory_last_use(credential);
        if (entry->given_us != entry->kept_us)
            err = on_each(credential, entry->given_us, context);
    }
    return err;
}

void directory_keep_uses(struct directory *directory)
{
    struct walk walk = walk_begin(directory, KIND_CREDENTIAL);
    for (const struct credential *credential; (credential = walk_next(&walk));)
        entry_of(credential)->kept_us = entry_of(credential)->given_us;
}

/* Entries. */

static struct directory_entry *entry_new(
    bool key_is_good, const struct key *key, const void *object, size_t len)
{
    assert(key_is_good); /* names are checked where they come in */
    struct directory_entry *entry = memory_new_raw(sizeof *entry + len);
    cds_lfht_node_init(&entry->node);
    atomic_init(&entry->used_us, 0);
    entry->given_us = entry->kept_us = 0;
    entry->next_retired = NULL;
    entry->key = *key;
    if (len)
        memcpy(entry->object, object, len);
    return entry;
}

struct directory_entry *directory_entry_of_partner(const struct partner *partner)
{
    struct key key = {0};
    bool good = key_of(KIND_PARTNER, slice_from_string(partner->id), &key);
    return entry_new(good, &key, partner, sizeof *partner);
}

struct directory_entry *directory_entry_of_account(const struct account *account)
{
    struct key key = {0};
    bool good = key_of(KIND_ACCOUNT, slice_from_string(account->id), &key);
    return entry_new(good, &key, account, sizeof *account);
}

struct directory_entry *directory_entry_of_endpoint(const struct endpoint *endpoint)
{
    struct key key = {0};
    bool good = key_of(KIND_ENDPOINT, slice_of(&endpoint->id, sizeof endpoint->id), &key);
    (void)endpoint_policy_ref(endpoint->policy);
    return entry_new(good, &key, endpoint, sizeof *endpoint);
}

struct directory_entry *directory_entry_of_credential(const struct credential *credential)
{
    struct key key = {0};
    bool good = key_of(KIND_CREDENTIAL, slice_of(credential->sha256, SHA256_BYTES), &key);
    struct directory_entry *entry = entry_new(good, &key, credential, sizeof *credential);
    atomic_init(&entry->used_us, credential->used_us);
    entry->given_us = entry->kept_us = credential->used_us;
    return entry;
}

struct directory_entry *directory_entry_of_grant(const char *partner, const char *account)
{
    struct key key = {0};
    bool good = key_of_grant(slice_from_string(partner), slice_from_string(account), &key);
    return entry_new(good, &key, NULL, 0);
}

struct directory_entry *directory_entry_of_switch(const struct operator_switch *off)
{
    struct key key = {0};
    bool good = key_of_switch(off->kind, slice_from_string(off->account), off->endpoint, &key);
    return entry_new(good, &key, off, sizeof *off);
}

void directory_entry_free(struct directory_entry *entry)
{
    if (entry && kind_of(entry) == KIND_ENDPOINT)
        endpoint_policy_unref(endpoint_of(entry)->policy);
    free(entry);
}

/* Publishing. */

static void count_disabled(const struct directory_entry *entry, int amount)
{
    if (kind_of(entry) == KIND_ENDPOINT && !endpoint_of(entry)->enabled)
        metrics_add(METRIC_ENDPOINTS_DISABLED, amount);
}

/* A reader that sees the new number of changes sees the change itself. */
static void count_switch(
    struct directory *directory, const struct directory_entry *entry, int amount)
{
    if (kind_of(entry) != KIND_SWITCH)
        return;
    unsigned kind = ((const struct operator_switch *)entry->object)->kind;
    static const enum metric gauges[SWITCHES] = {[SWITCH_DELIVERIES] = METRIC_SWITCHES_DELIVERIES,
        [SWITCH_RETRIES] = METRIC_SWITCHES_RETRIES,
        [SWITCH_INGRESS] = METRIC_SWITCHES_INGRESS,
        [SWITCH_OPTIONAL] = METRIC_SWITCHES_OPTIONAL};
    directory->switches_off[kind] += (unsigned)amount;
    metrics_add(gauges[kind], amount);
    unsigned bit = 1u << kind, kinds = atomic_load(&directory->kinds_off);
    atomic_store_explicit(&directory->kinds_off,
        directory->switches_off[kind] > 0 ? kinds | bit : kinds & ~bit, memory_order_release);
    atomic_fetch_add_explicit(&directory->switch_changes, 1, memory_order_release);
}

/* The gauge counts what people know by name. */
static void count(struct directory *directory, const struct directory_entry *entry, int amount)
{
    enum kind kind = kind_of(entry);
    directory->entries += (unsigned long)amount;
    if (kind == KIND_PARTNER || kind == KIND_ACCOUNT || kind == KIND_ENDPOINT)
        metrics_add(METRIC_DIRECTORY_OBJECTS, amount);
    count_switch(directory, entry, amount);
}

static void retire(struct directory *directory, struct directory_entry *entry)
{
    count_disabled(entry, -1);
    entry->next_retired = directory->retired;
    directory->retired = entry;
}

/* A use that is noted in the same instant may be lost. */
static void take_over_use(const struct directory *directory, struct directory_entry *entry)
{
    const struct directory_entry *before =
        kind_of(entry) == KIND_CREDENTIAL ? find(directory, &entry->key) : NULL;
    if (!before)
        return;
    atomic_init(&entry->used_us, atomic_load_explicit(&before->used_us, memory_order_relaxed));
    entry->given_us = before->given_us;
    entry->kept_us = before->kept_us;
}

void directory_publish(struct directory *directory, struct directory_entry *entry)
{
    take_over_use(directory, entry);
    unsigned long hash = hash_of(directory, &entry->key);
    TSAN_RELEASE(entry);
    rcu_go_online();
    struct cds_lfht_node *replaced =
        cds_lfht_add_replace(directory->table, hash, matches, &entry->key, &entry->node);
    rcu_go_offline();
    count_disabled(entry, 1);
    if (replaced) {
        retire(directory, CONTAINER_OF(replaced, struct directory_entry, node));
        return;
    }
    count(directory, entry, 1);
    if (directory->entries > directory->buckets) {
        directory->buckets *= 2;
        cds_lfht_resize(directory->table, directory->buckets);
    }
}

static bool withdraw(struct directory *directory, const struct key *key)
{
    rcu_go_online();
    struct directory_entry *entry = find(directory, key);
    bool taken = entry && cds_lfht_del(directory->table, &entry->node) == 0;
    rcu_go_offline();
    if (taken) {
        count(directory, entry, -1);
        retire(directory, entry);
    }
    return taken;
}

bool directory_withdraw_partner(struct directory *directory, const char *id)
{
    struct key key;
    return key_of(KIND_PARTNER, slice_from_string(id), &key) && withdraw(directory, &key);
}

bool directory_withdraw_account(struct directory *directory, const char *id)
{
    struct key key;
    return key_of(KIND_ACCOUNT, slice_from_string(id), &key) && withdraw(directory, &key);
}

bool directory_withdraw_endpoint(struct directory *directory, uint64_t id)
{
    struct key key;
    return key_of(KIND_ENDPOINT, slice_of(&id, sizeof id), &key) && withdraw(directory, &key);
}

bool directory_withdraw_credential(
    struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES])
{
    struct key key;
    return key_of(KIND_CREDENTIAL, slice_of(credential_sha256, SHA256_BYTES), &key) &&
           withdraw(directory, &key);
}

bool directory_withdraw_switch(
    struct directory *directory, enum switch_kind kind, const char *account, uint64_t endpoint)
{
    struct key key;
    return key_of_switch(kind, slice_from_string(account), endpoint, &key) &&
           withdraw(directory, &key);
}

bool directory_withdraw_grant(struct directory *directory, const char *partner, const char *account)
{
    struct key key;
    return key_of_grant(slice_from_string(partner), slice_from_string(account), &key) &&
           withdraw(directory, &key);
}

void directory_free_retired(struct directory *directory)
{
    if (!directory->retired)
        return;
    rcu_wait_for_readers();
    while (directory->retired) {
        struct directory_entry *entry = directory->retired;
        directory->retired = entry->next_retired;
        directory_entry_free(entry);
    }
}

enum err directory_new(const struct hash_seed *seed, struct directory **ret_directory)
{
    struct directory *directory;
    MEMORY_NEW(directory);
    *directory = (struct directory){.seed = *seed, .buckets = BUCKETS_INITIAL};
    directory->table = cds_lfht_new(BUCKETS_INITIAL, BUCKETS_INITIAL, 0, 0, NULL);
    if (!directory->table) {
        free(directory);
        return ERR_NO_MEMORY;
    }
    *ret_directory = directory;
    return OK;
}

void directory_free(struct directory *directory)
{
    if (!directory)
        return;
    struct cds_lfht_iter at;
    struct cds_lfht_node *node;
    rcu_go_online();
    cds_lfht_for_each(directory->table, &at, node)
    {
        struct directory_entry *entry = CONTAINER_OF(node, struct directory_entry, node);
        if (cds_lfht_del(directory->table, node) == 0) {
            count(directory, entry, -1);
            retire(directory, entry);
        }
    }
    rcu_go_offline();
    directory_free_retired(directory);
    int failed = cds_lfht_destroy(directory->table, NULL);
    assert(!failed);
    (void)failed;
    free(directory);
}
