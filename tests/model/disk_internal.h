/* SPDX-License-Identifier: Apache-2.0 */
/* The disk's files (disk.c), SQLite's VFS interface (disk_vfs.c), and locks (disk_lock.c). */
#ifndef PENSTOCK_TESTS_MODEL_DISK_INTERNAL_H
#define PENSTOCK_TESTS_MODEL_DISK_INTERNAL_H

#include "disk.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_FILES_MAX 16
#define SECTOR_BYTES 512
#define SHM_REGIONS_MAX 64

struct image {
    unsigned char *bytes;
    size_t len, capacity;
};

/* A write that is not synced yet. Without bytes: a truncation to `offset`. */
struct pending {
    size_t offset, len;
    unsigned char *bytes;
};

struct content {
    bool is_there;
    struct image image; /* the durable bytes */
    struct pending *pending;
    unsigned pending_count, pending_capacity;
};

struct disk_file {
    char name[64];
    bool exists;
    struct image now;
    struct content durable;
    struct content deleted; /* a file of this name whose deletion is not durable yet */

    /* locks of all connections: the number of shared holders, and the one other holder */
    unsigned shared;
    const void *reserved, *pending, *exclusive;
    unsigned shm_shared[SQLITE_SHM_NLOCK];
    const void *shm_exclusive[SQLITE_SHM_NLOCK];
    void *shm_regions[SHM_REGIONS_MAX];
    unsigned shm_users;
};

/* One opened file. */
struct disk_handle {
    sqlite3_file base;
    struct disk_file *file;
    int lock;
    bool uses_shm;
};

/* disk.c */
struct disk_file *disk_find(const char *name); /* one that exists; or NULL */
struct disk_file *disk_create(const char *name);
/* These return what SQLite receives: SQLITE_OK or an I/O error. */
int disk_write(struct disk_file *file, const void *bytes, size_t len, size_t offset);
int disk_truncate(struct disk_file *file, size_t len);
int disk_sync(struct disk_file *file);
int disk_delete(struct disk_file *file, bool is_durable);
bool disk_is_full(void);
void disk_leave_room(size_t bytes);              /* a full disk accepts so many bytes more */
int disk_tell_error(int code, int system_error); /* returns `code` */
int disk_last_error(void);

/* disk_lock.c: sqlite3_io_methods */
int disk_lock(sqlite3_file *file, int level);
int disk_unlock(sqlite3_file *file, int level);
int disk_check_reserved(sqlite3_file *file, int *ret_reserved);
int disk_shm_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **ret_memory);
int disk_shm_lock(sqlite3_file *file, int offset, int count, int flags);
void disk_shm_barrier(sqlite3_file *file);
int disk_shm_unmap(sqlite3_file *file, int delete);
void disk_forget_locks(struct disk_file *file);

#endif
