/* SPDX-License-Identifier: Apache-2.0 */
#include "main/data_directory.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "cluster/leader.h"
#include "main/data_files.h"
#include "runtime/log.h"
#include "runtime/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define SMALL_FILE_BYTES_MAX 65536
#define LEADER_TRIES 3 /* one second apart */

static enum err complain(
    struct buffer *complaints, enum err err, const char *path, const char *what)
{
    buffer_add_format(complaints, "%s: %s\n", path, what);
    return err;
}

/* mkdir -p; the last directory gets `mode`. */
static enum err make_directories(const char *path, mode_t mode)
{
    char partial[4097];
    snprintf(partial, sizeof partial, "%s", path);
    for (char *slash = partial + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(partial, 0755) && errno != EEXIST)
            return small_file_error();
        *slash = '/';
    }
    return mkdir(partial, mode) && errno != EEXIST ? small_file_error() : OK;
}

static enum err take_lock(struct installation *installation, struct buffer *complaints)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/lock", installation->directory);
    installation->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (installation->lock_fd < 0)
        return complain(complaints, small_file_error(), path, strerror(errno));
    if (flock(installation->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno != EWOULDBLOCK)
        return complain(complaints, small_file_error(), path, strerror(errno));
    return complain(complaints, ERR_LOCKED, installation->directory,
        "another gateway runs on this data directory: stop it, or choose another directory with "
        "data.directory or --data");
}

static unsigned default_shards(unsigned partitions)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned shards = cores < 1 ? 1 : cores > SHARDS_MAX ? SHARDS_MAX : (unsigned)cores;
    return shards < partitions ? shards : partitions;
}

static enum err create(struct installation *installation, unsigned partitions, unsigned shards)
{
    unsigned char id[16];
    crypto_random(id, sizeof id);
    hex_encode(slice_of(id, sizeof id), installation->id);
    crypto_random(installation->seed.bytes, sizeof installation->seed.bytes);
    installation->partitions = partitions;
    installation->shards = shards ? shards : default_shards(partitions);
    installation->created_us = clock_wall_us();
    installation_name_files(installation);
    return installation_store(installation);
}

static enum err parse(
    struct installation *installation, struct slice text, struct buffer *complaints)
{
    char path[4352];
    const char *problem = NULL;
    enum err err = installation_read_text(installation, text, &problem);
    snprintf(path, sizeof path, "%s/installation.json", installation->directory);
    if (err == ERR_DAMAGED)
        data_files_complain(installation->directory, "installation.json", problem, complaints);
    else if (err)
        complain(complaints, err, path, problem);
    return err == ERR_DAMAGED ? ERR_CONFIG : err;
}

static enum err check_counts(const struct installation *installation, unsigned partitions,
    unsigned shards, struct buffer *complaints)
{
    if (installation->partitions == partitions && (shards == 0 || installation->shards == shards))
        return OK;
    buffer_add_format(complaints,
        "%s has data.partitions %u and data.shards %u, but the configuration has %u and %u.\n"
        "Both are fixed when the directory is made: correct the configuration.\n"
        "To change them, start a gateway on a new data directory, move the partners to that "
        "gateway, and keep the old gateway running until it has delivered all events.\n",
        installation->directory, installation->partitions, installation->shards, partitions,
        shards);
    return ERR_CONFIG;
}

/* Reads a key, or makes it with `fresh` when there is no such file. */
static enum err load_key(const char *directory, const char *name, struct slice fresh, size_t max,
    struct buffer *key, struct buffer *complaints)
{
    enum err err = small_file_read(directory, name, max, key);
    if (err == ERR_NOT_FOUND && fresh.len) {
        err = small_file_write(directory, name, fresh);
        buffer_clear(key);
        buffer_add_slice(key, fresh);
    }
    if (err) {
        buffer_add_format(complaints, "%s%s%s: %s\n", directory, *directory ? "/" : "", name,
            err == ERR_NOT_FOUND ? "the file does not exist" : err_title(err));
        return err == ERR_NOT_FOUND ? ERR_CONFIG : err;
    }
    return buffer_status(key);
}

