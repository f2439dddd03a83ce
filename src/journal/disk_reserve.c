/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk_reserve.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#define LOOK_US US_PER_SECOND

/* Real blocks, not a hole: a hole would take its room only when it is too late. */
static bool fill(struct disk_reserve *reserve)
{
    int failed = posix_fallocate(reserve->fd, 0, reserve->bytes);
    reserve->held = failed == 0;
    if (failed && ftruncate(reserve->fd, 0) != 0)
        return false; /* what it got stays in it, and is given up the next time */
    return reserve->held;
}

/* What the file system leaves for us; -1 when it does not say. */
static int64_t free_bytes(const struct disk_reserve *reserve)
{
    struct statvfs info;
    if (fstatvfs(reserve->fd, &info) != 0)
        return -1;
    unsigned long long bytes = (unsigned long long)info.f_bavail * info.f_frsize;
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

static int64_t room_to_fill(const struct disk_reserve *reserve)
{
    return reserve->bytes + reserve->all_bytes;
}

static enum disk_space judge(struct disk_reserve *reserve)
{
    reserve->free_bytes = free_bytes(reserve);
    int64_t left = reserve->free_bytes < 0 ? INT64_MAX : reserve->free_bytes;
    if (reserve->bytes == 0)
        return SPACE_PLENTY;
    if (!reserve->held && (left < room_to_fill(reserve) || !fill(reserve)))
        return SPACE_NONE;
    if (left < 2 * reserve->all_bytes)
        return SPACE_SCARCE;
    return left < 4 * reserve->all_bytes ? SPACE_LOW : SPACE_PLENTY;
}

enum err disk_reserve_open(struct disk_reserve *reserve, const char *directory, unsigned shard,
    int64_t bytes, int64_t all_bytes)
{
    char path[4096];
    *reserve =
        (struct disk_reserve){.fd = -1, .bytes = bytes, .all_bytes = all_bytes, .free_bytes = -1};
    if (bytes == 0) { /* only to be asked what is free */
        reserve->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return OK;
    }
    int len = snprintf(path, sizeof path, "%s/reserve-%u", directory, shard);
    if (len < 0 || (size_t)len >= sizeof path)
        return ERR_DISK;
    reserve->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (reserve->fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_DISK;
    reserve->held = lseek(reserve->fd, 0, SEEK_END) == bytes;
    if (!reserve->held && ftruncate(reserve->fd, 0) != 0)
        return ERR_DISK;
    reserve->space = judge(reserve);
    return OK;
}

void disk_reserve_close(struct disk_reserve *reserve)
{
    if (reserve->fd >= 0)
        close(TAKE_FD(reserve->fd));
}

bool disk_reserve_is_read_only(const struct disk_reserve *reserve)
{
    struct statvfs info;
    return fstatvfs(reserve->fd, &info) == 0 && (info.f_flag & ST_RDONLY);
}

int64_t disk_reserve_wants(const struct disk_reserve *reserve)
{
    switch (reserve->space) {
    case SPACE_LOW:
        return 4 * reserve->all_bytes;
    case SPACE_SCARCE:
        return 2 * reserve->all_bytes;
    case SPACE_NONE:
        return room_to_fill(reserve);
    default:
        return 0;
    }
}

bool disk_reserve_look(struct disk_reserve *reserve, int64_t now_mono_us)
{
    if (reserve->fd < 0 || now_mono_us < reserve->next_look_us)
        return false;
    reserve->next_look_us = now_mono_us + LOOK_US;
    enum disk_space before = reserve->space;
    reserve->space = judge(reserve);
    return reserve->space != before;
}

void disk_reserve_give_up(struct disk_reserve *reserve, int64_t now_mono_us)
{
    if (reserve->fd < 0 || reserve->bytes == 0)
        return;
    reserve->held = ftruncate(reserve->fd, 0) != 0;
    reserve->space = SPACE_NONE;
    reserve->next_look_us = now_mono_us + LOOK_US;
}

const char *disk_space_name(enum disk_space space)
{
    static const char *const names[] = {"plenty", "low", "scarce", "none"};
    return (unsigned)space < ARRAY_LENGTH(names) ? names[space] : "unknown";
}
