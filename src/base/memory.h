/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that do not fail. They are for sizes that this program chooses and that are bounded:
 * structs, and tables of a fixed size. Without memory for them the process aborts, with the size in
 * the message. Nothing accepted is lost: the journal has it.
 *
 * Sizes that a peer or a file chooses (bodies, batches, lists) use malloc, and the caller handles
 * the failure.
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
