/* SPDX-License-Identifier: Apache-2.0 */
/* The file: opening again, files that are not ours, a disk that refuses. */
#include "base/cleanup.h"
#include "runtime/metrics.h"
#include "unit/accounts/fixture.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(store, .init = fixture_begin, .fini = fixture_end);

#define URL "https://client.example/hook"

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", data_directory, name);
    return path;
}

static void write_file(const char *bytes, size_t len)
{
    FILE *file = fopen(path_of("accounts.db"), "w");
    cr_assert(file);
    fwrite(bytes, 1, len, file);
    fclose(file);
}

/* The endpoint that was added is `last`. */
static void add_one_of_each(void)
{
    add_partner("pa_1");
    add_account("acc_1");
    add_credential("pa_1", "pk_one");
    grant("pa_1", "acc_1");
    add_endpoint("acc_1", "main", URL);
}

Test(store, everything_is_found_after_opening_again)
{
    unsigned char sha256[SHA256_BYTES];
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    add_one_of_each();
    struct endpoint made = last.endpoint;
    close_accounts();
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 0);

    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 3);
    const struct directory *directory = accounts_directory(accounts);
    crypto_sha256(SLICE_LITERAL("pk_one"), sha256);
    rcu_go_online();
    cr_expect(directory_partner(directory, SLICE_LITERAL("pa_1"))->enabled);
    cr_expect_str_eq(directory_partner_of_credential(directory, sha256)->id, "pa_1");
    cr_expect(directory_may_post(directory, SLICE_LITERAL("pa_1"), SLICE_LITERAL("acc_1")));
    const struct account *account = directory_account(directory, SLICE_LITERAL("acc_1"));
    cr_expect(account->enabled);
    cr_assert_eq(account->endpoints_count, 1);
    cr_expect_eq(account->endpoints[0], made.id);
    const struct endpoint *endpoint = directory_endpoint(directory, made.id);
    cr_expect_str_eq(endpoint->name, "main");
    cr_expect_str_eq(endpoint->url, URL);
    cr_expect_eq(endpoint->version, made.version);
    cr_expect_arr_eq(endpoint->secrets[0].bytes, made.secrets[0].bytes, ENDPOINT_SECRET_BYTES);
    rcu_go_offline();
    cr_expect_eq(add_partner("pa_2"), OK);
    cr_expect_eq(query_number("SELECT max(version) FROM partners"), made.version + 1);
}

Test(store, deleted_and_revoked_objects_are_not_found)
{
    unsigned char sha256[SHA256_BYTES];
    cr_assert_eq(open_accounts(), OK);
    add_partner("pa_1");
    add_account("acc_1");
    add_credential("pa_1", "pk_one");
    add_endpoint("acc_1", "main", URL);
    uint64_t endpoint = last.ret_endpoint;
    close_accounts();
    execute_sql("UPDATE credentials SET revoked_us = 1; UPDATE endpoints SET deleted = 1");
    cr_assert_eq(open_accounts(), OK);
    crypto_sha256(SLICE_LITERAL("pk_one"), sha256);
    rcu_go_online();
    cr_expect_null(directory_partner_of_credential(accounts_directory(accounts), sha256));
    cr_expect_null(directory_endpoint(accounts_directory(accounts), endpoint));
    cr_expect_eq(
        directory_account(accounts_directory(accounts), SLICE_LITERAL("acc_1"))->endpoints_count,
        0);
    rcu_go_offline();
    cr_expect_eq(add_endpoint("acc_1", "main", URL), OK, "the name is free again: %s", last.detail);
}

