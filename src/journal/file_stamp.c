/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/file_stamp.h"

#include "base/cleanup.h"
#include "journal/sql.h"
#include "journal/wal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000
#define PATH_BYTES 4400

static enum err refuse(char *ret_detail, enum err error, const char *text)
{
    snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", text);
    return error;
}

static enum err system_error(char *ret_detail)
{
    int code = errno;
    snprintf(ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", strerror(code));
    return code == ENOSPC || code == EDQUOT  ? ERR_DISK_FULL
           : code == EACCES || code == EPERM ? ERR_PERMISSION
                                             : ERR_DISK;
}

/* A path as SQLite's URI: what means something there is written as %XX. */
static bool make_uri(const char *path, const char *parameters, char ret_uri[3 * PATH_BYTES])
{
    size_t len = (size_t)snprintf(
        ret_uri, 16, *path == '/' ? "file://" : "file:"); /* "//host" would be an authority */
    for (const char *at = path; *at; at++) {
        if (len + 4 + strlen(parameters) >= (size_t)3 * PATH_BYTES)
            return false;
        if (strchr("%?#", *at))
            len += (size_t)snprintf(ret_uri + len, 4, "%%%02x", (unsigned char)*at);
        else
            ret_uri[len++] = *at;
    }
    snprintf(ret_uri + len, (size_t)3 * PATH_BYTES - len, "%s", parameters);
    return true;
}

/* Nothing is moved from the WAL into the file: that is its owner's to do. */
static enum err open_database(const char *path, int flags, const char *parameters, sqlite3 **ret_db)
{
    char uri[3 * PATH_BYTES];
    sqlite3 *db = NULL;
    if (!make_uri(path, parameters, uri))
        return ERR_DISK;
    int code = sqlite3_open_v2(uri, &db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    enum err result = db ? sql_err(db, code) : ERR_NO_MEMORY;
    if (!result) {
        sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
        sqlite3_wal_autocheckpoint(db, 0);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        result = sql_run(
            db, "PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;");
    }
    if (result) {
        sqlite3_close(db);
        return result;
    }
    *ret_db = db;
    return OK;
}

static void take_text(const struct sql_use *use, int column, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%.*s", SLICE_ARGS(sql_column_slice(use, column)));
}

static enum err read_row(sqlite3 *db, struct file_stamp *ret_stamp)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(db,
        "SELECT installation, file, id, seed, partitions, shards, epoch FROM stamp WHERE one = 1",
        &statement);
    struct sql_use use = sql_use(statement);
    bool row = false;
    if (!result)
        result = sql_step(&use, &row);
    if (!result && row) {
        take_text(&use, 0, ret_stamp->installation, sizeof ret_stamp->installation);
        take_text(&use, 1, ret_stamp->file, sizeof ret_stamp->file);
        take_text(&use, 2, ret_stamp->id, sizeof ret_stamp->id);
        take_text(&use, 3, ret_stamp->seed, sizeof ret_stamp->seed);
        ret_stamp->partitions = sql_column_int(&use, 4);
        ret_stamp->shards = sql_column_int(&use, 5);
        ret_stamp->epoch = sql_column_int(&use, 6);
    }
    sqlite3_finalize(statement);
    if (result == ERR_BUG || (!result && !row)) /* no such table, no such row */
        return ERR_NOT_FOUND;
    return result;
}

static enum err read_through(
    const char *path, const char *parameters, struct file_stamp *ret_stamp, char *ret_detail)
{
    sqlite3 *db = NULL;
    enum err result = open_database(path, SQLITE_OPEN_READONLY, parameters, &db);
    if (!result)
        result = read_row(db, ret_stamp);
    if (result == ERR_NOT_FOUND)
        result = refuse(ret_detail, ERR_DAMAGED,
            "it has no stamp: it is not a file of this program's installations");
    else if (result == ERR_DAMAGED)
        result = refuse(ret_detail, ERR_DAMAGED,
            "it is not a database, it was cut, or its first pages are damaged");
    else if (result)
        result = refuse(ret_detail, result, db ? sqlite3_errmsg(db) : "it can't be opened");
    sqlite3_close(db);
    return result;
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
    enum err read_alone = read_through(path, "?immutable=1", &alone, ret_detail);
    if (!has_wal(path)) { /* SQLite would make one, even to read */
        if (!read_alone)
            *ret_stamp = alone;
        return read_alone;
    }
    /* While a WAL is moved into it, the main file alone may be neither the old one nor the new one.
     * */
    enum err result = read_through(path, "", &whole, ret_detail);
    if (result)
        return result;
    if (!read_alone && strcmp(alone.id, whole.id) != 0)
        return refuse(ret_detail, ERR_DAMAGED,
            "the -wal file beside it belongs to another database: put its own back");
    *ret_stamp = whole;
    return OK;
}

static enum err insert_row(sqlite3 *db, const struct file_stamp *stamp)
{
    sqlite3_stmt *statement = NULL;
    enum err result =
        sql_prepare(db, "INSERT INTO stamp VALUES(1, ?, ?, ?, ?, ?, ?, ?)", &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(stamp->installation));
        sql_bind_text(&use, slice_from_string(stamp->file));
        sql_bind_text(&use, slice_from_string(stamp->id));
        sql_bind_text(&use, slice_from_string(stamp->seed));
        sql_bind_int(&use, stamp->partitions);
        sql_bind_int(&use, stamp->shards);
        sql_bind_int(&use, stamp->epoch);
        result = sql_execute(&use);
    }
    sqlite3_finalize(statement);
    return result;
}

static enum err fill(const char *path, const struct file_stamp *stamp, char *ret_detail)
{
    sqlite3 *db = NULL;
    enum err result = open_database(path, SQLITE_OPEN_READWRITE, "", &db);
    if (!result)
        result = sql_run(db,
            "PRAGMA page_size = 4096; BEGIN IMMEDIATE; CREATE TABLE stamp(one INTEGER PRIMARY KEY,"
            " installation TEXT NOT NULL, file TEXT NOT NULL, id TEXT NOT NULL, seed TEXT NOT NULL,"
            " partitions INTEGER NOT NULL, shards INTEGER NOT NULL, epoch INTEGER NOT NULL) "
            "STRICT");
    if (!result)
        result = insert_row(db, stamp);
    if (!result)
        result = sql_run(db, "COMMIT; PRAGMA journal_mode = WAL");
    if (!result)
        sqlite3_db_config(
            db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL); /* no WAL is left beside it */
    if (result)
        snprintf(
            ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", db ? sqlite3_errmsg(db) : err_title(result));
    sqlite3_close(db);
    return result;
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
    enum err result = fill(fresh, stamp, ret_detail);
    if (!result && rename(fresh, path))
        result = system_error(ret_detail);
    if (result) {
        unlink(fresh);
        return result;
    }
    return sync_directory_of(path, ret_detail);
}

enum err file_stamp_set_epoch(const char *path, int64_t epoch, bool into_file, char *ret_detail)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    enum err result = wal_file_make_durable(path);
    if (result)
        return refuse(ret_detail, result, "its -wal file can't be written");
    result = open_database(path, SQLITE_OPEN_READWRITE, "", &db);
    if (!result && into_file)
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (!result)
        result = sql_prepare(db, "UPDATE stamp SET epoch = ? WHERE one = 1", &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_int(&use, epoch);
        result = sql_execute(&use);
    }
    if (result)
        snprintf(
            ret_detail, FILE_STAMP_DETAIL_BYTES, "%s", db ? sqlite3_errmsg(db) : err_title(result));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return result;
}
