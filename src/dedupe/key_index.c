/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/key_index.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#define SLOT_BITS_MIN 10 /* 8 KB: a quiet day has no more */
#define TAG_BITS 32
#define ENTRY_BYTES sizeof(uint64_t)
#define BUCKET_ENTRIES (4096 / ENTRY_BYTES)
#define BUCKET_BITS_MAX 22 /* for more keys than a segment can number */

static_assert(sizeof(struct key_index_slot) == ENTRY_BYTES, "half a million keys take 8 MB");

void key_index_init(struct key_index *index, const struct hash_seed *seed)
{
    *index = (struct key_index){.seed = *seed};
}

void key_index_done(struct key_index *index)
{
    free(index->slots);
    index->slots = NULL;
    index->bits = 0;
    index->count = 0;
}

uint32_t key_index_tag(const struct hash_seed *seed, const struct dedupe_key *key)
{
    return (
        uint32_t)(hash_siphash(seed, slice_of(key->bytes, sizeof key->bytes)) >> (64 - TAG_BITS));
}

static uint64_t slots_count(const struct key_index *index)
{
    return index->slots ? UINT64_C(1) << index->bits : 0;
}

static uint64_t slot_of(uint32_t tag, unsigned bits)
{
    return tag >> (TAG_BITS - bits);
}

/* There is an empty slot, since a quarter of them is. */
static bool put(struct key_index_slot *slots, unsigned bits, struct key_index_slot entry)
{
    uint64_t mask = (UINT64_C(1) << bits) - 1, at = slot_of(entry.tag, bits);
    for (; slots[at].row; at = (at + 1) & mask)
        if (slots[at].tag == entry.tag && slots[at].row == entry.row)
            return false;
    slots[at] = entry;
    return true;
}

static bool has_room(const struct key_index *index)
{
    return (index->count + 1) * 4 <= slots_count(index) * 3;
}

enum err key_index_reserve(struct key_index *index)
{
    if (has_room(index))
        return OK;
    unsigned bits = index->slots ? index->bits + 1 : SLOT_BITS_MIN;
    if (bits > TAG_BITS)
        return ERR_NO_MEMORY;
    struct key_index_slot *slots = calloc((size_t)1 << bits, sizeof *slots);
    if (!slots)
        return ERR_NO_MEMORY;
    for (uint64_t i = 0; i < slots_count(index); i++)
        if (index->slots[i].row)
            put(slots, bits, index->slots[i]);
    free(index->slots);
    index->slots = slots;
    index->bits = bits;
    return OK;
}

void key_index_add(struct key_index *index, const struct dedupe_key *key, uint32_t row)
{
    assert(row && has_room(index));
    index->count += put(
        index->slots, index->bits, (struct key_index_slot){key_index_tag(&index->seed, key), row});
}

struct key_index_search key_index_search(
    const struct key_index *index, const struct dedupe_key *key)
{
    struct key_index_search search = {.tag = key_index_tag(&index->seed, key)};
    if (index->slots)
        search.at = slot_of(search.tag, index->bits);
    return search;
}

uint32_t key_index_next(const struct key_index *index, struct key_index_search *search)
{
    uint64_t count = slots_count(index);
    while (count) {
        const struct key_index_slot *slot = &index->slots[search->at];
        if (!slot->row)
            break;
        search->at = (search->at + 1) & (count - 1);
        if (slot->tag == search->tag)
            return slot->row;
    }
    return 0;
}

unsigned key_bucket_bits(uint64_t keys)
{
    unsigned bits = 0;
    while (bits < BUCKET_BITS_MAX && keys >> bits > BUCKET_ENTRIES)
        bits++;
    return bits;
}

uint32_t key_bucket_of(uint32_t tag, unsigned bits)
{
    return (uint32_t)((uint64_t)tag >> (TAG_BITS - bits));
}

static void add_entry(struct buffer *bytes, const struct key_index_slot *slot)
{
    uint64_t entry = (uint64_t)slot->tag << TAG_BITS | slot->row;
    buffer_add(bytes, &entry, sizeof entry);
}

/* By insertion: in the order of the table only neighbours are out of place. */
static void sort_entries(char *data, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t entry, before;
        memcpy(&entry, data + i * ENTRY_BYTES, ENTRY_BYTES);
        size_t at = i;
        for (; at > 0; at--) {
            memcpy(&before, data + (at - 1) * ENTRY_BYTES, ENTRY_BYTES);
            if (before <= entry)
                break;
            memcpy(data + at * ENTRY_BYTES, &before, ENTRY_BYTES);
        }
        memcpy(data + at * ENTRY_BYTES, &entry, ENTRY_BYTES);
    }
}

enum err key_index_bucket(
    const struct key_index *index, unsigned bits, uint32_t bucket, struct buffer *bytes)
{
    buffer_clear(bytes);
    if (!index->slots)
        return OK;
    /* The slots that its tags name, and on from the last of them to an empty one. */
    uint64_t tags = UINT64_C(1) << (TAG_BITS - bits), count = slots_count(index);
    uint64_t first = slot_of((uint32_t)(bucket * tags), index->bits);
    uint64_t last = slot_of((uint32_t)(bucket * tags + tags - 1), index->bits);
    for (uint64_t i = first; i < first + count; i++) {
        const struct key_index_slot *slot = &index->slots[i & (count - 1)];
        if (i > last && !slot->row)
            break;
        if (slot->row && key_bucket_of(slot->tag, bits) == bucket)
            add_entry(bytes, slot);
    }
    enum err result = buffer_status(bytes);
    if (result)
        return result;
    sort_entries(bytes->data, bytes->len / ENTRY_BYTES);
    for (size_t at = 0; at < bytes->len; at += ENTRY_BYTES) {
        uint64_t entry;
        memcpy(&entry, bytes->data + at, ENTRY_BYTES);
        entry = htole64(entry);
        memcpy(bytes->data + at, &entry, ENTRY_BYTES);
    }
    return OK;
}

static uint64_t entry_at(struct slice bytes, uint64_t at)
{
    uint64_t entry;
    memcpy(&entry, bytes.data + at * ENTRY_BYTES, ENTRY_BYTES);
    return le64toh(entry);
}

struct key_index_search key_bucket_search(struct slice bytes, uint32_t tag)
{
    uint64_t low = 0, high = bytes.len / ENTRY_BYTES;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entry_at(bytes, middle) >> TAG_BITS < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct key_index_search){.tag = tag, .at = low};
}

uint32_t key_bucket_next(struct slice bytes, struct key_index_search *search)
{
    if (search->at >= bytes.len / ENTRY_BYTES)
        return 0;
    uint64_t entry = entry_at(bytes, search->at);
    if (entry >> TAG_BITS != search->tag)
        return 0;
    search->at++;
    return (uint32_t)entry;
}
