/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/keys.h"

#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_MIN 1024u

struct number_of_run {
    uint64_t number;
    uint8_t run;
};

static uint64_t hash_number(uint8_t run, uint64_t number)
{
    return index_mix(number + ((uint64_t)run << 56));
}

static uint64_t hash_id(const unsigned char id[EVENT_BYTES])
{
    uint64_t halves[2];
    memcpy(halves, id, sizeof halves);
    return index_mix(halves[0] ^ index_mix(halves[1]));
}

static uint64_t hash_key_at(const void *owner, uint32_t place)
{
    const struct key *key = &((const struct keys *)owner)->keys[place];
    return hash_number(key->run, key->number);
}

static bool key_at_is(const void *owner, uint32_t place, const void *wanted)
{
    const struct key *key = &((const struct keys *)owner)->keys[place];
    const struct number_of_run *number = wanted;
    return key->number == number->number && key->run == number->run;
}

static uint64_t hash_id_at(const void *owner, uint32_t place)
{
    return hash_id(((const struct keys *)owner)->ids[place].bytes);
}

static bool id_at_is(const void *owner, uint32_t place, const void *wanted)
{
    return memcmp(((const struct keys *)owner)->ids[place].bytes, wanted, EVENT_BYTES) == 0;
}

void keys_init(struct keys *keys)
{
    *keys = (struct keys){
        .by_number = {.hash = hash_key_at, .same = key_at_is},
        .by_id = {.hash = hash_id_at, .same = id_at_is},
        .currencies_count = 1,
    };
}

void keys_done(struct keys *keys)
{
    index_done(&keys->by_number);
    index_done(&keys->by_id);
    free(keys->keys);
    free(keys->ids);
    free(keys->conflicts);
}

enum err keys_make_room(void **array, uint32_t *capacity, uint32_t count, size_t item_bytes)
{
    if (count < *capacity)
        return OK;
    if (*capacity > UINT32_MAX / 4)
        return ERR_TOO_LARGE;
    uint32_t larger = *capacity ? *capacity * 2 : CAPACITY_MIN;
    void *moved = realloc(*array, larger * item_bytes);
    if (!moved)
        return ERR_NO_MEMORY;
    *array = moved;
    *capacity = larger;
    return OK;
}

uint8_t keys_find_run(const struct keys *keys, const char *run)
{
    for (unsigned i = 0; i < keys->runs_count; i++)
        if (strcmp(keys->runs[i], run) == 0)
            return (uint8_t)i;
    return RUN_NONE;
}

enum err keys_take_run(struct keys *keys, const char *run, uint8_t *ret_run)
{
    uint8_t found = keys_find_run(keys, run);
    if (found == RUN_NONE) {
        if (keys->runs_count == RUNS_MAX)
            return ERR_TOO_LARGE;
        found = (uint8_t)keys->runs_count++;
        snprintf(keys->runs[found], RUN_NAME_BYTES, "%s", run);
    }
    *ret_run = found;
    return OK;
}

enum err keys_take_currency(
    struct keys *keys, const char currency[CURRENCY_TEXT_BYTES], uint8_t *ret_currency)
{
    unsigned i = 0;
    while (i < keys->currencies_count &&
           strncmp(keys->currencies[i], currency, CURRENCY_TEXT_BYTES - 1) != 0)
        i++;
    if (i == keys->currencies_count) {
        if (i == CURRENCIES_MAX)
            return ERR_TOO_LARGE;
        memcpy(keys->currencies[i], currency, CURRENCY_TEXT_BYTES - 1);
        keys->currencies_count++;
    }
    *ret_currency = (uint8_t)i;
    return OK;
}

uint32_t keys_find_key(const struct keys *keys, uint8_t run, uint64_t number)
{
    struct number_of_run wanted = {number, run};
    return index_find(&keys->by_number, keys, hash_number(run, number), &wanted);
}

enum err keys_take_key(struct keys *keys, uint8_t run, uint64_t number, uint32_t *ret_key)
{
    uint32_t place = keys_find_key(keys, run, number);
    if (place == PLACE_NONE) {
        void *array = keys->keys;
        enum err result =
            keys_make_room(&array, &keys->capacity, keys->count, sizeof keys->keys[0]);
        keys->keys = array;
        if (result)
            return result;
        place = keys->count;
        keys->keys[place] = (struct key){
            .number = number,
            .run = run,
            .id = PLACE_NONE,
            .conflict = PLACE_NONE,
            .accepted_as = PLACE_NONE,
            .request = PLACE_NONE,
        };
        result = index_add(&keys->by_number, keys, place);
        if (result)
            return result;
        keys->count++;
    }
    *ret_key = place;
    return OK;
}

