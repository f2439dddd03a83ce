/* SPDX-License-Identifier: Apache-2.0 */
#include "main/data_files.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "main/installation.h"
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

#define PATH_BYTES 4400
#define FOUND_MAX (2 * SHARDS_MAX + 8)
#define RECEIPT_KEY "keys/receipt.key"

enum kind {
    FOUND_MISSING,
    FOUND_DAMAGED,
    FOUND_FOREIGN,
    FOUND_SWAPPED,
    FOUND_OLDER,
    FOUND_WAL_MISSING,
    FOUND_BARRED, /* owner or mode: nothing to be given up */
    FOUND_EXTRA,  /* no file of this installation has the name */
    FOUND_KINDS
};

/* As they are kept in installation.json. */
static const char *const kind_names[FOUND_KINDS] = {
    "missing", "damaged", "foreign", "swapped", "older", "missing", "barred", "extra"};

struct found {
    enum kind kind;
    char file[LOSS_FILE_BYTES];
    char what[400];
};

/* All that is wrong. */
struct findings {
    const struct installation *installation;
    unsigned count;
    struct found rows[FOUND_MAX];
    /* of the stamps */
    unsigned strangers, own; /* of one other installation; of this one */
    char stranger[FILE_STAMP_ID_BYTES];
    int64_t epoch_max;
};

static void note(struct findings *findings, enum kind kind, const char *file, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

static void note(
    struct findings *findings, enum kind kind, const char *file, const char *format, ...)
{
    if (findings->count == FOUND_MAX)
        return;
    struct found *found = &findings->rows[findings->count++];
    found->kind = kind;
    snprintf(found->file, sizeof found->file, "%s", file);
    va_list args;
    va_start(args, format);
    vsnprintf(found->what, sizeof found->what, format, args);
    va_end(args);
}

static void path_of(
    const struct installation *installation, const char *name, char ret_path[PATH_BYTES])
{
    snprintf(ret_path, PATH_BYTES, "%s/%s", installation->directory, name);
}

/* Owner and mode. What is not there, or is no file, is for others to say. */
static bool is_barred(struct findings *findings, const char *name, mode_t forbidden)
{
    char path[PATH_BYTES];
    struct stat status;
    path_of(findings->installation, name, path);
    if (stat(path, &status)) {
        if (errno == ENOENT)
            return false;
        note(findings, FOUND_BARRED, name, "can't be reached: %s", strerror(errno));
        return true;
    }
    if (status.st_uid != geteuid()) {
        note(findings, FOUND_BARRED, name,
            "belongs to user %u, and this program runs as user %u: run it as that user, or give "
            "the file to this one "
            "(chown)",
            (unsigned)status.st_uid, (unsigned)geteuid());
        return true;
    }
    if (status.st_mode & forbidden) {
        note(findings, FOUND_BARRED, name, "can be %s by others (mode %03o): chmod %s", // NOLINT
            status.st_mode & forbidden & 022 ? "changed" : "read", (unsigned)status.st_mode & 0777,
            S_ISDIR(status.st_mode) ? "0700" : "0600");
        return true;
    }
    if (S_ISREG(status.st_mode) && faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS)) {
        note(findings, FOUND_BARRED, name,
            "can't be read and written (%s): correct its mode (chmod 0600)", strerror(errno));
        return true;
    }
    return false;
}

