/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints in steps, also on a disk that is full. */
#include "sqlite/wal.h"

#include "runtime/metrics.h"
#include "unit/sqlite/faulty_disk.h"
#include "unit/sqlite/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(wal, .init = begin_directory, .fini = end_directory);

static struct sqlite3 *open_table(struct checkpointer *checkpointer)
{
    struct sqlite3 *db = open_with(&(struct sql_options){.access = SQL_CREATE,
        .busy_ms = 10,
        .leaves_wal = true,
        .pragmas = "PRAGMA page_size = 4096"});
    cr_assert_eq(sql_make_wal(db, reason), OK);
    make_table(db);
    checkpointer_init(checkpointer, db, METRIC_JOURNAL_WAL_PAGES, METRIC_JOURNAL_CHECKPOINTS);
    return db;
}

static void commit_pages(struct checkpointer *checkpointer, int pages)
{
    char text[128];
    snprintf(text, sizeof text, "INSERT INTO t(b) VALUES(randomblob(%d))", pages * 4096);
    checkpointer_begin(checkpointer);
    cr_assert_eq(sql_run(checkpointer->db, text), OK, "%s", sql_reason(checkpointer->db));
}

Test(wal, a_step_is_due_when_the_wal_has_grown_and_the_next_commit_starts_it_over)
{
    struct checkpointer checkpointer;
    struct sqlite3 *db = open_table(&checkpointer);
    commit_pages(&checkpointer, 10);
    cr_expect(checkpointer.wrote);
    cr_expect_eq(checkpointer_work(&checkpointer), OK);
    cr_expect_eq(metrics_read(METRIC_JOURNAL_CHECKPOINTS), 0);
    commit_pages(&checkpointer, CHECKPOINT_PAGES);
    cr_expect(checkpointer.wal_pages > CHECKPOINT_PAGES);
    cr_expect_eq(metrics_read(METRIC_JOURNAL_WAL_PAGES), checkpointer.wal_pages);
    cr_expect_eq(checkpointer_work(&checkpointer), OK);
    cr_expect_eq(metrics_read(METRIC_JOURNAL_CHECKPOINTS), 1);
    commit_pages(&checkpointer, 1);
    cr_expect(checkpointer.wal_pages < 10, "%d pages", checkpointer.wal_pages);
    sql_close(db);
}

Test(wal, a_commit_that_writes_nothing_is_detected)
{
    struct checkpointer checkpointer;
    struct sqlite3 *db = open_table(&checkpointer);
    checkpointer_begin(&checkpointer);
    cr_assert_eq(sql_run(db, "BEGIN IMMEDIATE; COMMIT"), OK);
    cr_expect_not(checkpointer.wrote);
    sql_close(db);
}

Test(wal, what_a_reader_holds_back_is_moved_later)
{
    struct checkpointer checkpointer;
    struct sqlite3 *db = open_table(&checkpointer), *reader = open_db();
    bool all = true;
    cr_assert_eq(sql_run(reader, "BEGIN; SELECT count(*) FROM t"), OK);
    commit_pages(&checkpointer, CHECKPOINT_PAGES);
    cr_expect_eq(checkpointer_relieve(&checkpointer, &all), OK);
    cr_expect_not(all);
    cr_expect_eq(checkpointer.due_pages, checkpointer.wal_pages + CHECKPOINT_PAGES);
    cr_expect_not(checkpointer.starved);
    cr_assert_eq(sql_roll_back(reader), OK);
    cr_expect_eq(checkpointer_relieve(&checkpointer, &all), OK);
    cr_expect(all);
    sql_close(reader);
    sql_close(db);
}

Test(wal, a_database_without_room_to_grow_starves_the_checkpointer)
{
    struct checkpointer checkpointer;
    struct sqlite3 *db = open_table(&checkpointer);
    bool all;
    commit_pages(&checkpointer, CHECKPOINT_PAGES);
    disk_be_full(true);
    cr_expect_eq(checkpointer_work(&checkpointer), ERR_DISK_FULL);
    cr_expect(checkpointer.starved);
    disk_be_full(false);
    cr_expect_eq(checkpointer_relieve(&checkpointer, &all), OK);
    cr_expect(all && !checkpointer.starved);
    sql_close(db);
}

Test(wal, the_last_step_leaves_nothing_in_the_wal)
{
    struct checkpointer checkpointer;
    struct sqlite3 *db = open_table(&checkpointer);
    commit_pages(&checkpointer, 5);
    cr_expect(wal_bytes(db) > 5 * 4096);
    cr_expect_eq(checkpointer_finish(&checkpointer), OK);
    cr_expect_eq(wal_bytes(db), 0);
    cr_expect_eq(metrics_read(METRIC_JOURNAL_WAL_PAGES), 0);
    sql_close(db);
}

Test(wal, what_is_left_in_a_wal_is_written_and_synced_before_it_is_believed)
{
    struct checkpointer checkpointer;
    struct sqlite3 *db = open_table(&checkpointer);
    cr_assert_eq(sql_run(db, "INSERT INTO t(n) VALUES(7)"), OK);
    sql_close(db);
    cr_expect_eq(wal_make_durable(db_path), OK);
    disk_fail_syncs(true);
    cr_expect_eq(wal_make_durable(db_path), ERR_DISK);
    disk_fail_syncs(false);
    disk_be_full(true);
    cr_expect_eq(wal_make_durable(db_path), ERR_DISK_FULL);
    disk_be_full(false);
    db = open_db();
    cr_expect_eq(number_of(db, "SELECT n FROM t"), 7);
    cr_expect_eq(wal_make_durable("/nonexistent/b.db"), OK, "there is no WAL");
    sql_close(db);
}
