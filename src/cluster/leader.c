/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/leader.h"

#include "base/limits.h"
#include "client/call.h"
#include "runtime/small_file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_S 5

struct leader leader_from_config(const struct config *config)
{
    return (struct leader){.url = config->leader_url,
        .token_file = config->leader_token_file,
        .ca_file = config->leader_ca_file,
        .timeout_s = TIMEOUT_S};
}

static enum err read_token(
    const struct leader *leader, char ret_token[ADMIN_TOKEN_BYTES_MAX + 1], char *ret_detail)
{
    struct buffer token = BUFFER_EMPTY;
    enum err err = small_file_read("", leader->token_file, ADMIN_TOKEN_BYTES_MAX, &token);
    if (err)
        snprintf(ret_detail, LEADER_DETAIL_BYTES, "leader.token_file: %.150s cannot be read: %s",
            leader->token_file, err_title(err));
    else
        snprintf(ret_token, ADMIN_TOKEN_BYTES_MAX + 1, "%.*s",
            (int)strcspn(token.data ? token.data : "", "\r\n "), token.data ? token.data : "");
    buffer_done(&token);
    return err == ERR_NOT_FOUND ? ERR_PERMISSION : err;
}

/* Returns what a status other than 200 means. The detail is the one of the problem, if it has
 * one. */
static enum err judge(const struct leader *leader, int status, struct slice body, char *ret_detail)
{
    json_t *problem = json_loadb(body.data ? body.data : "", body.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    enum err err = status == 401   ? ERR_UNAUTHENTICATED
                   : status == 403 ? ERR_FORBIDDEN
                   : status == 404 ? ERR_NOT_FOUND
                                   : ERR_UNAVAILABLE;
    if (err == ERR_UNAUTHENTICATED)
        detail = "the token in leader.token_file is not the token of the leader";
    if (err == ERR_NOT_FOUND)
        detail = "it is not the admin listener of a gateway: set leader.url to that of the leader";
    snprintf(ret_detail, LEADER_DETAIL_BYTES, "%.100s answers %d%s%.130s", leader->url, status,
        detail ? ": " : "", detail ? detail : "");
    json_decref(problem);
    return err;
}

enum err leader_ask(
    const struct leader *leader, const char *path, struct buffer *body, char *ret_detail)
{
    char token[ADMIN_TOKEN_BYTES_MAX + 1], url[2048];
    size_t len = strlen(leader->url);
    int status = 0;
    enum err err = read_token(leader, token, ret_detail);
    if (err)
        return err;
    while (len > 0 && leader->url[len - 1] == '/')
        len--;
    snprintf(url, sizeof url, "%.*s%s", (int)len, leader->url, path);
    err = client_call(&(struct client_call){.method = "GET",
                          .url = url,
                          .bearer_token = token,
                          .ca_file = leader->ca_file,
                          .timeout_s = leader->timeout_s,
                          .on_wait = leader->on_wait,
                          .context = leader->context},
        &status, body);
    if (err)
        snprintf(ret_detail, LEADER_DETAIL_BYTES, "%.150s does not answer (%s)", leader->url,
            err_title(err));
    return err || status == 200 ? err : judge(leader, status, buffer_slice(body), ret_detail);
}
