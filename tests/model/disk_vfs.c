/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's VFS interface on top of disk.c. */
#include "base/clock.h"
#include "disk_internal.h"
#include "sim.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static struct disk_handle *handle_of(sqlite3_file *file)
{
    return (struct disk_handle *)(void *)file;
}

static int on_close(sqlite3_file *base)
{
    disk_unlock(base, SQLITE_LOCK_NONE);
    disk_shm_unmap(base, 0);
    return SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *ret_bytes, int len, sqlite3_int64 offset)
{
    const struct image *image = &handle_of(base)->file->now;
    size_t there = (size_t)offset < image->len ? image->len - (size_t)offset : 0;
    if (there > (size_t)len)
        there = (size_t)len;
    if (there > 0)
        memcpy(ret_bytes, image->bytes + offset, there);
    memset((char *)ret_bytes + there, 0, (size_t)len - there);
    return there == (size_t)len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    return disk_write(handle_of(base)->file, bytes, (size_t)len, (size_t)offset);
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    return disk_truncate(handle_of(base)->file, (size_t)len);
}

static int on_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    return disk_sync(handle_of(base)->file);
}

static int on_size(sqlite3_file *base, sqlite3_int64 *ret_len)
{
    *ret_len = (sqlite3_int64)handle_of(base)->file->now.len;
    return SQLITE_OK;
}

static int on_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

/* The values of SQLite's unix VFS on Linux. */
static int on_sector_size(sqlite3_file *base)
{
    (void)base;
    return 4096;
}

static int on_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_check_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

static int on_open(
    sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *ret_flags)
{
    (void)vfs;
    struct disk_handle *self = handle_of(base);
    memset(self, 0, sizeof *self);
    fail_unless(
        name, BROKEN_SIM, "SQLite opens a temporary file, which this disk does not support");
    self->file = disk_find(name);
    if (!self->file) {
        if (!(flags & SQLITE_OPEN_CREATE))
            return SQLITE_CANTOPEN;
        self->file = disk_create(name);
    }
    self->base.pMethods = &methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs;
    struct disk_file *file = disk_find(name);
    return file ? disk_delete(file, sync_directory) : SQLITE_IOERR_DELETE_NOENT;
}

static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_yes)
{
    (void)vfs;
    (void)flags;
    const struct disk_file *file = disk_find(name);
    /* Like the unix VFS: an empty journal file counts as missing. */
    *ret_yes = file && (flags != SQLITE_ACCESS_EXISTS || file->now.len > 0);
    return SQLITE_OK;
}

static int on_full_name(sqlite3_vfs *vfs, const char *name, int len_max, char *ret_name)
{
    (void)vfs;
    snprintf(ret_name, (size_t)len_max, "%s", name);
    return SQLITE_OK;
}

static int on_randomness(sqlite3_vfs *vfs, int len, char *ret_bytes)
{
    (void)vfs;
    for (int i = 0; i < len; i++)
        ret_bytes[i] = (char)sim_random(STREAM_SYSTEM);
    return len;
}

/* Called while a connection waits for another one's lock. */
static int on_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    if (sim_current() && !sim_still)
        sim_wait(NULL, NULL, sim_mono_us() + us);
    return us;
}

static int on_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    (void)vfs;
    *ret_ms =
        INT64_C(210866760000000) + sim_wall_us() / 1000; /* the Julian day of 1970-01-01 in ms */
    return SQLITE_OK;
}

static int on_time(sqlite3_vfs *vfs, double *ret_days)
{
    sqlite3_int64 ms;
    on_time_ms(vfs, &ms);
    *ret_days = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int on_last_error(sqlite3_vfs *vfs, int len, char *text)
{
    (void)vfs;
    (void)len;
    (void)text;
    return disk_last_error();
}

void disk_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(struct disk_handle),
        .mxPathname = 255,
        .zName = "model",
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_name,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_time,
        .xGetLastError = on_last_error,
        .xCurrentTimeInt64 = on_time_ms,
    };
    /* There is one OS thread, and a killed coroutine would never release a mutex. */
    int code = sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    if (code == SQLITE_OK)
        code = sqlite3_vfs_register(&vfs, 1);
    fail_unless(code == SQLITE_OK, BROKEN_SIM, "SQLite does not accept the disk: %d", code);
}