/* The key has been checked (data_files.h). Without a key the installation gets one. */
static enum err load_receipt_key(
    struct installation *installation, const char *directory, struct buffer *complaints)
{
    unsigned char random[RECEIPT_KEY_BYTES], digest[SHA256_BYTES];
    struct buffer key = BUFFER_EMPTY;
    crypto_random(random, sizeof random);
    bool is_known = *installation->receipt_key_sha256 != '\0';
    enum err err = load_key(directory, "receipt.key",
        is_known ? (struct slice){0} : slice_of(random, sizeof random), SMALL_FILE_BYTES_MAX, &key,
        complaints);
    if (!err && key.len != RECEIPT_KEY_BYTES) {
        data_files_complain(
            installation->directory, "keys/receipt.key", "is not 32 bytes long", complaints);
        err = ERR_CONFIG;
    }
    if (!err) {
        memcpy(installation->receipt_key, key.data, RECEIPT_KEY_BYTES);
        crypto_sha256(buffer_slice(&key), digest);
        hex_encode(slice_of(digest, sizeof digest), installation->receipt_key_sha256);
    }
    buffer_done(&key);
    return err;
}

static enum err make_keys_directory(
    const struct installation *installation, char ret_directory[4200], struct buffer *complaints)
{
    snprintf(ret_directory, 4200, "%s/keys", installation->directory);
    if (mkdir(ret_directory, 0700) && errno != EEXIST)
        return complain(complaints, small_file_error(), ret_directory, strerror(errno));
    return OK;
}

static enum err load_keys(struct installation *installation, struct buffer *complaints)
{
    char directory[4200];
    enum err err = make_keys_directory(installation, directory, complaints);
    return err ? err : load_receipt_key(installation, directory, complaints);
}

/* `name`: in keys/, where it is made when it is missing. */
static enum err load_token(const struct installation *installation, const char *file,
    const char *name, const char *prefix, char ret_token[ADMIN_TOKEN_BYTES_MAX + 1],
    struct buffer *complaints)
{
    char directory[4200], token[64];
    unsigned char random[24];
    struct buffer key = BUFFER_EMPTY;
    snprintf(directory, sizeof directory, "%s/keys", installation->directory);
    crypto_random(random, sizeof random);
    size_t len = (size_t)snprintf(token, sizeof token, "%s", prefix);
    len += base64_encode(slice_of(random, sizeof random), true, token + len);
    enum err err =
        *file ? load_key("", file, (struct slice){0}, ADMIN_TOKEN_BYTES_MAX, &key, complaints)
              : load_key(
                    directory, name, slice_of(token, len), ADMIN_TOKEN_BYTES_MAX, &key, complaints);
    while (!err && key.len > 0 && (key.data[key.len - 1] == '\n' || key.data[key.len - 1] == ' '))
        key.data[--key.len] = '\0';
    if (!err && key.len < 16)
        err = complain(complaints, ERR_CONFIG, *file ? file : name,
            "has fewer than 16 characters: put a longer token into it");
    if (!err)
        snprintf(ret_token, ADMIN_TOKEN_BYTES_MAX + 1, "%s", key.data);
    buffer_done(&key);
    return err;
}

enum err data_directory_load_tokens(struct installation *installation,
    const struct data_token_files *tokens, struct buffer *complaints)
{
    char token[ADMIN_TOKEN_BYTES_MAX + 1], readonly[ADMIN_TOKEN_BYTES_MAX + 1];
    enum err err = load_token(installation, tokens->admin, "admin.token", "at_", token, complaints);
    if (!err)
        err = load_token(
            installation, tokens->readonly, "readonly.token", "rt_", readonly, complaints);
    if (!err && strcmp(token, readonly) == 0)
        err = complain(complaints, ERR_CONFIG, "admin.readonly_token_file",
            "has the same token as admin.token_file: put another token into it");
    if (err)
        return err;
    memcpy(installation->admin_token, token, sizeof token);
    memcpy(installation->readonly_token, readonly, sizeof readonly);
    return OK;
}

