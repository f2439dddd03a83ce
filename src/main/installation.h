/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data directory: what is fixed when it is made (installation.json), the lock that keeps a
 * second process out, and the keys.
 *
 *   installation.json   format, id, seed, partitions, shards; which files belong to it, how new they are, and which of
 *                       them were lost (data_files.h)
 *   lock                flock'ed while a gateway runs
 *   keys/               0700: receipt.key, admin.token (0600)
 *   accounts.db journal-<shard>.db
 *   admin.json          where the running gateway's admin listener is; gone when it has stopped in order
 *
 * Nothing that is missing is made in a directory that has been in use: the start is refused, and
 * only an operator's word (penstock data accept-loss) makes a new file. The admin token is the
 * exception, since it can be given again.
 */
#ifndef PENSTOCK_MAIN_INSTALLATION_H
#define PENSTOCK_MAIN_INSTALLATION_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/limits.h"
#include "journal/file_stamp.h"

struct leader;

#define INSTALLATION_FORMAT 2
#define INSTALLATION_LOSSES_MAX 64 /* the oldest give way */
#define RECEIPT_KEY_BYTES 32

#define LOSS_FILE_BYTES 48
#define LOSS_PROBLEM_BYTES 24

/* A database that belongs to the installation. */
struct installation_file {
    char name[FILE_STAMP_NAME_BYTES];
    char id[FILE_STAMP_ID_BYTES]; /* of its stamp; empty: it has not been made, or was given up */
};

/* A file that an operator has given up. */
struct installation_loss {
    char file[LOSS_FILE_BYTES];
    char problem[LOSS_PROBLEM_BYTES];
    char note[ACTION_NOTE_BYTES_MAX + 1];
    int64_t at_us;
    int64_t epoch; /* of the installation then */
};

struct installation {
    char directory[4001];
    char id[33];
    struct hash_seed seed;
    unsigned partitions, shards;
    int64_t created_us;
    int64_t epoch;                       /* of its files, or one less than theirs (data_files.h) */
    char receipt_key_sha256[2 * 32 + 1]; /* in hex; empty: it has not been made, or was given up */
    unsigned files_count, losses_count;
    struct installation_file files[SHARDS_MAX + 1];
    struct installation_loss losses[INSTALLATION_LOSSES_MAX];
    unsigned char receipt_key[RECEIPT_KEY_BYTES];
    char admin_token[ADMIN_TOKEN_BYTES_MAX + 1];
    int lock_fd;
};

/*
 * Opens the directory, making what is missing. `shards` 0 means: as the installation says, or one
 * per core for a new one. ERR_LOCKED, ERR_CONFIG (other counts than it was made with),
 * ERR_NEWER_FORMAT, ERR_PERMISSION, ERR_DAMAGED, ERR_SYSTEM; `complaints` says what to do.
 * `token_file` "" means keys/admin.token.
 */
enum err installation_open(const char *directory, unsigned partitions, unsigned shards,
    const char *token_file, struct installation *ret_installation,
    struct buffer *complaints) MUST_CHECK;
/*
 * The same for a gateway that follows another one. A new directory gets id, seed, counts and
 * receipt key of the leader, who must answer (ERR_UNAVAILABLE); one that exists must be of the same
 * installation (ERR_CONFIG), as far as the leader can be asked. ERR_CONFIG as well when the leader
 * follows somebody itself, or is no gateway.
 */
enum err installation_follow(const char *directory, const struct leader *leader,
    const char *token_file, struct installation *ret_installation,
    struct buffer *complaints) MUST_CHECK;
void installation_close(struct installation *installation);

/* Before the databases are closed, while they still are what a crash would leave: the directory is
 * not in use from now on. */
void installation_leave(const struct installation *installation);

/* For `penstock data`: takes the lock and reads installation.json. ERR_NOT_FOUND: there is none, or
 * (with *ret_problem) it can't be believed; the caller closes it in both cases. Other errors:
 * nothing is to be closed. */
enum err installation_look(const char *directory, struct installation *ret_installation,
    const char **ret_problem, struct buffer *complaints) MUST_CHECK;
/* Writes installation.json. */
enum err installation_store(const struct installation *installation) MUST_CHECK;
/* The names of its databases, none of which has been made yet. */
void installation_name_files(struct installation *installation);

#endif
