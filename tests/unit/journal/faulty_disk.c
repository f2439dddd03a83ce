/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/faulty_disk.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic bool syncs_fail, is_full;

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
    if (atomic_load(&is_full)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, len, at);
}

void disk_fail_syncs(bool fail)
{
    atomic_store(&syncs_fail, fail);
}

void disk_be_full(bool full)
{
    static const char *const names[] = {"pwrite", "pwrite64"};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)write_at);
    atomic_store(&is_full, full);
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
