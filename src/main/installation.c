/* SPDX-License-Identifier: Apache-2.0 */
#include "main/installation.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "main/leader.h"
#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define SMALL_FILE_BYTES_MAX 65536
#define LEADER_TRIES 3 /* a second between two */

static enum err system_error(void)
{
    return errno == EACCES || errno == EPERM || errno == EROFS ? ERR_PERMISSION
           : errno == ENOSPC || errno == EDQUOT                ? ERR_DISK_FULL
                                                               : ERR_SYSTEM;
}

static enum err complain(struct buffer *complaints, enum err error, const char *path, const char *what)
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
            return system_error();
        *slash = '/';
    }
    return mkdir(partial, mode) && errno != EEXIST ? system_error() : OK;
}

static enum err sync_directory(const char *directory)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) ? system_error() : OK;
}

enum err installation_write(const char *directory, const char *name, struct slice content)
{
    char path[4352], temporary[4360];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return system_error();
    for (size_t done = 0; done < content.len;) {
        ssize_t written = write(fd, content.data + done, content.len - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return system_error();
        done += (size_t)written;
    }
    if (fsync(fd) || rename(temporary, path))
        return system_error();
    return sync_directory(directory);
}

enum err installation_read(const char *directory, const char *name, size_t max, struct buffer *content)
{
    char path[4352];
    snprintf(path, sizeof path, "%s%s%s", directory, *directory ? "/" : "", name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : system_error();
    char chunk[4096];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof chunk)) > 0) {
        if (content->len + (size_t)got > max)
            return ERR_TOO_LARGE;
        buffer_add(content, chunk, (size_t)got);
    }
    return got < 0 ? system_error() : buffer_status(content);
}

void installation_remove(const char *directory, const char *name)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

void installation_default_directory(char *ret_path, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state) {
        snprintf(ret_path, size, "%s/penstock", state);
        return;
    }
    if (!home || !*home) {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : "/";
    }
    snprintf(ret_path, size, "%s/.local/state/penstock", home);
}

static enum err take_lock(struct installation *installation, struct buffer *complaints)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/lock", installation->directory);
    installation->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (installation->lock_fd < 0)
        return complain(complaints, system_error(), path, strerror(errno));
    if (flock(installation->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno != EWOULDBLOCK)
        return complain(complaints, system_error(), path, strerror(errno));
    return complain(complaints, ERR_LOCKED, installation->directory,
        "another gateway runs on this data directory; stop it first, or choose another directory (data.directory, "
        "--data)");
}

static unsigned default_shards(unsigned partitions)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned shards = cores < 1 ? 1 : cores > SHARDS_MAX ? SHARDS_MAX : (unsigned)cores;
    return shards < partitions ? shards : partitions;
}

static enum err write_installation(const struct installation *installation)
{
    char seed[2 * HASH_SEED_BYTES + 1], created_at[CLOCK_TEXT_BYTES];
    hex_encode(slice_of(installation->seed.bytes, HASH_SEED_BYTES), seed);
    clock_format_rfc3339(clock_wall_us(), created_at);
    struct buffer text = BUFFER_EMPTY;
    buffer_add_format(&text,
        "{\n  \"format\": %d,\n  \"id\": \"%s\",\n  \"seed\": \"%s\",\n  \"partitions\": %u,\n  \"shards\": %u,\n"
        "  \"created_at\": \"%s\"\n}\n",
        INSTALLATION_FORMAT, installation->id, seed, installation->partitions, installation->shards, created_at);
    enum err result = buffer_status(&text);
    if (!result)
        result = installation_write(installation->directory, "installation.json", buffer_slice(&text));
    buffer_done(&text);
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
    return write_installation(installation);
}

/* The members that a leader's answer has as well. */
static bool take_members(struct installation *installation, const json_t *root)
{
    const char *id = NULL, *seed = NULL;
    int partitions = 0, shards = 0;
    if (json_unpack((json_t *)root, "{s:s, s:s, s:i, s:i}", "id", &id, "seed", &seed, "partitions", &partitions,
            "shards", &shards) ||
        strlen(id) != 32 || strlen(seed) != 2 * HASH_SEED_BYTES ||
        !hex_decode(slice_from_string(seed), installation->seed.bytes) || partitions < 1 ||
        partitions > PARTITIONS_MAX || shards < 1 || shards > SHARDS_MAX || shards > partitions)
        return false;
    memcpy(installation->id, id, sizeof installation->id);
    installation->partitions = (unsigned)partitions;
    installation->shards = (unsigned)shards;
    return true;
}

