/* SPDX-License-Identifier: Apache-2.0 */
#include "main/installation.h"

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
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define SMALL_FILE_BYTES_MAX 65536
#define LEADER_TRIES 3 /* a second between two */

static enum err complain(
    struct buffer *complaints, enum err error, const char *path, const char *what)
{
    buffer_add_format(complaints, "%s: %s\n", path, what);
    return error;
}

/* mkdir -p; the last one with `mode`. */
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
        "another gateway runs on this data directory; stop it first, or choose another directory "
        "(data.directory, "
        "--data)");
}

static unsigned default_shards(unsigned partitions)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned shards = cores < 1 ? 1 : cores > SHARDS_MAX ? SHARDS_MAX : (unsigned)cores;
    return shards < partitions ? shards : partitions;
}

void installation_name_files(struct installation *installation)
{
    installation->files_count = installation->shards + 1;
    installation->files[0] = (struct installation_file){.name = "accounts.db"};
    for (unsigned i = 0; i < installation->shards; i++) {
        struct installation_file *file = &installation->files[i + 1];
        *file = (struct installation_file){0};
        snprintf(file->name, sizeof file->name, "journal-%u.db", i);
    }
}

static json_t *pack_losses(const struct installation *installation)
{
    json_t *losses = json_array();
    for (unsigned i = 0; i < installation->losses_count; i++) {
        const struct installation_loss *loss = &installation->losses[i];
        char at[CLOCK_TEXT_BYTES];
        clock_format_rfc3339(loss->at_us, at);
        if (json_array_append_new(losses,
                json_pack("{s:s, s:s, s:s, s:s, s:I}", "file", loss->file, "problem", loss->problem,
                    "at", at, "note", loss->note, "epoch", (json_int_t)loss->epoch))) {
            json_decref(losses);
            return NULL; /* a loss that is not on record must not be accepted */
        }
    }
    return losses;
}

