/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data directory: its lock, which keeps a second process out, and its keys.
 *
 *   installation.json   installation_record.h
 *   lock                locked with flock while a gateway runs
 *   keys/               mode 0700: receipt.key, admin.token, readonly.token (0600)
 *   accounts.db journal-<shard>.db
 *   admin.json          address of the admin listener; an orderly stop removes it
 *
 * A directory that has been in use gets no new file in place of one that is missing: the start is
 * refused. Only `penstock data accept-loss` allows a new file. The admin tokens are the exception,
 * since new ones lose nothing.
 */
#ifndef PENSTOCK_MAIN_DATA_DIRECTORY_H
#define PENSTOCK_MAIN_DATA_DIRECTORY_H

#include "main/installation_record.h"

struct leader;

/* Files with the tokens of the admin API. "": keys/admin.token and keys/readonly.token, which are
 * made when they are missing. */
struct data_token_files {
    const char *admin, *readonly;
};

/*
 * Opens the directory, and makes a new one when it is empty. `shards` 0: the installation's number,
 * or one per core for a new one. ERR_LOCKED, ERR_CONFIG (the counts are not the installation's, or
 * a file is wrong), ERR_NEWER_FORMAT, ERR_PERMISSION, ERR_DAMAGED, ERR_SYSTEM; `complaints` gets
 * the reason and the remedy.
 */
enum err data_directory_open(const char *directory, unsigned partitions, unsigned shards,
    const struct data_token_files *tokens, struct installation *ret_installation,
    struct buffer *complaints) MUST_CHECK;
/*
 * The same for a gateway that follows another one. A new directory gets the id, seed, counts and
 * receipt key of the leader, so the leader must answer (ERR_UNAVAILABLE). A directory that exists
 * must be of the leader's installation (ERR_CONFIG); this is not checked when the leader does not
 * answer. ERR_CONFIG as well: the leader is no gateway, or follows another one itself.
 */
enum err data_directory_follow(const char *directory, const struct leader *leader,
    const struct data_token_files *tokens, struct installation *ret_installation,
    struct buffer *complaints) MUST_CHECK;
/* Reads the tokens again. ERR_CONFIG, ERR_PERMISSION, ERR_SYSTEM: the installation keeps those that
 * it has. */
enum err data_directory_load_tokens(struct installation *installation,
    const struct data_token_files *tokens, struct buffer *complaints) MUST_CHECK;
void data_directory_close(struct installation *installation);

/* Marks the directory as not in use. Call it before the databases are closed, while they are as a
 * crash would leave them. */
void data_directory_leave(const struct installation *installation);

/* For `penstock data`: takes the lock and reads installation.json. ERR_NOT_FOUND: the file is
 * missing or wrong, and *ret_problem says so. The caller closes the installation after OK and
 * ERR_NOT_FOUND, and not after other errors. */
enum err data_directory_look(const char *directory, struct installation *ret_installation,
    const char **ret_problem, struct buffer *complaints) MUST_CHECK;

#endif
