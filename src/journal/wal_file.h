/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process before has left in the WAL, before SQLite believes it. A process that ended at a
 * failed sync, or was killed before one, leaves frames in the kernel's memory that read as written
 * and may not be: the kernel has marked them clean when their writing failed, and no later sync
 * writes them. SQLite would take them for committed and build on them, and the next loss of power
 * would leave a hole in the middle. So the file is written onto itself and synced first: then what
 * is read is on the disk.
 */
#ifndef PENSTOCK_JOURNAL_WAL_FILE_H
#define PENSTOCK_JOURNAL_WAL_FILE_H

#include "base/err.h"

/* `path` is the journal's file; without a WAL beside it nothing is done. Before the file is opened.
 * ERR_DISK_FULL, ERR_DISK, ERR_NO_MEMORY. */
enum err wal_file_make_durable(const char *path) MUST_CHECK;

#endif
