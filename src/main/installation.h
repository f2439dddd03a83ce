/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data directory: what is fixed when it is made (installation.json), the lock that keeps a second process out, and
 * the keys.
 *
 *   installation.json   format, id, seed, partitions, shards
 *   lock                flock'ed while a gateway runs
 *   keys/               0700: receipt.key, admin.token (0600)
 *   accounts.db journal-<shard>.db
 *   admin.json          where the running gateway's admin listener is; gone when it has stopped in order
 */
#ifndef PENSTOCK_MAIN_INSTALLATION_H
#define PENSTOCK_MAIN_INSTALLATION_H

#include "base/buffer.h"
#include "base/hash.h"

struct leader;

#define INSTALLATION_FORMAT 1
#define RECEIPT_KEY_BYTES 32
#define TOKEN_BYTES_MAX 256

struct installation {
    char directory[4001];
    char id[33];
    struct hash_seed seed;
    unsigned partitions, shards;
    unsigned char receipt_key[RECEIPT_KEY_BYTES];
    char admin_token[TOKEN_BYTES_MAX + 1];
    int lock_fd;
};

/*
 * Opens the directory, making what is missing. `shards` 0 means: as the installation says, or one per core for a new
 * one. ERR_LOCKED, ERR_CONFIG (other counts than it was made with), ERR_NEWER_FORMAT, ERR_PERMISSION, ERR_DAMAGED,
 * ERR_SYSTEM; `complaints` says what to do. `token_file` "" means keys/admin.token.
 */
enum err installation_open(const char *directory, unsigned partitions, unsigned shards, const char *token_file,
    struct installation *ret_installation, struct buffer *complaints) MUST_CHECK;
/*
 * The same for a gateway that follows another one. A new directory gets id, seed, counts and receipt key of the leader,
 * who must answer (ERR_UNAVAILABLE); one that exists must be of the same installation (ERR_CONFIG), as far as the
 * leader can be asked. ERR_CONFIG as well when the leader follows somebody itself, or is no gateway.
 */
enum err installation_follow(const char *directory, const struct leader *leader, const char *token_file,
    struct installation *ret_installation, struct buffer *complaints) MUST_CHECK;
void installation_close(struct installation *installation);

/* Writes a file of the directory in one step (a new file, fsync, rename), mode 0600. */
enum err installation_write(const char *directory, const char *name, struct slice content) MUST_CHECK;
/* Reads a small file, at most `max` bytes. ERR_NOT_FOUND, ERR_PERMISSION, ERR_TOO_LARGE, ERR_SYSTEM. */
enum err installation_read(const char *directory, const char *name, size_t max, struct buffer *content) MUST_CHECK;
void installation_remove(const char *directory, const char *name);

/* The directory of `penstock dev` when nothing else is said: $XDG_STATE_HOME/penstock or ~/.local/state/penstock. */
void installation_default_directory(char *ret_path, size_t size);

#endif
