/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer and the reader of event_keys.h agree about: the form of the entries. */
#ifndef PENSTOCK_JOURNAL_EVENT_KEYS_FORMAT_H
#define PENSTOCK_JOURNAL_EVENT_KEYS_FORMAT_H

#include "journal/event_keys.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define EVENT_KEYS_ENTRY_BYTES 4
#define EVENT_KEYS_RUN_BITS 9
#define EVENT_KEYS_CHUNK_BITS 14
#define EVENT_KEYS_TAG_BITS 23
#define EVENT_KEYS_TAG_MASK ((1u << EVENT_KEYS_TAG_BITS) - 1)
#define EVENT_KEYS_BUCKET_TAG_BITS 16 /* of the tag that are in an entry of a bucket */

static_assert(1 << EVENT_KEYS_RUN_BITS == EVENT_KEYS_RUN &&
                  1 << EVENT_KEYS_CHUNK_BITS == EVENT_KEYS_CHUNK &&
                  1 << (EVENT_KEYS_TAG_BITS - EVENT_KEYS_BUCKET_TAG_BITS) == EVENT_KEYS_BUCKETS,
    "the parts of an entry");

#define EVENT_KEYS_READ_RUN_TEXT "SELECT entries, crc FROM event_key_runs WHERE run = ?"

/* ERR_NOT_FOUND: the file has none, or none of the right length. */
enum err event_keys_read_seed(struct sqlite3 *db, struct hash_seed *ret_seed) MUST_CHECK;
uint32_t event_keys_tag(const struct hash_seed *seed, struct slice key);
/* With the seed: a row of another one is not good. */
uint32_t event_keys_checksum(const struct hash_seed *seed, int64_t number, struct slice entries);

static inline uint32_t event_keys_run_entry(uint32_t tag, uint32_t place)
{
    return tag << EVENT_KEYS_RUN_BITS | place;
}

static inline uint32_t event_keys_bucket(uint32_t tag)
{
    return tag >> EVENT_KEYS_BUCKET_TAG_BITS;
}

static inline uint32_t event_keys_bucket_entry(uint32_t tag, uint32_t place)
{
    return (tag & ((1u << EVENT_KEYS_BUCKET_TAG_BITS) - 1)) << EVENT_KEYS_CHUNK_BITS | place;
}

static inline uint32_t event_keys_entry_at(struct slice entries, size_t i)
{
    uint32_t entry;
    memcpy(&entry, entries.data + i * EVENT_KEYS_ENTRY_BYTES, sizeof entry);
    return le32toh(entry);
}

/* The entries of a row (entries, crc). False when it is not what was written; `ret_entries` is
 * untouched then. */
static inline bool event_keys_take(const struct sql_use *use, const struct hash_seed *seed,
    int64_t number, size_t count_max, struct slice *ret_entries)
{
    struct slice entries = sql_column_slice(use, 0);
    if (entries.len % EVENT_KEYS_ENTRY_BYTES || entries.len > count_max * EVENT_KEYS_ENTRY_BYTES ||
        event_keys_checksum(seed, number, entries) != sql_column_int(use, 1))
        return false;
    *ret_entries = entries;
    return true;
}

#endif
