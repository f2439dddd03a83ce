/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/accounts/fixture.h"

#include "runtime/thread.h"

#include <sqlite3.h>
#include <stdio.h>

char data_directory[64];
struct accounts *accounts;
char open_detail[256];
struct accounts_request last;

static const struct hash_seed seed = {"0123456789abcde"};

void fixture_begin(void)
{
    strcpy(data_directory, "/tmp/penstock-test-XXXXXX");
    cr_assert(mkdtemp(data_directory));
    thread_adopt_main();
}

void fixture_end(void)
{
    close_accounts();
    thread_leave_main();
    static const char *const names[] = {
        "accounts.db", "accounts.db-wal", "accounts.db-shm", "accounts.db-journal"};
    char path[128];
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        snprintf(path, sizeof path, "%s/%s", data_directory, names[i]);
        unlink(path);
    }
    rmdir(data_directory);
}

enum err open_accounts(void)
{
    return accounts_open(data_directory, &seed, &accounts, open_detail);
}

void begin_with_accounts(void)
{
    fixture_begin();
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
}

void close_accounts(void)
{
    accounts_stop(TAKE(accounts));
}

enum err call_accounts(const struct accounts_request *request)
{
    last = *request;
    return accounts_call(accounts, &last);
}

enum err add_partner(const char *partner)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_PARTNER};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    return call_accounts(&request);
}

enum err add_account(const char *account)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ACCOUNT};
    snprintf(request.account, sizeof request.account, "%s", account);
    return call_accounts(&request);
}

enum err add_credential(const char *partner, const char *key)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_CREDENTIAL};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    crypto_sha256(slice_from_string(key), request.credential_sha256);
    return call_accounts(&request);
}

static enum err action_on_grant(
    enum accounts_change action, const char *partner, const char *account)
{
    struct accounts_request request = {.base.kind = action};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    snprintf(request.account, sizeof request.account, "%s", account);
    return call_accounts(&request);
}

enum err grant(const char *partner, const char *account)
{
    return action_on_grant(ACCOUNTS_GRANT, partner, account);
}

enum err withdraw_grant(const char *partner, const char *account)
{
    return action_on_grant(ACCOUNTS_WITHDRAW_GRANT, partner, account);
}

enum err change_partner(
    const char *partner, unsigned changes, bool enabled, const char *key_pointer)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_PARTNER,
        .changes = changes,
        .partner_wanted.enabled = enabled};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    snprintf(request.partner_wanted.key_pointer, sizeof request.partner_wanted.key_pointer, "%s",
        key_pointer);
    return call_accounts(&request);
}

enum err add_endpoint(const char *account, const char *name, const char *url)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_ADD_ENDPOINT, .endpoint.enabled = true};
    snprintf(request.account, sizeof request.account, "%s", account);
    snprintf(request.endpoint.name, sizeof request.endpoint.name, "%s", name);
    snprintf(request.endpoint.url, sizeof request.endpoint.url, "%s", url);
    return call_accounts(&request);
}

enum err change_endpoint(
    const char *account, uint64_t endpoint, unsigned changes, const struct endpoint *wanted)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_ENDPOINT,
        .endpoint_id = endpoint,
        .changes = changes,
        .endpoint = *wanted};
    snprintf(request.account, sizeof request.account, "%s", account);
    return call_accounts(&request);
}

static sqlite3 *open_database(void)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/accounts.db", data_directory);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

int64_t query_number(const char *sql)
{
    sqlite3 *db = open_database();
    sqlite3_stmt *statement;
    cr_assert_eq(
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

void execute_sql(const char *sql)
{
    sqlite3 *db = open_database();
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}
