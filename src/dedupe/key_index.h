/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a segment of the dedupe store: from a key to the numbers of the rows that may have
 * it. The caller reads those rows and compares the key; a row that is missing or has another key
 * does not count. So entries of rows that were rolled back do no harm, and no entry is ever
 * removed.
 *
 * In memory: an open-addressing table of eight bytes a key (its tag and its row), a power of two of
 * them, probed linearly from the slot that the tag's top bits name. It doubles when it is full to
 * three quarters. Memory for one more entry is reserved before the row is written, so that the
 * entry itself cannot fail.
 *
 * In the file, for a segment that takes no more keys: buckets, one for each value of the tag's top
 * bits, with some 256 to 512 entries. An entry is the number tag * 2^32 + row, little-endian, and
 * they are sorted: so a bucket is cut from the table as it is, and searched by bisection. A bucket
 * of 4 KB fills one page.
 *
 * The tag is 32 bits of a keyed hash (SipHash), and not of the key itself: partners choose what the
 * key is made of, and a few minutes of SHA-256 would fill one bucket with half a million keys. Of
 * the keys that a segment of half a million does not hold, one of 8000 shares its tag with one that
 * it does, and a row is read in vain.
 *
 * Pure, no thread of its own. Nothing is allocated until the first reservation.
 */
#ifndef PENSTOCK_DEDUPE_KEY_INDEX_H
#define PENSTOCK_DEDUPE_KEY_INDEX_H

#include "base/buffer.h"
#include "base/hash.h"
#include "model/dedupe_key.h"

/* Grows with every change of the meaning of a bucket's bytes. */
#define KEY_INDEX_FORMAT 1

struct key_index_slot {
    uint32_t tag;
    uint32_t row; /* from 1; 0 is an empty slot */
};

struct key_index {
    struct hash_seed seed;
    struct key_index_slot *slots; /* NULL: no entries */
    unsigned bits;                /* 2^bits slots */
    uint64_t count;
};

void key_index_init(struct key_index *index, const struct hash_seed *seed);
/* Frees the memory. An empty index with its seed is left. */
void key_index_done(struct key_index *index);

uint32_t key_index_tag(const struct hash_seed *seed, const struct dedupe_key *key);

/* Room for one more entry: ERR_NO_MEMORY, and nothing has changed. */
enum err key_index_reserve(struct key_index *index) MUST_CHECK;
/* After key_index_reserve. The same entry twice is one. */
void key_index_add(struct key_index *index, const struct dedupe_key *key, uint32_t row);

/* The rows that may hold a key, one after the other, and 0 at the end. */
struct key_index_search {
    uint32_t tag;
    uint64_t at;
};
struct key_index_search key_index_search(
    const struct key_index *index, const struct dedupe_key *key);
uint32_t key_index_next(const struct key_index *index, struct key_index_search *search);

/* For a segment of `keys` keys there are 2^bits buckets, and a tag is in this one. */
unsigned key_bucket_bits(uint64_t keys);
uint32_t key_bucket_of(uint32_t tag, unsigned bits);

/* Replaces `bytes` by a bucket's. ERR_NO_MEMORY. */
enum err key_index_bucket(
    const struct key_index *index, unsigned bits, uint32_t bucket, struct buffer *bytes) MUST_CHECK;

/* The rows of a tag in a bucket's bytes, as above. */
struct key_index_search key_bucket_search(struct slice bytes, uint32_t tag);
uint32_t key_bucket_next(struct slice bytes, struct key_index_search *search);

#endif
