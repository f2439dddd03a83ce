/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/key_filter.h"

#include <assert.h>
#include <stdlib.h>

#define LINES_MIN 24 /* 1024 keys */
#define LINE_BITS (KEY_FILTER_LINE_BYTES * 8)
#define BITS_PER_KEY 12
#define PROBE_BITS 9 /* a bit of a line */

static_assert(1 << PROBE_BITS == LINE_BITS, "a probe can name every bit of a line, and no other");
static_assert(KEY_FILTER_PROBES * PROBE_BITS <= 64, "the probes are cut from eight bytes");

/* 0 for more keys than a filter can be made for. */
static uint32_t lines_for(uint64_t keys)
{
    uint64_t lines = LINES_MIN;
    while (lines <= UINT32_MAX && lines * LINE_BITS / BITS_PER_KEY < keys)
        lines *= 2;
    return lines <= UINT32_MAX ? (uint32_t)lines : 0;
}

static uint64_t probes_of(const struct dedupe_key *key)
{
    uint64_t probes = 0;
    for (unsigned i = 0; i < 8; i++)
        probes |= (uint64_t)key->bytes[8 + i] << (8 * i);
    return probes;
}

static enum err allocate(struct key_filter *filter, uint32_t lines_count)
{
    *filter = (struct key_filter){0};
    if (lines_count == 0)
        return ERR_NO_MEMORY;
    /* Not aligned_alloc and memset: that would touch every page. */
    char *memory = calloc((size_t)lines_count + 1, KEY_FILTER_LINE_BYTES);
    if (!memory)
        return ERR_NO_MEMORY;
    size_t past = (uintptr_t)memory % KEY_FILTER_LINE_BYTES;
    filter->memory = memory;
    filter->lines = (unsigned char *)memory + (past ? KEY_FILTER_LINE_BYTES - past : 0);
    filter->lines_count = lines_count;
    return OK;
}

enum err key_filter_init(struct key_filter *filter, uint64_t keys)
{
    return allocate(filter, lines_for(keys));
}

void key_filter_done(struct key_filter *filter)
{
    free(filter->memory);
    *filter = (struct key_filter){0};
}

void key_filter_add(struct key_filter *filter, const struct dedupe_key *key)
{
    if (filter->lines_count == 0)
        return;
    unsigned char *line = key_filter_line(filter, key);
    uint64_t probes = probes_of(key);
    for (unsigned i = 0; i < KEY_FILTER_PROBES; i++, probes >>= PROBE_BITS)
        line[probes % LINE_BITS / 8] |= (unsigned char)(1 << probes % 8);
}

bool key_filter_may_hold(const struct key_filter *filter, const struct dedupe_key *key)
{
    if (filter->lines_count == 0)
        return true;
    const unsigned char *line = key_filter_line(filter, key);
    uint64_t probes = probes_of(key);
    for (unsigned i = 0; i < KEY_FILTER_PROBES; i++, probes >>= PROBE_BITS)
        if (!(line[probes % LINE_BITS / 8] & 1 << probes % 8))
            return false;
    return true;
}

struct slice key_filter_bytes(const struct key_filter *filter)
{
    return slice_of(filter->lines, (size_t)filter->lines_count * KEY_FILTER_LINE_BYTES);
}

enum err key_filter_load(struct key_filter *filter, uint64_t keys, struct slice bytes)
{
    *filter = (struct key_filter){0};
    uint32_t lines_count = lines_for(keys);
    if (lines_count == 0 || bytes.len != (size_t)lines_count * KEY_FILTER_LINE_BYTES)
        return ERR_DAMAGED;
    enum err result = allocate(filter, lines_count);
    if (!result)
        memcpy(filter->lines, bytes.data, bytes.len);
    return result;
}

enum err key_filter_fold(
    const struct key_filter *filter, uint64_t keys, struct key_filter *ret_folded)
{
    uint32_t lines_count = lines_for(keys);
    assert(lines_count && filter->lines_count % lines_count == 0);
    enum err result = allocate(ret_folded, lines_count);
    if (result)
        return result;
    uint32_t merged = filter->lines_count / lines_count;
    for (size_t i = 0; i < filter->lines_count; i++) {
        unsigned char *to = ret_folded->lines + i / merged * KEY_FILTER_LINE_BYTES;
        for (size_t k = 0; k < KEY_FILTER_LINE_BYTES; k++)
            to[k] |= filter->lines[i * KEY_FILTER_LINE_BYTES + k];
    }
    return OK;
}
