/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small allocations that do not fail. A gateway without memory for a few hundred bytes can't record what it does
 * either, so it ends, and the journal is its memory: the process is aborted, with the size in the message.
 *
 * For bounded sizes that we choose. What a peer or a file chooses (bodies, batches, lists) is allocated with malloc,
 * and its failure is an answer.
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
    __attribute__((malloc, returns_nonnull)); /* not zeroed: for what is filled at once */
void *memory_resize(void *memory, size_t size) __attribute__((returns_nonnull));
char *memory_copy_string(const char *text) __attribute__((malloc, returns_nonnull));

/* A zeroed object of the type of `*pointer`. */
#define MEMORY_NEW(pointer) ((pointer) = memory_new(sizeof *(pointer)))

#endif
