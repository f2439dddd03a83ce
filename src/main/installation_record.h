/* SPDX-License-Identifier: Apache-2.0 */
/*
 * installation.json: what is fixed when a data directory is made (format, id, seed, partitions,
 * shards), which files belong to it, how new they are, and which of them were accepted as lost.
 */
#ifndef PENSTOCK_MAIN_INSTALLATION_RECORD_H
#define PENSTOCK_MAIN_INSTALLATION_RECORD_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/limits.h"
#include "sqlite/file_stamp.h"

#define INSTALLATION_FORMAT 2
#define INSTALLATION_LOSSES_MAX 64 /* beyond that the oldest is dropped */
#define RECEIPT_KEY_BYTES 32

#define LOSS_FILE_BYTES 48
#define LOSS_PROBLEM_BYTES 24

/* A database that belongs to the installation. */
struct installation_file {
    char name[FILE_STAMP_NAME_BYTES];
    char id[FILE_STAMP_ID_BYTES]; /* of its stamp; empty: not made yet, or accepted as lost */
};

/* A file whose loss an operator has accepted. */
struct installation_loss {
    char file[LOSS_FILE_BYTES];
    char problem[LOSS_PROBLEM_BYTES];
    char note[ACTION_NOTE_BYTES_MAX + 1];
    int64_t at_us;
    int64_t epoch; /* the installation's at that time */
};

struct installation {
    char directory[4001];
    char id[33];
    struct hash_seed seed;
    unsigned partitions, shards;
    int64_t created_us;
    int64_t epoch;                       /* equal to its files', or one less (data_files.h) */
    char receipt_key_sha256[2 * 32 + 1]; /* in hex; empty: not made yet, or accepted as lost */
    unsigned files_count, losses_count;
    struct installation_file files[SHARDS_MAX + 1];
    struct installation_loss losses[INSTALLATION_LOSSES_MAX];
    unsigned char receipt_key[RECEIPT_KEY_BYTES];
    char admin_token[ADMIN_TOKEN_BYTES_MAX + 1], readonly_token[ADMIN_TOKEN_BYTES_MAX + 1];
    int lock_fd; /* -1: not open */
};

/* Names the databases of the installation, none of which has been made yet. */
void installation_name_files(struct installation *installation);

/* Writes installation.json into the directory. */
enum err installation_store(const struct installation *installation) MUST_CHECK;

/* Reads the text of installation.json. ERR_NEWER_FORMAT, ERR_CONFIG (of before the first release),
 * ERR_DAMAGED; *ret_problem then says what is wrong with the file. */
enum err installation_read_text(
    struct installation *installation, struct slice text, const char **ret_problem) MUST_CHECK;
/* Reads the answer of a leader to /api/v1/installation: id, seed, counts and receipt key. False: it
 * is none. */
bool installation_read_published(struct installation *installation, struct slice json);

#endif
