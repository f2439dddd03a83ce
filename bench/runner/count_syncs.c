/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what a program asks the disk for: preloaded (LD_PRELOAD), it puts itself in front of fsync
 * and fdatasync, and of pwrite, by which SQLite writes. It adds each call to one of two numbers of
 * 8 bytes in the file that SYNC_COUNT_FILE names: first the syncs, then the writes. They continue
 * over restarts of the program. It works for anything that reaches these functions through the
 * dynamic linker, which SQLite and the Erlang machine do.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic unsigned long long syncs, writes;
};

static struct counts own, *counts = &own;
static int (*real_fsync)(int fd), (*real_fdatasync)(int fd);
static ssize_t (*real_pwrite)(int fd, const void *bytes, size_t count, off_t at);

__attribute__((constructor)) static void begin(void)
{
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    const char *path = getenv("SYNC_COUNT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *counts) == 0) {
        void *map = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED)
            counts = map;
    }
    close(fd);
}

int fsync(int fd)
{
    atomic_fetch_add(&counts->syncs, 1);
    return real_fsync(fd);
}

int fdatasync(int fd)
{
    atomic_fetch_add(&counts->syncs, 1);
    return real_fdatasync(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    atomic_fetch_add(&counts->writes, 1);
    return real_pwrite(fd, bytes, count, at);
}

/* The same function under the name that programs with large files call. */
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at)
{
    return pwrite(fd, bytes, count, at);
}
