/* SPDX-License-Identifier: Apache-2.0 */
/* Opening accounts.db: whose file it is and of which format. An older format is brought forward,
 * and a missing file is made. */
#include "accounts/store_internal.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "sqlite/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define APPLICATION_ID 0x504e5341 /* PNSA */
#define FORMAT 6
#define PATH_BYTES_MAX 4400
/* No other connection writes; a person with the sqlite3 shell may hold the lock for a moment. */
#define BUSY_MS 500

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

    /* What is set for one endpoint (model/endpoint_policy.h, with its secrets), and since when and
     * why it is disabled (0: nobody knows). */
    "ALTER TABLE endpoints ADD COLUMN policy TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE endpoints ADD COLUMN disabled_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE endpoints ADD COLUMN disabled_reason TEXT NOT NULL DEFAULT '';",

    /* What is set for one partner (model/partner_rules.h). What a key is called, until when it is
     * valid and when it was used last (0: never), and its scope (names and patterns, separated by
     * spaces). */
    "ALTER TABLE partners ADD COLUMN rules TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE credentials ADD COLUMN label TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE credentials ADD COLUMN expires_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE credentials ADD COLUMN used_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE credentials ADD COLUMN accounts TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE credentials ADD COLUMN types TEXT NOT NULL DEFAULT '';",

    /* Switches that are off (model/switch.h); `deleted` is one that was switched on again. The
     * account is empty and the endpoint is 0 where the switch is wider. The last changes of
     * switches, for people. */
    "CREATE TABLE switches(name TEXT NOT NULL, account TEXT NOT NULL, endpoint INTEGER NOT NULL, "
    "reason TEXT NOT NULL, " ROW_TAIL
    ", PRIMARY KEY(name, account, endpoint)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX switches_by_version ON switches(version);"
    "CREATE TABLE switch_changes(id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, name TEXT NOT "
    "NULL, account TEXT NOT NULL, endpoint INTEGER NOT NULL, is_off INTEGER NOT NULL, reason TEXT "
    "NOT NULL, actor TEXT NOT NULL) STRICT;",
};

/* All steps in one transaction: after a crash the file has the old format or the new one. */
static enum err migrate(struct accounts_store *store, int64_t format)
{
    char identity[128];
    snprintf(identity, sizeof identity,
        "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID, FORMAT);
    enum err error = sql_run(store->db, "BEGIN IMMEDIATE");
    for (int64_t step = format; !error && step < FORMAT; step++)
        error = sql_run(store->db, steps[step]);
    return error ? error : sql_run(store->db, identity);
}

static enum err prepare_statements(struct accounts_store *store)
{
    static const char *const texts[STATEMENTS] = {
#define X(symbol, sql) [symbol] = (sql),
        STATEMENT_TABLE(X)
#undef X
    };
    return sql_prepare_all(store->db, texts, STATEMENTS, store->statements);
}

/* A table or a column that is missing reads as a wrong statement: it is the file that is wrong. */
static enum err prepare(struct accounts_store *store, int64_t format)
{
    enum err error = format < FORMAT ? migrate(store, format) : OK;
    if (!error)
        error = prepare_statements(store);
    if (!error)
        return OK;
    snprintf(store->detail, sizeof store->detail, "%s", sql_reason(store->db));
    return error == ERR_BUG ? ERR_DAMAGED : error;
}

/* Nothing is written before the file has said whose it is. */
static enum err open_connection(struct accounts_store *store, const char *path)
{
    const struct sql_options options = {.access = SQL_WRITE, .busy_ms = BUSY_MS};
    int64_t format = 0;
    enum err error = sql_open(path, &options, &store->db, store->detail);
    if (!error)
        error = sql_identify(store->db, APPLICATION_ID, FORMAT, &format, store->detail);
    if (!error)
        error = sql_make_wal(store->db, store->detail);
    return error ? error : prepare(store, format);
}

/* It holds secrets: only its owner may read it. SQLite gives the files beside it the same mode. */
static bool create_private(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 || errno == EEXIST;
}

enum err accounts_store_open(
    const char *directory, struct accounts_store **ret_store, char *ret_detail)
{
    char path[PATH_BYTES_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/accounts.db", directory) >= sizeof path) {
        snprintf(ret_detail, STORE_DETAIL_BYTES,
            "the path of the data directory is too long: choose a shorter one");
        return ERR_DISK;
    }
    struct accounts_store *store;
    MEMORY_NEW(store);
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
    sql_finalize_all(store->statements, STATEMENTS);
    sql_close(store->db);
    free(store);
}

const char *accounts_store_detail(const struct accounts_store *store)
{
    return store->detail;
}
