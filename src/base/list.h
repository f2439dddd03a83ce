/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive doubly linked ring. A node that is in no list points to itself, so removing it twice
 * is harmless. */
#ifndef PENSTOCK_BASE_LIST_H
#define PENSTOCK_BASE_LIST_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_add_tail(struct list *list, struct list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void list_add_head(struct list *list, struct list *node)
{
    list_add_tail(list->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Removes the first entry and returns it, or NULL if the list is empty. */
#define LIST_TAKE_FIRST(list, type, member)                    \
    ({                                                         \
        type *first_ = NULL;                                   \
        if (!list_is_empty(list)) {                            \
            first_ = CONTAINER_OF((list)->next, type, member); \
            list_remove(&first_->member);                      \
        }                                                      \
        first_;                                                \
    })

#define list_for_each(node, ring) \
    for (struct list *node = (ring)->next; node != (ring); node = node->next)

/* As list_for_each, but the body may remove `node`. */
#define list_for_each_safe(node, following, ring)                                   \
    for (struct list *node = (ring)->next, *following = node->next; node != (ring); \
         node = following, following = node->next)

#endif
