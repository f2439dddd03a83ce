/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json_file.h"

#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum err fail(enum err err, const char *command, const char *name, const char *reason)
{
    command_fail(err, "%s: %s %s", command, name, reason);
    return err;
}

static enum err read_all(FILE *file, const char *command, const char *name, struct buffer *text)
{
    char chunk[16384];
    size_t len;
    while ((len = fread(chunk, 1, sizeof chunk, file)) > 0 && text->len <= JSON_FILE_BYTES_MAX)
        buffer_add(text, chunk, len);
    if (ferror(file))
        return fail(ERR_DISK, command, name, "cannot be read: check the file");
    if (text->len > JSON_FILE_BYTES_MAX)
        return fail(ERR_TOO_LARGE, command, name, "is larger than 1 MiB: it is not a policy");
    return buffer_status(text);
}

enum err json_file_read(const char *command, const char *path, json_t **ret_json)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "stdin" : path;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    if (!file)
        return fail(errno == ENOENT ? ERR_NOT_FOUND : ERR_PERMISSION, command, name,
            errno == ENOENT ? "does not exist: name a file with JSON, or - for stdin"
                            : strerror(errno));
    struct buffer text = BUFFER_EMPTY;
    json_error_t error;
    enum err err = read_all(file, command, name, &text);
    if (!is_stdin)
        fclose(file);
    if (!err) {
        *ret_json = json_loadb(
            text.data ? text.data : "", text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
        if (!*ret_json) {
            err = ERR_MALFORMED_JSON;
            command_fail(
                err, "%s: %s:%d:%d: %s", command, name, error.line, error.column, error.text);
        }
    }
    buffer_done(&text);
    return err;
}
