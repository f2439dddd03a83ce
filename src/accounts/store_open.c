/* SPDX-License-Identifier: Apache-2.0 */
/* Opening accounts.db: is it ours, is it of our time; an older one is brought forward, and where
 * there is none one is made. */
#include "accounts/store_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define APPLICATION_ID 0x504e5341 /* PNSA */
#define FORMAT 3
#define BUSY_MS \
    500 /* nobody else writes; a person with the sqlite3 shell may hold it for a moment */

/*
 * `version` is the change that last touched the row, `deleted` leaves the row for replicas to see.
 * STRICT, so that what is read has the type that it was written with.
 */
#define ROW_TAIL \
    "version INTEGER NOT NULL, created_us INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0"

/* Each step makes the next format out of the one before, the first out of an empty file: a file
 * that was migrated and one that was made have the same schema. A step that has been released is
 * never changed. */
static const char *const steps[FORMAT] = {
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta VALUES('version', 0);"
    "CREATE TABLE partners(id TEXT PRIMARY KEY, enabled INTEGER NOT NULL, " ROW_TAIL
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE credentials(sha256 BLOB PRIMARY KEY, partner TEXT NOT NULL, revoked_us "
    "INTEGER, " ROW_TAIL ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE accounts(id TEXT PRIMARY KEY, enabled INTEGER NOT NULL, " ROW_TAIL
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE grants(partner TEXT NOT NULL, account TEXT NOT NULL, " ROW_TAIL
    ", PRIMARY KEY(partner, account)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE endpoints(id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, url "
    "TEXT NOT NULL,"
    " enabled INTEGER NOT NULL, idempotent INTEGER NOT NULL, final_4xx INTEGER NOT NULL, " ROW_TAIL
    ") STRICT;"
    "CREATE UNIQUE INDEX endpoints_by_name ON endpoints(account, name) WHERE deleted = 0;"
    "CREATE TABLE secrets(endpoint INTEGER NOT NULL, ordinal INTEGER NOT NULL, secret BLOB NOT "
    "NULL, " ROW_TAIL ", PRIMARY KEY(endpoint, ordinal)) STRICT, WITHOUT ROWID;",

    /* Partners who sign, the dedupe rule of a partner, the filter of an endpoint (patterns,
     * separated by spaces). */
    "ALTER TABLE partners ADD COLUMN key_pointer TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE endpoints ADD COLUMN types TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE partner_secrets(id INTEGER PRIMARY KEY, partner TEXT NOT NULL, secret BLOB NOT "
    "NULL, " ROW_TAIL ") STRICT;"
    "CREATE INDEX partner_secrets_by_partner ON partner_secrets(partner) WHERE deleted = 0;",

    /* What has changed behind a version, for those that follow. */
    "CREATE INDEX partners_by_version ON partners(version);"
    "CREATE INDEX accounts_by_version ON accounts(version);"
    "CREATE INDEX endpoints_by_version ON endpoints(version);"
    "CREATE INDEX credentials_by_version ON credentials(version);"
    "CREATE INDEX grants_by_version ON grants(version);",
};

/* No room for the WAL's index, or a quota, comes as an I/O error; of the index nothing else can be.
 * */
static bool disk_is_full(sqlite3 *db, int code)
{
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
        return false;
    if (code == SQLITE_IOERR_SHMSIZE || (code & 0xff) == SQLITE_FULL)
        return true;
    int system_error = db ? sqlite3_system_errno(db) : 0;
    return ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) &&
           (system_error == ENOSPC || system_error == EDQUOT);
}

enum err accounts_store_fail(struct accounts_store *store, int sqlite_result)
{
    snprintf(store->detail, sizeof store->detail, "%s",
        store->db && sqlite3_errcode(store->db) != SQLITE_OK ? sqlite3_errmsg(store->db)
                                                             : sqlite3_errstr(sqlite_result));
    if (sqlite_result == SQLITE_IOERR_FSYNC || sqlite_result == SQLITE_IOERR_DIR_FSYNC)
        store->in_doubt = true;
    if (disk_is_full(store->db, sqlite_result))
        return ERR_DISK_FULL;
    switch (sqlite_result & 0xff) {
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_DAMAGED;
    case SQLITE_MISUSE:
        return ERR_BUG;
    default:
        return ERR_DISK;
    }
}

enum err accounts_store_damaged(struct accounts_store *store, const char *what)
{
    snprintf(store->detail, sizeof store->detail, "%s", what);
    return ERR_DAMAGED;
}

enum err store_execute(struct accounts_store *store, const char *sql)
{
    int result = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? OK : accounts_store_fail(store, result);
}

/* The first column of a statement's first row. */
static enum err query_number(struct accounts_store *store, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (result != SQLITE_OK)
        return accounts_store_fail(store, result);
    result = sqlite3_step(statement);
    enum err error = OK;
    if (result == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    else
        error = accounts_store_fail(store, result);
    sqlite3_finalize(statement);
    return error;
}

/* The file's format; 0 for one that is empty, or has been made with its stamp
 * (journal/file_stamp.h) and nothing else. / */
static enum err check_identity(struct accounts_store *store, int64_t *ret_format)
{
    int64_t application_id, format, objects;
    enum err error;
    if ((error = query_number(store, "PRAGMA application_id", &application_id)) ||
        (error = query_number(store, "PRAGMA user_version", &format)) ||
        (error = query_number(
             store, "SELECT count(*) FROM sqlite_schema WHERE name <> 'stamp'", &objects)))
        return error;
    bool is_empty = application_id == 0 && format == 0 && objects == 0;
    if (!is_empty && (application_id != APPLICATION_ID || format < 1))
        return accounts_store_damaged(
            store, "it is a SQLite database, but not Penstock's accounts");
    if (format > FORMAT) {
        snprintf(store->detail, sizeof store->detail,
            "it has format %lld, this Penstock knows up to %d: use the newer program",
            (long long)format, FORMAT);
        return ERR_NEWER_FORMAT;
    }
    *ret_format = format;
    return OK;
}

/* All steps in one transaction: after a crash the file has the old format or the new one. */
static enum err migrate(struct accounts_store *store, int64_t format)
{
    char identity[128];
    snprintf(identity, sizeof identity,
        "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID, FORMAT);
    enum err error = store_execute(store, "BEGIN IMMEDIATE");
    for (int64_t step = format; !error && step < FORMAT; step++)
        error = store_execute(store, steps[step]);
    return error ? error : store_execute(store, identity);
}

static enum err prepare_statements(struct accounts_store *store)
{
    static const char *const texts[STATEMENTS] = {
#define X(symbol, sql) [symbol] = (sql),
        STATEMENT_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < STATEMENTS; i++) {
        int result = sqlite3_prepare_v3(
            store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (result != SQLITE_OK)
            return accounts_store_fail(store, result);
    }
    return OK;
}

/* Nothing is written before the file has shown whose it is. */
static enum err open_connection(struct accounts_store *store, const char *path)
{
    int result = sqlite3_open_v2(path, &store->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
            SQLITE_OPEN_EXRESCODE,
        NULL);
    if (result != SQLITE_OK)
        return accounts_store_fail(store, result);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    int64_t format = 0;
    enum err error;
    if ((error = store_execute(store, "PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF")) ||
        (error = check_identity(store, &format)) ||
        (error = store_execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")) ||
        (format < FORMAT && (error = migrate(store, format))))
        return error;
    return prepare_statements(store);
}

/* The secrets in it are nobody else's to read; SQLite gives the files beside it the same mode. */
static bool create_private(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 || errno == EEXIST;
}

enum err accounts_store_open(
    const char *directory, struct accounts_store **ret_store, char *ret_detail)
{
    struct accounts_store *store = calloc(1, sizeof *store);
    AUTO_FREE char *path = NULL;
    if (!store || asprintf(&path, "%s/accounts.db", directory) < 0) {
        path = NULL;
        free(store);
        snprintf(ret_detail, STORE_DETAIL_BYTES, "out of memory");
        return ERR_NO_MEMORY;
    }
    enum err error;
    if (create_private(path)) {
        error = open_connection(store, path);
    } else {
        snprintf(store->detail, sizeof store->detail, "%s", strerror(errno));
        error = errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_DISK;
    }
    if (error) {
        snprintf(ret_detail, STORE_DETAIL_BYTES, "accounts.db: %.200s", store->detail);
        accounts_store_close(store);
        return error;
    }
    *ret_store = store;
    return OK;
}

void accounts_store_close(struct accounts_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    free(store);
}

const char *accounts_store_detail(const struct accounts_store *store)
{
    return store->detail;
}
