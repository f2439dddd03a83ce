/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/sqlite/fixture.h"

#include "runtime/metrics.h"
#include "support/at_end.h"
#include "unit/sqlite/faulty_disk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

char db_path[64], reason[SQL_REASON_BYTES];

static char directory[32];

void begin_directory(void)
{
    metrics_thread_enter();
    snprintf(directory, sizeof directory, "/tmp/penstock-sqlite-XXXXXX");
    cr_assert(mkdtemp(directory));
    snprintf(db_path, sizeof db_path, "%s/a.db", directory);
}

void end_directory(void)
{
    char command[64];
    disk_refuse_writes(0);
    disk_fail_syncs(false);
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_at_end(system(command) == 0);
    metrics_thread_leave();
}

struct sqlite3 *open_with(const struct sql_options *options)
{
    struct sqlite3 *db = NULL;
    cr_assert_eq(sql_open(db_path, options, &db, reason), OK, "%s", reason);
    return db;
}

struct sqlite3 *open_db(void)
{
    struct sqlite3 *db = open_with(&(struct sql_options){.access = SQL_CREATE, .busy_ms = 10});
    cr_assert_eq(sql_make_wal(db, reason), OK, "%s", reason);
    return db;
}

void make_table(struct sqlite3 *db)
{
    cr_assert_eq(sql_run(db, "CREATE TABLE t(n INTEGER UNIQUE, s TEXT, b BLOB)"), OK);
}

int64_t number_of(struct sqlite3 *db, const char *text)
{
    int64_t number = -1;
    cr_assert_eq(sql_read_int(db, text, &number), OK, "%s: %s", text, sql_reason(db));
    return number;
}
