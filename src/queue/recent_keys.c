/* SPDX-License-Identifier: Apache-2.0 */
/* A set-associative table. The first bytes of the key, a SHA-256, choose the set. Sets share
 * locks. */
#include "queue/recent_keys.h"

#include "base/memory.h"

#include "model/money.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS 8
#define LOCKS 256 /* a power of two; many more than there are threads */

enum place { PLACE_FREE, PLACE_PENDING, PLACE_DURABLE };

struct recent_key {
    struct dedupe_key key;
    struct recent_key_event first;
    unsigned char place; /* enum place */
    uint32_t age;        /* of the set's clock; it may wrap around */
};

struct key_set {
    uint32_t clock;
    struct recent_key keys[WAYS];
};

struct recent_keys {
    pthread_mutex_t locks[LOCKS];
    size_t mask;
    struct key_set *sets; /* each guarded by its lock */
};

static struct key_set *lock_set(struct recent_keys *keys, const struct dedupe_key *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof hash);
    size_t number = hash & keys->mask;
    pthread_mutex_lock(&keys->locks[number % LOCKS]);
    return &keys->sets[number];
}

static void unlock_set(struct recent_keys *keys, const struct key_set *set)
{
    pthread_mutex_unlock(&keys->locks[(size_t)(set - keys->sets) % LOCKS]);
}

static struct recent_key *find(struct key_set *set, const struct dedupe_key *key)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (set->keys[i].place != PLACE_FREE && memcmp(&set->keys[i].key, key, sizeof *key) == 0)
            return &set->keys[i];
    return NULL;
}

/* Returns a free place or that of the oldest durable key; NULL if all are pending. */
static struct recent_key *find_place(struct key_set *set)
{
    struct recent_key *oldest = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct recent_key *each = &set->keys[i];
        if (each->place == PLACE_FREE)
            return each;
        if (each->place == PLACE_DURABLE &&
            (!oldest || set->clock - each->age > set->clock - oldest->age))
            oldest = each;
    }
    return oldest;
}

static enum recent_key_finding enter(struct key_set *set, const struct dedupe_key *key,
    const struct recent_key_event *event, struct recent_key_event *ret_first)
{
    struct recent_key *known = find(set, key);
    if (known && known->place == PLACE_PENDING)
        return RECENT_KEY_PENDING;
    if (known) {
        *ret_first = known->first;
        return RECENT_KEY_DURABLE;
    }
    struct recent_key *place = find_place(set);
    if (!place)
        return RECENT_KEY_NO_PLACE;
    *place = (struct recent_key){
        .key = *key, .first = *event, .place = PLACE_PENDING, .age = set->clock++};
    return RECENT_KEY_NEW;
}

enum recent_key_finding recent_keys_enter(struct recent_keys *keys, const struct dedupe_key *key,
    const struct recent_key_event *event, struct recent_key_event *ret_first)
{
    struct key_set *set = lock_set(keys, key);
    enum recent_key_finding known = enter(set, key, event, ret_first);
    unlock_set(keys, set);
    return known;
}

void recent_keys_end(struct recent_keys *keys, const struct dedupe_key *key,
    const struct event_id *id, const struct recent_key_event *first)
{
    struct key_set *set = lock_set(keys, key);
    struct recent_key *known = find(set, key);
    if (known && known->place == PLACE_PENDING && memcmp(&known->first.id, id, sizeof *id) == 0) {
        known->place = first ? PLACE_DURABLE : PLACE_FREE;
        if (first)
            known->first = *first;
    }
    unlock_set(keys, set);
}

struct recent_keys *recent_keys_new(unsigned keys_max)
{
    struct recent_keys *keys;
    MEMORY_NEW(keys);
    size_t sets = 1;
    while (sets * WAYS < keys_max)
        sets *= 2;
    keys->mask = sets - 1;
    keys->sets = memory_new_array(sets, sizeof *keys->sets);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&keys->locks[i], NULL);
    return keys;
}

void recent_keys_free(struct recent_keys *keys)
{
    if (!keys)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&keys->locks[i]);
    free(keys->sets);
    free(keys);
}
