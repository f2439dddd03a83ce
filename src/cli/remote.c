/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/remote.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/memory.h"
#include "client/call.h"
#include "config/config.h"
#include "runtime/small_file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ADMIN_FILE_BYTES_MAX 65536
#define LONG_TIMEOUT_S (24 * 3600L)
#define LONG_ANSWER_BYTES_MAX (128 * 1024 * 1024)

extern char **environ;

struct target {
    char directory[4001];
    char token_file[4001]; /* empty: keys/admin.token */
    char url[256];
    char token[ADMIN_TOKEN_BYTES_MAX + 1];
};

static bool exists(const char *directory, const char *name)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

static enum err choose_directory(const struct invocation *call, struct target *target)
{
    AUTO_FREE struct config *config = memory_new(sizeof *config);
    struct buffer complaints = BUFFER_EMPTY;
    char dev[4001];
    enum err err = config_load(call->flags[FLAG_CONFIG], environ, config, &complaints);
    if (err && complaints.len)
        fwrite(complaints.data, 1, complaints.len, stderr);
    buffer_done(&complaints);
    if (err)
        return err;
    config_dev_directory(dev, sizeof dev);
    const char *directory = config->data_directory;
    if (call->flags[FLAG_DATA])
        directory = call->flags[FLAG_DATA];
    else if (!call->flags[FLAG_CONFIG] && !getenv("PENSTOCK_DATA__DIRECTORY") &&
             exists(dev, "admin.json"))
        directory = dev;
    snprintf(target->directory, sizeof target->directory, "%s", directory);
    snprintf(target->token_file, sizeof target->token_file, "%s", config->admin_token_file);
    return OK;
}

enum err remote_directory(const struct invocation *call, char *ret_path, size_t size)
{
    AUTO_FREE struct target *target = memory_new(sizeof *target);
    enum err err = choose_directory(call, target);
    if (!err)
        snprintf(ret_path, size, "%s", target->directory);
    return err;
}

static enum err read_admin_file(struct target *target)
{
    struct buffer text = BUFFER_EMPTY;
    enum err err = small_file_read(target->directory, "admin.json", ADMIN_FILE_BYTES_MAX, &text);
    const char *url = NULL;
    int pid = 0;
    json_t *root = err ? NULL : json_loadb(text.data, text.len, 0, NULL);
    bool runs = root && json_unpack(root, "{s:s, s:i}", "admin", &url, "pid", &pid) == 0 &&
                (kill(pid, 0) == 0 || errno != ESRCH);
    if (runs) {
        snprintf(target->url, sizeof target->url, "%s", url);
        err = OK;
    } else if (err == ERR_PERMISSION) {
        command_fail(err,
            "%s/admin.json cannot be read: permission denied. Run this command as the user of the "
            "gateway",
            target->directory);
    } else {
        err = ERR_UNAVAILABLE;
        command_fail(err,
            "no gateway runs on the data directory %s: start one, or choose another directory with "
            "--data DIR or -c FILE",
            target->directory);
    }
    json_decref(root);
    buffer_done(&text);
    return err;
}

static enum err read_token(struct target *target)
{
    struct buffer token = BUFFER_EMPTY;
    bool has_file = *target->token_file != '\0';
    const char *directory = has_file ? "" : target->directory,
               *name = has_file ? target->token_file : "keys/admin.token";
    enum err err = small_file_read(directory, name, ADMIN_TOKEN_BYTES_MAX, &token);
    if (err)
        command_fail(err,
            "the admin token in %s%s%s cannot be read: %s. Run this command as the user of the "
            "gateway, or correct admin.token_file",
            directory, *directory ? "/" : "", name, err_title(err));
    else
        snprintf(target->token, sizeof target->token, "%.*s",
            (int)strcspn(token.data ? token.data : "", "\r\n "), token.data ? token.data : "");
    buffer_done(&token);
    return err;
}

