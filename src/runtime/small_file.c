/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/small_file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4352

enum err small_file_error(void)
{
    return errno == EACCES || errno == EPERM || errno == EROFS ? ERR_PERMISSION
           : errno == ENOSPC || errno == EDQUOT                ? ERR_DISK_FULL
                                                               : ERR_SYSTEM;
}

enum err small_file_sync_directory(const char *directory)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) ? small_file_error() : OK;
}

enum err small_file_write(const char *directory, const char *name, struct slice content)
{
    char path[PATH_BYTES], temporary[PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return small_file_error();
    for (size_t done = 0; done < content.len;) {
        ssize_t written = write(fd, content.data + done, content.len - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return small_file_error();
        done += (size_t)written;
    }
    if (fsync(fd) || rename(temporary, path))
        return small_file_error();
    return small_file_sync_directory(directory);
}

enum err small_file_read(
    const char *directory, const char *name, size_t bytes_max, struct buffer *content)
{
    char path[PATH_BYTES], chunk[4096];
    snprintf(path, sizeof path, "%s%s%s", directory, *directory ? "/" : "", name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : small_file_error();
    ssize_t got;
    while ((got = read(fd, chunk, sizeof chunk)) > 0) {
        if (content->len + (size_t)got > bytes_max)
            return ERR_TOO_LARGE;
        buffer_add(content, chunk, (size_t)got);
    }
    if (got < 0)
        return errno == EISDIR ? ERR_DAMAGED : small_file_error();
    return buffer_status(content);
}

void small_file_remove(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}