enum err keys_take_conflict(
    struct keys *keys, uint32_t key, const struct key_conflict *conflict, uint32_t *ret_conflict)
{
    uint32_t place = keys->keys[key].conflict;
    while (place != PLACE_NONE && keys->conflicts[place].body_hash != conflict->body_hash)
        place = keys->conflicts[place].next;
    if (place == PLACE_NONE) {
        void *array = keys->conflicts;
        enum err result = keys_make_room(
            &array, &keys->conflicts_capacity, keys->conflicts_count, sizeof keys->conflicts[0]);
        keys->conflicts = array;
        if (result)
            return result;
        place = keys->conflicts_count++;
        keys->conflicts[place] = *conflict;
        keys->conflicts[place].next = keys->keys[key].conflict;
        keys->keys[key].conflict = place;
    }
    *ret_conflict = place;
    return OK;
}

uint32_t keys_find_id(const struct keys *keys, const unsigned char id[EVENT_BYTES])
{
    return index_find(&keys->by_id, keys, hash_id(id), id);
}

static enum err add_id(
    struct keys *keys, uint32_t key, const unsigned char id[EVENT_BYTES], uint32_t *ret_place)
{
    void *array = keys->ids;
    enum err result =
        keys_make_room(&array, &keys->ids_capacity, keys->ids_count, sizeof keys->ids[0]);
    keys->ids = array;
    if (result)
        return result;
    uint32_t place = keys->ids_count;
    keys->ids[place].key = key;
    memcpy(keys->ids[place].bytes, id, EVENT_BYTES);
    result = index_add(&keys->by_id, keys, place);
    if (result)
        return result;
    keys->ids_count++;
    *ret_place = place;
    return OK;
}

enum err keys_take_id(struct keys *keys, uint32_t key, const unsigned char id[EVENT_BYTES])
{
    uint32_t place = keys_find_id(keys, id);
    bool is_new = place == PLACE_NONE;
    if (is_new) {
        enum err result = add_id(keys, key, id, &place);
        if (result)
            return result;
    }
    if (key == PLACE_NONE)
        return OK;
    if (keys->ids[place].key != key)
        keys->keys[key].flags |= KEY_ID_SHARED;
    else if (keys->keys[key].id == PLACE_NONE)
        keys->keys[key].id = place;
    else if (is_new && keys->keys[key].other_ids < UINT8_MAX)
        keys->keys[key].other_ids++;
    return OK;
}

bool keys_has_two_ids(const struct key *key)
{
    return (key->flags & KEY_TWO_EVENTS) || key->other_ids > key->late_ids;
}

bool keys_is_zero_id(const unsigned char id[EVENT_BYTES])
{
    static const unsigned char zeros[EVENT_BYTES];
    return memcmp(id, zeros, EVENT_BYTES) == 0;
}

bool keys_is_valid(const struct key *key)
{
    return (key->flags & KEY_SENT) || key->conflict != PLACE_NONE;
}

void keys_accepted_money(
    const struct keys *keys, const struct key *key, int64_t *ret_micros, uint8_t *ret_currency)
{
    const struct key_conflict *conflict =
        key->accepted_as == PLACE_NONE ? NULL : &keys->conflicts[key->accepted_as];
    *ret_micros = conflict ? conflict->amount_micros : key->amount_micros;
    *ret_currency = conflict ? conflict->currency : key->currency;
}

bool keys_was_sent(const struct keys *keys, const struct key *key, uint64_t body_hash)
{
    for (uint32_t at = key->conflict; at != PLACE_NONE; at = keys->conflicts[at].next)
        if (keys->conflicts[at].body_hash == body_hash)
            return true;
    return (key->flags & KEY_SENT) && key->body_hash == body_hash;
}

bool keys_may_deliver(const struct keys *keys, const struct key *key, uint64_t body_hash)
{
    if (!(key->flags & KEY_ACCEPTED))
        return keys_was_sent(keys, key, body_hash);
    return key->accepted_as == PLACE_NONE
               ? (key->flags & KEY_SENT) && key->body_hash == body_hash
               : keys->conflicts[key->accepted_as].body_hash == body_hash;
}
