/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tag_window.h"

#include "base/memory.h"

#include <stdlib.h>

#define WORD_BITS 64

void tag_window_done(struct tag_window *window)
{
    free(window->bits);
    *window = TAG_WINDOW_EMPTY;
}

void tag_window_reset(struct tag_window *window)
{
    window->first = window->next = 1;
    window->ended = window->open = 0;
}

static uint64_t *word_of(uint64_t *bits, size_t capacity, uint64_t number)
{
    return &bits[(number & (capacity - 1)) / WORD_BITS];
}

static uint64_t mask_of(uint64_t number)
{
    return UINT64_C(1) << (number % WORD_BITS);
}

static bool is_ended(const struct tag_window *window, uint64_t number)
{
    return *word_of(window->bits, window->capacity, number) & mask_of(number);
}

static void grow(struct tag_window *window)
{
    size_t capacity = window->capacity ? window->capacity * 2 : WORD_BITS;
    uint64_t *bits = memory_new_array(capacity / WORD_BITS, sizeof *bits);
    for (uint64_t number = window->first; number < window->next; number++)
        if (is_ended(window, number))
            *word_of(bits, capacity, number) |= mask_of(number);
    free(window->bits);
    window->bits = bits;
    window->capacity = capacity;
}

bool tag_window_add(struct tag_window *window, uint64_t number)
{
    if (number != window->next)
        return false;
    if (tag_window_out(window) == window->capacity)
        grow(window);
    *word_of(window->bits, window->capacity, number) &= ~mask_of(number);
    window->next++;
    window->open++;
    return true;
}

bool tag_window_end(struct tag_window *window, uint64_t number)
{
    if (number < window->first || number >= window->next || is_ended(window, number))
        return false;
    *word_of(window->bits, window->capacity, number) |= mask_of(number);
    window->ended++;
    window->open--;
    return true;
}

uint64_t tag_window_take_ack(struct tag_window *window)
{
    uint64_t before = window->first;
    while (window->first < window->next && is_ended(window, window->first))
        window->first++;
    window->ended = 0;
    return window->first == before ? 0 : window->first - 1;
}
