/* SPDX-License-Identifier: Apache-2.0 */
/* Statements, binding and errors. */
#include "sqlite/sql.h"

#include "sqlite/sql_internal.h"
#include "unit/sqlite/faulty_disk.h"
#include "unit/sqlite/fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

TestSuite(sql, .init = begin_directory, .fini = end_directory);

static struct sqlite3_stmt *prepared(struct sqlite3 *db, const char *text)
{
    struct sqlite3_stmt *statement = NULL;
    cr_assert_eq(sql_prepare(db, text, &statement), OK, "%s", sql_reason(db));
    return statement;
}

static enum err insert(struct sqlite3 *db, int64_t number)
{
    struct sqlite3_stmt *statement = prepared(db, "INSERT INTO t(n) VALUES(?)");
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, number);
    enum err err = sql_execute(&use);
    sql_finalize(statement);
    return err;
}

Test(sql, each_kind_of_value_is_read_as_it_was_bound)
{
    struct sqlite3 *db = open_db();
    bool row;
    make_table(db);
    struct sqlite3_stmt *add = prepared(db, "INSERT INTO t VALUES(?, ?, ?)"),
                        *read = prepared(db, "SELECT n, s, b, typeof(b) FROM t ORDER BY rowid");
    struct sql_use use = sql_use(add);
    sql_bind_int(&use, INT64_MIN);
    sql_bind_string(&use, "text");
    sql_bind_blob(&use, SLICE_LITERAL("a\0b"));
    cr_expect_eq(sql_execute(&use), OK);
    cr_expect_eq(sql_last_row(db), 1);
    use = sql_use(add);
    sql_bind_optional_int(&use, false, 7);
    sql_bind_optional_text(&use, (struct slice){0});
    sql_bind_blob(&use, (struct slice){0});
    cr_expect_eq(sql_execute(&use), OK);
    cr_expect_eq(sql_changes(db), 1);

    use = sql_use(read);
    cr_assert_eq(sql_step(&use, &row), OK);
    cr_expect_eq(sql_columns(&use), 4);
    cr_expect_eq(sql_column_int(&use, 0), INT64_MIN);
    cr_expect(slice_equals_string(sql_column_slice(&use, 1), "text"));
    cr_expect(slice_equal(sql_column_slice(&use, 2), SLICE_LITERAL("a\0b")));
    cr_assert_eq(sql_step(&use, &row), OK);
    cr_expect(row && sql_column_is_null(&use, 0) && sql_column_is_null(&use, 1));
    cr_expect(slice_equals_string(sql_column_slice(&use, 3), "blob"), "an empty blob is no NULL");
    cr_assert_eq(sql_step(&use, &row), OK);
    cr_expect_not(row);
    sql_finish(&use);
    sql_finalize(add);
    sql_finalize(read);
    sql_close(db);
}

Test(sql, a_parameter_that_can_not_be_bound_fails_the_step_and_nothing_is_written)
{
    struct sqlite3 *db = open_db();
    bool row = true;
    make_table(db);
    struct sqlite3_stmt *statement = prepared(db, "INSERT INTO t(n) VALUES(?)");
    cr_expect_eq(sql_parameters(statement), 1);
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, 1);
    sql_bind_int(&use, 2); /* there is no second one */
    sql_bind_null(&use);
    cr_expect_eq(sql_step(&use, &row), ERR_BUG);
    cr_expect_not(row);
    sql_finish(&use);
    cr_expect_eq(number_of(db, "SELECT count(*) FROM t"), 0);

    use = sql_use(statement); /* the failure belongs to one use */
    sql_bind_int(&use, 3);
    cr_expect_eq(sql_execute(&use), OK);
    cr_expect_eq(number_of(db, "SELECT n FROM t"), 3);
    sql_finalize(statement);
    sql_close(db);
}

Test(sql, one_number_is_read_and_a_missing_row_is_not_found)
{
    struct sqlite3 *db = open_db();
    int64_t number = 5;
    make_table(db);
    cr_expect_eq(sql_read_int(db, "SELECT n FROM t", &number), ERR_NOT_FOUND);
    cr_expect_eq(number, 5);
    cr_expect_eq(sql_read_int(db, "SELECT nothing FROM t", &number), ERR_BUG);
    cr_expect(strstr(sql_reason(db), "nothing"), "%s", sql_reason(db));
    cr_expect_eq(sql_run(db, "INSERT INTO t(n) VALUES(1); INSERT INTO t(n) VALUES(2)"), OK);
    cr_expect_eq(number_of(db, "SELECT max(n) FROM t"), 2);
    sql_close(db);
}

Test(sql, statements_that_are_prepared_in_part_are_finalized)
{
    static const char *const texts[] = {"SELECT 1", "SELECT wrong FROM nowhere", "SELECT 2"};
    struct sqlite3 *db = open_db();
    struct sqlite3_stmt *statements[3] = {NULL};
    cr_expect_eq(sql_prepare_all(db, texts, 3, statements), ERR_BUG);
    cr_expect(statements[0] && !statements[1] && !statements[2]);
    sql_finalize_all(statements, 3);
    cr_expect_null(statements[0]);
    sql_close(db);
}

Test(sql, a_constraint_is_a_bug_that_can_be_asked_for)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    cr_expect_eq(insert(db, 1), OK);
    cr_expect_eq(sql_run(db, "INSERT INTO t(n) VALUES(1)"), ERR_BUG);
    cr_expect(sql_broke_constraint(db));
    cr_expect_eq(sql_run(db, "INSERT INTO nowhere VALUES(1)"), ERR_BUG);
    cr_expect_not(sql_broke_constraint(db));
    sql_close(db);
}