static bool has_content(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

/* Since no start has followed, it is the one that was given up. */
static bool is_given_up(const struct installation *installation, const char *file)
{
    for (unsigned i = 0; i < installation->losses_count; i++)
        if (strcmp(installation->losses[i].file, file) == 0 &&
            installation->losses[i].epoch == installation->epoch)
            return true;
    return false;
}

static void count_stamp(struct findings *findings, const struct file_stamp *stamp)
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

/* Without its WAL the file may be behind by what that held: this is said once. */
static void check_stamp(struct findings *findings, struct installation_file *file,
    const struct file_stamp *stamp, bool lacks_wal)
{
    const struct installation *installation = findings->installation;
    count_stamp(findings, stamp);
    if (strcmp(stamp->installation, installation->id) != 0)
        note(findings, FOUND_FOREIGN, file->name, "is of installation %s, and this directory of %s",
            stamp->installation, installation->id);
    else if (strcmp(stamp->file, file->name) != 0)
        note(
            findings, FOUND_SWAPPED, file->name, "was made as %s: files were swapped", stamp->file);
    else if (*file->id && strcmp(stamp->id, file->id) != 0)
        note(findings, FOUND_FOREIGN, file->name,
            "is another %s than the one that this installation has used last", file->name);
    else if (stamp->epoch < installation->epoch && !lacks_wal)
        note(findings, FOUND_OLDER, file->name,
            "is older than the rest (its epoch is %lld, theirs %lld): it comes from a backup, and "
            "lacks what was "
            "written since",
            (long long)stamp->epoch, (long long)installation->epoch);
    else
        memcpy(file->id, stamp->id, sizeof file->id);
}

static void check_database(
    struct findings *findings, struct installation_file *file, bool was_running)
{
    char path[PATH_BYTES], wal[PATH_BYTES + 8], wal_name[LOSS_FILE_BYTES],
        detail[FILE_STAMP_DETAIL_BYTES];
    struct file_stamp stamp;
    path_of(findings->installation, file->name, path);
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(wal_name, sizeof wal_name, "%s-wal", file->name);
    if (is_barred(findings, file->name, 027) || is_barred(findings, wal_name, 027))
        return;
    enum err result = file_stamp_read(path, &stamp, detail);
    if (result == ERR_NOT_FOUND && *file->id == '\0')
        return;
    if (result) {
        note(findings,
            result == ERR_NOT_FOUND ? FOUND_MISSING
            : result == ERR_DAMAGED ? FOUND_DAMAGED
                                    : FOUND_BARRED,
            file->name, "%s", result == ERR_NOT_FOUND ? "is missing" : detail);
        return;
    }
    bool lacks_wal = was_running && *file->id && !has_content(wal) &&
                     !is_given_up(findings->installation, wal_name);
    check_stamp(findings, file, &stamp, lacks_wal);
    if (lacks_wal)
        note(findings, FOUND_WAL_MISSING, wal_name,
            "is missing: the last run did not end in order, and has left there what it committed "
            "last");
}

/* A journal that the counts have no place for. */
static void check_extra(struct findings *findings)
{
    DIR *directory = opendir(findings->installation->directory);
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        unsigned shard;
        int end = 0;
        if (sscanf(entry->d_name, "journal-%5u.db%n", &shard, &end) != 1 || end == 0 ||
            entry->d_name[end] || shard < findings->installation->shards)
            continue;
        note(findings, FOUND_EXTRA, entry->d_name,
            "is no file of this installation, which has %u shards: move it away, to where it "
            "belongs",
            findings->installation->shards);
    }
    if (directory)
        closedir(directory);
}

static void check_keys(struct findings *findings)
{
    const struct installation *installation = findings->installation;
    struct buffer key = BUFFER_EMPTY;
    unsigned char digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    if (is_barred(findings, "keys", 077) || is_barred(findings, RECEIPT_KEY, 077) ||
        is_barred(findings, "keys/admin.token", 077))
        return;
    enum err result = small_file_read(installation->directory, RECEIPT_KEY, 4096, &key);
    crypto_sha256(buffer_slice(&key), digest);
    hex_encode(slice_of(digest, sizeof digest), hex);
    if (result == ERR_NOT_FOUND && *installation->receipt_key_sha256)
        note(findings, FOUND_MISSING, RECEIPT_KEY,
            "is missing: receipts could not be checked any more");
    else if (result && result != ERR_NOT_FOUND)
        note(findings, FOUND_DAMAGED, RECEIPT_KEY, "can't be read: %s", err_title(result));
    else if (!result && key.len != RECEIPT_KEY_BYTES)
        note(findings, FOUND_DAMAGED, RECEIPT_KEY, "has %zu bytes instead of %d", key.len,
            RECEIPT_KEY_BYTES);
    else if (!result && *installation->receipt_key_sha256 &&
             strcmp(hex, installation->receipt_key_sha256) != 0)
        note(findings, FOUND_FOREIGN, RECEIPT_KEY, "is another key than this installation's");
    buffer_done(&key);
}

/* When the files agree with each other, it is installation.json that is wrong. */
static void blame_installation(struct findings *findings)
{
    const struct installation *installation = findings->installation;
    if (findings->own == 0 && findings->strangers > 1) {
        findings->count = 0;
        note(findings, FOUND_FOREIGN, "installation.json",
            "is of installation %s, and the files beside it are of %s", installation->id,
            findings->stranger);
    } else if (findings->epoch_max > installation->epoch + 1) {
        findings->count = 0;
        note(findings, FOUND_OLDER, "installation.json",
            "is older than the files beside it (its epoch is %lld, theirs %lld): it comes from a "
            "backup",
            (long long)installation->epoch, (long long)findings->epoch_max);
    }
}

