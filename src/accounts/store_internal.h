/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (changing, loading) and store_open.c (opening, schema) share. */
#ifndef PENSTOCK_ACCOUNTS_STORE_INTERNAL_H
#define PENSTOCK_ACCOUNTS_STORE_INTERNAL_H

#include "accounts/store.h"

#include <sqlite3.h>

/* symbol, SQL */
#define STATEMENT_TABLE(X)                                                                                            \
    X(STATEMENT_BEGIN, "BEGIN IMMEDIATE")                                                                             \
    X(STATEMENT_COMMIT, "COMMIT")                                                                                     \
    X(STATEMENT_ROLLBACK, "ROLLBACK")                                                                                 \
    X(STATEMENT_NEXT_VERSION, "UPDATE meta SET value = value + 1 WHERE name = 'version' RETURNING value")             \
    X(STATEMENT_ADD_PARTNER, "INSERT INTO partners(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")             \
    X(STATEMENT_ADD_ACCOUNT, "INSERT INTO accounts(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")             \
    X(STATEMENT_ADD_CREDENTIAL, "INSERT INTO credentials(sha256, partner, version, created_us) VALUES(?, ?, ?, ?)")   \
    X(STATEMENT_ADD_GRANT, "INSERT INTO grants(partner, account, version, created_us) VALUES(?, ?, ?, ?)")            \
    X(STATEMENT_ADD_ENDPOINT,                                                                                         \
        "INSERT INTO endpoints(id, account, name, url, enabled, idempotent, final_4xx, version, created_us)"          \
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)")                                                                         \
    X(STATEMENT_ADD_SECRET,                                                                                           \
        "INSERT INTO secrets(endpoint, ordinal, secret, version, created_us) VALUES(?, ?, ?, ?, ?)")                  \
    X(STATEMENT_CHANGE_ENDPOINT,                                                                                      \
        "UPDATE endpoints SET url = ?, enabled = ?, idempotent = ?, final_4xx = ?, version = ? WHERE id = ?")         \
    X(STATEMENT_LOAD_PARTNERS, "SELECT id, enabled, version FROM partners WHERE deleted = 0")                         \
    X(STATEMENT_LOAD_ACCOUNTS, "SELECT id, enabled, version FROM accounts WHERE deleted = 0")                         \
    X(STATEMENT_LOAD_ENDPOINTS,                                                                                       \
        "SELECT id, account, name, url, enabled, idempotent, final_4xx, version FROM endpoints WHERE deleted = 0"     \
        " ORDER BY created_us, id")                                                                                   \
    X(STATEMENT_LOAD_SECRETS, "SELECT secret FROM secrets WHERE endpoint = ? AND deleted = 0 ORDER BY ordinal")       \
    X(STATEMENT_LOAD_CREDENTIALS, "SELECT sha256, partner FROM credentials WHERE deleted = 0 AND revoked_us IS NULL") \
    X(STATEMENT_LOAD_GRANTS, "SELECT partner, account FROM grants WHERE deleted = 0")

enum statement {
#define X(symbol, sql) symbol,
    STATEMENT_TABLE(X)
#undef X
        STATEMENTS
};

struct accounts_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    int bind_result; /* the first failure among the bindings of the statement that is being filled */
    bool in_doubt;   /* an fsync failed */
    char detail[STORE_DETAIL_BYTES];
};

/* Records what SQLite says and finds our word for its code. */
enum err accounts_store_fail(struct accounts_store *store, int sqlite_result);

#endif