Test(sql, a_lock_that_another_connection_holds_is_unavailable)
{
    struct sqlite3 *db = open_db(), *other = open_db();
    make_table(db);
    cr_assert_eq(sql_run(other, "BEGIN IMMEDIATE"), OK);
    cr_expect_eq(insert(db, 1), ERR_UNAVAILABLE);
    cr_expect_not(sql_is_in_doubt(db, true));
    cr_assert_eq(sql_roll_back(other), OK);
    cr_expect_eq(insert(db, 1), OK);
    sql_close(other);
    sql_close(db);
}

Test(sql, a_full_disk_is_full_however_it_is_reported)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    static const int refusals[] = {ENOSPC, EDQUOT}; /* SQLITE_FULL, and an I/O error */
    for (size_t i = 0; i < 2; i++) {
        disk_refuse_writes(refusals[i]);
        cr_expect_eq(
            sql_run(db, "INSERT INTO t(n) VALUES(1)"), ERR_DISK_FULL, "%s", strerror(refusals[i]));
        cr_expect_not(sql_is_in_doubt(db, true));
        disk_refuse_writes(0);
    }
    cr_expect_eq(insert(db, 1), OK);
    sql_close(db);
}

Test(sql, a_wal_index_that_can_not_grow_is_a_full_disk)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    sql_close(db); /* as the last one: the index is gone */
    db = open_with(&(struct sql_options){.access = SQL_WRITE});
    disk_be_full(true);
    int64_t number;
    cr_expect_eq(
        sql_read_int(db, "SELECT count(*) FROM t", &number), ERR_DISK_FULL, "%s", sql_reason(db));
    disk_be_full(false);
    cr_expect_eq(number_of(db, "SELECT count(*) FROM t"), 0);
    sql_close(db);
}

Test(sql, another_refusal_of_a_write_is_an_error_of_the_disk)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    disk_refuse_writes(EIO);
    cr_expect_eq(sql_run(db, "INSERT INTO t(n) VALUES(1)"), ERR_DISK);
    cr_expect_not(sql_is_in_doubt(db, true), "the next commit writes it again");
    cr_expect_not(sql_found_read_only_disk(db));
    disk_refuse_writes(EROFS);
    cr_expect_eq(sql_run(db, "INSERT INTO t(n) VALUES(1)"), ERR_DISK);
    cr_expect(sql_found_read_only_disk(db));
    disk_refuse_writes(0);
    cr_expect_eq(insert(db, 1), OK);
    sql_close(db);
}

Test(sql, a_sync_that_fails_leaves_the_file_in_doubt)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    disk_fail_syncs(true);
    cr_expect_eq(sql_run(db, "INSERT INTO t(n) VALUES(1)"), ERR_DISK);
    cr_expect(sql_is_in_doubt(db, true));
    cr_expect(sql_is_in_doubt(db, false));
    disk_fail_syncs(false);
    sql_close(db);
}

static void write_over(off_t at, size_t len)
{
    static const char zeros[8192];
    int fd = open(db_path, O_RDWR);
    cr_assert(fd >= 0);
    cr_assert_eq(pwrite(fd, zeros, len, at), (ssize_t)len);
    close(fd);
}

Test(sql, a_page_that_is_not_what_was_written_is_damaged)
{
    struct sqlite3 *db = open_db();
    make_table(db);
    cr_assert_eq(insert(db, 1), OK);
    int64_t page = number_of(db, "SELECT rootpage FROM sqlite_schema WHERE name = 't'");
    int64_t bytes = number_of(db, "PRAGMA page_size"), number;
    sql_close(db);
    write_over((page - 1) * bytes, (size_t)bytes);
    db = open_db();
    cr_expect_eq(sql_read_int(db, "SELECT count(n + 0) FROM t NOT INDEXED", &number), ERR_DAMAGED);
    sql_close(db);
}

Test(sql, codes_have_our_errors)
{
    static const struct {
        int code;
        enum err err;
    } cases[] = {
        {SQLITE_OK, OK},
        {SQLITE_ROW, OK},
        {SQLITE_DONE, OK},
        {SQLITE_FULL, ERR_DISK_FULL},
        {SQLITE_CORRUPT, ERR_DAMAGED},
        {SQLITE_CORRUPT_INDEX, ERR_DAMAGED},
        {SQLITE_NOTADB, ERR_DAMAGED},
        {SQLITE_NOMEM, ERR_NO_MEMORY},
        {SQLITE_IOERR_NOMEM, ERR_DISK},
        {SQLITE_BUSY, ERR_UNAVAILABLE},
        {SQLITE_BUSY_SNAPSHOT, ERR_UNAVAILABLE},
        {SQLITE_LOCKED, ERR_UNAVAILABLE},
        {SQLITE_ERROR, ERR_BUG},
        {SQLITE_CONSTRAINT_UNIQUE, ERR_BUG},
        {SQLITE_MISUSE, ERR_BUG},
        {SQLITE_IOERR_READ, ERR_DISK},
        {SQLITE_IOERR_SHMSIZE, ERR_DISK_FULL},
        {SQLITE_IOERR_FSYNC, ERR_DISK},
        {SQLITE_CANTOPEN, ERR_DISK},
        {SQLITE_READONLY, ERR_DISK},
        {SQLITE_TOOBIG, ERR_DISK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(sql_err(NULL, cases[i].code), cases[i].err, "%d", cases[i].code);
}