static struct findings *look(struct installation *installation)
{
    struct findings *findings = calloc(1, sizeof *findings);
    if (!findings)
        return NULL;
    char path[PATH_BYTES];
    path_of(installation, "admin.json", path);
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
        "%s/%s: %s. Put the right one back; if that is gone for good: penstock data accept-loss %s "
        "--data %s --note "
        "WHY\n",
        directory, file, what, file, directory);
}

static void complain_of(
    const struct installation *installation, const struct found *found, struct buffer *complaints)
{
    if (found->kind == FOUND_BARRED || found->kind == FOUND_EXTRA)
        buffer_add_format(
            complaints, "%s/%s: %s\n", installation->directory, found->file, found->what);
    else
        data_files_complain(installation->directory, found->file, found->what, complaints);
}

enum err data_files_check(struct installation *installation, struct buffer *complaints)
{
    struct findings *findings = look(installation);
    if (!findings)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < findings->count; i++)
        complain_of(installation, &findings->rows[i], complaints);
    enum err result = findings->count ? ERR_CONFIG : OK;
    free(findings);
    return result;
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
        path, "installation.json", "is missing, and there are databases beside it", complaints);
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
    char path[PATH_BYTES];
    path_of(installation, file->name, path);
    *ret_is_new = *file->id == '\0';
    if (!*ret_is_new)
        return file_stamp_set_epoch(path, installation->epoch + 1, is_stop, ret_detail);
    unsigned char id[16];
    crypto_random(id, sizeof id);
    hex_encode(slice_of(id, sizeof id), file->id);
    struct file_stamp stamp;
    make_stamp(installation, file, &stamp);
    enum err result = file_stamp_make(path, &stamp, ret_detail);
    if (result)
        *file->id = '\0';
    return result ? result
                  : file_stamp_set_epoch(path, installation->epoch + 1, is_stop, ret_detail);
}

static enum err stamp_all(
    struct installation *installation, bool is_stop, struct buffer *complaints)
{
    char detail[FILE_STAMP_DETAIL_BYTES] = "";
    bool any_new = false;
    for (unsigned i = 0; i < installation->files_count; i++) {
        bool is_new;
        enum err result =
            stamp_file(installation, &installation->files[i], is_stop, detail, &is_new);
        any_new |= is_new;
        if (result == ERR_DISK_FULL && !any_new) {
            log_warn(
                "the disk is full: how new the files are can't be written down. Make room file=%s",
                installation->files[i].name);
            return OK;
        }
        if (result) {
            buffer_add_format(complaints, "%s/%s: %s\n", installation->directory,
                installation->files[i].name, detail);
            return result;
        }
    }
    installation->epoch++;
    enum err result = installation_store(installation);
    if (result == ERR_DISK_FULL && !any_new) {
        log_warn("the disk is full: installation.json can't be written. Make room");
        installation->epoch--;
        return OK;
    }
    if (result)
        buffer_add_format(
            complaints, "%s/installation.json: %s\n", installation->directory, err_title(result));
    return result;
}

enum err data_files_stamp(struct installation *installation, struct buffer *complaints)
{
    return stamp_all(installation, false, complaints);
}

void data_files_stamp_stop(struct installation *installation)
{
    struct buffer complaints = BUFFER_EMPTY;
    if (stamp_all(installation, true, &complaints) && complaints.len)
        log_warn("how new the files are could not be written down: %.*s",
            (int)strcspn(complaints.data, "\n"), complaints.data);
    buffer_done(&complaints);
}

/* Losses. */

/* What was there is kept: somebody may find a use for it. */
static enum err set_aside(const struct installation *installation, const char *name, int64_t now_us)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char path[PATH_BYTES], from[PATH_BYTES + 16], to[PATH_BYTES + 64];
    path_of(installation, name, path);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
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
    /* The same once more, after a crash in the middle of it. */
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

/* From the stamps: those of the installation that the first one names. What is not there stays to
 * be missed. */
