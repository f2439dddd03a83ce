/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delivery tags of one channel: which are ended, and up to where an ack for many may go. Tags
 * count from 1 and come in order; they are ended in any order.
 *
 *   acked . . . first                         next
 *   1 2 3 4 5 | 6 ended  7 ended  8 open | 9      -> ack everything up to 7
 *
 * A ring of bits, as large as what is out at once (the prefetch). Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_TAG_WINDOW_H
#define PENSTOCK_BROKER_TAG_WINDOW_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tag_window {
    uint64_t first, next; /* the oldest that isn't acked; the one that comes next */
    unsigned ended;       /* since the last ack, wherever they stand */
    unsigned open;        /* not ended */
    uint64_t *bits;
    size_t capacity; /* in tags: 0, or a power of two from 64 on */
};

#define TAG_WINDOW_EMPTY ((struct tag_window){.first = 1, .next = 1})

void tag_window_done(struct tag_window *window);
void tag_window_reset(struct tag_window *window); /* another channel; keeps the memory */

/* A message came. ERR_BUG when it is not the next one, ERR_NO_MEMORY. */
enum err tag_window_add(struct tag_window *window, uint64_t number) MUST_CHECK;
/* False when it is not out, or ended already. */
bool tag_window_end(struct tag_window *window, uint64_t number);
/* The last of the ended ones that nothing open stands before, or 0; they are acked from then on. */
uint64_t tag_window_take_ack(struct tag_window *window);
static inline uint64_t tag_window_out(const struct tag_window *window)
{
    return window->next - window->first;
}

#endif
