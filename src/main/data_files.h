/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the files of the data directory are the installation's own, all of them, and of the same
 * time.
 *
 * Each database has a stamp (sqlite/file_stamp.h): installation, name, id, epoch.
 * installation.json has the other half: the ids, and an epoch E. Both are written at each start and
 * each orderly stop, the files first:
 *
 *   files at E --> files one after the other at E + 1 --> installation.json at E + 1
 *
 * So a file is at E or, after a crash in between, at E + 1. One that is behind was restored from an
 * older backup, or installation.json was, when a file is further ahead. What a run has written up
 * to a crash has no epoch of its own: a copy of a file that was taken in the run that crashed is
 * not noticed.
 *
 * After a crash each database has a WAL, without which it would lack what was committed last.
 * admin.json is there while a gateway runs, and removed before the databases are closed: while it
 * is there, a WAL that is missing is named. A WAL that was cut can't be told from one whose last
 * write was cut by the crash.
 *
 * What is wrong is refused. An operator may give a file up (data_files_accept): installation.json
 * keeps that, the audit names it for all days up to then, and the next start makes a new file. What
 * was there is moved aside, not deleted.
 */
#ifndef PENSTOCK_MAIN_DATA_FILES_H
#define PENSTOCK_MAIN_DATA_FILES_H

#include "base/buffer.h"

struct installation;

/* At the start, before anything is written: ERR_CONFIG when something is wrong, all of it in
 * `complaints`. A file that was given up and is there again is taken. */
enum err data_files_check(struct installation *installation, struct buffer *complaints) MUST_CHECK;
/* For a directory without installation.json: ERR_CONFIG when there are databases in it. */
enum err data_files_check_unused(const char *directory, struct buffer *complaints) MUST_CHECK;

/* Makes what may be made, and begins the next epoch. A full disk is said in the log and is no
 * error, but for a new file. / */
enum err data_files_stamp(struct installation *installation, struct buffer *complaints) MUST_CHECK;
/* The same at the orderly stop, when all is closed: failures are said in the log, and only weaken
 * the next check. */
void data_files_stamp_stop(struct installation *installation);

/* One line: the file, what is wrong, and that it can be given up. */
void data_files_complain(
    const char *directory, const char *file, const char *what, struct buffer *complaints);

/*
 * Gives a file up that is missing or wrong, for the reason in `note`. `problem` says what is wrong
 * with installation.json, or is NULL: then it is made again from the files' stamps. ERR_USAGE:
 * nothing is wrong with that file, or with it nothing that could be given up; and what the disk
 * says.
 */
enum err data_files_accept(struct installation *installation, const char *problem, const char *file,
    const char *note, struct buffer *complaints) MUST_CHECK;

#endif
