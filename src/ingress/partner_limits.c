/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/partner_limits.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/memory.h"
#include "model/token_bucket.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define SHARDS 64
#define CHAINS 64         /* of each shard */
#define SWEEP_AT_LEAST 64 /* partners of a shard, before full buckets are freed */
#define LOOKUPS_BURST_S 10
#define INTEGER_MAX UINT64_C(999999999999999) /* of structured fields (RFC 9651 section 3.3.1) */

struct bucket {
    struct list in_chain;
    char partner[NAME_BYTES_MAX + 1];
    int64_t last_us; /* threads read the clock before they take the lock: time never steps back */
    struct token_bucket tokens[PARTNER_LIMITS];
};

struct shard {
    pthread_mutex_t lock;
    /* guarded by the lock */
    struct list chains[CHAINS]; /* of struct bucket */
    unsigned count, sweep_at;
};

/* Rates and bursts as they are configured. Each is true by itself. */
struct defaults {
    _Atomic uint64_t rates[PARTNER_LIMITS], bursts[PARTNER_LIMITS];
};

struct partner_limits {
    struct hash_seed seed;
    struct defaults defaults; /* shared: atomic */
    struct shard shards[SHARDS];
};

struct wanted_limits {
    uint64_t rates[PARTNER_LIMITS], bursts[PARTNER_LIMITS];
};

void partner_limits_set_defaults(
    struct partner_limits *limits, const struct partner_rules *defaults)
{
    struct defaults *own = &limits->defaults;
    atomic_store(&own->rates[PARTNER_LIMIT_EVENTS], defaults->events_per_s);
    atomic_store(&own->bursts[PARTNER_LIMIT_EVENTS], defaults->events_burst);
    atomic_store(&own->rates[PARTNER_LIMIT_BYTES], defaults->bytes_per_s);
    atomic_store(&own->bursts[PARTNER_LIMIT_BYTES], defaults->bytes_burst);
}

void partner_limits_set_lookups(struct partner_limits *limits, uint64_t per_s)
{
    atomic_store(&limits->defaults.rates[PARTNER_LIMIT_LOOKUPS], per_s);
}

struct partner_limits *partner_limits_new(
    const struct hash_seed *seed, const struct partner_rules *defaults)
{
    struct partner_limits *limits;
    MEMORY_NEW(limits);
    limits->seed = *seed;
    partner_limits_set_defaults(limits, defaults);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &limits->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->sweep_at = SWEEP_AT_LEAST;
        for (unsigned chain = 0; chain < CHAINS; chain++)
            list_init(&shard->chains[chain]);
    }
    return limits;
}

static void bucket_free(struct shard *shard, struct bucket *bucket)
{
    list_remove(&bucket->in_chain);
    shard->count--;
    free(bucket);
}

void partner_limits_free(struct partner_limits *limits)
{
    if (!limits)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &limits->shards[i];
        for (unsigned chain = 0; chain < CHAINS; chain++)
            list_for_each_safe (node, following, &shard->chains[chain])
                bucket_free(shard, CONTAINER_OF(node, struct bucket, in_chain));
        pthread_mutex_destroy(&shard->lock);
    }
    free(limits);
}

