/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (running and changing), store_switches.c, store_load.c, store_pages.c and
 * store_open.c share. */
#ifndef PENSTOCK_ACCOUNTS_STORE_INTERNAL_H
#define PENSTOCK_ACCOUNTS_STORE_INTERNAL_H

#include "accounts/store.h"
#include "sqlite/sql.h"

/* The column of an endpoint's filter. */
#define STORE_TYPES_BYTES (TYPE_LIST_MAX * (EVENT_TYPE_BYTES_MAX + 1) + 1)

/* The column of a key's accounts. */
#define STORE_ACCOUNTS_BYTES (KEY_SCOPE_ACCOUNTS_MAX * (NAME_BYTES_MAX + 1) + 1)

#define PAGE_OF_ROWS " WHERE version > ?1 AND version <= ?2 ORDER BY version"

#define ENDPOINT_COLUMNS                                                           \
    "id, account, name, url, enabled, idempotent, final_4xx, types, disabled_us, " \
    "disabled_reason, policy, version, created_us)"                                \
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

#define CREDENTIAL_COLUMNS                                                      \
    "sha256, partner, label, expires_us, accounts, types, version, created_us)" \
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?)"

/* symbol, SQL. What is removed leaves its row for replicas, but not its secrets. */
#define STATEMENT_TABLE(X)                                                                         \
    X(STATEMENT_BEGIN, "BEGIN IMMEDIATE")                                                          \
    X(STATEMENT_COMMIT, "COMMIT")                                                                  \
    X(STATEMENT_NEXT_VERSION,                                                                      \
        "UPDATE meta SET value = value + 1 WHERE name = 'version' RETURNING value")                \
    /* partners */                                                                                 \
    X(STATEMENT_ADD_PARTNER,                                                                       \
        "INSERT INTO partners(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")               \
    X(STATEMENT_CHANGE_PARTNER,                                                                    \
        "UPDATE partners SET enabled = ?, key_pointer = ?, rules = ?, version = ? WHERE id = ?")   \
    X(STATEMENT_ADD_PARTNER_SECRET, "INSERT INTO partner_secrets(id, partner, secret, version, "   \
                                    "created_us) VALUES(?, ?, ?, ?, ?)")                           \
    X(STATEMENT_REMOVE_PARTNER_SECRET, "UPDATE partner_secrets SET deleted = 1, secret = x'', "    \
                                       "version = ? WHERE id = ? AND deleted = 0")                 \
    X(STATEMENT_ADD_CREDENTIAL, "INSERT INTO credentials(" CREDENTIAL_COLUMNS)                     \
    X(STATEMENT_CHANGE_CREDENTIAL, "UPDATE credentials SET label = ?, expires_us = ?, version = "  \
                                   "? WHERE sha256 = ? AND revoked_us IS NULL")                    \
    X(STATEMENT_NOTE_USE, "UPDATE credentials SET used_us = ? WHERE sha256 = ?")                   \
    X(STATEMENT_REVOKE_CREDENTIAL, "UPDATE credentials SET revoked_us = ?, version = ? WHERE "     \
                                   "sha256 = ? AND revoked_us IS NULL")                            \
    X(STATEMENT_ADD_GRANT,                                                                         \
        "INSERT INTO grants(partner, account, version, created_us) VALUES(?, ?, ?, ?)"             \
        " ON CONFLICT DO UPDATE SET deleted = 0, version = excluded.version, created_us = "        \
        "excluded.created_us"                                                                      \
        " WHERE deleted = 1")                                                                      \
    X(STATEMENT_WITHDRAW_GRANT, "UPDATE grants SET deleted = 1, version = ? WHERE partner = ? "    \
                                "AND account = ? AND deleted = 0")                                 \
    /* accounts and their endpoints */                                                             \
    X(STATEMENT_ADD_ACCOUNT,                                                                       \
        "INSERT INTO accounts(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")               \
    X(STATEMENT_ADD_ENDPOINT, "INSERT INTO endpoints(" ENDPOINT_COLUMNS)                           \
    X(STATEMENT_CHANGE_ENDPOINT, "UPDATE endpoints SET url = ?, enabled = ?, idempotent = ?, "     \
                                 "final_4xx = ?, types = ?, disabled_us = ?, "                     \
                                 "disabled_reason = ?, policy = ?, version = ?"                    \
                                 " WHERE id = ? AND deleted = 0")                                  \
    X(STATEMENT_REMOVE_ENDPOINT, "UPDATE endpoints SET deleted = 1, policy = '', version = ? "     \
                                 "WHERE id = ? AND deleted = 0")                                   \
    X(STATEMENT_ADD_SECRET, "INSERT INTO secrets(endpoint, ordinal, secret, version, created_us)"  \
                            " SELECT ?1, coalesce(max(ordinal), -1) + 1, ?2, ?3, ?4 FROM secrets " \
                            "WHERE endpoint = ?1 RETURNING ordinal")                               \
    X(STATEMENT_REMOVE_SECRET,                                                                     \
        "UPDATE secrets SET deleted = 1, secret = x'', version = ? WHERE endpoint = ? AND "        \
        "ordinal = ? AND deleted = 0")                                                             \
    /* the name of the operators' account */                                                       \
    X(STATEMENT_IS_RESERVED, "SELECT coalesce(max(value), 0) FROM meta WHERE name = 'operators'")  \
    X(STATEMENT_COUNT_GRANTS_FOR, "SELECT count(*) FROM grants WHERE account = ? AND deleted = 0") \
    X(STATEMENT_COUNT_ENDPOINTS_OF,                                                                \
        "SELECT count(*) FROM endpoints WHERE account = ? AND deleted = 0")                        \
    X(STATEMENT_COUNT_PARTNERS_NAMED,                                                              \
        "SELECT count(*) FROM partners WHERE id = ? AND deleted = 0 AND enabled = 1")              \
    /* switches: see store_switches.c */                                                           \
    X(STATEMENT_SWITCH_OFF, "INSERT OR REPLACE INTO switches(name, account, endpoint, reason, "    \
                            "version, created_us) VALUES(?, ?, ?, ?, ?, ?)")                       \
    X(STATEMENT_SWITCH_ON, "UPDATE switches SET deleted = 1, version = ? WHERE name = ? AND "      \
                           "account = ? AND endpoint = ? AND deleted = 0")                         \
    X(STATEMENT_ADD_SWITCH_CHANGE, "INSERT INTO switch_changes(at_us, name, account, endpoint, "   \
                                   "is_off, reason, actor) VALUES(?, ?, ?, ?, ?, ?, ?)")           \
    X(STATEMENT_TRIM_SWITCH_CHANGES, "DELETE FROM switch_changes WHERE id <= "                     \
                                     "(SELECT max(id) FROM switch_changes) - ?")                   \
    X(STATEMENT_LIST_SWITCH_CHANGES,                                                               \
        "SELECT name, account, endpoint, is_off, reason, actor, at_us FROM switch_changes "        \
        "ORDER BY id DESC LIMIT ?")                                                                \
    X(STATEMENT_COUNT_SWITCHES, "SELECT count(*) FROM switches WHERE deleted = 0")                 \
    /* loading */                                                                                  \
    X(STATEMENT_LOAD_PARTNERS,                                                                     \
        "SELECT id, enabled, version, key_pointer, rules FROM partners WHERE deleted = 0")         \
    X(STATEMENT_LOAD_PARTNER_SECRETS, "SELECT id, secret, created_us FROM partner_secrets WHERE "  \
                                      "partner = ? AND deleted = 0 ORDER BY version")              \
    X(STATEMENT_LOAD_ACCOUNTS, "SELECT id, enabled, version FROM accounts WHERE deleted = 0")      \
    X(STATEMENT_LOAD_ENDPOINTS, "SELECT id, account, name, url, enabled, idempotent, final_4xx, "  \
                                "version, types, disabled_us, disabled_reason, policy "            \
                                "FROM endpoints"                                                   \
                                " WHERE deleted = 0 ORDER BY created_us, id")                      \
    X(STATEMENT_LOAD_SECRETS,                                                                      \
        "SELECT ordinal, secret FROM secrets WHERE endpoint = ? AND deleted = 0 ORDER BY ordinal") \
    X(STATEMENT_LOAD_CREDENTIALS,                                                                  \
        "SELECT sha256, partner, created_us, label, expires_us, accounts, types, used_us"          \
        " FROM credentials WHERE deleted = 0 AND revoked_us IS NULL")                              \
    X(STATEMENT_LOAD_GRANTS, "SELECT partner, account FROM grants WHERE deleted = 0")              \
    X(STATEMENT_LOAD_SWITCHES,                                                                     \
        "SELECT name, account, endpoint, reason, created_us, version FROM switches"                \
        " WHERE deleted = 0")                                                                      \
    /* pages: see store_pages.c */                                                                 \
    X(STATEMENT_VERSION, "SELECT value FROM meta WHERE name = 'version'")                          \
    X(STATEMENT_PAGE_END,                                                                          \
        "SELECT coalesce(max(version), 0), count(*) FROM (SELECT version FROM partners WHERE "     \
        "version > ?1"                                                                             \
        " UNION ALL SELECT version FROM accounts WHERE version > ?1"                               \
        " UNION ALL SELECT version FROM endpoints WHERE version > ?1"                              \
        " UNION ALL SELECT version FROM credentials WHERE version > ?1"                            \
        " UNION ALL SELECT version FROM grants WHERE version > ?1"                                 \
        " UNION ALL SELECT version FROM switches WHERE version > ?1"                               \
        " ORDER BY version LIMIT ?2)")                                                             \
    X(STATEMENT_READ_PARTNERS,                                                                     \
        "SELECT id, enabled, version, key_pointer, rules, version, created_us, deleted"            \
        " FROM partners" PAGE_OF_ROWS)                                                             \
    X(STATEMENT_READ_ACCOUNTS,                                                                     \
        "SELECT id, enabled, version, version, created_us, deleted FROM accounts" PAGE_OF_ROWS)    \
    X(STATEMENT_READ_ENDPOINTS,                                                                    \
        "SELECT id, account, name, url, enabled, idempotent, final_4xx, version, types,"           \
        " disabled_us, disabled_reason, version, created_us, deleted FROM endpoints" PAGE_OF_ROWS) \
    X(STATEMENT_READ_CREDENTIALS,                                                                  \
        "SELECT sha256, partner, created_us, label, expires_us, accounts, types, 0,"               \
        " version, created_us,"                                                                    \
        " deleted OR revoked_us IS NOT NULL FROM credentials" PAGE_OF_ROWS)                        \
    X(STATEMENT_READ_GRANTS,                                                                       \
        "SELECT partner, account, version, created_us, deleted FROM grants" PAGE_OF_ROWS)          \
    X(STATEMENT_READ_SWITCHES,                                                                     \
        "SELECT name, account, endpoint, reason, created_us, version, version, created_us,"        \
        " deleted FROM switches" PAGE_OF_ROWS)                                                     \
    /* a follower's writing: nobody follows it, so what is removed leaves nothing */               \
    X(STATEMENT_SET_META, "INSERT INTO meta(name, value) VALUES(?, ?) ON CONFLICT DO UPDATE SET "  \
                          "value = excluded.value")                                                \
    X(STATEMENT_FOLLOWING, "SELECT coalesce(max(value), 0) FROM meta WHERE name = 'following'")    \
    X(STATEMENT_PUT_PARTNER, "INSERT OR REPLACE INTO partners(id, enabled, key_pointer, rules, "   \
                             "version, created_us) VALUES(?, ?, ?, ?, ?, ?)")                      \
    X(STATEMENT_CLEAR_PARTNER_SECRETS, "DELETE FROM partner_secrets WHERE partner = ?")            \
    X(STATEMENT_PUT_PARTNER_SECRET, "INSERT OR REPLACE INTO partner_secrets(id, partner, secret, " \
                                    "version, created_us) VALUES(?, ?, ?, ?, ?)")                  \
    X(STATEMENT_PUT_ACCOUNT,                                                                       \
        "INSERT OR REPLACE INTO accounts(id, enabled, version, created_us) VALUES(?, ?, ?, ?)")    \
    X(STATEMENT_PUT_ENDPOINT, "INSERT OR REPLACE INTO endpoints(" ENDPOINT_COLUMNS)                \
    X(STATEMENT_FIND_NAMESAKE, "SELECT coalesce(max(id), 0) FROM endpoints WHERE account = ? AND " \
                               "name = ? AND id <> ? AND deleted = 0")                             \
    /* the last use stays: it is this gateway's own */                                             \
    X(STATEMENT_PUT_CREDENTIAL, "INSERT INTO credentials(" CREDENTIAL_COLUMNS                      \
                                " ON CONFLICT DO UPDATE SET partner = excluded.partner, label = "  \
                                "excluded.label, expires_us = excluded.expires_us, accounts = "    \
                                "excluded.accounts, types = excluded.types, version = "            \
                                "excluded.version, created_us = excluded.created_us, revoked_us "  \
                                "= NULL, deleted = 0")                                             \
    X(STATEMENT_PUT_GRANT,                                                                         \
        "INSERT OR REPLACE INTO grants(partner, account, version, created_us) VALUES(?, ?, ?, ?)") \
    X(STATEMENT_DROP_PARTNER, "DELETE FROM partners WHERE id = ?")                                 \
    X(STATEMENT_DROP_ACCOUNT, "DELETE FROM accounts WHERE id = ?")                                 \
    X(STATEMENT_DROP_ENDPOINT, "DELETE FROM endpoints WHERE id = ?")                               \
    X(STATEMENT_DROP_CREDENTIAL, "DELETE FROM credentials WHERE sha256 = ?")                       \
    X(STATEMENT_DROP_GRANT, "DELETE FROM grants WHERE partner = ? AND account = ?")                \
    X(STATEMENT_DROP_SWITCH, "DELETE FROM switches WHERE name = ? AND account = ? AND endpoint = " \
                             "?")