Test(store, the_file_is_private_and_says_whose_it_is)
{
    struct stat status;
    cr_assert_eq(open_accounts(), OK);
    cr_assert_eq(stat(path_of("accounts.db"), &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(stat(path_of("accounts.db-wal"), &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    cr_expect_eq(query_number("PRAGMA application_id"), 0x504e5341);
    cr_expect_eq(query_number("PRAGMA user_version"), 6);
}

Test(store, a_newer_format_is_refused_and_left_alone)
{
    cr_assert_eq(open_accounts(), OK);
    close_accounts();
    execute_sql("PRAGMA user_version = 7");
    cr_expect_eq(open_accounts(), ERR_NEWER_FORMAT);
    cr_expect_str_eq(open_detail,
        "accounts.db: it has format 7 and this program reads up to 6: run the newer program");
    cr_expect_eq(query_number("PRAGMA user_version"), 7);
}

Test(store, files_that_are_not_ours_are_refused_and_left_alone)
{
    execute_sql("CREATE TABLE something(else_)");
    cr_expect_eq(open_accounts(), ERR_DAMAGED);
    cr_expect_str_eq(
        open_detail, "accounts.db: it is another application's database: move it away");
    cr_expect_eq(query_number("SELECT count(*) FROM sqlite_schema"), 1);

    char text[4096];
    memset(text, 'x', sizeof text);
    write_file(text, sizeof text);
    cr_expect_eq(open_accounts(), ERR_DAMAGED);
    cr_expect_str_eq(open_detail,
        "accounts.db: it is not a database, or its first pages are damaged: restore it");
}

Test(store, a_directory_that_is_not_there_is_an_error)
{
    struct accounts *none = NULL;
    struct hash_seed seed = {{0}};
    cr_expect_eq(accounts_open("/nonexistent", &seed, &none, open_detail), ERR_DISK);
    cr_expect_str_eq(open_detail, "accounts.db: No such file or directory");
    cr_expect_null(none);
}

Test(store, rows_that_can_not_be_right_stop_the_opening)
{
    static const struct {
        const char *sql, *detail;
    } cases[] = {
        {"UPDATE endpoints SET account = 'acc_9'",
            "accounts.db cannot be read: the account acc_9 of an endpoint does not exist"},
        {"UPDATE partners SET id = printf('%.65c', 'x')",
            "accounts.db cannot be read: a partner's id cannot be read"},
        {"UPDATE accounts SET id = 'a' || char(0) || 'b'",
            "accounts.db cannot be read: an account's id cannot be read"},
        {"UPDATE endpoints SET url = printf('%.2049c', 'x')",
            "accounts.db cannot be read: an endpoint cannot be read"},
        {"UPDATE credentials SET sha256 = x'00'",
            "accounts.db cannot be read: a credential cannot be read"},
        {"UPDATE credentials SET label = printf('%.65c', 'x')",
            "accounts.db cannot be read: a credential cannot be read"},
        {"UPDATE credentials SET accounts = 'acc_1  acc_2'",
            "accounts.db cannot be read: a credential cannot be read"},
        {"UPDATE credentials SET types = '*lead'",
            "accounts.db cannot be read: a credential cannot be read"},
        {"UPDATE partners SET rules = '{\"allow_networks\":[7]}'",
            "accounts.db cannot be read: a partner's rules cannot be read"},
        {"UPDATE grants SET account = printf('%.65c', 'x')",
            "accounts.db cannot be read: a grant cannot be read"},
        {"UPDATE secrets SET secret = zeroblob(65)",
            "accounts.db cannot be read: an endpoint's secrets cannot be read"},
        {"UPDATE endpoints SET types = 'lead  payout'",
            "accounts.db cannot be read: an endpoint cannot be read"},
        {"UPDATE partners SET key_pointer = printf('%.129c', '/')",
            "accounts.db cannot be read: a partner's key pointer cannot be read"},
        {"UPDATE partners SET key_pointer = 'data'",
            "accounts.db cannot be read: a partner's key pointer cannot be read"},
        {"INSERT INTO partner_secrets(id, partner, secret, version, created_us) VALUES(1, 'pa_1', "
         "x'', 1, 1)",
            "accounts.db cannot be read: a partner's secrets cannot be read"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        unlink(path_of("accounts.db"));
        cr_assert_eq(open_accounts(), OK, "%s", open_detail);
        add_one_of_each();
        close_accounts();
        execute_sql(cases[i].sql);
        cr_expect_eq(open_accounts(), ERR_DAMAGED, "%s", cases[i].sql);
        cr_expect_str_eq(open_detail, cases[i].detail);
        cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 0);
    }
}

Test(store, a_database_that_is_held_refuses_the_change_and_takes_the_next)
{
    sqlite3 *holder;
    cr_assert_eq(open_accounts(), OK);
    cr_assert_eq(sqlite3_open(path_of("accounts.db"), &holder), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_expect_eq(add_partner("pa_1"), ERR_UNAVAILABLE);
    cr_expect_str_eq(last.detail, "the account database could not be written: database is locked");
    rcu_go_online();
    cr_expect_null(directory_partner(accounts_directory(accounts), SLICE_LITERAL("pa_1")));
    rcu_go_offline();
    cr_assert_eq(sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(holder);
    cr_expect_eq(add_partner("pa_1"), OK, "%s", last.detail);
}

Test(store, a_write_that_fails_leaves_nothing_behind)
{
    struct stat status;
    struct rlimit before, tight;
    cr_assert_eq(open_accounts(), OK);
    cr_assert_eq(add_account("acc_1"), OK);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(stat(path_of("accounts.db-wal"), &status), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)status.st_size; /* the WAL cannot grow any more */
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum err refused = add_endpoint("acc_1", "main", URL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_expect_eq(refused, ERR_DISK);
    cr_expect(strstr(last.detail, "could not be written: "), "%s", last.detail);
    rcu_go_online();
    cr_expect_eq(
        directory_account(accounts_directory(accounts), SLICE_LITERAL("acc_1"))->endpoints_count,
        0);
    rcu_go_offline();
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 1);
    cr_expect_eq(query_number("SELECT count(*) FROM endpoints"), 0);
    cr_expect_eq(add_endpoint("acc_1", "main", URL), OK, "%s", last.detail);
    cr_expect_eq(query_number("SELECT count(*) FROM endpoints"), 1);
}

/* SQLite calls these through the dynamic linker, which finds ours first. */
static _Atomic bool syncs_fail;

int fsync(int fd)
{
    errno = EIO;
    return atomic_load(&syncs_fail) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    errno = EIO;
    return atomic_load(&syncs_fail) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

Test(store, after_a_sync_that_failed_nothing_is_taken_until_a_restart)
{
    cr_assert_eq(open_accounts(), OK);
    cr_assert_eq(add_partner("pa_1"), OK);
    atomic_store(&syncs_fail, true);
    cr_expect_eq(add_partner("pa_2"), ERR_DISK);
    atomic_store(&syncs_fail, false);
    cr_expect_eq(add_partner("pa_3"), ERR_DISK);
    cr_expect(strstr(last.detail, "an earlier fsync failed"), "%s", last.detail);
    rcu_go_online();
    cr_expect(directory_partner(accounts_directory(accounts), SLICE_LITERAL("pa_1")));
    cr_expect_null(directory_partner(accounts_directory(accounts), SLICE_LITERAL("pa_2")));
    rcu_go_offline();
    close_accounts();
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    cr_expect_eq(add_partner("pa_3"), OK, "%s", last.detail);
}
