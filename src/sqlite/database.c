/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/database.h"

#include "sqlite/sql_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES_MAX 4400

static const char pragmas_of_all[] = "PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;";

static enum err refuse(char *ret_reason, enum err err, const char *text)
{
    if (ret_reason)
        snprintf(ret_reason, SQL_REASON_BYTES, "%s", text);
    return err;
}

/* A path as SQLite's URI: characters with a meaning there are written as %XX. */
static bool make_uri(const char *path, const char *parameters, char *ret_uri, size_t size)
{
    /* "file://host/path" would name a host. */
    size_t len = (size_t)snprintf(ret_uri, size, *path == '/' ? "file://" : "file:");
    for (const char *at = path; *at; at++) {
        if (len + 4 + strlen(parameters) >= size)
            return false;
        if (strchr("%?#", *at))
            len += (size_t)snprintf(ret_uri + len, 4, "%%%02x", (unsigned char)*at);
        else
            ret_uri[len++] = *at;
    }
    snprintf(ret_uri + len, size - len, "%s", parameters);
    return true;
}

static int open_file(const char *path, enum sql_access access, sqlite3 **ret_db)
{
    static const int flags[] = {
        [SQL_READ] = SQLITE_OPEN_READONLY,
        [SQL_WRITE] = SQLITE_OPEN_READWRITE,
        [SQL_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        [SQL_READ_FILE_ALONE] = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
    };
    const int of_all = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    char uri[3 * PATH_BYTES_MAX];
    *ret_db = NULL;
    if (access == SQL_READ_FILE_ALONE) {
        if (!make_uri(path, "?immutable=1", uri, sizeof uri))
            return SQLITE_CANTOPEN;
        path = uri;
    }
    return sqlite3_open_v2(path, ret_db, flags[access] | of_all, NULL);
}

static enum err set_up(sqlite3 *db, const struct sql_options *options)
{
    sqlite3_busy_timeout(db, (int)options->busy_ms);
    if (options->leaves_wal) {
        sqlite3_wal_autocheckpoint(db, 0);
        sql_checkpoint_on_close(db, false);
    }
    enum err err = sql_run(db, pragmas_of_all);
    if (!err && options->pragmas)
        err = sql_run(db, options->pragmas);
    return err;
}

enum err sql_open(
    const char *path, const struct sql_options *options, sqlite3 **ret_db, char *ret_reason)
{
    sqlite3 *db;
    int code = open_file(path, options->access, &db);
    if (!db)
        return code == SQLITE_CANTOPEN ? refuse(ret_reason, ERR_DISK, "its path is too long")
                                       : refuse(ret_reason, ERR_NO_MEMORY, "out of memory");
    enum err err = sql_err(db, code);
    if (!err)
        err = set_up(db, options);
    if (err) {
        refuse(ret_reason, err, sqlite3_errmsg(db));
        sqlite3_close(db);
        return err;
    }
    *ret_db = db;
    return OK;
}

void sql_close(sqlite3 *db)
{
    sqlite3_close(db);
}

void sql_checkpoint_on_close(sqlite3 *db, bool checkpoint)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !checkpoint, NULL);
}

enum err sql_make_wal(sqlite3 *db, char *ret_reason)
{
    int64_t is_wal;
    enum err err = sql_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    if (!err)
        err = sql_read_int(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal);
    if (err)
        return refuse(ret_reason, err, sqlite3_errmsg(db));
    return is_wal ? OK
                  : refuse(ret_reason, ERR_DISK,
                        "its file system cannot hold a WAL: use a local disk");
}

enum err sql_roll_back(sqlite3 *db)
{
    return sqlite3_get_autocommit(db) ? OK : sql_run(db, "ROLLBACK");
}

enum err sql_identify(
    sqlite3 *db, int64_t application, int64_t version_max, int64_t *ret_version, char *ret_reason)
{
    int64_t found, version, objects;
    enum err err = sql_read_int(db, "PRAGMA application_id", &found);
    if (!err)
        err = sql_read_int(db, "PRAGMA user_version", &version);
    if (!err)
        err =
            sql_read_int(db, "SELECT count(*) FROM sqlite_schema WHERE name <> 'stamp'", &objects);
    if (err == ERR_DAMAGED)
        return refuse(
            ret_reason, err, "it is not a database, or its first pages are damaged: restore it");
    if (err)
        return refuse(ret_reason, err, sqlite3_errmsg(db));
    bool is_empty = found == 0 && version == 0 && objects == 0;
    if (!is_empty && (found != application || version < 1))
        return refuse(
            ret_reason, ERR_DAMAGED, "it is another application's database: move it away");
    if (version > version_max) {
        if (ret_reason)
            snprintf(ret_reason, SQL_REASON_BYTES,
                "it has format %lld and this program reads up to %lld: run the newer program",
                (long long)version, (long long)version_max);
        return ERR_NEWER_FORMAT;
    }
    *ret_version = version;
    return OK;
}
