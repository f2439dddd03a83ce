/* SPDX-License-Identifier: Apache-2.0 */
#include "main/accept_loss.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "main/data_files.h"
#include "main/installation_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As installation.json keeps them. */
static const char *const problem_names[DATA_PROBLEMS] = {
    "missing", "damaged", "foreign", "swapped", "older", "missing", "barred", "extra"};

/* Moves the file aside: its content may still be of use. */
static enum err set_aside(const struct installation *installation, const char *name, int64_t now_us)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char path[DATA_PATH_BYTES], from[DATA_PATH_BYTES + 16], to[DATA_PATH_BYTES + 64];
    data_files_path(installation, name, path);
    for (size_t i = 0; i < ARRAY_LENGTH(tails); i++) {
        snprintf(from, sizeof from, "%s%s", path, tails[i]);
        snprintf(to, sizeof to, "%s.given-up-%lld%s", path, (long long)(now_us / US_PER_SECOND),
            tails[i]);
        if (rename(from, to) && errno != ENOENT)
            return ERR_DISK;
    }
    return OK;
}

static void record(struct installation *installation, const char *file, const char *problem,
    const char *why, int64_t now_us)
{
    /* The same command again, after a crash in the middle of it. */
    if (installation->losses_count > 0) {
        struct installation_loss *last = &installation->losses[installation->losses_count - 1];
        if (strcmp(last->file, file) == 0 && last->epoch == installation->epoch)
            installation->losses_count--;
    }
    if (installation->losses_count == INSTALLATION_LOSSES_MAX)
        memmove(installation->losses, installation->losses + 1,
            --installation->losses_count * sizeof installation->losses[0]);
    struct installation_loss *loss = &installation->losses[installation->losses_count++];
    *loss = (struct installation_loss){.at_us = now_us, .epoch = installation->epoch};
    snprintf(loss->file, sizeof loss->file, "%s", file);
    snprintf(loss->problem, sizeof loss->problem, "%s", problem);
    snprintf(loss->note, sizeof loss->note, "%s", why);
}

static bool take_stamp(struct installation *installation, const struct file_stamp *stamp)
{
    if (strlen(stamp->installation) != sizeof installation->id - 1 ||
        strlen(stamp->seed) != 2 * HASH_SEED_BYTES || stamp->partitions < 1 ||
        stamp->partitions > PARTITIONS_MAX || stamp->shards < 1 || stamp->shards > SHARDS_MAX ||
        stamp->shards > stamp->partitions ||
        !hex_decode(slice_from_string(stamp->seed), installation->seed.bytes))
        return false;
    memcpy(installation->id, stamp->installation, sizeof installation->id);
    installation->partitions = (unsigned)stamp->partitions;
    installation->shards = (unsigned)stamp->shards;
    return true;
}

/* Makes installation.json from the stamps: of the installation that the first stamp names. Files
 * that are missing remain missing. */
static enum err make_again(struct installation *installation, struct buffer *complaints)
{
    char path[DATA_PATH_BYTES], detail[FILE_STAMP_DETAIL_BYTES], name[FILE_STAMP_NAME_BYTES];
    struct file_stamp stamp;
    bool known = false;
    for (unsigned i = 0; i <= SHARDS_MAX && !known; i++) {
        snprintf(
            name, sizeof name, i ? "journal-%u.db" : "accounts.db", i - 1); // NOLINT: of these two
        data_files_path(installation, name, path);
        known = file_stamp_read(path, &stamp, detail) == OK && take_stamp(installation, &stamp);
    }
    if (!known) {
        buffer_add_format(complaints,
            "%s: no file shows which installation this directory belongs to: move the directory "
            "away, and start with a new one\n",
            installation->directory);
        return ERR_CONFIG;
    }
    int64_t epoch_max = 0, epoch_min = INT64_MAX;
    installation_name_files(installation);
    for (unsigned i = 0; i < installation->files_count; i++) {
        struct installation_file *file = &installation->files[i];
        data_files_path(installation, file->name, path);
        memset(file->id, '0', sizeof file->id - 1); /* the id of no file: it is found as missing */
        if (file_stamp_read(path, &stamp, detail) ||
            strcmp(stamp.installation, installation->id) != 0 ||
            strcmp(stamp.file, file->name) != 0)
            continue;
        memcpy(file->id, stamp.id, sizeof file->id);
        epoch_max = stamp.epoch > epoch_max ? stamp.epoch : epoch_max;
        epoch_min = stamp.epoch < epoch_min ? stamp.epoch : epoch_min;
    }
    installation->epoch = epoch_min == epoch_max - 1 ? epoch_min : epoch_max;
    *installation->receipt_key_sha256 = '\0'; /* the key that is there is taken */
    if (!installation->created_us)
        installation->created_us = clock_wall_us();
    return OK;
}

