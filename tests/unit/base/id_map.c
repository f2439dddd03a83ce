/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id_map.h"

#include <criterion/criterion.h>

#define ENTRIES 5000

static uint64_t id_of(size_t i)
{
    return (uint64_t)i * 16 + 1; /* as deliveries are numbered */
}

Test(id_map, empty_map_finds_nothing)
{
    struct id_map map = ID_MAP_EMPTY;
    cr_assert_null(id_map_find(&map, 7));
    cr_assert_null(id_map_any(&map));
    id_map_done(&map);
}

Test(id_map, finds_every_entry_that_is_not_removed)
{
    static struct id_map_node nodes[ENTRIES];
    struct id_map map = ID_MAP_EMPTY;
    for (size_t i = 0; i < ENTRIES; i++)
        id_map_add(&map, &nodes[i], id_of(i));
    cr_assert_eq(map.count, ENTRIES);
    for (size_t i = 0; i < ENTRIES; i += 2)
        id_map_remove(&map, &nodes[i]);
    for (size_t i = 0; i < ENTRIES; i++)
        cr_assert_eq(id_map_find(&map, id_of(i)), i % 2 ? &nodes[i] : NULL);
    cr_assert_null(id_map_find(&map, id_of(ENTRIES)));
    size_t walked = 0;
    id_map_for_each(node, &map) walked += node->id % 16 == 1;
    cr_assert_eq(walked, ENTRIES / 2);
    id_map_done(&map);
}

Test(id_map, any_returns_every_entry_until_the_map_is_empty)
{
    static struct id_map_node nodes[100];
    struct id_map map = ID_MAP_EMPTY;
    size_t taken = 0;
    for (size_t i = 0; i < 100; i++)
        id_map_add(&map, &nodes[i], i);
    for (struct id_map_node *node; (node = id_map_any(&map)); taken++)
        id_map_remove(&map, node);
    cr_assert_eq(taken, 100);
    cr_assert_eq(map.count, 0);
    id_map_done(&map);
}
