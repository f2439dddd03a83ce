/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks that all files of the data directory belong to the installation and are of the same time.
 *
 * Each database has a stamp (sqlite/file_stamp.h): installation, name, id, epoch.
 * installation.json has the same ids and an epoch E. Both are written at each start and at each
 * orderly stop, the files first:
 *
 *   files at E --> files one after the other at E + 1 --> installation.json at E + 1
 *
 * So a file is at E or, after a crash in between, at E + 1. A file that is lower was restored from
 * a backup. When a file is higher than E + 1, installation.json was restored from a backup. Limit:
 * a run does not change the epoch, so a copy of a file that was taken during a run that crashed
 * later is not noticed.
 *
 * After a crash each database has a WAL, with its last commits. admin.json exists while a gateway
 * runs and is removed before the databases are closed: while it exists, a missing WAL is a problem.
 * Limit: a WAL that was cut by someone looks like one whose last write was cut by the crash.
 *
 * A problem stops the start. An operator may accept the loss of a file (accept_loss.h).
 */
#ifndef PENSTOCK_MAIN_DATA_FILES_H
#define PENSTOCK_MAIN_DATA_FILES_H

#include "base/buffer.h"
#include "base/limits.h"
#include "main/installation_record.h"
#include "sqlite/file_stamp.h"

#define DATA_PATH_BYTES 4400
#define DATA_FINDINGS_MAX (2 * SHARDS_MAX + 8)
#define DATA_RECEIPT_KEY "keys/receipt.key"

enum data_problem {
    DATA_MISSING,
    DATA_DAMAGED,
    DATA_FOREIGN, /* of another installation, or another file of this one */
    DATA_SWAPPED,
    DATA_OLDER,
    DATA_WAL_MISSING,
    DATA_BARRED, /* owner or mode: its loss cannot be accepted */
    DATA_EXTRA,  /* the installation has no file of that name: its loss cannot be accepted */
    DATA_PROBLEMS
};

struct data_finding {
    enum data_problem problem;
    char file[LOSS_FILE_BYTES];
    char what[400];
};

/* All problems of a directory. */
struct data_findings {
    const struct installation *installation;
    unsigned count;
    struct data_finding rows[DATA_FINDINGS_MAX];
    /* of the stamps: how many are of one other installation, and of this one */
    unsigned strangers, own;
    char stranger[FILE_STAMP_ID_BYTES];
    int64_t epoch_max;
};

/* At the start, before anything is written: ERR_CONFIG when there is a problem; all of them are in
 * `complaints`. */
enum err data_files_check(struct installation *installation, struct buffer *complaints) MUST_CHECK;
/* For a directory without installation.json: ERR_CONFIG when it has databases. */
enum err data_files_check_unused(const char *directory, struct buffer *complaints) MUST_CHECK;

/* Makes the databases that may be made, and begins the next epoch. A full disk is a warning in the
 * log, and an error only for a new file. */
enum err data_files_stamp(struct installation *installation, struct buffer *complaints) MUST_CHECK;
/* The same at an orderly stop, when all files are closed. Failures are logged; they only weaken the
 * next check. */
void data_files_stamp_stop(struct installation *installation);

/* The problems of the directory; the caller frees them. */
struct data_findings *data_files_look(struct installation *installation);
void data_files_path(
    const struct installation *installation, const char *name, char ret_path[DATA_PATH_BYTES]);

/* Adds a line: the file, the problem, and how to accept its loss if that is possible. */
void data_files_complain(
    const char *directory, const char *file, const char *what, struct buffer *complaints);
void data_files_complain_of(const struct installation *installation,
    const struct data_finding *finding, struct buffer *complaints);

#endif
