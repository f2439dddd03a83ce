/* SPDX-License-Identifier: Apache-2.0 */
#include "main/data_files.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "main/installation_record.h"
#include "runtime/log.h"
#include "runtime/small_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(struct data_findings *findings, enum data_problem problem, const char *file,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void note(struct data_findings *findings, enum data_problem problem, const char *file,
    const char *format, ...)
{
    if (findings->count == DATA_FINDINGS_MAX)
        return;
    struct data_finding *found = &findings->rows[findings->count++];
    found->problem = problem;
    snprintf(found->file, sizeof found->file, "%s", file);
    va_list args;
    va_start(args, format);
    vsnprintf(found->what, sizeof found->what, format, args);
    va_end(args);
}

void data_files_path(
    const struct installation *installation, const char *name, char ret_path[DATA_PATH_BYTES])
{
    snprintf(ret_path, DATA_PATH_BYTES, "%s/%s", installation->directory, name);
}

/* Whether owner or mode of a file is wrong. A missing file is found elsewhere. */
static bool is_barred(struct data_findings *findings, const char *name, mode_t forbidden)
{
    char path[DATA_PATH_BYTES];
    struct stat status;
    data_files_path(findings->installation, name, path);
    if (stat(path, &status)) {
        if (errno == ENOENT)
            return false;
        note(findings, DATA_BARRED, name, "cannot be reached: %s", strerror(errno));
        return true;
    }
    if (status.st_uid != geteuid()) {
        note(findings, DATA_BARRED, name,
            "belongs to user %u, and this program runs as user %u: run it as that user, or change "
            "the owner of the file with chown",
            (unsigned)status.st_uid, (unsigned)geteuid());
        return true;
    }
    if (status.st_mode & forbidden) {
        note(findings, DATA_BARRED, name,
            "can be %s by other users (mode %03o): change its mode with chmod %s", // NOLINT
            status.st_mode & forbidden & 022 ? "changed" : "read", (unsigned)status.st_mode & 0777,
            S_ISDIR(status.st_mode) ? "0700" : "0600");
        return true;
    }
    if (S_ISREG(status.st_mode) && faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS)) {
        note(findings, DATA_BARRED, name,
            "cannot be read and written (%s): change its mode with chmod 0600", strerror(errno));
        return true;
    }
    return false;
}

static bool has_content(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

/* Whether the loss of this very file was accepted: no start has followed. */
static bool is_accepted(const struct installation *installation, const char *file)
{
    for (unsigned i = 0; i < installation->losses_count; i++)
        if (strcmp(installation->losses[i].file, file) == 0 &&
            installation->losses[i].epoch == installation->epoch)
            return true;
    return false;
}

static void count_stamp(struct data_findings *findings, const struct file_stamp *stamp)
{
    bool is_own = strcmp(stamp->installation, findings->installation->id) == 0;
    findings->own += is_own;
    if (!is_own &&
        (findings->strangers == 0 || strcmp(findings->stranger, stamp->installation) == 0)) {
        memcpy(findings->stranger, stamp->installation, sizeof findings->stranger);
        findings->strangers++;
    }
    if (is_own && stamp->epoch > findings->epoch_max)
        findings->epoch_max = stamp->epoch;
}

/* Without its WAL the file may be older as well: that is not a second problem. */
static void check_stamp(struct data_findings *findings, struct installation_file *file,
    const struct file_stamp *stamp, bool lacks_wal)
{
    const struct installation *installation = findings->installation;
    count_stamp(findings, stamp);
    if (strcmp(stamp->installation, installation->id) != 0)
        note(findings, DATA_FOREIGN, file->name,
            "belongs to installation %s, but this directory belongs to %s", stamp->installation,
            installation->id);
    else if (strcmp(stamp->file, file->name) != 0)
        note(findings, DATA_SWAPPED, file->name, "was made as %s: files are swapped", stamp->file);
    else if (*file->id && strcmp(stamp->id, file->id) != 0)
        note(findings, DATA_FOREIGN, file->name, "is not the %s that this installation used last",
            file->name);
    else if (stamp->epoch < installation->epoch && !lacks_wal)
        note(findings, DATA_OLDER, file->name,
            "is older than the other files (its epoch is %lld, theirs is %lld): it comes from a "
            "backup, and lacks everything that was written later",
            (long long)stamp->epoch, (long long)installation->epoch);
    else
        memcpy(file->id, stamp->id, sizeof file->id);
}

static void check_database(
    struct data_findings *findings, struct installation_file *file, bool was_running)
{
    char path[DATA_PATH_BYTES], wal[DATA_PATH_BYTES + 8], wal_name[LOSS_FILE_BYTES],
        detail[FILE_STAMP_DETAIL_BYTES];
    struct file_stamp stamp;
    data_files_path(findings->installation, file->name, path);
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(wal_name, sizeof wal_name, "%s-wal", file->name);
    if (is_barred(findings, file->name, 027) || is_barred(findings, wal_name, 027))
        return;
    enum err err = file_stamp_read(path, &stamp, detail);
    if (err == ERR_NOT_FOUND && *file->id == '\0')
        return;
    if (err) {
        note(findings,
            err == ERR_NOT_FOUND ? DATA_MISSING
            : err == ERR_DAMAGED ? DATA_DAMAGED
                                 : DATA_BARRED,
            file->name, "%s", err == ERR_NOT_FOUND ? "is missing" : detail);
        return;
    }
    bool lacks_wal = was_running && *file->id && !has_content(wal) &&
                     !is_accepted(findings->installation, wal_name);
    check_stamp(findings, file, &stamp, lacks_wal);
    if (lacks_wal)
        note(findings, DATA_WAL_MISSING, wal_name,
            "is missing: the last run did not stop normally, and this file had its last commits");
}

/* Finds journals with a number beyond the installation's shards. */
static void check_extra(struct data_findings *findings)
{
    DIR *directory = opendir(findings->installation->directory);
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        unsigned shard;
        int end = 0;
        if (sscanf(entry->d_name, "journal-%5u.db%n", &shard, &end) != 1 || end == 0 ||
            entry->d_name[end] || shard < findings->installation->shards)
            continue;
        note(findings, DATA_EXTRA, entry->d_name,
            "is not a file of this installation, which has %u shards: move it to the directory "
            "that it belongs to",
            findings->installation->shards);
    }
    if (directory)
        closedir(directory);
}