enum err installation_store(const struct installation *installation)
{
    char seed[2 * HASH_SEED_BYTES + 1], created_at[CLOCK_TEXT_BYTES];
    hex_encode(slice_of(installation->seed.bytes, HASH_SEED_BYTES), seed);
    clock_format_rfc3339(installation->created_us, created_at);
    json_t *files = json_object();
    for (unsigned i = 0; i < installation->files_count; i++)
        json_object_set_new(
            files, installation->files[i].name, json_string(installation->files[i].id));
    json_t *root = json_pack("{s:i, s:s, s:s, s:i, s:i, s:s, s:I, s:s, s:o, s:o}", "format",
        INSTALLATION_FORMAT, "id", installation->id, "seed", seed, "partitions",
        (int)installation->partitions, "shards", (int)installation->shards, "created_at",
        created_at, "epoch", (json_int_t)installation->epoch, "receipt_key_sha256",
        installation->receipt_key_sha256, "files", files, "losses", pack_losses(installation));
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    enum err result = ERR_NO_MEMORY;
    if (text)
        result =
            small_file_write(installation->directory, "installation.json", slice_from_string(text));
    free(text);
    return result;
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

/* The members that a leader's answer has as well. */
static bool take_members(struct installation *installation, const json_t *root)
{
    const char *id = NULL, *seed = NULL;
    int partitions = 0, shards = 0;
    if (json_unpack((json_t *)root, "{s:s, s:s, s:i, s:i}", "id", &id, "seed", &seed, "partitions",
            &partitions, "shards", &shards) ||
        strlen(id) != 32 || strlen(seed) != 2 * HASH_SEED_BYTES ||
        !hex_decode(slice_from_string(seed), installation->seed.bytes) || partitions < 1 ||
        partitions > PARTITIONS_MAX || shards < 1 || shards > SHARDS_MAX || shards > partitions)
        return false;
    memcpy(installation->id, id, sizeof installation->id);
    installation->partitions = (unsigned)partitions;
    installation->shards = (unsigned)shards;
    return true;
}

static bool take_time(const char *text, int64_t *ret_us)
{
    return clock_parse_rfc3339(slice_from_string(text), ret_us);
}

static bool take_loss(const json_t *row, struct installation_loss *ret_loss)
{
    const char *file = NULL, *problem = NULL, *note = NULL, *at = NULL;
    json_int_t epoch = 0;
    if (json_unpack((json_t *)row, "{s:s, s:s, s:s, s:s, s:I}", "file", &file, "problem", &problem,
            "at", &at, "note", &note, "epoch", &epoch) ||
        !take_time(at, &ret_loss->at_us))
        return false;
    ret_loss->epoch = epoch;
    snprintf(ret_loss->file, sizeof ret_loss->file, "%s", file);
    snprintf(ret_loss->problem, sizeof ret_loss->problem, "%s", problem);
    snprintf(ret_loss->note, sizeof ret_loss->note, "%s", note);
    return true;
}

/* What only installation.json has. */
static bool take_files(struct installation *installation, const json_t *root)
{
    const char *created_at = NULL, *key = NULL;
    json_t *files = NULL, *losses = NULL, *row;
    json_int_t epoch = 0;
    size_t i;
    if (json_unpack((json_t *)root, "{s:s, s:I, s:s, s:o, s:o}", "created_at", &created_at, "epoch",
            &epoch, "receipt_key_sha256", &key, "files", &files, "losses", &losses) ||
        !take_time(created_at, &installation->created_us) || epoch < 0 ||
        strlen(key) >= sizeof installation->receipt_key_sha256 ||
        json_array_size(losses) > INSTALLATION_LOSSES_MAX)
        return false;
    installation->epoch = epoch;
    snprintf(installation->receipt_key_sha256, sizeof installation->receipt_key_sha256, "%s", key);
    installation_name_files(installation);
    for (i = 0; i < installation->files_count; i++) {
        const char *id = json_string_value(json_object_get(files, installation->files[i].name));
        if (!id || (*id && strlen(id) != FILE_STAMP_ID_BYTES - 1))
            return false;
        snprintf(installation->files[i].id, sizeof installation->files[i].id, "%s", id);
    }
    json_array_foreach(losses, i, row)
    {
        if (!take_loss(row, &installation->losses[installation->losses_count]))
            return false;
        installation->losses_count++;
    }
    return true;
}

/* Reads what installation_store wrote. What it had counts (*ret_problem) when it can't be believed.
 * */
static enum err read_text(
    struct installation *installation, struct slice text, const char **ret_problem)
{
    int format = 0;
    json_t *root = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
    enum err result = OK;
    bool has_format = root && json_unpack(root, "{s:i}", "format", &format) == 0;
    if (has_format && format > INSTALLATION_FORMAT) {
        *ret_problem = "was made by a newer Penstock; start that one";
        result = ERR_NEWER_FORMAT;
    } else if (has_format && format < INSTALLATION_FORMAT) {
        *ret_problem = "was made before the first release, whose files are not read any more: move "
                       "the data directory "
                       "away";
        result = ERR_CONFIG;
    } else if (!has_format || !take_members(installation, root) ||
               !take_files(installation, root)) {
        *ret_problem = text.len == 0 ? "is empty" : "is damaged";
        result = ERR_DAMAGED;
    }
    json_decref(root);
    return result;
}

static enum err parse(
    struct installation *installation, struct slice text, struct buffer *complaints)
{
    char path[4352];
    const char *problem = NULL;
    enum err result = read_text(installation, text, &problem);
    snprintf(path, sizeof path, "%s/installation.json", installation->directory);
    if (result == ERR_DAMAGED)
        data_files_complain(installation->directory, "installation.json", problem, complaints);
    else if (result)
        complain(complaints, result, path, problem);
    return result == ERR_DAMAGED ? ERR_CONFIG : result;
}

static enum err check_counts(const struct installation *installation, unsigned partitions,
    unsigned shards, struct buffer *complaints)
{
    if (installation->partitions == partitions && (shards == 0 || installation->shards == shards))
        return OK;
    buffer_add_format(complaints,
        "%s was made with data.partitions %u and data.shards %u, the configuration says %u and "
        "%u.\n"
        "They are fixed when the directory is made. Put the old values back; to change them, start "
        "a new data "
        "directory, move the\n"
        "partners over to it, and keep the old gateway running until it has delivered what it "
        "holds.\n",
        installation->directory, installation->partitions, installation->shards, partitions,
        shards);
    return ERR_CONFIG;
}

/* A key of ours: read, or made when it may be. */
static enum err load_key(const char *directory, const char *name, struct slice fresh, size_t max,
    struct buffer *key, struct buffer *complaints)
{
    enum err result = small_file_read(directory, name, max, key);
    if (result == ERR_NOT_FOUND && fresh.len) {
        result = small_file_write(directory, name, fresh);
        buffer_clear(key);
        buffer_add_slice(key, fresh);
    }
    if (result) {
        buffer_add_format(complaints, "%s%s%s: %s\n", directory, *directory ? "/" : "", name,
            result == ERR_NOT_FOUND ? "there is no such file" : err_title(result));
        return result == ERR_NOT_FOUND ? ERR_CONFIG : result;
    }
    return buffer_status(key);
}

/* The receipt key has been compared (data_files.h); one that there is none of yet is made, and
 * known from then on. */
static enum err load_receipt_key(
    struct installation *installation, const char *directory, struct buffer *complaints)
{
    unsigned char random[RECEIPT_KEY_BYTES], digest[SHA256_BYTES];
    struct buffer key = BUFFER_EMPTY;
    crypto_random(random, sizeof random);
    bool is_known = *installation->receipt_key_sha256 != '\0';
    enum err result = load_key(directory, "receipt.key",
        is_known ? (struct slice){0} : slice_of(random, sizeof random), SMALL_FILE_BYTES_MAX, &key,
        complaints);
    if (!result && key.len != RECEIPT_KEY_BYTES) {
        data_files_complain(
            installation->directory, "keys/receipt.key", "is not 32 bytes long", complaints);
        result = ERR_CONFIG;
    }
    if (!result) {
        memcpy(installation->receipt_key, key.data, RECEIPT_KEY_BYTES);
        crypto_sha256(buffer_slice(&key), digest);
        hex_encode(slice_of(digest, sizeof digest), installation->receipt_key_sha256);
    }
    buffer_done(&key);
    return result;
}

static enum err make_keys_directory(
    const struct installation *installation, char ret_directory[4200], struct buffer *complaints)
{
    snprintf(ret_directory, 4200, "%s/keys", installation->directory);
    if (mkdir(ret_directory, 0700) && errno != EEXIST)
        return complain(complaints, small_file_error(), ret_directory, strerror(errno));
    return OK;
}

static enum err load_keys(
    struct installation *installation, const char *token_file, struct buffer *complaints)
{
    char directory[4200], token[64];
    enum err result = make_keys_directory(installation, directory, complaints);
    if (result)
        return result;
    result = load_receipt_key(installation, directory, complaints);
    unsigned char random[24];
    struct buffer key = BUFFER_EMPTY;
    crypto_random(random, sizeof random);
    memcpy(token, "at_", 3);
    size_t len = 3 + base64_encode(slice_of(random, sizeof random), true, token + 3);
    if (!result && *token_file)
        result =
            load_key("", token_file, (struct slice){0}, ADMIN_TOKEN_BYTES_MAX, &key, complaints);
    else if (!result)
        result = load_key(directory, "admin.token", slice_of(token, len), ADMIN_TOKEN_BYTES_MAX,
            &key, complaints);
    while (
        !result && key.len > 0 && (key.data[key.len - 1] == '\n' || key.data[key.len - 1] == ' '))
        key.data[--key.len] = '\0';
    if (!result && key.len < 16)
        result = complain(complaints, ERR_CONFIG, *token_file ? token_file : "admin.token",
            "holds fewer than 16 characters");
    if (!result)
        snprintf(installation->admin_token, sizeof installation->admin_token, "%s", key.data);
    buffer_done(&key);
    return result;
}

/* The directory is in use: from here on the files are written, and installation.json knows all of
 * them. */
static enum err enter(
    struct installation *installation, const char *token_file, struct buffer *complaints)
{
    enum err result = data_files_check(installation, complaints);
    if (!result)
        result = load_keys(installation, token_file, complaints);
    if (!result) {
        installation_leave(installation);
        result = data_files_stamp(installation, complaints);
    }
    for (unsigned i = 0; !result && i < installation->losses_count; i++)
        log_warn("a file was lost and given up file=%s problem=%s note=%s",
            installation->losses[i].file, installation->losses[i].problem,
            installation->losses[i].note);
    return result;
}

void installation_leave(const struct installation *installation)
{
    small_file_remove(installation->directory, "admin.json");
    if (small_file_sync_directory(installation->directory))
        log_warn("%s can't be synced: %s", installation->directory, strerror(errno));
}

static bool exists(const struct installation *installation, const char *name)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", installation->directory, name);
    return access(path, F_OK) == 0;
}

