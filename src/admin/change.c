/* SPDX-License-Identifier: Apache-2.0 */
/* The objects that a path names, and changes on their way to the accounts thread and back. */
#include "admin/admin_internal.h"

#include "base/memory.h"
#include "model/name.h"

#include <stdlib.h>

bool admin_take_path_name(
    struct http_exchange *exchange, unsigned part, char ret_name[NAME_BYTES_MAX + 1])
{
    struct slice text = http_path_part(exchange, part);
    if (text.len > NAME_BYTES_MAX) {
        http_answer_problem(exchange, ERR_NOT_FOUND,
            "The name in the path has more than 64 characters, so nothing can have this name. "
            "Check it.",
            NULL);
        return false;
    }
    memcpy(ret_name, text.data, text.len);
    ret_name[text.len] = '\0';
    return true;
}

/* A part of the path names a partner or account that does not exist. */
static void answer_missing(struct http_exchange *exchange, unsigned part, const char *what)
{
    char detail[NAME_BYTES_MAX + 160];
    struct slice name = http_path_part(exchange, part);
    bool is_name = name_is_valid(name); /* else it is not shown: it may be no text */
    snprintf(detail, sizeof detail,
        "The %s%s%.*s%s does not exist: add it with \"penstock %s add\".", what,
        is_name ? " \"" : "", is_name ? (int)name.len : 0, name.data, is_name ? "\"" : "", what);
    http_answer_problem(exchange, ERR_NOT_FOUND, detail, NULL);
}

const struct partner *admin_find_partner(const struct admin *admin, struct http_exchange *exchange)
{
    const struct partner *partner =
        directory_partner(accounts_directory(admin->options.accounts), http_path_part(exchange, 0));
    if (!partner)
        answer_missing(exchange, 0, "partner");
    return partner;
}

const struct account *admin_find_account(const struct admin *admin, struct http_exchange *exchange)
{
    const struct account *account =
        directory_account(accounts_directory(admin->options.accounts), http_path_part(exchange, 0));
    if (!account)
        answer_missing(exchange, 0, "account");
    return account;
}

const struct endpoint *admin_find_endpoint(
    const struct admin *admin, struct http_exchange *exchange)
{
    const struct endpoint *endpoint =
        admin_endpoint_of(admin, http_path_part(exchange, 0), http_path_part(exchange, 1));
    if (endpoint)
        return endpoint;
    http_answer_problem(exchange, ERR_NOT_FOUND,
        "The account has no endpoint with this id or name: \"penstock endpoint list ACCOUNT\" "
        "shows its "
        "endpoints.",
        NULL);
    return NULL;
}

struct admin_change *admin_change_new(struct http_exchange *exchange, enum accounts_change kind,
    int status, json_t *(*view)(const struct admin_change *change))
{
    struct admin_change *change;
    MEMORY_NEW(change);
    change->request.base.kind = kind;
    change->exchange = exchange;
    change->status = status;
    change->view = view;
    return change;
}

static struct admin_change *change_with_name(struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change),
    const char *member, const char *name)
{
    if (name_is_valid(slice_from_string(name)))
        return admin_change_new(exchange, kind, 201, view);
    admin_refuse_member(exchange, member, NAME_RULE);
    return NULL;
}

struct admin_change *admin_change_of_name(struct admin *admin, struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change),
    const char *member, size_t offset)
{
    const char *const known[] = {member, NULL};
    json_t *body = admin_authenticate(admin, exchange) ? admin_read_object(exchange, known) : NULL;
    if (!body)
        return NULL;
    char name[NAME_BYTES_MAX + 1];
    struct admin_change *change = NULL;
    if (admin_take_text(exchange, body, member, true, name, sizeof name) == ADMIN_MEMBER_TAKEN)
        change = change_with_name(exchange, kind, view, member, name);
    json_decref(body);
    if (change)
        memcpy((char *)&change->request + offset, name, sizeof name);
    return change;
}

struct admin_change *admin_change_of_secret(struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change))
{
    static const char *const known[] = {"secret", NULL};
    json_t *body = http_body(exchange).len ? admin_read_object(exchange, known) : json_object();
    if (!body)
        return NULL;
    char text[SECRET_TEXT_BYTES];
    struct secret secret = {0};
    struct admin_change *change = NULL;
    enum admin_member taken = admin_take_text(exchange, body, "secret", false, text, sizeof text);
    if (taken == ADMIN_MEMBER_TAKEN && !secret_parse(slice_from_string(text), &secret))
        admin_refuse_member(exchange, "secret", "must be whsec_ and the base64 of 24 to 64 bytes");
    else if (taken != ADMIN_MEMBER_ANSWERED)
        change = admin_change_new(exchange, kind, 201, view);
    json_decref(body);
    if (change)
        change->request.secret = secret;
    return change;
}

static void change_free(struct admin_change *change)
{
    endpoint_policy_unref(change->request.policy);
    free(change);
}

static void on_changed(struct request *base, void *receiver)
{
    struct accounts_request *request = CONTAINER_OF(base, struct accounts_request, base);
    struct admin_change *change = CONTAINER_OF(request, struct admin_change, request);
    if (request->base.result == OK)
        admin_answer_json(change->exchange, change->status, change->view(change));
    else
        http_answer_problem(change->exchange, request->base.result, request->detail, NULL);
    change_free(change);
}

void admin_change_submit(struct admin *admin, struct admin_change *change)
{
    if (admin_refuse_as_follower(admin, change->exchange)) {
        change_free(change);
        return;
    }
    change->admin = admin;
    change->request.base.reply_to = &admin->mailbox;
    change->request.base.on_done = on_changed;
    accounts_submit(admin->options.accounts, &change->request);
}
