/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/sqlite/faulty_disk.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic bool syncs_fail;
static _Atomic int write_error;
static _Atomic int64_t room_bytes = -1; /* less than 0: no bound */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool holding, held; /* guarded by `lock` */

int fdatasync(int fd)
{
    pthread_mutex_lock(&lock);
    while (holding) {
        held = true;
        pthread_cond_broadcast(&changed);
        pthread_cond_wait(&changed, &lock);
    }
    held = false;
    pthread_mutex_unlock(&lock);
    if (atomic_load(&syncs_fail)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static ssize_t write_at(int fd, const void *data, size_t len, off_t at)
{
    int64_t room = atomic_load(&room_bytes);
    int error = room >= 0 && room < (int64_t)len ? ENOSPC : atomic_load(&write_error);
    if (error) {
        errno = error;
        return -1;
    }
    if (room >= 0)
        atomic_fetch_sub(&room_bytes, (int64_t)len);
    return syscall(SYS_pwrite64, fd, data, len, at);
}

void disk_fail_syncs(bool fail)
{
    atomic_store(&syncs_fail, fail);
}

static void interpose(void)
{
    static const char *const names[] = {"pwrite", "pwrite64"};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)write_at);
}

void disk_refuse_writes(int error)
{
    interpose();
    atomic_store(&write_error, error);
}

void disk_be_full(bool full)
{
    disk_refuse_writes(full ? ENOSPC : 0);
}

void disk_hold_syncs(void)
{
    pthread_mutex_lock(&lock);
    holding = true;
    pthread_mutex_unlock(&lock);
}

void disk_wait_until_held(void)
{
    pthread_mutex_lock(&lock);
    while (!held)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void disk_release_syncs(void)
{
    pthread_mutex_lock(&lock);
    holding = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Room. The files that the reserve takes and gives count as SQLite's writes do. */

int ftruncate(int fd, off_t len)
{
    struct stat info;
    int64_t before = fstat(fd, &info) == 0 ? info.st_size : 0;
    if (atomic_load(&room_bytes) >= 0 && before > len)
        atomic_fetch_add(&room_bytes, before - len);
    return (int)syscall(SYS_ftruncate, fd, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    if (atomic_load(&room_bytes) >= 0 && atomic_load(&room_bytes) < len)
        return ENOSPC;
    if (atomic_load(&room_bytes) >= 0)
        atomic_fetch_sub(&room_bytes, len);
    return syscall(SYS_fallocate, fd, 0, at, len) == 0 ? 0 : errno;
}

int fstatvfs(int fd, struct statvfs *info)
{
    int64_t room = atomic_load(&room_bytes);
    *info =
        (struct statvfs){.f_frsize = 1, .f_bavail = (unsigned long)(room >= 0 ? room : INT64_MAX)};
    return 0;
}

void disk_have_room(int64_t bytes)
{
    interpose();
    atomic_store(&room_bytes, bytes);
}