static enum err make_again(struct installation *installation, struct buffer *complaints)
{
    char path[PATH_BYTES], detail[FILE_STAMP_DETAIL_BYTES], name[FILE_STAMP_NAME_BYTES];
    struct file_stamp stamp;
    bool known = false;
    for (unsigned i = 0; i <= SHARDS_MAX && !known; i++) {
        snprintf(
            name, sizeof name, i ? "journal-%u.db" : "accounts.db", i - 1); // NOLINT: of these two
        path_of(installation, name, path);
        known = file_stamp_read(path, &stamp, detail) == OK && take_stamp(installation, &stamp);
    }
    if (!known) {
        buffer_add_format(complaints,
            "%s: no file in it says what installation it was. Move it away, and start with a new "
            "one\n",
            installation->directory);
        return ERR_CONFIG;
    }
    int64_t epoch_max = 0, epoch_min = INT64_MAX;
    installation_name_files(installation);
    for (unsigned i = 0; i < installation->files_count; i++) {
        struct installation_file *file = &installation->files[i];
        path_of(installation, file->name, path);
        memset(file->id, '0', sizeof file->id - 1); /* nobody's: it is missed */
        if (file_stamp_read(path, &stamp, detail) ||
            strcmp(stamp.installation, installation->id) != 0 ||
            strcmp(stamp.file, file->name) != 0)
            continue;
        memcpy(file->id, stamp.id, sizeof file->id);
        epoch_max = stamp.epoch > epoch_max ? stamp.epoch : epoch_max;
        epoch_min = stamp.epoch < epoch_min ? stamp.epoch : epoch_min;
    }
    installation->epoch = epoch_min == epoch_max - 1 ? epoch_min : epoch_max;
    *installation->receipt_key_sha256 = '\0'; /* the one that is there */
    if (!installation->created_us)
        installation->created_us = clock_wall_us();
    return OK;
}

static enum err store(struct installation *installation, struct buffer *complaints)
{
    enum err result = installation_store(installation);
    if (result)
        buffer_add_format(
            complaints, "%s/installation.json: %s\n", installation->directory, err_title(result));
    return result;
}

static enum err accept_installation(struct installation *installation, const char *problem,
    const char *why, int64_t now_us, struct buffer *complaints)
{
    enum err result = make_again(installation, complaints);
    if (result)
        return result;
    result = set_aside(installation, "installation.json", now_us);
    record(installation, "installation.json", problem, why, now_us);
    return result ? result : store(installation, complaints);
}

static struct installation_file *file_of(struct installation *installation, const char *name)
{
    for (unsigned i = 0; i < installation->files_count; i++)
        if (strcmp(installation->files[i].name, name) == 0)
            return &installation->files[i];
    return NULL;
}

static enum err accept_found(struct installation *installation, const struct found *found,
    const char *why, struct buffer *complaints)
{
    int64_t now_us = clock_wall_us();
    char path[PATH_BYTES], detail[FILE_STAMP_DETAIL_BYTES] = "";
    if (strcmp(found->file, "installation.json") == 0)
        return accept_installation(installation, kind_names[found->kind], why, now_us, complaints);
    struct installation_file *file = file_of(installation, found->file);
    bool is_kept = found->kind == FOUND_OLDER || found->kind == FOUND_WAL_MISSING;
    if (file && !is_kept)
        *file->id = '\0';
    if (strcmp(found->file, RECEIPT_KEY) == 0)
        *installation->receipt_key_sha256 = '\0';
    record(installation, found->file, kind_names[found->kind], why, now_us);
    enum err result = store(installation, complaints);
    path_of(installation, found->file, path);
    if (found->kind == FOUND_WAL_MISSING)
        path[strlen(path) - 4] = '\0'; /* the database's own */
    if (!result && !is_kept && (result = set_aside(installation, found->file, now_us)))
        snprintf(detail, sizeof detail, "can't be moved aside: %s", strerror(errno));
    else if (!result && is_kept)
        result = file_stamp_set_epoch(path, installation->epoch, true, detail);
    if (result && *detail)
        buffer_add_format(complaints, "%s: %s\n", path, detail);
    return result;
}

enum err data_files_accept(struct installation *installation, const char *problem, const char *file,
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
    struct findings *findings = look(installation);
    if (!findings)
        return ERR_NO_MEMORY;
    const struct found *found = NULL;
    for (unsigned i = 0; i < findings->count && !found; i++)
        if (strcmp(findings->rows[i].file, file) == 0)
            found = &findings->rows[i];
    enum err result = ERR_USAGE;
    if (found && found->kind != FOUND_BARRED && found->kind != FOUND_EXTRA) {
        result = accept_found(installation, found, why, complaints);
    } else if (found) {
        complain_of(installation, found, complaints);
    } else {
        buffer_add_format(
            complaints, "nothing is wrong with %s%s\n", file, findings->count ? "; but:" : "");
        for (unsigned i = 0; i < findings->count; i++)
            complain_of(installation, &findings->rows[i], complaints);
    }
    free(findings);
    return result;
}