enum statement {
#define X(symbol, sql) symbol,
    STATEMENT_TABLE(X)
#undef X
        STATEMENTS
};

struct accounts_store {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[STATEMENTS];
    bool in_doubt; /* what is written from now on may not be kept (sql_is_in_doubt) */
    char detail[STORE_DETAIL_BYTES];
};

/* Begins to use a statement. Its parameters are bound with sql_bind_* in their order; the functions
 * below run and finish it. */
static inline struct sql_use store_use(struct accounts_store *store, enum statement which)
{
    return sql_use(store->statements[which]);
}

enum err store_run(struct accounts_store *store, struct sql_use *use) MUST_CHECK;
/* For a statement without parameters. */
enum err store_run_alone(struct accounts_store *store, enum statement which) MUST_CHECK;
/* For a statement that must change one row, since the directory shows it. */
enum err store_run_on_one_row(
    struct accounts_store *store, struct sql_use *use, const char *missing) MUST_CHECK;
/* For a statement with one row of one number; it may change something (RETURNING). */
enum err store_run_for_number(
    struct accounts_store *store, struct sql_use *use, int64_t *ret_number) MUST_CHECK;
/* Calls `on_row` for each row; stops at the first error. */
enum err store_each_row(struct accounts_store *store, struct sql_use *use,
    enum err (*on_row)(struct accounts_store *store, const struct sql_use *row, void *context),
    void *context) MUST_CHECK;

