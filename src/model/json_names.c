/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_names.h"

#include <stdlib.h>

void json_names_init(struct json_names *names, const struct hash_seed *seed)
{
    names->seed = seed;
    names->count = 0;
    names->capacity = JSON_NAMES_FEW;
    names->slots = names->few;
    memset(names->few, 0, sizeof names->few);
}

void json_names_done(struct json_names *names)
{
    if (names->slots != names->few)
        free(names->slots);
}

/* Returns the slot of `hash`, or the free slot where it is to be stored. */
static uint64_t *find_slot(const struct json_names *names, uint64_t hash)
{
    size_t at = hash & (names->capacity - 1);
    while (names->slots[at] && names->slots[at] != hash)
        at = (at + 1) & (names->capacity - 1);
    return &names->slots[at];
}

static enum err grow(struct json_names *names)
{
    struct json_names larger = {.capacity = 4 * names->capacity};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < names->capacity; i++)
        if (names->slots[i])
            *find_slot(&larger, names->slots[i]) = names->slots[i];
    json_names_done(names);
    names->slots = larger.slots;
    names->capacity = larger.capacity;
    return OK;
}

enum err json_names_add(struct json_names *names, uint64_t object, struct slice name)
{
    /* Fibonacci's multiplier; any odd constant works. A name has a different hash in each
     * object. */
    uint64_t hash = hash_siphash(names->seed, name) + object * 0x9e3779b97f4a7c15;
    hash += hash == 0;
    uint64_t *slot = find_slot(names, hash);
    if (*slot)
        return ERR_EXISTS;
    if (++names->count > names->capacity / 2) {
        enum err failed = grow(names);
        if (failed)
            return failed;
        slot = find_slot(names, hash);
    }
    *slot = hash;
    return OK;
}
