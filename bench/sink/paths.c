/* SPDX-License-Identifier: Apache-2.0 */
/* A table is an open-addressed hash of the paths. A look-up searches it once for each '/' of the
 * request's path, from the end. */
#include "sink/paths.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct entry {
    char path[PATH_BYTES_MAX]; /* without a '/' at the end: "/" is "" */
    size_t len;
    struct behaviour behaviour;
    struct entry *older; /* list of all entries ever made, for paths_free */
};

struct table {
    struct table *older;
    unsigned count;
    bool reads_slowly;
    size_t buckets_count; /* a power of two, at most half full */
    struct entry *buckets[];
};

struct paths {
    pthread_mutex_t lock; /* for writers */
    _Atomic(struct table *) table;
    struct entry *newest_entry;
    bool shared;
    unsigned changes; /* since paths_share */
    struct behaviour nobodys;
};

static struct entry **bucket_of(struct table *table, struct slice path)
{
    static const struct hash_seed none;
    size_t at = hash_siphash(&none, path);
    for (;; at++) {
        struct entry **bucket = &table->buckets[at & (table->buckets_count - 1)];
        if (!*bucket || slice_equal(slice_of((*bucket)->path, (*bucket)->len), path))
            return bucket;
    }
}

static struct table *table_new(size_t paths_count)
{
    size_t buckets_count = 16;
    while (buckets_count < 2 * paths_count)
        buckets_count *= 2;
    struct table *table = calloc(1, sizeof *table + buckets_count * sizeof(struct entry *));
    if (table)
        table->buckets_count = buckets_count;
    return table;
}

static void table_put(struct table *table, struct entry *entry)
{
    struct entry **bucket = bucket_of(table, slice_of(entry->path, entry->len));
    table->count += !*bucket;
    *bucket = entry;
}

enum err paths_new(struct paths **ret_paths)
{
    struct paths *paths = calloc(1, sizeof *paths);
    struct table *table = table_new(0);
    if (!paths || !table) {
        free(paths);
        free(table);
        return ERR_NO_MEMORY;
    }
    pthread_mutex_init(&paths->lock, NULL);
    behaviour_init(&paths->nobodys);
    atomic_init(&paths->table, table);
    *ret_paths = paths;
    return OK;
}

void paths_free(struct paths *paths)
{
    if (!paths)
        return;
    for (struct table *table = atomic_load(&paths->table), *older; table; table = older) {
        older = table->older;
        free(table);
    }
    for (struct entry *entry = paths->newest_entry, *older; entry; entry = older) {
        older = entry->older;
        free(entry);
    }
    pthread_mutex_destroy(&paths->lock);
    free(paths);
}

void paths_share(struct paths *paths)
{
    paths->shared = true;
}

/* Called with the lock held. */
static enum err publish(struct paths *paths, struct entry *entry)
{
    struct table *old = atomic_load(&paths->table);
    struct entry *before = *bucket_of(old, slice_of(entry->path, entry->len));
    if (paths->changes == PATHS_CHANGES_MAX || (!before && old->count == PATHS_MAX))
        return ERR_OVERLOADED;
    struct table *table = table_new(old->count + 1);
    if (!table)
        return ERR_NO_MEMORY;
    entry->behaviour.path = before ? before->behaviour.path : old->count + 1;
    for (size_t i = 0; i < old->buckets_count; i++)
        if (old->buckets[i])
            table_put(table, old->buckets[i]);
    table_put(table, entry);
    for (size_t i = 0; i < table->buckets_count; i++)
        table->reads_slowly |=
            table->buckets[i] && table->buckets[i]->behaviour.slow_read_bytes > 0;
    table->older = paths->shared ? old : NULL;
    paths->changes += paths->shared;
    entry->older = paths->newest_entry;
    paths->newest_entry = entry;
    atomic_store_explicit(&paths->table, table, memory_order_release);
    if (!paths->shared)
        free(old);
    return OK;
}

enum err paths_put(struct paths *paths, struct slice path, const struct behaviour *behaviour)
{
    if (path.len == 0 || path.data[0] != '/' || path.len > PATH_BYTES_MAX)
        return ERR_BAD_REQUEST;
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return ERR_NO_MEMORY;
    memcpy(entry->path, path.data, path.len);
    entry->len = path.len;
    entry->behaviour = *behaviour;
    pthread_mutex_lock(&paths->lock);
    enum err result = publish(paths, entry);
    pthread_mutex_unlock(&paths->lock);
    if (result)
        free(entry);
    return result;
}

const struct behaviour *paths_find(const struct paths *paths, struct slice path)
{
    struct table *table = atomic_load_explicit(&paths->table, memory_order_acquire);
    for (bool whole = true; table->count > 0; whole = false) {
        if (!whole) { /* continue with the path up to its last '/' */
            while (path.len > 0 && path.data[path.len - 1] != '/')
                path.len--;
            if (path.len == 0)
                break;
            path.len--;
        }
        const struct entry *entry = *bucket_of(table, path);
        if (entry)
            return &entry->behaviour;
    }
    return &paths->nobodys;
}

bool paths_read_slowly(const struct paths *paths)
{
    return atomic_load_explicit(&paths->table, memory_order_acquire)->reads_slowly;
}