/* A problem+json of the gateway, for people. */
static void print_problem(const json_t *problem, int status)
{
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    if (title)
        fprintf(stderr, "penstock: %s%s%s\n", title, detail ? ": " : "", detail ? detail : "");
    else
        fprintf(stderr,
            "penstock: the gateway answers with HTTP status %d and no reason: see its log\n",
            status);
    size_t i;
    json_t *error;
    json_array_foreach(json_object_get(problem, "errors"), i, error)
    {
        const char *pointer = json_string_value(json_object_get(error, "pointer"));
        const char *what = json_string_value(json_object_get(error, "detail"));
        fprintf(stderr, "  %s %s\n", pointer ? pointer : "", what ? what : "");
    }
}

static enum err error_of_problem(const json_t *problem)
{
    static const char prefix[] = "urn:penstock:problem:";
    const char *type = json_string_value(json_object_get(problem, "type"));
    return type && strncmp(type, prefix, sizeof prefix - 1) == 0
               ? err_from_name(type + sizeof prefix - 1)
               : ERR_BUG;
}

static enum err exchange(
    const struct target *target, struct client_call *request, const char *path, json_t **ret_answer)
{
    struct buffer url = BUFFER_EMPTY, body = BUFFER_EMPTY;
    int status = 0;
    buffer_add_string(&url, target->url);
    buffer_add_string(&url, path);
    request->url = url.data;
    request->bearer_token = target->token;
    enum err err = buffer_status(&url);
    if (!err)
        err = client_call(request, &status, &body);
    json_t *answer = err || !body.len ? NULL : json_loadb(body.data, body.len, 0, NULL);
    if (err == ERR_TOO_LARGE) {
        command_fail(
            err, "the answer of the gateway at %s is too large: ask for less", target->url);
    } else if (err) {
        command_fail(err, "the gateway at %s does not answer (%s): see its log", target->url,
            err_title(err));
    } else if (status >= 300 || !answer) {
        print_problem(answer, status);
        err = error_of_problem(answer);
    } else {
        *ret_answer = TAKE(answer);
    }
    json_decref(answer);
    buffer_done(&url);
    buffer_done(&body);
    return err;
}

static enum err request(const struct invocation *call, struct client_call *request,
    const char *path, json_t *body, json_t **ret_answer)
{
    AUTO_FREE struct target *target = memory_new(sizeof *target);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    enum err err = body && !text ? ERR_NO_MEMORY : OK;
    json_decref(body);
    if (err)
        command_fail(err, "%s: %s", call->command->name, err_title(err));
    else
        err = choose_directory(call, target);
    if (!err)
        err = read_admin_file(target);
    if (!err)
        err = read_token(target);
    request->json = slice_from_string(text);
    if (!err)
        err = exchange(target, request, path, ret_answer);
    free(text);
    return err;
}

enum err remote_request(const struct invocation *call, const char *method, const char *path,
    json_t *body, json_t **ret_answer)
{
    struct client_call wanted = {.method = method, .timeout_s = call->command->timeout_s};
    return request(call, &wanted, path, body, ret_answer);
}

enum err remote_request_long(
    const struct invocation *call, const char *method, const char *path, json_t **ret_answer)
{
    struct client_call wanted = {
        .method = method, .timeout_s = LONG_TIMEOUT_S, .answer_bytes_max = LONG_ANSWER_BYTES_MAX};
    return request(call, &wanted, path, NULL, ret_answer);
}

void remote_add_parameter(struct buffer *path, const char *name, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    if (!value)
        return;
    buffer_add_format(
        path, "%c%s=", path->data && memchr(path->data, '?', path->len) ? '&' : '?', name);
    for (; *value; value++) {
        if (strchr(plain, *value))
            buffer_add_char(path, *value);
        else
            buffer_add_format(path, "%%%02X", (unsigned)(unsigned char)*value);
    }
}

void remote_print(
    const struct invocation *call, const json_t *answer, void (*print)(const json_t *answer))
{
    if (!call->flags[FLAG_JSON]) {
        print(answer);
        return;
    }
    json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
}
