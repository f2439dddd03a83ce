/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set-associative table: the key's head (it is a SHA-256's) names the set, and a lock is shared by the sets whose
 * numbers end alike. A set is filled in a circle, so the place that comes next is the oldest one's.
 */
#include "ingress/known_keys.h"

#include "model/money.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS 8
#define LOCKS 256 /* a power of two; more than threads by far, so that hardly two meet */

struct known_key {
    struct ledger_key key;
    struct known_event first;
};

struct key_set {
    unsigned count, oldest;
    struct known_key keys[WAYS];
};

struct known_keys {
    pthread_mutex_t locks[LOCKS];
    size_t mask;
    struct key_set *sets; /* each guarded by its lock */
};

void known_money_of(const struct event_parts *parts, struct known_money *ret_money)
{
    memset(ret_money, 0, sizeof *ret_money);
    if (parts->amount.len)
        ret_money->amount_len = (unsigned char)money_canonical(parts->amount, ret_money->amount);
    ret_money->currency_len = (unsigned char)parts->currency.len;
    if (parts->currency.len)
        memcpy(ret_money->currency, parts->currency.data, parts->currency.len);
}

bool known_money_equal(const struct known_money *one, const struct known_money *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}

static struct key_set *lock_set(struct known_keys *keys, const struct ledger_key *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof hash);
    size_t number = hash & keys->mask;
    pthread_mutex_lock(&keys->locks[number % LOCKS]);
    return &keys->sets[number];
}

static void unlock_set(struct known_keys *keys, const struct key_set *set)
{
    pthread_mutex_unlock(&keys->locks[(size_t)(set - keys->sets) % LOCKS]);
}

static struct known_key *find(struct key_set *set, const struct ledger_key *key)
{
    for (unsigned i = 0; i < set->count; i++)
        if (memcmp(&set->keys[i].key, key, sizeof *key) == 0)
            return &set->keys[i];
    return NULL;
}

bool known_keys_find(struct known_keys *keys, const struct ledger_key *key, struct known_event *ret_first)
{
    struct key_set *set = lock_set(keys, key);
    const struct known_key *found = find(set, key);
    if (found)
        *ret_first = found->first;
    unlock_set(keys, set);
    return found;
}

static struct known_key *take_place(struct key_set *set)
{
    if (set->count < WAYS)
        return &set->keys[set->count++];
    struct known_key *place = &set->keys[set->oldest];
    set->oldest = (set->oldest + 1) % WAYS;
    return place;
}

void known_keys_add(struct known_keys *keys, const struct ledger_key *key, const struct known_event *first)
{
    struct key_set *set = lock_set(keys, key);
    if (!find(set, key))
        *take_place(set) = (struct known_key){.key = *key, .first = *first};
    unlock_set(keys, set);
}

enum err known_keys_new(unsigned keys_max, struct known_keys **ret_keys)
{
    struct known_keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return ERR_NO_MEMORY;
    size_t sets = 1;
    while (sets * WAYS < keys_max)
        sets *= 2;
    keys->mask = sets - 1;
    keys->sets = calloc(sets, sizeof *keys->sets);
    if (!keys->sets) {
        free(keys);
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&keys->locks[i], NULL);
    *ret_keys = keys;
    return OK;
}

void known_keys_free(struct known_keys *keys)
{
    if (!keys)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&keys->locks[i]);
    free(keys->sets);
    free(keys);
}
