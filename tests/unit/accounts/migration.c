/* SPDX-License-Identifier: Apache-2.0 */
/* Files of older formats are brought forward when they are opened. They are made here as the
 * programs of their time made them. */
#include "runtime/rcu.h"
#include "unit/accounts/fixture.h"

#include <sqlite3.h>
#include <stdio.h>

TestSuite(migration, .init = fixture_begin, .fini = fixture_end);

#define TAIL \
    "version INTEGER NOT NULL, created_us INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0"

/* As version 0.1.0 did, with one of everything and something that was deleted. */
static const char format_1[] =
    "PRAGMA journal_mode = WAL; BEGIN;"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE partners(id TEXT PRIMARY KEY, enabled INTEGER NOT NULL, " TAIL
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE credentials(sha256 BLOB PRIMARY KEY, partner TEXT NOT NULL, revoked_us "
    "INTEGER, " TAIL ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE accounts(id TEXT PRIMARY KEY, enabled INTEGER NOT NULL, " TAIL
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE grants(partner TEXT NOT NULL, account TEXT NOT NULL, " TAIL
    ", PRIMARY KEY(partner, account)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE endpoints(id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, url "
    "TEXT NOT NULL,"
    " enabled INTEGER NOT NULL, idempotent INTEGER NOT NULL, final_4xx INTEGER NOT NULL, " TAIL
    ") STRICT;"
    "CREATE UNIQUE INDEX endpoints_by_name ON endpoints(account, name) WHERE deleted = 0;"
    "CREATE TABLE secrets(endpoint INTEGER NOT NULL, ordinal INTEGER NOT NULL, secret BLOB NOT "
    "NULL, " TAIL ", PRIMARY KEY(endpoint, ordinal)) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta VALUES('version', 9);"
    "INSERT INTO partners VALUES('pa_1', 1, 1, 100, 0), ('pa_2', 0, 2, 100, 0);"
    "INSERT INTO credentials VALUES(zeroblob(32), 'pa_1', NULL, 3, 100, 0);"
    "INSERT INTO accounts VALUES('acc_1', 1, 4, 100, 0);"
    "INSERT INTO grants VALUES('pa_1', 'acc_1', 5, 100, 0);"
    "INSERT INTO endpoints VALUES(7, 'acc_1', 'main', 'https://a/', 1, 1, 0, 6, 100, 0),"
    " (8, 'acc_1', 'old', 'https://b/', 1, 0, 0, 7, 100, 1);"
    "INSERT INTO secrets VALUES(7, 0, zeroblob(32), 6, 100, 0);"
    "PRAGMA application_id = 1347310401; PRAGMA user_version = 1; COMMIT;";

/* One text of everything that the schema holds. */
static char *schema_text(void)
{
    static char text[8192];
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *statement;
    snprintf(path, sizeof path, "%s/accounts.db", data_directory);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(db,
            "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)", -1,
            &statement, NULL),
        SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    snprintf(text, sizeof text, "%s", sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return text;
}

Test(migration, a_file_of_format_1_is_brought_forward_with_all_that_is_in_it)
{
    static const unsigned char sha256[SHA256_BYTES];
    execute_sql(format_1);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(open_accounts(), OK, "%s", open_detail);
        const struct directory *directory = accounts_directory(accounts);
        rcu_go_online();
        const struct partner *partner = directory_partner_of_credential(directory, sha256);
        cr_assert(partner && partner->enabled);
        cr_expect_str_eq(partner->id, "pa_1");
        cr_expect_str_eq(partner->key_pointer, "");
        cr_expect_eq(partner->secrets_count, 0);
        cr_expect(partner->rules.allow_count == 0 && !partner->rules.certificate_required);
        const struct credential *credential = directory_credential(directory, sha256);
        cr_expect(credential->expires_us == 0 && directory_last_use(credential) == 0);
        cr_expect(!*credential->label && credential->scope.accounts_count == 0);
        cr_expect_not(directory_partner(directory, SLICE_LITERAL("pa_2"))->enabled);
        cr_expect(directory_may_post(directory, SLICE_LITERAL("pa_1"), SLICE_LITERAL("acc_1")));
        const struct account *account = directory_account(directory, SLICE_LITERAL("acc_1"));
        cr_assert_eq(account->endpoints_count, 1);
        cr_expect_eq(account->filtered, 0);
        const struct endpoint *endpoint = directory_endpoint(directory, 7);
        cr_assert(
            endpoint && endpoint->enabled && endpoint->idempotent && endpoint->types.count == 0);
        cr_expect_eq(endpoint->version, 6);
        cr_expect_eq(endpoint->secrets_count, 1);
        rcu_go_offline();
        cr_expect_eq(query_number("PRAGMA user_version"), 6);
        close_accounts();
    }
    cr_assert_eq(open_accounts(), OK);
    cr_expect_eq(change_partner("pa_1", PARTNER_CHANGE_KEY_POINTER, true, "/data/id"), OK, "%s",
        last.detail);
    cr_expect_eq(last.partner_wanted.version, 10, "the versions go on");
}

Test(migration, a_migrated_file_and_a_new_one_have_one_schema)
{
    char made[8192], path[128];
    cr_assert_eq(open_accounts(), OK);
    close_accounts();
    snprintf(made, sizeof made, "%s", schema_text());
    snprintf(path, sizeof path, "%s/accounts.db", data_directory);
    unlink(path);
    execute_sql(format_1);
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    close_accounts();
    cr_expect_str_eq(schema_text(), made);
}

Test(migration, a_migration_that_fails_leaves_the_old_file)
{
    execute_sql(format_1);
    execute_sql("CREATE TABLE partner_secrets(in_the_way)");
    cr_expect_neq(open_accounts(), OK);
    cr_expect(strstr(open_detail, "partner_secrets"), "%s", open_detail);
    cr_expect_eq(query_number("PRAGMA user_version"), 1);
    cr_expect_eq(
        query_number(
            "SELECT count(*) FROM pragma_table_info('partners') WHERE name = 'key_pointer'"),
        0);
    execute_sql("DROP TABLE partner_secrets");
    cr_expect_eq(open_accounts(), OK, "%s", open_detail);
}