/* For the statements that add or put an endpoint. */
enum err store_run_with_endpoint(struct accounts_store *store, enum statement which,
    const struct endpoint *endpoint, int64_t created_us) MUST_CHECK;

/* For the statements that add or put a credential. */
enum err store_run_with_credential(struct accounts_store *store, enum statement which,
    const struct credential *credential, int64_t version, int64_t created_us) MUST_CHECK;
/* The column of a partner's rules: empty without any. */
enum err store_print_rules(const struct partner_rules *rules, struct buffer *text) MUST_CHECK;

/* Each reads a row of the loading statements, or of those that read pages: their first columns are
 * the same. ERR_DAMAGED: the row has values that the gateway never writes. */
enum err store_read_partner(
    struct accounts_store *store, const struct sql_use *row, struct partner *partner) MUST_CHECK;
enum err store_read_account(
    struct accounts_store *store, const struct sql_use *row, struct account *account) MUST_CHECK;
enum err store_read_endpoint(
    struct accounts_store *store, const struct sql_use *row, struct endpoint *endpoint) MUST_CHECK;
enum err store_read_credential(struct accounts_store *store, const struct sql_use *row,
    struct credential *credential) MUST_CHECK;
enum err store_read_grant(struct accounts_store *store, const struct sql_use *row,
    char ret_partner[NAME_BYTES_MAX + 1], char ret_account[NAME_BYTES_MAX + 1]) MUST_CHECK;

enum err store_read_switch(struct accounts_store *store, const struct sql_use *row,
    struct operator_switch *off) MUST_CHECK;

/* Returns false when the column does not fit. What the gateway writes always fits. */
bool store_read_text(const struct sql_use *row, int column, char *ret_text, size_t size);

/* Records what SQLite says of the last failure. ERR_EXISTS in place of ERR_BUG where a key is
 * taken. */
enum err accounts_store_fail(struct accounts_store *store, enum err error, bool while_committing);
/* ERR_DAMAGED, with `what` as the detail. */
enum err accounts_store_damaged(struct accounts_store *store, const char *what);

#endif