/* The directory is in use now: the files are written, and installation.json names all of them. */
static enum err enter(struct installation *installation, const struct data_token_files *tokens,
    struct buffer *complaints)
{
    enum err err = data_files_check(installation, complaints);
    if (!err)
        err = load_keys(installation, complaints);
    if (!err)
        err = data_directory_load_tokens(installation, tokens, complaints);
    if (!err) {
        data_directory_leave(installation);
        err = data_files_stamp(installation, complaints);
    }
    for (unsigned i = 0; !err && i < installation->losses_count; i++)
        log_warn("the loss of a file was accepted file=%s problem=%s note=%s",
            installation->losses[i].file, installation->losses[i].problem,
            installation->losses[i].note);
    return err;
}

void data_directory_leave(const struct installation *installation)
{
    small_file_remove(installation->directory, "admin.json");
    if (small_file_sync_directory(installation->directory))
        log_warn("%s cannot be synced: %s", installation->directory, strerror(errno));
}

static bool exists(const struct installation *installation, const char *name)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", installation->directory, name);
    return access(path, F_OK) == 0;
}

/* Makes and locks the directory, and reads installation.json; `text` is empty without one. */
static enum err begin(struct installation *installation, const char *directory, struct buffer *text,
    struct buffer *complaints)
{
    *installation = (struct installation){.lock_fd = -1};
    snprintf(installation->directory, sizeof installation->directory, "%s", directory);
    enum err err = make_directories(directory, 0700);
    if (err)
        return complain(complaints, err, directory, strerror(errno));
    if ((err = take_lock(installation, complaints)))
        return err;
    err = small_file_read(directory, "installation.json", SMALL_FILE_BYTES_MAX, text);
    if (err == ERR_NOT_FOUND)
        return data_files_check_unused(directory, complaints);
    if (err == ERR_DAMAGED || err == ERR_TOO_LARGE) {
        data_files_complain(directory, "installation.json",
            err == ERR_DAMAGED ? "is a directory" : "is damaged", complaints);
        return ERR_CONFIG;
    }
    return err ? complain(complaints, err, directory, err_title(err)) : OK;
}

static enum err end(enum err err, struct installation *installation,
    struct installation *ret_installation, struct buffer *text)
{
    buffer_done(text);
    if (err)
        data_directory_close(installation);
    else
        *ret_installation = *installation;
    return err;
}

enum err data_directory_open(const char *directory, unsigned partitions, unsigned shards,
    const struct data_token_files *tokens, struct installation *ret_installation,
    struct buffer *complaints)
{
    struct installation installation;
    struct buffer text = BUFFER_EMPTY;
    enum err err = begin(&installation, directory, &text, complaints);
    if (!err && exists(&installation, "installation.json"))
        err = parse(&installation, buffer_slice(&text), complaints);
    else if (!err && (err = create(&installation, partitions, shards)))
        complain(complaints, err, directory, err_title(err));
    if (!err)
        err = check_counts(&installation, partitions, shards, complaints);
    if (!err)
        err = enter(&installation, tokens, complaints);
    return end(err, &installation, ret_installation, &text);
}

enum err data_directory_look(const char *directory, struct installation *ret_installation,
    const char **ret_problem, struct buffer *complaints)
{
    struct buffer text = BUFFER_EMPTY;
    *ret_installation = (struct installation){.lock_fd = -1};
    *ret_problem = NULL;
    snprintf(ret_installation->directory, sizeof ret_installation->directory, "%s", directory);
    enum err err = access(directory, F_OK)
                       ? complain(complaints, ERR_NOT_FOUND, directory, strerror(errno))
                       : take_lock(ret_installation, complaints);
    if (err) {
        data_directory_close(ret_installation);
        return err == ERR_NOT_FOUND ? ERR_CONFIG : err;
    }
    err = small_file_read(directory, "installation.json", SMALL_FILE_BYTES_MAX, &text);
    if (err == ERR_NOT_FOUND)
        *ret_problem = "is missing";
    else if (err)
        *ret_problem = "cannot be read";
    else
        err = installation_read_text(ret_installation, buffer_slice(&text), ret_problem);
    buffer_done(&text);
    if (err == ERR_NEWER_FORMAT || err == ERR_CONFIG) {
        data_directory_close(ret_installation);
        return complain(complaints, err, directory, *ret_problem);
    }
    return err ? ERR_NOT_FOUND : OK;
}

