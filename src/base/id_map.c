/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id_map.h"

#include "base/memory.h"

#include <stdlib.h>

#define BITS_AT_FIRST 6

static struct id_map_node **bucket_of(const struct id_map *map, uint64_t id)
{
    return &map->buckets[(id * 0x9E3779B97F4A7C15ULL) >>
                         (64 - map->bits)]; /* Knuth: 2^64 over the golden ratio */
}

static void link_in(struct id_map *map, struct id_map_node *node)
{
    struct id_map_node **bucket = bucket_of(map, node->id);
    node->next = *bucket;
    *bucket = node;
}

static void grow(struct id_map *map)
{
    struct id_map bigger = {.bits = map->bits ? map->bits + 1 : BITS_AT_FIRST, .count = map->count};
    bigger.buckets = memory_new_array((size_t)1 << bigger.bits, sizeof *bigger.buckets);
    for (size_t i = 0; map->bits && i < (size_t)1 << map->bits; i++) {
        for (struct id_map_node *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            link_in(&bigger, node);
        }
    }
    free(map->buckets);
    *map = bigger;
}

void id_map_done(struct id_map *map)
{
    free(map->buckets);
    *map = ID_MAP_EMPTY;
}

void id_map_add(struct id_map *map, struct id_map_node *node, uint64_t id)
{
    if (map->bits == 0 || map->count >> map->bits)
        grow(map);
    node->id = id;
    link_in(map, node);
    map->count++;
}

struct id_map_node *id_map_find(const struct id_map *map, uint64_t id)
{
    if (map->bits == 0)
        return NULL;
    struct id_map_node *node = *bucket_of(map, id);
    while (node && node->id != id)
        node = node->next;
    return node;
}

void id_map_remove(struct id_map *map, struct id_map_node *node)
{
    struct id_map_node **link = bucket_of(map, node->id);
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    map->count--;
}

struct id_map_node *id_map_any(const struct id_map *map)
{
    for (size_t i = 0; map->bits && i < (size_t)1 << map->bits; i++)
        if (map->buckets[i])
            return map->buckets[i];
    return NULL;
}