/* The directory, its lock, and what installation.json holds; empty when there is none yet. */
static enum err begin(struct installation *installation, const char *directory, struct buffer *text,
    struct buffer *complaints)
{
    *installation = (struct installation){.lock_fd = -1};
    snprintf(installation->directory, sizeof installation->directory, "%s", directory);
    enum err result = make_directories(directory, 0700);
    if (result)
        return complain(complaints, result, directory, strerror(errno));
    if ((result = take_lock(installation, complaints)))
        return result;
    result = small_file_read(directory, "installation.json", SMALL_FILE_BYTES_MAX, text);
    if (result == ERR_NOT_FOUND)
        return data_files_check_unused(directory, complaints);
    if (result == ERR_DAMAGED || result == ERR_TOO_LARGE) {
        data_files_complain(directory, "installation.json",
            result == ERR_DAMAGED ? "is a directory" : "is damaged", complaints);
        return ERR_CONFIG;
    }
    return result ? complain(complaints, result, directory, err_title(result)) : OK;
}

static enum err end(enum err result, struct installation *installation,
    struct installation *ret_installation, struct buffer *text)
{
    buffer_done(text);
    if (result)
        installation_close(installation);
    else
        *ret_installation = *installation;
    return result;
}

enum err installation_open(const char *directory, unsigned partitions, unsigned shards,
    const char *token_file, struct installation *ret_installation, struct buffer *complaints)
{
    struct installation installation;
    struct buffer text = BUFFER_EMPTY;
    enum err result = begin(&installation, directory, &text, complaints);
    if (!result && exists(&installation, "installation.json"))
        result = parse(&installation, buffer_slice(&text), complaints);
    else if (!result && (result = create(&installation, partitions, shards)))
        complain(complaints, result, directory, err_title(result));
    if (!result)
        result = check_counts(&installation, partitions, shards, complaints);
    if (!result)
        result = enter(&installation, token_file, complaints);
    return end(result, &installation, ret_installation, &text);
}

