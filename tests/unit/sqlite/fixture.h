/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test, and a database in it with one table: t(n INTEGER UNIQUE, s, b). */
#ifndef PENSTOCK_TESTS_UNIT_SQLITE_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_SQLITE_FIXTURE_H

#include "sqlite/database.h"

#define APPLICATION 0x50544553

extern char db_path[64], reason[SQL_REASON_BYTES];

void begin_directory(void);
void end_directory(void);

/* For writing, with a WAL; asserts that it works. */
struct sqlite3 *open_db(void);
struct sqlite3 *open_with(const struct sql_options *options);
void make_table(struct sqlite3 *db);
int64_t number_of(struct sqlite3 *db, const char *text);

#endif