static void check_keys(struct data_findings *findings)
{
    const struct installation *installation = findings->installation;
    struct buffer key = BUFFER_EMPTY;
    unsigned char digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    if (is_barred(findings, "keys", 077) || is_barred(findings, DATA_RECEIPT_KEY, 077) ||
        is_barred(findings, "keys/admin.token", 077) ||
        is_barred(findings, "keys/readonly.token", 077))
        return;
    enum err err = small_file_read(installation->directory, DATA_RECEIPT_KEY, 4096, &key);
    crypto_sha256(buffer_slice(&key), digest);
    hex_encode(slice_of(digest, sizeof digest), hex);
    if (err == ERR_NOT_FOUND && *installation->receipt_key_sha256)
        note(findings, DATA_MISSING, DATA_RECEIPT_KEY,
            "is missing: without it no receipt can be checked");
    else if (err && err != ERR_NOT_FOUND)
        note(findings, DATA_DAMAGED, DATA_RECEIPT_KEY, "cannot be read: %s", err_title(err));
    else if (!err && key.len != RECEIPT_KEY_BYTES)
        note(findings, DATA_DAMAGED, DATA_RECEIPT_KEY, "has %zu bytes, not %d", key.len,
            RECEIPT_KEY_BYTES);
    else if (!err && *installation->receipt_key_sha256 &&
             strcmp(hex, installation->receipt_key_sha256) != 0)
        note(findings, DATA_FOREIGN, DATA_RECEIPT_KEY, "is not the key of this installation");
    buffer_done(&key);
}

/* When the files agree with each other, installation.json is the wrong one. */
static void blame_installation(struct data_findings *findings)
{
    const struct installation *installation = findings->installation;
    if (findings->own == 0 && findings->strangers > 1) {
        findings->count = 0;
        note(findings, DATA_FOREIGN, "installation.json",
            "belongs to installation %s, but the other files belong to %s", installation->id,
            findings->stranger);
    } else if (findings->epoch_max > installation->epoch + 1) {
        findings->count = 0;
        note(findings, DATA_OLDER, "installation.json",
            "is older than the other files (its epoch is %lld, theirs is %lld): it comes from a "
            "backup",
            (long long)installation->epoch, (long long)findings->epoch_max);
    }
}

struct data_findings *data_files_look(struct installation *installation)
{
    struct data_findings *findings;
    MEMORY_NEW(findings);
    char path[DATA_PATH_BYTES];
    data_files_path(installation, "admin.json", path);
    findings->installation = installation;
    bool was_running = access(path, F_OK) == 0;
    for (unsigned i = 0; i < installation->files_count; i++)
        check_database(findings, &installation->files[i], was_running);
    blame_installation(findings);
    check_extra(findings);
    check_keys(findings);
    (void)is_barred(findings, "installation.json", 027);
    return findings;
}

