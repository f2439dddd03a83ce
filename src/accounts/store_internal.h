/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (changing), store_load.c (loading) and store_open.c (opening, schema) share. */
#ifndef PENSTOCK_ACCOUNTS_STORE_INTERNAL_H
#define PENSTOCK_ACCOUNTS_STORE_INTERNAL_H

#include "accounts/store.h"

#include <sqlite3.h>

/* The column of an endpoint's filter. */
#define STORE_TYPES_BYTES (TYPE_LIST_MAX * (EVENT_TYPE_BYTES_MAX + 1) + 1)

/* symbol, SQL. What is removed leaves its row for replicas, but not its secret. */
#define STATEMENT_TABLE(X)                                                                                           \
    X(STATEMENT_BEGIN, "BEGIN IMMEDIATE")                                                                            \
    X(STATEMENT_COMMIT, "COMMIT")                                                                                    \
    X(STATEMENT_ROLLBACK, "ROLLBACK")                                                                                \
    X(STATEMENT_NEXT_VERSION, "UPDATE meta SET value = value + 1 WHERE name = 'version' RETURNING value")            \
    /* partners */                                                                                                   \
    X(STATEMENT_ADD_PARTNER, "INSERT INTO partners(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")            \
    X(STATEMENT_CHANGE_PARTNER, "UPDATE partners SET enabled = ?, key_pointer = ?, version = ? WHERE id = ?")        \
    X(STATEMENT_ADD_PARTNER_SECRET,                                                                                  \
        "INSERT INTO partner_secrets(id, partner, secret, version, created_us) VALUES(?, ?, ?, ?, ?)")               \
    X(STATEMENT_REMOVE_PARTNER_SECRET,                                                                               \
        "UPDATE partner_secrets SET deleted = 1, secret = x'', version = ? WHERE id = ? AND deleted = 0")            \
    X(STATEMENT_ADD_CREDENTIAL, "INSERT INTO credentials(sha256, partner, version, created_us) VALUES(?, ?, ?, ?)")  \
    X(STATEMENT_REVOKE_CREDENTIAL,                                                                                   \
        "UPDATE credentials SET revoked_us = ?, version = ? WHERE sha256 = ? AND revoked_us IS NULL")                \
    X(STATEMENT_ADD_GRANT,                                                                                           \
        "INSERT INTO grants(partner, account, version, created_us) VALUES(?, ?, ?, ?)"                               \
        " ON CONFLICT DO UPDATE SET deleted = 0, version = excluded.version, created_us = excluded.created_us"       \
        " WHERE deleted = 1")                                                                                        \
    X(STATEMENT_WITHDRAW_GRANT,                                                                                      \
        "UPDATE grants SET deleted = 1, version = ? WHERE partner = ? AND account = ? AND deleted = 0")              \
    /* accounts and their endpoints */                                                                               \
    X(STATEMENT_ADD_ACCOUNT, "INSERT INTO accounts(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")            \
    X(STATEMENT_ADD_ENDPOINT,                                                                                        \
        "INSERT INTO endpoints(id, account, name, url, enabled, idempotent, final_4xx, types, version, created_us)"  \
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                                                     \
    X(STATEMENT_CHANGE_ENDPOINT,                                                                                     \
        "UPDATE endpoints SET url = ?, enabled = ?, idempotent = ?, final_4xx = ?, types = ?, version = ?"           \
        " WHERE id = ? AND deleted = 0")                                                                             \
    X(STATEMENT_REMOVE_ENDPOINT, "UPDATE endpoints SET deleted = 1, version = ? WHERE id = ? AND deleted = 0")       \
    X(STATEMENT_ADD_SECRET,                                                                                          \
        "INSERT INTO secrets(endpoint, ordinal, secret, version, created_us)"                                        \
        " SELECT ?1, coalesce(max(ordinal), -1) + 1, ?2, ?3, ?4 FROM secrets WHERE endpoint = ?1 RETURNING ordinal") \
    X(STATEMENT_REMOVE_SECRET, "UPDATE secrets SET deleted = 1, secret = x'', version = ? WHERE endpoint = ? AND "   \
                               "ordinal = ? AND deleted = 0")                                                        \
    /* loading */                                                                                                    \
    X(STATEMENT_LOAD_PARTNERS, "SELECT id, enabled, version, key_pointer FROM partners WHERE deleted = 0")           \
    X(STATEMENT_LOAD_PARTNER_SECRETS,                                                                                \
        "SELECT id, secret, created_us FROM partner_secrets WHERE partner = ? AND deleted = 0 ORDER BY version")     \
    X(STATEMENT_LOAD_ACCOUNTS, "SELECT id, enabled, version FROM accounts WHERE deleted = 0")                        \
    X(STATEMENT_LOAD_ENDPOINTS,                                                                                      \
        "SELECT id, account, name, url, enabled, idempotent, final_4xx, version, types FROM endpoints"               \
        " WHERE deleted = 0 ORDER BY created_us, id")                                                                \
    X(STATEMENT_LOAD_SECRETS,                                                                                        \
        "SELECT ordinal, secret FROM secrets WHERE endpoint = ? AND deleted = 0 ORDER BY ordinal")                   \
    X(STATEMENT_LOAD_CREDENTIALS,                                                                                    \
        "SELECT sha256, partner, created_us FROM credentials WHERE deleted = 0 AND revoked_us IS NULL")              \
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
/* ERR_DAMAGED, with `what` as the detail. */
enum err accounts_store_damaged(struct accounts_store *store, const char *what);

#endif
