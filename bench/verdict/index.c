/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/index.h"

#include "common/random.h"

#include <stdlib.h>

#define SLOTS_MIN 1024u
#define SLOTS_MAX (1u << 31)

uint64_t index_mix(uint64_t value)
{
    return random_mix(value);
}

void index_done(struct index *index)
{
    free(index->slots);
    index->slots = NULL;
}

uint32_t index_find(const struct index *index, const void *owner, uint64_t hash, const void *wanted)
{
    if (!index->slots)
        return INDEX_NONE;
    for (uint32_t at = (uint32_t)hash & index->mask; index->slots[at]; at = (at + 1) & index->mask)
        if (index->same(owner, index->slots[at] - 1, wanted))
            return index->slots[at] - 1;
    return INDEX_NONE;
}

static void put(uint32_t *slots, uint32_t mask, uint64_t hash, uint32_t place)
{
    uint32_t at = (uint32_t)hash & mask;
    while (slots[at])
        at = (at + 1) & mask;
    slots[at] = place + 1;
}

static enum err double_it(struct index *index, const void *owner)
{
    uint32_t old_slots = index->slots ? index->mask + 1 : 0;
    if (old_slots == SLOTS_MAX)
        return ERR_TOO_LARGE;
    uint32_t slots = old_slots ? old_slots * 2 : SLOTS_MIN;
    uint32_t *larger = calloc(slots, sizeof *larger);
    if (!larger)
        return ERR_NO_MEMORY;
    for (uint32_t at = 0; at < old_slots; at++)
        if (index->slots[at])
            put(larger, slots - 1, index->hash(owner, index->slots[at] - 1), index->slots[at] - 1);
    free(index->slots);
    index->slots = larger;
    index->mask = slots - 1;
    return OK;
}

enum err index_add(struct index *index, const void *owner, uint32_t place)
{
    if (!index->slots || index->count > index->mask / 2) {
        enum err result = double_it(index, owner);
        if (result)
            return result;
    }
    put(index->slots, index->mask, index->hash(owner, place), place);
    index->count++;
    return OK;
}
