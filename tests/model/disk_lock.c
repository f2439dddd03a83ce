/* SPDX-License-Identifier: Apache-2.0 */
/* Locks and shared memory of a file, for the connections of this one process. */
#include "disk_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct disk_handle *handle_of(sqlite3_file *file)
{
    return (struct disk_handle *)(void *)file;
}

static bool is_held_by_other(const void *holder, const struct disk_handle *self)
{
    return holder && holder != self;
}

/* SQLite's lock levels: shared, reserved, (pending,) exclusive. */
int disk_lock(sqlite3_file *base, int level)
{
    struct disk_handle *self = handle_of(base);
    struct disk_file *file = self->file;
    if (self->lock >= level)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (is_held_by_other(file->pending, self) || is_held_by_other(file->exclusive, self))
            return SQLITE_BUSY;
        file->shared++;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (is_held_by_other(file->reserved, self))
            return SQLITE_BUSY;
        file->reserved = self;
    } else {
        if (is_held_by_other(file->reserved, self) || is_held_by_other(file->pending, self))
            return SQLITE_BUSY;
        file->pending = self;
        if (file->shared > 1) {
            self->lock = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
        file->exclusive = self;
    }
    self->lock = level;
    return SQLITE_OK;
}

int disk_unlock(sqlite3_file *base, int level)
{
    struct disk_handle *self = handle_of(base);
    struct disk_file *file = self->file;
    if (self->lock <= level)
        return SQLITE_OK;
    if (file->reserved == self)
        file->reserved = NULL;
    if (file->pending == self)
        file->pending = NULL;
    if (file->exclusive == self)
        file->exclusive = NULL;
    if (level == SQLITE_LOCK_NONE)
        file->shared--;
    self->lock = level;
    return SQLITE_OK;
}

int disk_check_reserved(sqlite3_file *base, int *ret_reserved)
{
    *ret_reserved = handle_of(base)->file->reserved != NULL;
    return SQLITE_OK;
}

int disk_shm_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **ret_memory)
{
    struct disk_handle *self = handle_of(base);
    struct disk_file *file = self->file;
    assert(region >= 0 && region < SHM_REGIONS_MAX);
    if (!self->uses_shm) {
        self->uses_shm = true;
        file->shm_users++;
    }
    *ret_memory = NULL;
    if (!file->shm_regions[region]) {
        if (!extend)
            return SQLITE_OK;
        if (disk_is_full() && region > 0)
            return disk_tell_error(SQLITE_IOERR_SHMSIZE, ENOSPC);
        file->shm_regions[region] = calloc(1, (size_t)bytes);
        assert(file->shm_regions[region]);
    }
    *ret_memory = file->shm_regions[region];
    return SQLITE_OK;
}

static int take_shm_lock(struct disk_handle *self, int from, int count, bool exclusive)
{
    struct disk_file *file = self->file;
    for (int i = from; i < from + count; i++)
        if (is_held_by_other(file->shm_exclusive[i], self) ||
            (exclusive && file->shm_shared[i] > 0))
            return SQLITE_BUSY;
    for (int i = from; i < from + count; i++) {
        if (exclusive)
            file->shm_exclusive[i] = self;
        else
            file->shm_shared[i]++;
    }
    return SQLITE_OK;
}

int disk_shm_lock(sqlite3_file *base, int from, int count, int flags)
{
    struct disk_handle *self = handle_of(base);
    struct disk_file *file = self->file;
    bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    if (flags & SQLITE_SHM_LOCK)
        return take_shm_lock(self, from, count, exclusive);
    for (int i = from; i < from + count; i++) {
        if (!exclusive)
            file->shm_shared[i]--;
        else if (file->shm_exclusive[i] == self)
            file->shm_exclusive[i] = NULL;
    }
    return SQLITE_OK;
}

void disk_shm_barrier(sqlite3_file *base)
{
    (void)base;
}

int disk_shm_unmap(sqlite3_file *base, int delete)
{
    struct disk_handle *self = handle_of(base);
    struct disk_file *file = self->file;
    (void)delete; /* the name is not used again: the last user frees the regions */
    if (self->uses_shm && --file->shm_users == 0)
        for (unsigned i = 0; i < SHM_REGIONS_MAX; i++) {
            free(file->shm_regions[i]);
            file->shm_regions[i] = NULL;
        }
    self->uses_shm = false;
    return SQLITE_OK;
}

/* The regions are not freed: abandoned coroutines may still point to them. */
void disk_forget_locks(struct disk_file *file)
{
    file->shared = 0;
    file->reserved = file->pending = file->exclusive = NULL;
    memset(file->shm_shared, 0, sizeof file->shm_shared);
    memset(file->shm_exclusive, 0, sizeof file->shm_exclusive);
    memset(file->shm_regions, 0, sizeof file->shm_regions);
    file->shm_users = 0;
}
