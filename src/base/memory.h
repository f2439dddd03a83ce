/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small allocations that do not fail. Without memory for a few hundred bytes the gateway can't work
 * or record what it does. So the process aborts with the size in its message, and the journal
 * restores the state at the next start.
 *
 * For sizes that are bounded and chosen by Penstock. Sizes that a peer or a file chooses (bodies,
 * batches, lists) use malloc, and the caller handles the failure.
 *
 * Free with free().
 */
#ifndef PENSTOCK_BASE_MEMORY_H
#define PENSTOCK_BASE_MEMORY_H

#include <stddef.h>

void *memory_new(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *memory_new_array(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull)); /* zeroed */
void *memory_new_raw(size_t size)
    __attribute__((malloc, returns_nonnull)); /* not zeroed: the caller fills it at once */
void *memory_resize(void *memory, size_t size) __attribute__((returns_nonnull));
char *memory_copy_string(const char *text) __attribute__((malloc, returns_nonnull));

/* Allocates a zeroed object of the type of `*pointer`. */
#define MEMORY_NEW(pointer) ((pointer) = memory_new(sizeof *(pointer)))

#endif