void data_files_complain(
    const char *directory, const char *file, const char *what, struct buffer *complaints)
{
    buffer_add_format(complaints,
        "%s/%s: %s. Restore the right file. If it is lost and cannot be restored, accept the loss "
        "with: penstock data accept-loss %s --data %s --reason WHY\n",
        directory, file, what, file, directory);
}

void data_files_complain_of(const struct installation *installation,
    const struct data_finding *found, struct buffer *complaints)
{
    if (found->problem == DATA_BARRED || found->problem == DATA_EXTRA)
        buffer_add_format(
            complaints, "%s/%s: %s\n", installation->directory, found->file, found->what);
    else
        data_files_complain(installation->directory, found->file, found->what, complaints);
}

enum err data_files_check(struct installation *installation, struct buffer *complaints)
{
    struct data_findings *findings = data_files_look(installation);
    for (unsigned i = 0; i < findings->count; i++)
        data_files_complain_of(installation, &findings->rows[i], complaints);
    enum err err = findings->count ? ERR_CONFIG : OK;
    free(findings);
    return err;
}

enum err data_files_check_unused(const char *path, struct buffer *complaints)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    bool has_files = false;
    while (directory && !has_files && (entry = readdir(directory)))
        has_files = strncmp(entry->d_name, "journal-", 8) == 0 ||
                    strncmp(entry->d_name, "accounts.db", 11) == 0;
    if (directory)
        closedir(directory);
    if (!has_files)
        return OK;
    data_files_complain(
        path, "installation.json", "is missing, but the directory has database files", complaints);
    return ERR_CONFIG;
}

/* Stamps. */

static void make_stamp(const struct installation *installation,
    const struct installation_file *file, struct file_stamp *ret_stamp)
{
    *ret_stamp = (struct file_stamp){.partitions = installation->partitions,
        .shards = installation->shards,
        .epoch = installation->epoch};
    memcpy(ret_stamp->installation, installation->id, sizeof ret_stamp->installation);
    memcpy(ret_stamp->file, file->name, sizeof ret_stamp->file);
    memcpy(ret_stamp->id, file->id, sizeof ret_stamp->id);
    hex_encode(slice_of(installation->seed.bytes, HASH_SEED_BYTES), ret_stamp->seed);
}

static enum err stamp_file(const struct installation *installation, struct installation_file *file,
    bool is_stop, char *ret_detail, bool *ret_is_new)
{
    char path[DATA_PATH_BYTES];
    data_files_path(installation, file->name, path);
    *ret_is_new = *file->id == '\0';
    if (!*ret_is_new)
        return file_stamp_set_epoch(path, installation->epoch + 1, is_stop, ret_detail);
    unsigned char id[16];
    crypto_random(id, sizeof id);
    hex_encode(slice_of(id, sizeof id), file->id);
    struct file_stamp stamp;
    make_stamp(installation, file, &stamp);
    enum err err = file_stamp_make(path, &stamp, ret_detail);
    if (err)
        *file->id = '\0';
    return err ? err : file_stamp_set_epoch(path, installation->epoch + 1, is_stop, ret_detail);
}

static enum err stamp_all(
    struct installation *installation, bool is_stop, struct buffer *complaints)
{
    char detail[FILE_STAMP_DETAIL_BYTES] = "";
    bool any_new = false;
    for (unsigned i = 0; i < installation->files_count; i++) {
        bool is_new;
        enum err err = stamp_file(installation, &installation->files[i], is_stop, detail, &is_new);
        any_new |= is_new;
        if (err == ERR_DISK_FULL && !any_new) {
            log_warn(
                "the disk is full, and the epoch of the files cannot be written: free some space "
                "file=%s",
                installation->files[i].name);
            return OK;
        }
        if (err) {
            buffer_add_format(complaints, "%s/%s: %s\n", installation->directory,
                installation->files[i].name, detail);
            return err;
        }
    }
    installation->epoch++;
    enum err err = installation_store(installation);
    if (err == ERR_DISK_FULL && !any_new) {
        log_warn("the disk is full, and installation.json cannot be written: free some space");
        installation->epoch--;
        return OK;
    }
    if (err)
        buffer_add_format(
            complaints, "%s/installation.json: %s\n", installation->directory, err_title(err));
    return err;
}

enum err data_files_stamp(struct installation *installation, struct buffer *complaints)
{
    return stamp_all(installation, false, complaints);
}

void data_files_stamp_stop(struct installation *installation)
{
    struct buffer complaints = BUFFER_EMPTY;
    if (stamp_all(installation, true, &complaints) && complaints.len)
        log_warn("the epoch of the files cannot be written, so the next start cannot detect an "
                 "older file: %.*s",
            (int)strcspn(complaints.data, "\n"), complaints.data);
    buffer_done(&complaints);
}