enum err installation_look(const char *directory, struct installation *ret_installation,
    const char **ret_problem, struct buffer *complaints)
{
    struct buffer text = BUFFER_EMPTY;
    *ret_installation = (struct installation){.lock_fd = -1};
    *ret_problem = NULL;
    snprintf(ret_installation->directory, sizeof ret_installation->directory, "%s", directory);
    enum err result = access(directory, F_OK)
                          ? complain(complaints, ERR_NOT_FOUND, directory, strerror(errno))
                          : take_lock(ret_installation, complaints);
    if (result) {
        installation_close(ret_installation);
        return result == ERR_NOT_FOUND ? ERR_CONFIG : result;
    }
    result = small_file_read(directory, "installation.json", SMALL_FILE_BYTES_MAX, &text);
    if (result == ERR_NOT_FOUND)
        *ret_problem = "is missing";
    else if (result)
        *ret_problem = "can't be read";
    else
        result = read_text(ret_installation, buffer_slice(&text), ret_problem);
    buffer_done(&text);
    if (result == ERR_NEWER_FORMAT || result == ERR_CONFIG) {
        installation_close(ret_installation);
        return complain(complaints, result, directory, *ret_problem);
    }
    return result ? ERR_NOT_FOUND : OK;
}

/* Following. */

static enum err parse_leader(struct installation *installation, struct slice json, const char *url,
    struct buffer *complaints)
{
    const char *key = NULL;
    json_t *root = json_loadb(json.data ? json.data : "", json.len, 0, NULL);
    bool good = root && take_members(installation, root) &&
                json_unpack(root, "{s:s}", "receipt_key", &key) == 0 &&
                strlen(key) == 2 * RECEIPT_KEY_BYTES &&
                hex_decode(slice_from_string(key), installation->receipt_key);
    json_decref(root);
    return good ? OK
                : complain(
                      complaints, ERR_CONFIG, url, "leader.url is no gateway that can be followed");
}

