/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk faults for a whole program. The shim is preloaded (LD_PRELOAD) and replaces libc's calls.
 * Before each call that uses a journal's or reserve's file it reads the order in the file
 * PENSTOCK_TEST_DISK:
 *
 *   ok          no fault; the same when there is no file
 *   full        writes and allocations that make a file longer fail (ENOSPC)
 *   read-only   writes fail as on a read-only file system (EROFS)
 *   sync-fails  the next sync of data fails once (EIO); then the order is `ok`
 *   free N      the file system reports N free bytes; writes succeed
 *   short       every other write writes only half of its bytes
 *   slow N      each sync of data takes N ms longer
 *
 * With `full`, bytes that a truncated file releases can be used again. A reserve needs this.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum order {
    ORDER_OK,
    ORDER_FULL,
    ORDER_READ_ONLY,
    ORDER_SYNC_FAILS,
    ORDER_SHORT,
    ORDER_FREE,
    ORDER_SLOW
};

static _Atomic int64_t given_back; /* bytes of files that were truncated while the disk is full */
static _Atomic unsigned writes;

/* Reads the order. `ret_number` is its number, if it has one. */
static enum order read_order(int64_t *ret_number)
{
    static const char *const names[] = {"ok", "full", "read-only", "sync-fails", "short"};
    const char *path = getenv("PENSTOCK_TEST_DISK");
    char text[32] = "";
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;
    if (fd >= 0) {
        ssize_t len = syscall(SYS_read, fd, text, sizeof text - 1);
        text[len > 0 ? len : 0] = '\0';
        syscall(SYS_close, fd);
    }
    if (strncmp(text, "free ", 5) == 0 || strncmp(text, "slow ", 5) == 0) {
        *ret_number = atoll(text + 5);
        return text[0] == 'f' ? ORDER_FREE : ORDER_SLOW;
    }
    for (int i = 1; i < 5; i++)
        if (strcmp(text, names[i]) == 0)
            return (enum order)i;
    atomic_store(&given_back, 0);
    return ORDER_OK;
}

/* Returns whether the file is a journal or a reserve of the data directory. */
static bool is_ours(int fd)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    return strstr(path, "/journal-") || strstr(path, "/reserve-");
}

static int64_t size_of(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 ? info.st_size : 0;
}

/* Returns whether a file may become this long; then it uses the room. */
static bool has_room(int fd, int64_t end)
{
    int64_t more = end - size_of(fd);
    if (more <= 0)
        return true;
    int64_t left = atomic_fetch_sub(&given_back, more);
    if (left >= more)
        return true;
    atomic_fetch_add(&given_back, more);
    return false;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    if (is_ours(fd)) {
        enum order order = read_order(&(int64_t){0});
        if (order == ORDER_READ_ONLY) {
            errno = EROFS;
            return -1;
        }
        if (order == ORDER_FULL && !has_room(fd, at + (int64_t)len)) {
            errno = ENOSPC;
            return -1;
        }
        if (order == ORDER_SHORT && len > 1 && atomic_fetch_add(&writes, 1) % 2 == 0)
            len /= 2;
    }
    return syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return pwrite64(fd, data, len, at);
}

static int sync_data(int fd, long call)
{
    int64_t ms = 0;
    enum order order = is_ours(fd) ? read_order(&ms) : ORDER_OK;
    if (order == ORDER_SYNC_FAILS) {
        unlink(getenv("PENSTOCK_TEST_DISK"));
        errno = EIO;
        return -1;
    }
    if (order == ORDER_SLOW)
        usleep((useconds_t)(ms * 1000));
    return (int)syscall(call, fd);
}

int fdatasync(int fd)
{
    return sync_data(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return sync_data(fd, SYS_fsync);
}

int ftruncate64(int fd, off_t len)
{
    if (is_ours(fd)) {
        enum order order = read_order(&(int64_t){0});
        if (order == ORDER_READ_ONLY) {
            errno = EROFS;
            return -1;
        }
        if (order == ORDER_FULL && size_of(fd) > len)
            atomic_fetch_add(&given_back, size_of(fd) - len);
    }
    return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

int posix_fallocate64(int fd, off_t at, off_t len)
{
    if (is_ours(fd)) {
        enum order order = read_order(&(int64_t){0});
        if (order == ORDER_READ_ONLY)
            return EROFS;
        if (order == ORDER_FULL && !has_room(fd, at + len))
            return ENOSPC;
    }
    return syscall(SYS_fallocate, fd, 0, at, len) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    return posix_fallocate64(fd, at, len);
}

int fstatvfs64(int fd, struct statvfs64 *info)
{
    static int (*real)(int fd, struct statvfs64 *info);
    if (!real)
        real = (int (*)(int, struct statvfs64 *))dlsym(RTLD_NEXT, "fstatvfs64");
    int result = real(fd, info);
    if (result != 0 || !is_ours(fd))
        return result;
    int64_t free_bytes = 0;
    enum order order = read_order(&free_bytes);
    if (order == ORDER_FULL)
        free_bytes = atomic_load(&given_back);
    if (order == ORDER_READ_ONLY)
        info->f_flag |= ST_RDONLY;
    if (order == ORDER_FULL || order == ORDER_FREE)
        info->f_bavail = (unsigned long)(free_bytes / (int64_t)info->f_frsize);
    return 0;
}

int fstatvfs(int fd, struct statvfs *info)
{
    return fstatvfs64(fd, (struct statvfs64 *)info);
}
