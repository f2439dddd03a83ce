/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal in SQLite: one file and one thread per shard. The thread owns the only connection
 * that writes or checkpoints the file; journal_reader.h reads beside it.
 */
#ifndef PENSTOCK_JOURNAL_JOURNAL_SQLITE_H
#define PENSTOCK_JOURNAL_JOURNAL_SQLITE_H

#include "journal/disk_reserve.h"
#include "journal/expiry.h"
#include "journal/journal.h"

struct journal_sqlite_options {
    const char *directory; /* holds journal-<shard>.db and reserve-<shard> */
    unsigned shard;
    struct expiry_policy expiry; /* how long what is final is kept */
    int64_t reserve_bytes;       /* kept for outcomes when the disk is full; 0: none */
    int64_t reserve_all_bytes;   /* by all shards together */
    struct journal_listener listener;
};

/*
 * Opens or creates the file, parks what was interrupted, and starts its thread. ERR_NEWER_FORMAT,
 * ERR_DAMAGED (not ours, or not readable), ERR_DISK, ERR_NO_MEMORY; `ret_detail` (at least 256
 * bytes) says what to do.
 */
enum err journal_sqlite_open(const struct journal_sqlite_options *options,
    struct journal **ret_journal, char *ret_detail) MUST_CHECK;

#endif
