/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/file_stamp.h"

#include "base/cleanup.h"
#include "sqlite/database.h"
#include "sqlite/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 5000
#define PATH_BYTES 4400

static enum err refuse(char *ret_detail, enum err err, const char *text)
{
    snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", text);
    return err;
}

static enum err system_error(char *ret_detail)
{
    int code = errno;
    snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", strerror(code));
    return code == ENOSPC || code == EDQUOT  ? ERR_DISK_FULL
           : code == EACCES || code == EPERM ? ERR_PERMISSION
                                             : ERR_DISK;
}

/* Moving the WAL into the file is left to the file's owner. */
static enum err open_database(
    const char *path, enum sql_access access, struct sqlite3 **ret_db, char *ret_detail)
{
    const struct sql_options options = {.access = access,
        .busy_ms = BUSY_MS,
        .leaves_wal = true,
        .pragmas = "PRAGMA synchronous = FULL"};
    return sql_open(path, &options, ret_db, ret_detail);
}

static void take_text(const struct sql_use *use, int column, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%.*s", SLICE_ARGS(sql_column_slice(use, column)));
}

static enum err read_row(struct sqlite3 *db, struct file_stamp *ret_stamp)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sql_prepare(db,
        "SELECT installation, file, id, seed, partitions, shards, epoch FROM stamp WHERE one = 1",
        &statement);
    struct sql_use use = sql_use(statement);
    bool row = false;
    if (!err)
        err = sql_step(&use, &row);
    if (!err && row) {
        take_text(&use, 0, ret_stamp->installation, sizeof ret_stamp->installation);
        take_text(&use, 1, ret_stamp->file, sizeof ret_stamp->file);
        take_text(&use, 2, ret_stamp->id, sizeof ret_stamp->id);
        take_text(&use, 3, ret_stamp->seed, sizeof ret_stamp->seed);
        ret_stamp->partitions = sql_column_int(&use, 4);
        ret_stamp->shards = sql_column_int(&use, 5);
        ret_stamp->epoch = sql_column_int(&use, 6);
    }
    sql_finalize(statement);
    if (err == ERR_BUG || (!err && !row)) /* no such table, no such row */
        return ERR_NOT_FOUND;
    return err;
}

static enum err read_through(
    const char *path, enum sql_access access, struct file_stamp *ret_stamp, char *ret_detail)
{
    struct sqlite3 *db = NULL;
    enum err err = open_database(path, access, &db, ret_detail);
    if (!err) {
        err = read_row(db, ret_stamp);
        if (err)
            snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", sql_reason(db));
    }
    sql_close(db);
    if (err == ERR_NOT_FOUND)
        return refuse(ret_detail, ERR_DAMAGED,
            "it has no stamp: it does not belong to an installation of Penstock");
    if (err == ERR_DAMAGED)
        return refuse(ret_detail, ERR_DAMAGED,
            "it is not a database, it was truncated, or its first pages are damaged");
    return err;
}

static bool has_wal(const char *path)
{
    char name[PATH_BYTES];
    struct stat wal;
    snprintf(name, sizeof name, "%s-wal", path);
    return stat(name, &wal) == 0 && wal.st_size > 0;
}

enum err file_stamp_read(const char *path, struct file_stamp *ret_stamp, char *ret_detail)
{
    struct stat status;
    struct file_stamp alone = {0}, whole = {0};
    if (stat(path, &status))
        return errno == ENOENT ? refuse(ret_detail, ERR_NOT_FOUND, "it is missing")
                               : system_error(ret_detail);
    if (!S_ISREG(status.st_mode))
        return refuse(ret_detail, ERR_DAMAGED,
            S_ISDIR(status.st_mode) ? "it is a directory" : "it is not a file");
    if (status.st_size == 0)
        return refuse(ret_detail, ERR_DAMAGED, "it is empty");
    enum err read_alone = read_through(path, SQL_READ_FILE_ALONE, &alone, ret_detail);
    if (!has_wal(path)) { /* SQLite would make one, even to read */
        if (!read_alone)
            *ret_stamp = alone;
        return read_alone;
    }
    /* While a WAL is moved into the main file, the main file alone may be neither the old nor the
     * new one. */
    enum err err = read_through(path, SQL_READ, &whole, ret_detail);
    if (err)
        return err;
    if (!read_alone && strcmp(alone.id, whole.id) != 0)
        return refuse(ret_detail, ERR_DAMAGED,
            "the -wal file beside it belongs to another database: restore the right one");
    *ret_stamp = whole;
    return OK;
}

