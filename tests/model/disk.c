/* SPDX-License-Identifier: Apache-2.0 */
#include "disk_internal.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_PER_MILLE 100

static struct disk_file files[DISK_FILES_MAX];
static unsigned die_after;
static bool full;
static size_t room; /* bytes that a full disk still accepts */
static unsigned write_failures, sync_failures, growth_refusals;
static unsigned long errors;
static int last_error;

/* Images. */

static void image_resize(struct image *image, size_t len)
{
    if (len > image->capacity) {
        size_t capacity = image->capacity ? image->capacity : 4096;
        while (capacity < len)
            capacity *= 2;
        image->bytes = realloc(image->bytes, capacity);
        assert(image->bytes);
        image->capacity = capacity;
    }
    if (len > image->len)
        memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

static void image_write(struct image *image, const void *bytes, size_t len, size_t offset)
{
    if (len == 0)
        return;
    if (offset + len > image->len)
        image_resize(image, offset + len);
    memcpy(image->bytes + offset, bytes, len);
}

static void image_copy(struct image *image, const struct image *source)
{
    image->len = 0;
    image_resize(image, source->len);
    if (source->len)
        memcpy(image->bytes, source->bytes, source->len);
}

/* Durable contents, and writes that are not synced yet. */

static void content_add(struct content *content, const void *bytes, size_t len, size_t offset)
{
    if (content->pending_count == content->pending_capacity) {
        content->pending_capacity = content->pending_capacity ? content->pending_capacity * 2 : 16;
        content->pending =
            realloc(content->pending, content->pending_capacity * sizeof *content->pending);
        assert(content->pending);
    }
    struct pending *pending = &content->pending[content->pending_count++];
    *pending = (struct pending){
        .offset = offset, .len = len, .bytes = bytes ? malloc(len ? len : 1) : NULL};
    if (bytes)
        memcpy(pending->bytes, bytes, len);
}

static void pending_apply(const struct pending *pending, struct image *image, unsigned per_mille)
{
    if (!pending->bytes) {
        if (sim_chance(STREAM_DISK, per_mille))
            image_resize(image, pending->offset);
        return;
    }
    for (size_t at = 0; at < pending->len;) {
        size_t part = SECTOR_BYTES - (pending->offset + at) % SECTOR_BYTES;
        if (part > pending->len - at)
            part = pending->len - at;
        if (sim_chance(STREAM_DISK, per_mille))
            image_write(image, pending->bytes + at, part, pending->offset + at);
        at += part;
    }
}

/* Makes each unsynced sector durable with this chance, and drops the others. */
static void content_persist(struct content *content, unsigned per_mille)
{
    for (unsigned i = 0; i < content->pending_count; i++) {
        pending_apply(&content->pending[i], &content->image, per_mille);
        free(content->pending[i].bytes);
    }
    content->pending_count = 0;
}

static void content_clear(struct content *content)
{
    content_persist(content, 0);
    content->image.len = 0;
    content->is_there = false;
}

/* Files. */

struct disk_file *disk_find(const char *name)
{
    for (unsigned i = 0; i < DISK_FILES_MAX; i++)
        if (files[i].exists && strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

struct disk_file *disk_create(const char *name)
{
    struct disk_file *file = NULL;
    for (unsigned i = 0; i < DISK_FILES_MAX && !file; i++)
        if (strcmp(files[i].name, name) == 0)
            file = &files[i];
    for (unsigned i = 0; i < DISK_FILES_MAX && !file; i++)
        if (!files[i].name[0])
            file = &files[i];
    assert(file && strlen(name) < sizeof file->name);
    snprintf(file->name, sizeof file->name, "%s", name);
    file->exists = true;
    file->now.len = 0;
    return file;
}

/* Kills and errors. */

static bool dies_now(void)
{
    return sim_current() && !sim_still && die_after > 0 && --die_after == 0;
}

static void may_die(const struct disk_file *file, const char *what)
{
    if (dies_now()) {
        trace("killed %s %s", what, file->name);
        sim_crash();
    }
    sim_pause(PAUSE_PER_MILLE);
}

void disk_die_after(unsigned operations)
{
    die_after = operations;
}

int disk_tell_error(int code, int system_error)
{
    errors++;
    last_error = system_error;
    trace("the disk reports error %d, errno %d", code, system_error);
    return code;
}

int disk_last_error(void)
{
    return last_error;
}

bool disk_is_full(void)
{
    return full;
}

void disk_leave_room(size_t bytes)
{
    room = bytes;
}

/* Returns whether a file may grow by so many bytes. */
static bool takes_room(size_t bytes)
{
    if (growth_refusals > 0 && sim_current()) {
        growth_refusals--;
        return false;
    }
    if (full && bytes > room)
        return false;
    room -= full ? bytes : 0;
    return true;
}

/* Refuses a write that makes a file longer. Nothing or a part of it is written. */
static int refuse_growth(struct disk_file *file, const void *bytes, size_t len, size_t offset)
{
    if (sim_chance(STREAM_DISK, 300)) {
        size_t part = sim_below(STREAM_DISK, (unsigned)len);
        image_write(&file->now, bytes, part, offset);
        content_add(&file->durable, bytes, part, offset);
        tally(TALLY_SHORT_WRITES);
    }
    tally(TALLY_DISK_FULL);
    return sim_chance(STREAM_DISK, 900) ? disk_tell_error(SQLITE_FULL, 0)
                                        : disk_tell_error(SQLITE_IOERR_WRITE, ENOSPC);
}

int disk_write(struct disk_file *file, const void *bytes, size_t len, size_t offset)
{
    if (dies_now()) {
        size_t part = sim_below(STREAM_DISK, (unsigned)len + 1);
        image_write(&file->now, bytes, part, offset);
        content_add(&file->durable, bytes, part, offset);
        trace("killed within a write of %s", file->name);
        sim_crash();
    }
    if (write_failures > 0 && sim_current()) {
        write_failures--;
        tally(TALLY_WRITE_ERRORS);
        return disk_tell_error(SQLITE_IOERR_WRITE, EIO);
    }
    if (offset + len > file->now.len && !takes_room(offset + len - file->now.len))
        return refuse_growth(file, bytes, len, offset);
    image_write(&file->now, bytes, len, offset);
    content_add(&file->durable, bytes, len, offset);
    sim_pause(PAUSE_PER_MILLE / 10);
    return SQLITE_OK;
}

int disk_truncate(struct disk_file *file, size_t len)
{
    may_die(file, "before truncating");
    if (len < file->now.len) {
        image_resize(&file->now, len);
        content_add(&file->durable, NULL, 0, len);
    }
    return SQLITE_OK;
}

/* A file system with a journal keeps metadata in order: a sync also makes earlier deletions
 * durable. */
static void sync_directory(void)
{
    for (unsigned i = 0; i < DISK_FILES_MAX; i++)
        content_clear(&files[i].deleted);
}

int disk_sync(struct disk_file *file)
{
    may_die(file, "before syncing");
    if (sync_failures > 0 && sim_current()) {
        sync_failures--;
        content_persist(&file->durable, sim_below(STREAM_DISK, 3) * 500);
        tally(TALLY_SYNC_ERRORS);
        return disk_tell_error(SQLITE_IOERR_FSYNC, EIO);
    }
    content_persist(&file->durable, 1000);
    sync_directory();
    file->durable.is_there = true;
    may_die(file, "after syncing");
    return SQLITE_OK;
}

int disk_delete(struct disk_file *file, bool is_durable)
{
    may_die(file, "before deleting");
    file->exists = false;
    file->now.len = 0;
    content_clear(&file->deleted);
    if (!is_durable && file->durable.is_there) {
        struct content unused = file->deleted;
        file->deleted = file->durable;
        file->durable = unused;
    }
    content_clear(&file->durable);
    may_die(file, "after deleting");
    return SQLITE_OK;
}

/* Called by the driver and the model. */

static void lose_power(struct disk_file *file, unsigned per_mille)
{
    if (file->deleted.is_there && sim_chance(STREAM_DISK, 1000 - per_mille)) {
        struct content unused = file->durable;
        file->durable = file->deleted;
        file->deleted = unused;
    } else if (!file->durable.is_there && file->exists) {
        file->durable.is_there = sim_chance(STREAM_DISK, per_mille);
    }
    content_clear(&file->deleted);
    if (file->durable.is_there)
        content_persist(&file->durable, per_mille);
    else
        content_clear(&file->durable);
    file->exists = file->durable.is_there;
    image_copy(&file->now, &file->durable.image);
}

void disk_crash(enum disk_crash how)
{
    static const unsigned kept_per_mille[] = {0, 0, 100, 500, 900, 1000};
    unsigned per_mille =
        kept_per_mille[sim_below(STREAM_DISK, sizeof kept_per_mille / sizeof kept_per_mille[0])];
    die_after = 0;
    for (unsigned i = 0; i < DISK_FILES_MAX; i++) {
        if (how == DISK_POWER_LOSS)
            lose_power(&files[i], per_mille);
        disk_forget_locks(&files[i]);
    }
    if (how == DISK_POWER_LOSS)
        trace("power is lost: %u of 1000 unsynced sectors are kept", per_mille);
}

void disk_set_full(bool is_full)
{
    full = is_full;
    room = 0;
}

void disk_refuse_growth(unsigned count)
{
    growth_refusals = count;
}

void disk_fail_writes(unsigned count)
{
    write_failures = count;
}

void disk_fail_syncs(unsigned count)
{
    sync_failures = count;
}

void disk_mend(void)
{
    full = false;
    write_failures = sync_failures = growth_refusals = 0;
}

bool disk_is_mended(void)
{
    return !full && write_failures == 0 && sync_failures == 0 && growth_refusals == 0;
}

unsigned long disk_errors(void)
{
    return errors;
}

void disk_copy_durable(const char *from, const char *to)
{
    for (unsigned i = 0; i < DISK_FILES_MAX; i++) {
        const struct disk_file *source = &files[i];
        if (!source->durable.is_there || strncmp(source->name, from, strlen(from)) != 0)
            continue;
        char name[sizeof source->name * 2];
        snprintf(name, sizeof name, "%s%s", to, source->name + strlen(from));
        image_copy(&disk_create(name)->now, &source->durable.image);
    }
}

void disk_remove(const char *prefix)
{
    for (unsigned i = 0; i < DISK_FILES_MAX; i++) {
        struct disk_file *file = &files[i];
        if (strncmp(file->name, prefix, strlen(prefix)) != 0)
            continue;
        file->exists = false;
        file->now.len = 0;
        content_clear(&file->durable);
        content_clear(&file->deleted);
        disk_forget_locks(file);
    }
}