static enum err store(struct installation *installation, struct buffer *complaints)
{
    enum err err = installation_store(installation);
    if (err)
        buffer_add_format(
            complaints, "%s/installation.json: %s\n", installation->directory, err_title(err));
    return err;
}

static enum err accept_installation(struct installation *installation, const char *problem,
    const char *why, int64_t now_us, struct buffer *complaints)
{
    enum err err = make_again(installation, complaints);
    if (err)
        return err;
    err = set_aside(installation, "installation.json", now_us);
    record(installation, "installation.json", problem, why, now_us);
    return err ? err : store(installation, complaints);
}

static struct installation_file *file_of(struct installation *installation, const char *name)
{
    for (unsigned i = 0; i < installation->files_count; i++)
        if (strcmp(installation->files[i].name, name) == 0)
            return &installation->files[i];
    return NULL;
}

static enum err accept_found(struct installation *installation, const struct data_finding *found,
    const char *why, struct buffer *complaints)
{
    int64_t now_us = clock_wall_us();
    char path[DATA_PATH_BYTES], detail[FILE_STAMP_DETAIL_BYTES] = "";
    if (strcmp(found->file, "installation.json") == 0)
        return accept_installation(
            installation, problem_names[found->problem], why, now_us, complaints);
    struct installation_file *file = file_of(installation, found->file);
    bool is_kept = found->problem == DATA_OLDER || found->problem == DATA_WAL_MISSING;
    if (file && !is_kept)
        *file->id = '\0';
    if (strcmp(found->file, DATA_RECEIPT_KEY) == 0)
        *installation->receipt_key_sha256 = '\0';
    record(installation, found->file, problem_names[found->problem], why, now_us);
    enum err err = store(installation, complaints);
    data_files_path(installation, found->file, path);
    if (found->problem == DATA_WAL_MISSING)
        path[strlen(path) - 4] = '\0'; /* the path of the database */
    if (!err && !is_kept && (err = set_aside(installation, found->file, now_us)))
        snprintf(detail, sizeof detail, "cannot be renamed: %s", strerror(errno));
    else if (!err && is_kept)
        err = file_stamp_set_epoch(path, installation->epoch, true, detail);
    if (err && *detail)
        buffer_add_format(complaints, "%s: %s\n", path, detail);
    return err;
}

enum err accept_loss(struct installation *installation, const char *problem, const char *file,
    const char *why, struct buffer *complaints)
{
    if (problem && strcmp(file, "installation.json") != 0) {
        data_files_complain(installation->directory, "installation.json", problem, complaints);
        return ERR_USAGE;
    }
    if (problem)
        return accept_installation(installation,
            strcmp(problem, "is missing") == 0 ? "missing" : "damaged", why, clock_wall_us(),
            complaints);
    struct data_findings *findings = data_files_look(installation);
    const struct data_finding *found = NULL;
    for (unsigned i = 0; i < findings->count && !found; i++)
        if (strcmp(findings->rows[i].file, file) == 0)
            found = &findings->rows[i];
    enum err err = ERR_USAGE;
    if (found && found->problem != DATA_BARRED && found->problem != DATA_EXTRA) {
        err = accept_found(installation, found, why, complaints);
    } else if (found) {
        data_files_complain_of(installation, found, complaints);
    } else {
        buffer_add_format(
            complaints, "nothing is wrong with %s%s\n", file, findings->count ? ", but:" : "");
        for (unsigned i = 0; i < findings->count; i++)
            data_files_complain_of(installation, &findings->rows[i], complaints);
    }
    free(findings);
    return err;
}
