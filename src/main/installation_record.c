/* SPDX-License-Identifier: Apache-2.0 */
#include "main/installation_record.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "runtime/small_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
            return NULL; /* a loss that is not recorded must not be accepted */
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
    enum err err = ERR_NO_MEMORY;
    if (text)
        err =
            small_file_write(installation->directory, "installation.json", slice_from_string(text));
    free(text);
    return err;
}

/* The members that the answer of a leader has as well. */
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

/* The members that only installation.json has. */
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

enum err installation_read_text(
    struct installation *installation, struct slice text, const char **ret_problem)
{
    int format = 0;
    json_t *root = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
    enum err err = OK;
    bool has_format = root && json_unpack(root, "{s:i}", "format", &format) == 0;
    if (has_format && format > INSTALLATION_FORMAT) {
        *ret_problem = "was made by a newer Penstock: start that version";
        err = ERR_NEWER_FORMAT;
    } else if (has_format && format < INSTALLATION_FORMAT) {
        *ret_problem =
            "was made before the first release, and its format is not supported: move the "
            "data directory away";
        err = ERR_CONFIG;
    } else if (!has_format || !take_members(installation, root) ||
               !take_files(installation, root)) {
        *ret_problem = text.len == 0 ? "is empty" : "is damaged";
        err = ERR_DAMAGED;
    }
    json_decref(root);
    return err;
}

bool installation_read_published(struct installation *installation, struct slice json)
{
    const char *key = NULL;
    json_t *root = json_loadb(json.data ? json.data : "", json.len, 0, NULL);
    bool good = root && take_members(installation, root) &&
                json_unpack(root, "{s:s}", "receipt_key", &key) == 0 &&
                strlen(key) == 2 * RECEIPT_KEY_BYTES &&
                hex_decode(slice_from_string(key), installation->receipt_key);
    json_decref(root);
    return good;
}