/* Reads what write_installation wrote. */
static enum err parse(struct installation *installation, struct slice text, struct buffer *complaints)
{
    int format = 0;
    json_t *root = json_loadb(text.data, text.len, 0, NULL);
    enum err result = OK;
    char path[4352];
    snprintf(path, sizeof path, "%s/installation.json", installation->directory);
    bool has_format = root && json_unpack(root, "{s:i}", "format", &format) == 0;
    if (has_format && format > INSTALLATION_FORMAT)
        result = complain(complaints, ERR_NEWER_FORMAT, path, "was made by a newer Penstock; start that one");
    else if (!has_format || !take_members(installation, root))
        result = complain(complaints, ERR_DAMAGED, path, "is damaged; restore it from a backup of this data directory");
    json_decref(root);
    return result;
}

static enum err check_counts(
    const struct installation *installation, unsigned partitions, unsigned shards, struct buffer *complaints)
{
    if (installation->partitions == partitions && (shards == 0 || installation->shards == shards))
        return OK;
    buffer_add_format(complaints,
        "%s was made with data.partitions %u and data.shards %u, the configuration says %u and %u.\n"
        "They are fixed when the directory is made. Put the old values back; to change them, start a new data "
        "directory, move the\n"
        "partners over to it, and keep the old gateway running until it has delivered what it holds.\n",
        installation->directory, installation->partitions, installation->shards, partitions, shards);
    return ERR_CONFIG;
}

/* A key of ours: read, or made at the first start. */
static enum err load_key(const char *directory, const char *name, struct slice fresh, size_t max, struct buffer *key,
    struct buffer *complaints)
{
    enum err result = installation_read(directory, name, max, key);
    if (result == ERR_NOT_FOUND && fresh.len) {
        result = installation_write(directory, name, fresh);
        buffer_clear(key);
        buffer_add_slice(key, fresh);
    }
    if (result) {
        buffer_add_format(complaints, "%s%s%s: %s\n", directory, *directory ? "/" : "", name, err_title(result));
        return result == ERR_NOT_FOUND ? ERR_CONFIG : result;
    }
    return buffer_status(key);
}

static enum err make_keys_directory(
    const struct installation *installation, char ret_directory[4200], struct buffer *complaints)
{
    snprintf(ret_directory, 4200, "%s/keys", installation->directory);
    if (mkdir(ret_directory, 0700) && errno != EEXIST)
        return complain(complaints, system_error(), ret_directory, strerror(errno));
    return OK;
}

static enum err load_keys(struct installation *installation, const char *token_file, struct buffer *complaints)
{
    char directory[4200], token[64];
    enum err result = make_keys_directory(installation, directory, complaints);
    if (result)
        return result;
    unsigned char random[RECEIPT_KEY_BYTES];
    crypto_random(random, sizeof random);
    struct buffer key = BUFFER_EMPTY;
    result =
        load_key(directory, "receipt.key", slice_of(random, sizeof random), SMALL_FILE_BYTES_MAX, &key, complaints);
    if (!result && key.len != RECEIPT_KEY_BYTES)
        result = complain(complaints, ERR_DAMAGED, directory, "receipt.key is damaged; restore it from a backup");
    if (!result)
        memcpy(installation->receipt_key, key.data, RECEIPT_KEY_BYTES);
    buffer_clear(&key);

    crypto_random(random, sizeof random);
    memcpy(token, "at_", 3);
    size_t len = 3 + base64_encode(slice_of(random, 24), true, token + 3);
    if (!result && *token_file)
        result = load_key("", token_file, (struct slice){0}, TOKEN_BYTES_MAX, &key, complaints);
    else if (!result)
        result = load_key(directory, "admin.token", slice_of(token, len), TOKEN_BYTES_MAX, &key, complaints);
    while (!result && key.len > 0 && (key.data[key.len - 1] == '\n' || key.data[key.len - 1] == ' '))
        key.data[--key.len] = '\0';
    if (!result && key.len < 16)
        result = complain(
            complaints, ERR_CONFIG, *token_file ? token_file : "admin.token", "holds fewer than 16 characters");
    if (!result)
        snprintf(installation->admin_token, sizeof installation->admin_token, "%s", key.data);
    buffer_done(&key);
    return result;
}

static bool exists(const struct installation *installation, const char *name)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", installation->directory, name);
    return access(path, F_OK) == 0;
}

