/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/timer.h"

#include <assert.h>

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer))
{
    *timer = (struct timer){.on_due = on_due};
}

/* Merges two heaps; either may be NULL. The later root becomes the first child of the other. */
static struct timer *merge(struct timer *one, struct timer *other)
{
    if (!one || !other)
        return one ? one : other;
    struct timer *parent = other->due_mono_us < one->due_mono_us ? other : one;
    struct timer *child = parent == one ? other : one;
    child->prev = parent;
    child->next = parent->child;
    if (child->next)
        child->next->prev = child;
    parent->child = child;
    return parent;
}

/* Makes one heap of siblings: merges pairs from left to right, then all pairs from right to
 * left. */
static struct timer *merge_siblings(struct timer *first)
{
    struct timer *pairs = NULL; /* linked by `next`, the last one first */
    while (first) {
        struct timer *one = first, *other = one->next;
        first = other ? other->next : NULL;
        one->next = one->prev = NULL;
        if (other)
            other->next = other->prev = NULL;
        struct timer *pair = merge(one, other);
        pair->next = pairs;
        pairs = pair;
    }
    struct timer *root = NULL;
    while (pairs) {
        struct timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = merge(root, pair);
    }
    return root;
}

void timer_heap_add(struct timer_heap *heap, struct timer *timer)
{
    assert(!timer->is_armed);
    timer->is_armed = true;
    timer->child = timer->next = timer->prev = NULL;
    heap->first = merge(heap->first, timer);
    heap->count++;
}

void timer_heap_remove(struct timer_heap *heap, struct timer *timer)
{
    assert(timer->is_armed && heap->count > 0);
    struct timer *below = merge_siblings(timer->child);
    if (timer == heap->first) {
        heap->first = below;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        heap->first = merge(heap->first, below);
    }
    timer->is_armed = false;
    timer->child = timer->next = timer->prev = NULL;
    heap->count--;
}