static uint64_t own_or_default(uint64_t own, _Atomic uint64_t *standard)
{
    return own ? own : atomic_load_explicit(standard, memory_order_relaxed);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void find_limits(struct partner_limits *limits, const struct partner_rules *rules,
    struct wanted_limits *ret_wanted)
{
    static const struct partner_rules none;
    struct defaults *defaults = &limits->defaults;
    if (!rules)
        rules = &none;
    uint64_t *rates = ret_wanted->rates, *bursts = ret_wanted->bursts;
    rates[PARTNER_LIMIT_EVENTS] =
        own_or_default(rules->events_per_s, &defaults->rates[PARTNER_LIMIT_EVENTS]);
    rates[PARTNER_LIMIT_BYTES] =
        own_or_default(rules->bytes_per_s, &defaults->rates[PARTNER_LIMIT_BYTES]);
    bursts[PARTNER_LIMIT_EVENTS] =
        own_or_default(rules->events_burst, &defaults->bursts[PARTNER_LIMIT_EVENTS]);
    bursts[PARTNER_LIMIT_BYTES] =
        own_or_default(rules->bytes_burst, &defaults->bursts[PARTNER_LIMIT_BYTES]);
    if (!bursts[PARTNER_LIMIT_EVENTS])
        bursts[PARTNER_LIMIT_EVENTS] = rates[PARTNER_LIMIT_EVENTS];
    if (!bursts[PARTNER_LIMIT_BYTES])
        bursts[PARTNER_LIMIT_BYTES] = larger(rates[PARTNER_LIMIT_BYTES], BATCH_BYTES_MAX);
    rates[PARTNER_LIMIT_LOOKUPS] = own_or_default(0, &defaults->rates[PARTNER_LIMIT_LOOKUPS]);
    bursts[PARTNER_LIMIT_LOOKUPS] = rates[PARTNER_LIMIT_LOOKUPS] * LOOKUPS_BURST_S;
}

static bool limits_posts(const struct wanted_limits *wanted)
{
    return wanted->rates[PARTNER_LIMIT_EVENTS] || wanted->rates[PARTNER_LIMIT_BYTES];
}

static bool is_full(struct bucket *bucket, int64_t now_us)
{
    for (unsigned i = 0; i < PARTNER_LIMITS; i++) {
        struct token_bucket *tokens = &bucket->tokens[i];
        if (tokens->rate > 0 && token_bucket_count(tokens, now_us) < tokens->burst)
            return false;
    }
    return true;
}

static void sweep(struct shard *shard, int64_t now_us)
{
    for (unsigned chain = 0; chain < CHAINS; chain++)
        list_for_each_safe (node, following, &shard->chains[chain]) {
            struct bucket *bucket = CONTAINER_OF(node, struct bucket, in_chain);
            if (is_full(bucket, now_us))
                bucket_free(shard, bucket);
        }
    /* Twice what is left, so that the sweeps of many partners cost little for each of them. */
    shard->sweep_at = shard->count * 2 > SWEEP_AT_LEAST ? shard->count * 2 : SWEEP_AT_LEAST;
}

static struct bucket *find_bucket(
    struct shard *shard, struct list *chain, const char *partner, int64_t now_us)
{
    list_for_each (node, chain) {
        struct bucket *bucket = CONTAINER_OF(node, struct bucket, in_chain);
        if (strcmp(bucket->partner, partner) == 0)
            return bucket;
    }
    if (shard->count >= shard->sweep_at)
        sweep(shard, now_us);
    struct bucket *bucket;
    MEMORY_NEW(bucket);
    snprintf(bucket->partner, sizeof bucket->partner, "%s", partner);
    bucket->last_us = now_us;
    for (unsigned i = 0; i < PARTNER_LIMITS; i++)
        token_bucket_init(&bucket->tokens[i]);
    list_add_tail(chain, &bucket->in_chain);
    shard->count++;
    return bucket;
}

/* Rounds up. The waits of buckets are one microsecond longer than they must be. */
static uint64_t whole_seconds(int64_t us)
{
    if (us <= 0)
        return 0;
    return us <= US_PER_SECOND ? 1 : (uint64_t)((us - 2) / US_PER_SECOND + 1);
}

/*
 * The policy is the rate: so many in one second. A burst that is larger is so many in as many
 * seconds as it takes to fill. The window is rounded up, so that a partner that follows the policy
 * never posts too much.
 */
static struct partner_quota measure(struct token_bucket *tokens, double needed, int64_t now_us)
{
    struct partner_quota quota = {0};
    if (tokens->rate == 0)
        return quota;
    double left = token_bucket_count(tokens, now_us);
    uint64_t rate = (uint64_t)tokens->rate, burst = (uint64_t)tokens->burst;
    quota.quota = burst > rate ? burst : rate;
    quota.window_s = burst > rate ? (burst + rate - 1) / rate : 1;
    quota.left = left > 0 ? (uint64_t)left : 0;
    if (left < tokens->burst)
        quota.reset_s = whole_seconds(token_bucket_wait_for_us(tokens, needed, now_us));
    if (left < tokens->burst && quota.reset_s == 0)
        quota.reset_s = 1; /* less than a second */
    return quota;
}

/* Takes, or finds the limit that is used up. */
static void take(struct bucket *bucket, unsigned events, uint64_t bytes, int64_t now_us,
    struct partner_taking *taking)
{
    struct token_bucket *of_events = &bucket->tokens[PARTNER_LIMIT_EVENTS];
    struct token_bucket *of_bytes = &bucket->tokens[PARTNER_LIMIT_BYTES];
    int64_t events_wait_us = token_bucket_wait_us(of_events, now_us);
    int64_t bytes_wait_us = token_bucket_wait_for_us(of_bytes, (double)bytes, now_us);
    taking->is_refused = events_wait_us || bytes_wait_us;
    if (taking->is_refused) {
        bool are_bytes = bytes_wait_us > events_wait_us;
        taking->limit = are_bytes ? PARTNER_LIMIT_BYTES : PARTNER_LIMIT_EVENTS;
        taking->rate = (uint64_t)bucket->tokens[taking->limit].rate;
        taking->retry_after_s = (unsigned)whole_seconds(are_bytes ? bytes_wait_us : events_wait_us);
        taking->events = 0;
        return;
    }
    taking->events = events;
    if (of_events->rate > 0 && events > token_bucket_count(of_events, now_us))
        taking->events = (unsigned)token_bucket_count(of_events, now_us);
    token_bucket_take_many(of_events, taking->events, now_us);
    token_bucket_take_many(of_bytes, (double)bytes, now_us);
    if (taking->events < events) {
        taking->limit = PARTNER_LIMIT_EVENTS;
        taking->rate = (uint64_t)of_events->rate;
        taking->retry_after_s = (unsigned)whole_seconds(token_bucket_wait_us(of_events, now_us));
    }
}

/* Returns the bucket of a partner with its limits, and locks its shard. Time never steps back. */
static struct bucket *lock_bucket(struct partner_limits *limits, const char *partner,
    const struct wanted_limits *wanted, int64_t *now_us, struct shard **ret_shard)
{
    uint64_t hash = hash_siphash(&limits->seed, slice_from_string(partner));
    struct shard *shard = *ret_shard = &limits->shards[hash % SHARDS];
    pthread_mutex_lock(&shard->lock);
    struct bucket *bucket =
        find_bucket(shard, &shard->chains[hash / SHARDS % CHAINS], partner, *now_us);
    if (*now_us < bucket->last_us)
        *now_us = bucket->last_us;
    bucket->last_us = *now_us;
    for (unsigned i = 0; i < PARTNER_LIMITS; i++)
        token_bucket_set(
            &bucket->tokens[i], (double)wanted->rates[i], (double)wanted->bursts[i], *now_us);
    return bucket;
}

bool partner_limits_take(struct partner_limits *limits, const char *partner,
    const struct partner_rules *rules, unsigned events, uint64_t bytes, int64_t now_us,
    struct partner_taking *ret_taking)
{
    struct wanted_limits wanted;
    struct shard *shard;
    *ret_taking = (struct partner_taking){.events = events};
    find_limits(limits, rules, &wanted);
    if (!limits_posts(&wanted))
        return false;
    struct bucket *bucket = lock_bucket(limits, partner, &wanted, &now_us, &shard);
    take(bucket, events, bytes, now_us, ret_taking);
    double bytes_needed = ret_taking->is_refused ? (double)bytes : 1;
    ret_taking->quotas[PARTNER_LIMIT_EVENTS] =
        measure(&bucket->tokens[PARTNER_LIMIT_EVENTS], 1, now_us);
    ret_taking->quotas[PARTNER_LIMIT_BYTES] =
        measure(&bucket->tokens[PARTNER_LIMIT_BYTES], bytes_needed, now_us);
    pthread_mutex_unlock(&shard->lock);
    return true;
}

bool partner_limits_take_lookup(struct partner_limits *limits, const char *partner,
    const struct partner_rules *rules, int64_t now_us, struct partner_taking *ret_taking)
{
    struct wanted_limits wanted;
    struct shard *shard;
    *ret_taking = (struct partner_taking){.limit = PARTNER_LIMIT_LOOKUPS};
    find_limits(limits, rules, &wanted);
    ret_taking->rate = wanted.rates[PARTNER_LIMIT_LOOKUPS];
    if (!ret_taking->rate)
        return false;
    struct bucket *bucket = lock_bucket(limits, partner, &wanted, &now_us, &shard);
    struct token_bucket *tokens = &bucket->tokens[PARTNER_LIMIT_LOOKUPS];
    int64_t wait_us = token_bucket_wait_us(tokens, now_us);
    ret_taking->is_refused = wait_us > 0;
    ret_taking->retry_after_s = (unsigned)whole_seconds(wait_us);
    if (!ret_taking->is_refused)
        token_bucket_take(tokens, now_us);
    ret_taking->quotas[PARTNER_LIMIT_LOOKUPS] = measure(tokens, 1, now_us);
    pthread_mutex_unlock(&shard->lock);
    return true;
}

void partner_limits_owe(struct partner_limits *limits, const char *partner,
    const struct partner_rules *rules, uint64_t bytes, int64_t now_us)
{
    struct wanted_limits wanted;
    struct shard *shard;
    if (bytes == 0)
        return;
    find_limits(limits, rules, &wanted);
    if (!limits_posts(&wanted))
        return;
    struct bucket *bucket = lock_bucket(limits, partner, &wanted, &now_us, &shard);
    token_bucket_take_many(&bucket->tokens[PARTNER_LIMIT_BYTES], (double)bytes, now_us);
    pthread_mutex_unlock(&shard->lock);
}

unsigned partner_limits_count(struct partner_limits *limits)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&limits->shards[i].lock);
        count += limits->shards[i].count;
        pthread_mutex_unlock(&limits->shards[i].lock);
    }
    return count;
}

