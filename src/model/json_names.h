/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which member names an object has had, for every object of a JSON text at once: a second one of
 * the same name is refused, since of two readers one might take the first and one the last.
 *
 * A name is known by 64 bits of a keyed hash over it and its object, so that nothing is copied and
 * nobody can aim: names that differ are taken for the same once in 10^11 bodies of the largest
 * kind, and then a good event is refused, not a bad one taken. The usual event's names have room in
 * the struct itself; a table on the heap grows with the others, up to four times 8 bytes for each
 * name that a body of EVENT_BYTES_MAX can hold.
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

/* `object` is any number that no other object of the text has. ERR_EXISTS when it has had the name,
 * ERR_NO_MEMORY. */
enum err json_names_add(struct json_names *names, uint64_t object, struct slice name) MUST_CHECK;

#endif