/* Following. */

/* ERR_UNAVAILABLE: the leader does not answer. Waiting remedies no other error. */
static enum err ask_leader(const struct leader *leader, unsigned tries,
    struct installation *ret_installation, struct buffer *complaints)
{
    char detail[LEADER_DETAIL_BYTES];
    struct buffer body = BUFFER_EMPTY;
    enum err err = ERR_UNAVAILABLE;
    for (unsigned i = 0; i < tries && err == ERR_UNAVAILABLE; i++) {
        if (i > 0)
            sleep(1);
        buffer_clear(&body);
        err = leader_ask(leader, "/api/v1/installation", &body, detail);
    }
    if (err == OK)
        err = installation_read_published(ret_installation, buffer_slice(&body))
                  ? OK
                  : complain(complaints, ERR_CONFIG, leader->url,
                        "this is not the admin listener of a leader: correct leader.url");
    else
        buffer_add_format(complaints, "leader.url: %s\n", detail);
    buffer_done(&body);
    return err == ERR_FORBIDDEN || err == ERR_NOT_FOUND || err == ERR_UNAUTHENTICATED ? ERR_CONFIG
                                                                                      : err;
}

/* installation.json is written last: a start that ends before is repeated as a whole. */
static enum err adopt(
    struct installation *installation, const struct leader *leader, struct buffer *complaints)
{
    char directory[4200];
    enum err err = ask_leader(leader, LEADER_TRIES, installation, complaints);
    if (err == ERR_UNAVAILABLE)
        buffer_add_string(complaints, "The first start needs the leader, since the data directory "
                                      "becomes part of its installation: start the leader, or "
                                      "correct leader.url.\n");
    if (err || (err = make_keys_directory(installation, directory, complaints)))
        return err;
    installation->created_us = clock_wall_us();
    installation_name_files(installation);
    err = small_file_write(
        directory, "receipt.key", slice_of(installation->receipt_key, RECEIPT_KEY_BYTES));
    if (!err)
        err = installation_store(installation);
    return err ? complain(complaints, err, installation->directory, err_title(err)) : OK;
}

static enum err compare(
    const struct installation *installation, const struct leader *leader, struct buffer *complaints)
{
    struct installation other = {0};
    struct buffer why = BUFFER_EMPTY;
    enum err err = ask_leader(leader, 1, &other, &why);
    if (err == ERR_UNAVAILABLE) {
        log_warn("the leader does not answer; the start continues without checking that both "
                 "gateways belong to the same installation: %.*s",
            (int)strcspn(why.data ? why.data : "", "\n"), why.data ? why.data : "");
        err = OK;
    } else if (err) {
        buffer_add_slice(complaints, buffer_slice(&why));
    } else if (strcmp(installation->id, other.id) != 0) {
        buffer_add_format(complaints,
            "%s belongs to installation %s, but the leader %s belongs to %s: correct leader.url, "
            "or start with a new data directory\n",
            installation->directory, installation->id, leader->url, other.id);
        err = ERR_CONFIG;
    }
    buffer_done(&why);
    return err;
}

enum err data_directory_follow(const char *directory, const struct leader *leader,
    const struct data_token_files *tokens, struct installation *ret_installation,
    struct buffer *complaints)
{
    struct installation installation;
    struct buffer text = BUFFER_EMPTY;
    enum err err = begin(&installation, directory, &text, complaints);
    if (!err && exists(&installation, "installation.json")) {
        err = parse(&installation, buffer_slice(&text), complaints);
        if (!err)
            err = compare(&installation, leader, complaints);
    } else if (!err) {
        err = adopt(&installation, leader, complaints);
    }
    if (!err)
        err = enter(&installation, tokens, complaints);
    return end(err, &installation, ret_installation, &text);
}

void data_directory_close(struct installation *installation)
{
    if (installation->lock_fd >= 0)
        close(installation->lock_fd);
    installation->lock_fd = -1;
}