/* ERR_UNAVAILABLE when nobody answers; everything else won't get better by waiting. */
static enum err ask_leader(const struct leader *leader, unsigned tries,
    struct installation *ret_installation, struct buffer *complaints)
{
    char detail[LEADER_DETAIL_BYTES];
    struct buffer body = BUFFER_EMPTY;
    enum err result = ERR_UNAVAILABLE;
    for (unsigned i = 0; i < tries && result == ERR_UNAVAILABLE; i++) {
        if (i > 0)
            sleep(1);
        buffer_clear(&body);
        result = leader_ask(leader, "/api/v1/installation", &body, detail);
    }
    if (result == OK)
        result = parse_leader(ret_installation, buffer_slice(&body), leader->url, complaints);
    else
        buffer_add_format(complaints, "the leader: %s\n", detail);
    buffer_done(&body);
    return result == ERR_FORBIDDEN || result == ERR_NOT_FOUND || result == ERR_UNAUTHENTICATED
               ? ERR_CONFIG
               : result;
}

/* installation.json comes last: what ends before it is begun again. */
static enum err adopt(
    struct installation *installation, const struct leader *leader, struct buffer *complaints)
{
    char directory[4200];
    enum err result = ask_leader(leader, LEADER_TRIES, installation, complaints);
    if (result == ERR_UNAVAILABLE)
        buffer_add_string(complaints, "The first start needs the leader, whose installation this "
                                      "one becomes part of. Start it, or correct "
                                      "leader.url.\n");
    if (result || (result = make_keys_directory(installation, directory, complaints)))
        return result;
    installation->created_us = clock_wall_us();
    installation_name_files(installation);
    result = small_file_write(
        directory, "receipt.key", slice_of(installation->receipt_key, RECEIPT_KEY_BYTES));
    if (!result)
        result = installation_store(installation);
    return result ? complain(complaints, result, installation->directory, err_title(result)) : OK;
}

static enum err compare(
    const struct installation *installation, const struct leader *leader, struct buffer *complaints)
{
    struct installation other = {0};
    struct buffer why = BUFFER_EMPTY;
    enum err result = ask_leader(leader, 1, &other, &why);
    if (result == ERR_UNAVAILABLE) {
        log_warn("whether the leader is of the same installation can't be asked; going on with "
                 "what there is: %.*s",
            (int)strcspn(why.data ? why.data : "", "\n"), why.data ? why.data : "");
        result = OK;
    } else if (result) {
        buffer_add_slice(complaints, buffer_slice(&why));
    } else if (strcmp(installation->id, other.id) != 0) {
        buffer_add_format(complaints,
            "%s is of installation %s, but the leader %s of %s. Follow the one that it belongs to, "
            "or start with a new "
            "data directory.\n",
            installation->directory, installation->id, leader->url, other.id);
        result = ERR_CONFIG;
    }
    buffer_done(&why);
    return result;
}

enum err installation_follow(const char *directory, const struct leader *leader,
    const char *token_file, struct installation *ret_installation, struct buffer *complaints)
{
    struct installation installation;
    struct buffer text = BUFFER_EMPTY;
    enum err result = begin(&installation, directory, &text, complaints);
    if (!result && exists(&installation, "installation.json")) {
        result = parse(&installation, buffer_slice(&text), complaints);
        if (!result)
            result = compare(&installation, leader, complaints);
    } else if (!result) {
        result = adopt(&installation, leader, complaints);
    }
    if (!result)
        result = enter(&installation, token_file, complaints);
    return end(result, &installation, ret_installation, &text);
}

void installation_close(struct installation *installation)
{
    if (installation->lock_fd >= 0)
        close(installation->lock_fd);
    installation->lock_fd = -1;
}
