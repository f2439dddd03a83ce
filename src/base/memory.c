/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *memory, size_t size)
{
    if (memory)
        return memory;
    char text[80];
    int len =
        snprintf(text, sizeof text, "penstock: out of memory: process aborts bytes=%zu\n", size);
    ssize_t written = write(STDERR_FILENO, text, (size_t)len);
    (void)written;
    abort();
}

static size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void *memory_new(size_t size)
{
    return checked(calloc(1, at_least_one(size)), size);
}

void *memory_new_array(size_t count, size_t size)
{
    return checked(calloc(at_least_one(count), at_least_one(size)), count * size);
}

void *memory_new_raw(size_t size)
{
    return checked(malloc(at_least_one(size)), size);
}

void *memory_resize(void *memory, size_t size)
{
    return checked(realloc(memory, at_least_one(size)), size);
}

char *memory_copy_string(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(memory_new_raw(size), text, size);
}