static unsigned long long in_field(uint64_t value)
{
    return value < INTEGER_MAX ? value : INTEGER_MAX;
}

/*
 * Sections 3 and 4 of the draft: Lists of Strings with parameters. The unit of bytes is
 * `content-bytes` (3.1.2). Events have no registered unit and use the default, `requests`, as
 * look-ups do. `t` is when more is left (4.1.2); without it, nothing is missing.
 */
void partner_limits_print(const struct partner_taking *taking,
    char ret_policy[PARTNER_LIMITS_FIELD_BYTES], char ret_left[PARTNER_LIMITS_FIELD_BYTES])
{
    static const struct {
        const char *name, *unit;
    } limits[] = {[PARTNER_LIMIT_EVENTS] = {"events", ""},
        [PARTNER_LIMIT_BYTES] = {"bytes", ";qu=\"content-bytes\""},
        [PARTNER_LIMIT_LOOKUPS] = {"lookups", ""}};
    size_t policy_len = 0, left_len = 0;
    for (unsigned i = 0; i < PARTNER_LIMITS; i++) {
        const struct partner_quota *quota = &taking->quotas[i];
        if (quota->quota == 0)
            continue;
        policy_len +=
            (size_t)snprintf(ret_policy + policy_len, PARTNER_LIMITS_FIELD_BYTES - policy_len,
                "%s\"%s\";q=%llu%s;w=%llu", policy_len ? ", " : "", limits[i].name,
                in_field(quota->quota), limits[i].unit, in_field(quota->window_s));
        left_len += (size_t)snprintf(ret_left + left_len, PARTNER_LIMITS_FIELD_BYTES - left_len,
            "%s\"%s\";r=%llu", left_len ? ", " : "", limits[i].name, in_field(quota->left));
        if (quota->reset_s)
            left_len += (size_t)snprintf(ret_left + left_len, PARTNER_LIMITS_FIELD_BYTES - left_len,
                ";t=%llu", in_field(quota->reset_s));
    }
}