static enum err insert_row(struct sqlite3 *db, const struct file_stamp *stamp)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sql_prepare(db, "INSERT INTO stamp VALUES(1, ?, ?, ?, ?, ?, ?, ?)", &statement);
    if (!err) {
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(stamp->installation));
        sql_bind_text(&use, slice_from_string(stamp->file));
        sql_bind_text(&use, slice_from_string(stamp->id));
        sql_bind_text(&use, slice_from_string(stamp->seed));
        sql_bind_int(&use, stamp->partitions);
        sql_bind_int(&use, stamp->shards);
        sql_bind_int(&use, stamp->epoch);
        err = sql_execute(&use);
    }
    sql_finalize(statement);
    return err;
}

static const char make_text[] =
    "PRAGMA page_size = 4096; BEGIN IMMEDIATE; CREATE TABLE stamp(one INTEGER PRIMARY KEY,"
    " installation TEXT NOT NULL, file TEXT NOT NULL, id TEXT NOT NULL, seed TEXT NOT NULL,"
    " partitions INTEGER NOT NULL, shards INTEGER NOT NULL, epoch INTEGER NOT NULL) STRICT";

static enum err fill(const char *path, const struct file_stamp *stamp, char *ret_detail)
{
    struct sqlite3 *db = NULL;
    enum err err = open_database(path, SQL_WRITE, &db, ret_detail);
    if (err)
        return err;
    err = sql_run(db, make_text);
    if (!err)
        err = insert_row(db, stamp);
    if (!err)
        err = sql_run(db, "COMMIT; PRAGMA journal_mode = WAL");
    if (err)
        snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", sql_reason(db));
    else
        sql_checkpoint_on_close(db, true); /* no WAL is left beside it */
    sql_close(db);
    return err;
}

static enum err sync_directory_of(const char *path, char *ret_detail)
{
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1,
        slash ? path : ".");
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) ? system_error(ret_detail) : OK;
}

enum err file_stamp_make(const char *path, const struct file_stamp *stamp, char *ret_detail)
{
    char fresh[PATH_BYTES], rest[PATH_BYTES + 16];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
        return refuse(ret_detail, ERR_DISK, "its path is too long");
    snprintf(rest, sizeof rest, "%s-journal", fresh);
    unlink(fresh);
    unlink(rest);
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return system_error(ret_detail);
    close(fd);
    enum err err = fill(fresh, stamp, ret_detail);
    if (!err && rename(fresh, path))
        err = system_error(ret_detail);
    if (err) {
        unlink(fresh);
        return err;
    }
    return sync_directory_of(path, ret_detail);
}

static enum err update_epoch(struct sqlite3 *db, int64_t epoch)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sql_prepare(db, "UPDATE stamp SET epoch = ? WHERE one = 1", &statement);
    if (!err) {
        struct sql_use use = sql_use(statement);
        sql_bind_int(&use, epoch);
        err = sql_execute(&use);
    }
    sql_finalize(statement);
    return err;
}

enum err file_stamp_set_epoch(const char *path, int64_t epoch, bool into_file, char *ret_detail)
{
    struct sqlite3 *db = NULL;
    enum err err = wal_make_durable(path);
    if (err)
        return refuse(ret_detail, err, "its -wal file cannot be written");
    err = open_database(path, SQL_WRITE, &db, ret_detail);
    if (err)
        return err;
    if (into_file)
        sql_checkpoint_on_close(db, true);
    err = update_epoch(db, epoch);
    if (err)
        snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", sql_reason(db));
    sql_close(db);
    return err;
}
