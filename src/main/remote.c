/* SPDX-License-Identifier: Apache-2.0 */
#include "main/remote.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "client/call.h"
#include "config/config.h"
#include "main/installation.h"
#include "runtime/small_file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALL_FILE_BYTES_MAX 65536
#define LONG_TIMEOUT_S (24 * 3600L)
#define LONG_ANSWER_BYTES_MAX (128 * 1024 * 1024)

extern char **environ;

struct target {
    char directory[4001];
    char token_file[4001]; /* empty: keys/admin.token */
    char url[256];
    char token[ADMIN_TOKEN_BYTES_MAX + 1];
    bool takes_long;
};

static bool exists(const char *directory, const char *name)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

static enum err choose_directory(const struct invocation *call, struct target *target)
{
    struct config *config = malloc(sizeof *config);
    struct buffer complaints = BUFFER_EMPTY;
    enum err failed = config ? config_load(call->flags[FLAG_CONFIG], environ, config, &complaints)
                             : ERR_NO_MEMORY;
    if (failed) {
        if (complaints.len)
            fwrite(complaints.data, 1, complaints.len, stderr);
    } else {
        snprintf(target->directory, sizeof target->directory, "%s", config->data_directory);
        snprintf(target->token_file, sizeof target->token_file, "%s", config->admin_token_file);
    }
    buffer_done(&complaints);
    free(config);
    if (failed)
        return failed;
    char dev[4001];
    config_dev_directory(dev, sizeof dev);
    if (call->flags[FLAG_DATA])
        snprintf(target->directory, sizeof target->directory, "%s", call->flags[FLAG_DATA]);
    else if (!call->flags[FLAG_CONFIG] && !getenv("PENSTOCK_DATA__DIRECTORY") &&
             exists(dev, "admin.json"))
        snprintf(target->directory, sizeof target->directory, "%s", dev);
    return OK;
}

enum err remote_directory(const struct invocation *call, char *ret_path, size_t size)
{
    struct target target = {0};
    enum err failed = choose_directory(call, &target);
    if (!failed)
        snprintf(ret_path, size, "%s", target.directory);
    return failed;
}

static enum err read_admin_file(struct target *target)
{
    struct buffer text = BUFFER_EMPTY;
    enum err failed = small_file_read(target->directory, "admin.json", SMALL_FILE_BYTES_MAX, &text);
    const char *url = NULL;
    int pid = 0;
    json_t *root = failed ? NULL : json_loadb(text.data, text.len, 0, NULL);
    if (!root || json_unpack(root, "{s:s, s:i}", "admin", &url, "pid", &pid) != 0 ||
        (kill(pid, 0) && errno == ESRCH)) {
        if (failed == ERR_PERMISSION)
            command_fail(failed, "%s/admin.json can't be read: run this as the user of the gateway",
                target->directory);
        else
            command_fail(ERR_UNAVAILABLE,
                "no gateway runs on the data directory %s; start one, or say where it is with "
                "--data DIR or -c FILE",
                target->directory);
        failed = failed == ERR_PERMISSION ? failed : ERR_UNAVAILABLE;
    } else {
        snprintf(target->url, sizeof target->url, "%s", url);
        failed = OK;
    }
    json_decref(root);
    buffer_done(&text);
    return failed;
}

static enum err read_token(struct target *target)
{
    struct buffer token = BUFFER_EMPTY;
    enum err failed =
        *target->token_file
            ? small_file_read("", target->token_file, ADMIN_TOKEN_BYTES_MAX, &token)
            : small_file_read(target->directory, "keys/admin.token", ADMIN_TOKEN_BYTES_MAX, &token);
    if (failed)
        command_fail(failed, "the admin token of %s can't be read: %s", target->directory,
            err_title(failed));
    else
        snprintf(target->token, sizeof target->token, "%.*s", (int)strcspn(token.data, "\r\n "),
            token.data);
    buffer_done(&token);
    return failed;
}

/* A problem+json of the gateway, for people. */
static void print_problem(const json_t *problem, int status)
{
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    fprintf(stderr, "penstock: %s%s%s\n", title ? title : "the gateway refused", detail ? ": " : "",
        detail ? detail : "");
    if (!title)
        fprintf(stderr, "  HTTP status %d\n", status);
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

static enum err exchange(const struct target *target, const char *method, const char *path,
    struct slice json, json_t **ret_answer)
{
    char url[1024];
    int status = 0;
    snprintf(url, sizeof url, "%s%s", target->url, path);
    struct buffer body = BUFFER_EMPTY;
    const struct client_call request = {.method = method,
        .url = url,
        .bearer_token = target->token,
        .json = json,
        .timeout_s = target->takes_long ? LONG_TIMEOUT_S : 0,
        .answer_bytes_max = target->takes_long ? LONG_ANSWER_BYTES_MAX : 0};
    enum err failed = client_call(&request, &status, &body);
    json_t *answer = failed || !body.len ? NULL : json_loadb(body.data, body.len, 0, NULL);
    if (failed) {
        command_fail(failed, "the gateway at %s %s", target->url,
            failed == ERR_TOO_LARGE ? "answers more than can be taken: ask for less"
                                    : "does not answer");
    } else if (status >= 300 || !answer) {
        print_problem(answer, status);
        failed = error_of_problem(answer);
    } else {
        *ret_answer = TAKE(answer);
    }
    json_decref(answer);
    buffer_done(&body);
    return failed;
}

static enum err request(const struct invocation *call, bool takes_long, const char *method,
    const char *path, json_t *body, json_t **ret_answer)
{
    struct target *target = calloc(1, sizeof *target);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    enum err failed = target && (text || !body) ? OK : ERR_NO_MEMORY;
    json_decref(body);
    if (failed)
        command_fail(failed, "%s", err_title(failed));
    else
        target->takes_long = takes_long;
    if (!failed)
        failed = choose_directory(call, target);
    if (!failed)
        failed = read_admin_file(target);
    if (!failed)
        failed = read_token(target);
    if (!failed)
        failed = exchange(target, method, path, slice_from_string(text), ret_answer);
    free(text);
    free(target);
    return failed;
}

enum err remote_request(const struct invocation *call, const char *method, const char *path,
    json_t *body, json_t **ret_answer)
{
    return request(call, false, method, path, body, ret_answer);
}

enum err remote_request_long(
    const struct invocation *call, const char *method, const char *path, json_t **ret_answer)
{
    return request(call, true, method, path, NULL, ret_answer);
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

void remote_print_json(const json_t *answer)
{
    json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
}

int remote_show(const struct invocation *call, const char *method, const char *path, json_t *body,
    void (*print)(const json_t *answer))
{
    json_t *answer = NULL;
    enum err failed = remote_request(call, method, path, body, &answer);
    if (failed)
        return err_exit_code(failed);
    if (call->flags[FLAG_JSON])
        remote_print_json(answer);
    else
        print(answer);
    json_decref(answer);
    return 0;
}
