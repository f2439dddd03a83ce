/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive hash map from 64-bit ids to structs, for one thread. Penstock chooses the ids (row
 * numbers, random numbers), so a multiplicative hash is enough. The map doubles when it is full.
 * Entries never move.
 */
#ifndef PENSTOCK_BASE_ID_MAP_H
#define PENSTOCK_BASE_ID_MAP_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct id_map_node {
    struct id_map_node *next;
    uint64_t id;
};

struct id_map {
    struct id_map_node **buckets;
    unsigned bits; /* 0: nothing allocated yet */
    size_t count;
};

#define ID_MAP_EMPTY ((struct id_map){0})

void id_map_done(struct id_map *map); /* frees the buckets, not the entries */

/* `id` must not be in the map. */
void id_map_add(struct id_map *map, struct id_map_node *node, uint64_t id);
struct id_map_node *id_map_find(const struct id_map *map, uint64_t id); /* or NULL */
void id_map_remove(struct id_map *map, struct id_map_node *node);

/* The body must not add or remove entries. */
#define id_map_for_each(node, map)                                                         \
    for (size_t bucket_ = 0; (map)->bits && bucket_ < (size_t)1 << (map)->bits; bucket_++) \
        for (struct id_map_node *node = (map)->buckets[bucket_]; node; node = node->next)

/* Returns any entry, for emptying the map, or NULL if it is empty. */
struct id_map_node *id_map_any(const struct id_map *map);

#endif
