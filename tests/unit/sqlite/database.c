/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files and saying whose they are. */
#include "sqlite/database.h"

#include "unit/sqlite/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(database, .init = begin_directory, .fini = end_directory);

static const struct sql_options writing = {.access = SQL_WRITE, .busy_ms = 10};

static enum err identify(int64_t *ret_version)
{
    struct sqlite3 *db = open_with(&(struct sql_options){.access = SQL_CREATE});
    reason[0] = '\0';
    enum err err = sql_identify(db, APPLICATION, 3, ret_version, reason);
    sql_close(db);
    return err;
}

static void run(const char *text)
{
    struct sqlite3 *db = open_with(&(struct sql_options){.access = SQL_CREATE});
    cr_assert_eq(sql_run(db, text), OK, "%s", sql_reason(db));
    sql_close(db);
}

Test(database, only_creating_makes_a_file_that_is_missing)
{
    struct sqlite3 *db = NULL;
    cr_expect_eq(sql_open(db_path, &writing, &db, reason), ERR_DISK);
    cr_expect_str_eq(reason, "unable to open database file");
    cr_expect_eq(sql_open(db_path, &(struct sql_options){.access = SQL_READ}, &db, NULL), ERR_DISK);
    cr_expect_null(db);
    sql_close(open_db());
    cr_expect_eq(access(db_path, F_OK), 0);
}

Test(database, a_connection_reports_extended_codes_and_maps_no_memory)
{
    struct sqlite3 *db = open_db();
    cr_expect_eq(number_of(db, "PRAGMA mmap_size"), 0);
    cr_expect_eq(number_of(db, "PRAGMA trusted_schema"), 0);
    cr_expect_eq(number_of(db, "PRAGMA synchronous"), 2);
    sql_close(db);
}

Test(database, pragmas_of_the_caller_are_set)
{
    run("CREATE TABLE t(n)");
    struct sqlite3 *db =
        open_with(&(struct sql_options){.access = SQL_READ, .pragmas = "PRAGMA cache_size = -77"});
    cr_expect_eq(number_of(db, "PRAGMA cache_size"), -77);
    cr_expect_eq(sql_run(db, "INSERT INTO t VALUES(1)"), ERR_DISK, "it only reads");
    sql_close(db);
}

Test(database, a_connection_that_leaves_the_wal_does_not_move_it_into_the_file)
{
    char wal[80];
    struct stat status;
    snprintf(wal, sizeof wal, "%s-wal", db_path);
    struct sqlite3 *db = open_with(&(struct sql_options){.access = SQL_CREATE, .leaves_wal = true});
    cr_assert_eq(sql_make_wal(db, reason), OK);
    make_table(db);
    sql_close(db);
    cr_assert_eq(stat(wal, &status), 0);
    cr_expect(status.st_size > 0);

    db = open_with(&(struct sql_options){.access = SQL_READ_FILE_ALONE});
    cr_expect_eq(number_of(db, "SELECT count(*) FROM sqlite_schema"), 0, "it is in the WAL only");
    sql_close(db);

    db = open_with(&(struct sql_options){.access = SQL_WRITE, .leaves_wal = true});
    cr_expect_eq(number_of(db, "SELECT count(*) FROM t"), 0);
    sql_checkpoint_on_close(db, true);
    sql_close(db);
    cr_expect_neq(stat(wal, &status), 0);
    db = open_with(&(struct sql_options){.access = SQL_READ_FILE_ALONE});
    cr_expect_eq(number_of(db, "SELECT count(*) FROM t"), 0);
    sql_close(db);
}

Test(database, a_file_says_whose_it_is_and_in_which_format)
{
    static const struct {
        const char *text;
        enum err err;
        int64_t version;
        const char *reason;
    } cases[] = {
        {"SELECT 1", OK, 0, ""},
        {"CREATE TABLE stamp(one)", OK, 0, ""},
        {"CREATE TABLE other(one)", ERR_DAMAGED, 0, "another application"},
        {"PRAGMA application_id = 1; PRAGMA user_version = 1", ERR_DAMAGED, 0,
            "another application"},
        {"PRAGMA application_id = 0x50544553; PRAGMA user_version = 0", ERR_DAMAGED, 0,
            "another application"},
        {"PRAGMA user_version = 2", OK, 2, ""},
        {"PRAGMA user_version = 3", OK, 3, ""},
        {"PRAGMA user_version = 4", ERR_NEWER_FORMAT, 0, "run the newer program"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t version = -1;
        if (i < 5)
            unlink(db_path);
        run(cases[i].text);
        cr_expect_eq(identify(&version), cases[i].err, "%s", cases[i].text);
        cr_expect_eq(version, cases[i].err ? -1 : cases[i].version, "%s", cases[i].text);
        cr_expect(strstr(reason, cases[i].reason), "%s: %s", cases[i].text, reason);
    }
}

Test(database, a_file_that_is_no_database_is_damaged)
{
    int64_t version;
    FILE *file = fopen(db_path, "w");
    for (int i = 0; i < 100; i++)
        fprintf(file, "this text is not a database\n");
    fclose(file);
    cr_expect_eq(identify(&version), ERR_DAMAGED);
    cr_expect(strstr(reason, "it is not a database"), "%s", reason);
}

Test(database, a_transaction_is_rolled_back_once)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    cr_assert_eq(sql_run(db, "BEGIN; INSERT INTO t(n) VALUES(1)"), OK);
    cr_expect_eq(sql_roll_back(db), OK);
    cr_expect_eq(sql_roll_back(db), OK, "there is none any more");
    cr_expect_eq(number_of(db, "SELECT count(*) FROM t"), 0);
    sql_close(db);
}
