/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what a program asks the disk for: preloaded (LD_PRELOAD), it puts itself in front of fsync
 * and fdatasync and adds each call to the first 8 bytes of the file that SYNC_COUNT_FILE names,
 * over restarts of the program as well. It works for anything that reaches them through the dynamic
 * linker, which SQLite and the Erlang machine do.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic unsigned long long own, *count = &own;
static int (*real_fsync)(int fd), (*real_fdatasync)(int fd);

__attribute__((constructor)) static void begin(void)
{
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("SYNC_COUNT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *count) == 0) {
        void *map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED)
            count = map;
    }
    close(fd);
}

int fsync(int fd)
{
    atomic_fetch_add(count, 1);
    return real_fsync(fd);
}

int fdatasync(int fd)
{
    atomic_fetch_add(count, 1);
    return real_fdatasync(fd);
}
