/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of a directory that are read and written whole: configuration of a data directory,
 * keys, tokens. Calls block; they are for the start, the stop and the tools, not for a loop.
 */
#ifndef PENSTOCK_RUNTIME_SMALL_FILE_H
#define PENSTOCK_RUNTIME_SMALL_FILE_H

#include "base/buffer.h"

/* Writes a file of the directory in one step (a new file, fsync, rename), mode 0600. After a crash
 * the old content or the new one is there. ERR_PERMISSION, ERR_DISK_FULL, ERR_SYSTEM. */
enum err small_file_write(const char *directory, const char *name, struct slice content) MUST_CHECK;
/* Appends the content of a file of at most `bytes_max` bytes to `content`. `directory` "": `name`
 * is a path. ERR_NOT_FOUND, ERR_DAMAGED (a directory), ERR_PERMISSION, ERR_TOO_LARGE,
 * ERR_SYSTEM. */
enum err small_file_read(
    const char *directory, const char *name, size_t bytes_max, struct buffer *content) MUST_CHECK;
/* Removes a file; that it does not exist is fine. */
void small_file_remove(const char *directory, const char *name);

/* Makes a new name in the directory durable (fsync of the directory). */
enum err small_file_sync_directory(const char *directory) MUST_CHECK;

/* The error of errno after a system call on a file: ERR_PERMISSION, ERR_DISK_FULL or ERR_SYSTEM. */
enum err small_file_error(void);

#endif
