/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delivery tags of one channel: which are ended, and up to which a multiple ack may go. Tags
 * count from 1 and arrive in order. They are ended in any order.
 *
 *   acked . . . first                         next
 *   1 2 3 4 5 | 6 ended  7 ended  8 open | 9      -> acks everything up to 7
 *
 * A ring of bits, as large as the number of unacked messages (the prefetch). Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_TAG_WINDOW_H
#define PENSTOCK_BROKER_TAG_WINDOW_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tag_window {
    uint64_t first, next; /* the oldest unacked one; the one that arrives next */
    unsigned ended;       /* ended since the last ack */
    unsigned open;        /* not ended */
    uint64_t *bits;
    size_t capacity; /* in tags: 0, or a power of two, at least 64 */
};

#define TAG_WINDOW_EMPTY ((struct tag_window){.first = 1, .next = 1})

void tag_window_done(struct tag_window *window);
void tag_window_reset(struct tag_window *window); /* for another channel; keeps the memory */

/* Adds an arrived message. Returns false if its number is not the next one. */
bool tag_window_add(struct tag_window *window, uint64_t number) MUST_CHECK;
/* Returns false if the tag is not in the window or has already ended. */
bool tag_window_end(struct tag_window *window, uint64_t number);
/* Returns the last ended tag before the first open one, or 0. All up to it count as acked then. */
uint64_t tag_window_take_ack(struct tag_window *window);
static inline uint64_t tag_window_out(const struct tag_window *window)
{
    return window->next - window->first;
}

#endif