/* The directory, its lock, and what installation.json holds; empty when there is none yet. */
static enum err begin(
    struct installation *installation, const char *directory, struct buffer *text, struct buffer *complaints)
{
    *installation = (struct installation){.lock_fd = -1};
    snprintf(installation->directory, sizeof installation->directory, "%s", directory);
    enum err result = make_directories(directory, 0700);
    if (result)
        return complain(complaints, result, directory, strerror(errno));
    if ((result = take_lock(installation, complaints)))
        return result;
    result = installation_read(directory, "installation.json", SMALL_FILE_BYTES_MAX, text);
    if (result == ERR_NOT_FOUND)
        return OK;
    return result ? complain(complaints, result, directory, err_title(result)) : OK;
}

static enum err end(
    enum err result, struct installation *installation, struct installation *ret_installation, struct buffer *text)
{
    buffer_done(text);
    if (result)
        installation_close(installation);
    else
        *ret_installation = *installation;
    return result;
}

enum err installation_open(const char *directory, unsigned partitions, unsigned shards, const char *token_file,
    struct installation *ret_installation, struct buffer *complaints)
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
        result = load_keys(&installation, token_file, complaints);
    return end(result, &installation, ret_installation, &text);
}

/* Following. */

static enum err parse_leader(
    struct installation *installation, struct slice json, const char *url, struct buffer *complaints)
{
    const char *key = NULL;
    json_t *root = json_loadb(json.data ? json.data : "", json.len, 0, NULL);
    bool good = root && take_members(installation, root) && json_unpack(root, "{s:s}", "receipt_key", &key) == 0 &&
                strlen(key) == 2 * RECEIPT_KEY_BYTES && hex_decode(slice_from_string(key), installation->receipt_key);
    json_decref(root);
    return good ? OK : complain(complaints, ERR_CONFIG, url, "leader.url is no gateway that can be followed");
}

/* ERR_UNAVAILABLE when nobody answers; everything else won't get better by waiting. */
static enum err ask_leader(
    const struct leader *leader, unsigned tries, struct installation *ret_installation, struct buffer *complaints)
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
    return result == ERR_FORBIDDEN || result == ERR_NOT_FOUND || result == ERR_UNAUTHENTICATED ? ERR_CONFIG : result;
}

/* installation.json comes last: what ends before it is begun again. */
static enum err adopt(struct installation *installation, const struct leader *leader, struct buffer *complaints)
{
    char directory[4200];
    enum err result = ask_leader(leader, LEADER_TRIES, installation, complaints);
    if (result == ERR_UNAVAILABLE)
        buffer_add_string(complaints,
            "The first start needs the leader, whose installation this one becomes part of. Start it, or correct "
            "leader.url.\n");
    if (result || (result = make_keys_directory(installation, directory, complaints)))
        return result;
    result = installation_write(directory, "receipt.key", slice_of(installation->receipt_key, RECEIPT_KEY_BYTES));
    if (!result)
        result = write_installation(installation);
    return result ? complain(complaints, result, installation->directory, err_title(result)) : OK;
}

static enum err compare(const struct installation *installation, const struct leader *leader, struct buffer *complaints)
{
    struct installation other = {0};
    struct buffer why = BUFFER_EMPTY;
    enum err result = ask_leader(leader, 1, &other, &why);
    if (result == ERR_UNAVAILABLE) {
        log_warn("whether the leader is of the same installation can't be asked; going on with what there is: %.*s",
            (int)strcspn(why.data ? why.data : "", "\n"), why.data ? why.data : "");
        result = OK;
    } else if (result) {
        buffer_add_slice(complaints, buffer_slice(&why));
    } else if (strcmp(installation->id, other.id) != 0) {
        buffer_add_format(complaints,
            "%s is of installation %s, but the leader %s of %s. Follow the one that it belongs to, or start with a new "
            "data directory.\n",
            installation->directory, installation->id, leader->url, other.id);
        result = ERR_CONFIG;
    }
    buffer_done(&why);
    return result;
}

enum err installation_follow(const char *directory, const struct leader *leader, const char *token_file,
    struct installation *ret_installation, struct buffer *complaints)
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
        result = load_keys(&installation, token_file, complaints);
    return end(result, &installation, ret_installation, &text);
}

void installation_close(struct installation *installation)
{
    if (installation->lock_fd >= 0)
        close(installation->lock_fd);
    installation->lock_fd = -1;
}
