/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The member names of all objects of a JSON text. A second member of the same name in one object is
 * rejected, because one reader might use the first and another the last.
 *
 * A name is stored as 64 bits of a keyed hash over the name and its object. Nothing is copied, and
 * nobody can choose collisions. Two different names collide once in 10^11 bodies of the largest
 * size; then a valid event is rejected. The struct has room for the names of a usual event. For
 * more names a table on the heap grows, up to four times 8 bytes for each name that a body of
 * EVENT_BYTES_MAX can hold.
 */
#ifndef PENSTOCK_MODEL_JSON_NAMES_H
#define PENSTOCK_MODEL_JSON_NAMES_H

#include "base/err.h"
#include "base/hash.h"

#define JSON_NAMES_FEW 64

struct json_names {
    const struct hash_seed *seed;
    size_t count, capacity; /* a power of two */
    uint64_t *slots;        /* open addressing; 0 is free */
    uint64_t few[JSON_NAMES_FEW];
};

/* `seed` is a secret of the process and outlives it. */
void json_names_init(struct json_names *names, const struct hash_seed *seed);
void json_names_done(struct json_names *names);

/* `object` is a number that no other object of the text has. ERR_EXISTS: the object already has the
 * name. ERR_NO_MEMORY. */
enum err json_names_add(struct json_names *names, uint64_t object, struct slice name) MUST_CHECK;

#endif
