/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/sqlite share: the mapping of SQLite's codes. */
#ifndef PENSTOCK_SQLITE_SQL_INTERNAL_H
#define PENSTOCK_SQLITE_SQL_INTERNAL_H

#include "sqlite/sql.h"

#include <sqlite3.h>

/*
 * Our error for an extended code; OK for SQLITE_OK, SQLITE_ROW and SQLITE_DONE. `db` tells a full
 * disk from another I/O error, by the number of the system's own error; it may be NULL.
 */
enum err sql_err(struct sqlite3 *db, int code) MUST_CHECK;

#endif
