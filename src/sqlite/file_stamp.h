/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stamp of a database file: whose file it is, which one it is, and how new it is. Every
 * database of the data directory has one. main keeps the other half in installation.json and
 * compares the two before it opens a file for work (main/data_files.h).
 *
 *   stamp(one, installation, file, id, seed, partitions, shards, epoch)      one row
 *
 * A file is made together with its stamp: under another name, synced, then renamed. So there is
 * never half a file. The seed and the counts are the installation's, so that installation.json can
 * be made again from any of its files.
 *
 * The stamp is read twice: from the main file alone, and with the WAL. The WAL of another file has
 * another id, as long as it holds the stamp that a start has written. Each call opens a connection
 * of its own and closes it.
 */
#ifndef PENSTOCK_SQLITE_FILE_STAMP_H
#define PENSTOCK_SQLITE_FILE_STAMP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FILE_STAMP_ID_BYTES 33   /* 32 hex digits, NUL included */
#define FILE_STAMP_NAME_BYTES 32 /* of a file in the data directory */
#define FILE_STAMP_DETAIL_BYTES 256

struct file_stamp {
    char installation[FILE_STAMP_ID_BYTES];
    char file[FILE_STAMP_NAME_BYTES]; /* the name that it was made under */
    char id[FILE_STAMP_ID_BYTES];
    char seed[FILE_STAMP_ID_BYTES];
    int64_t partitions, shards;
    int64_t epoch; /* grows with every start and stop */
};

/* ERR_NOT_FOUND: there is no file. ERR_DAMAGED: it is a directory, empty, no database, or has no
 * stamp. ERR_PERMISSION, and the errors of the disk. `ret_detail` (FILE_STAMP_DETAIL_BYTES) says it
 * in words. Writes nothing. */
enum err file_stamp_read(
    const char *path, struct file_stamp *ret_stamp, char *ret_detail) MUST_CHECK;

/* Makes the file with mode 0600. There must be neither a file nor the WAL of an earlier one. */
enum err file_stamp_make(
    const char *path, const struct file_stamp *stamp, char *ret_detail) MUST_CHECK;

/* Writes the epoch, durably: into the WAL, or with `into_file` into the file, and with it all that
 * is in the WAL. No other connection may be open. */
enum err file_stamp_set_epoch(
    const char *path, int64_t epoch, bool into_file, char *ret_detail) MUST_CHECK;

#endif
