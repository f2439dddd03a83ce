/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stamp of a database file: whose it is, which one it is, and how new it is. Every database of
 * the data directory has one, the account database as well; main keeps the other half in
 * installation.json and compares them before anything is opened for work (main/data_files.h).
 *
 *   stamp(one, installation, file, id, seed, partitions, shards, epoch)      one row
 *
 * A file is made with its stamp: under another name, synced, and then renamed, so that there is
 * never half of one. The seed and the counts are the installation's, so that installation.json can
 * be made again from any of its files.
 *
 * Which file it is, is read twice: from the main file alone, and with the WAL. A WAL of another
 * file has another id, as long as it holds the stamp that the start has written. Connections live
 * for one call.
 */
#ifndef PENSTOCK_JOURNAL_FILE_STAMP_H
#define PENSTOCK_JOURNAL_FILE_STAMP_H

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
 * stamp; and what the disk says. `ret_detail` (FILE_STAMP_DETAIL_BYTES) says it in words. Writes
 * nothing. */
enum err file_stamp_read(
    const char *path, struct file_stamp *ret_stamp, char *ret_detail) MUST_CHECK;

/* Makes the file, mode 0600; there must be none, and no WAL of an earlier one. */
enum err file_stamp_make(
    const char *path, const struct file_stamp *stamp, char *ret_detail) MUST_CHECK;

/* Writes the epoch, durably: into the WAL, which stays, or with `into_file` all of the WAL into the
 * file. Nobody else may have the file open. */
enum err file_stamp_set_epoch(
    const char *path, int64_t epoch, bool into_file, char *ret_detail) MUST_CHECK;

#endif
