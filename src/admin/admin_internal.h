/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PENSTOCK_ADMIN_ADMIN_INTERNAL_H
#define PENSTOCK_ADMIN_ADMIN_INTERNAL_H

#include "admin/admin.h"
#include "http/problem.h"
#include "runtime/thread.h"

#include <jansson.h>
#include <stdatomic.h>

struct admin {
    /* immutable after init */
    struct admin_options options;
    char *token;
    int64_t started_mono_us;
    struct thread thread;
    struct mailbox mailbox;

    _Atomic bool ready; /* shared */

    /* owned by the admin thread */
    struct http_server *server;
    bool draining;
    int64_t drain_until_mono_us;
};

/* True when the request carries the token; else a 401 has been answered. */
bool admin_authenticate(const struct admin *admin, struct http_exchange *exchange);

/* Answers with `json`, whose reference it takes; NULL reads as out of memory. */
void admin_answer_json(struct http_exchange *exchange, int status, json_t *json);

/*
 * The request's body as a JSON object whose members are all among `known` (NULL-terminated); NULL after an answer. The
 * caller owns it.
 */
json_t *admin_read_object(struct http_exchange *exchange, const char *const *known);

/* A text member, copied with its NUL into `ret_text` of `size` bytes. Absent: false unless required; wrong: a 422 is
 * answered. */
enum admin_member { ADMIN_MEMBER_ABSENT, ADMIN_MEMBER_TAKEN, ADMIN_MEMBER_ANSWERED };
enum admin_member admin_take_text(
    struct http_exchange *exchange, const json_t *object, const char *name, bool required, char *ret_text, size_t size);
enum admin_member admin_take_flag(
    struct http_exchange *exchange, const json_t *object, const char *name, bool *ret_flag);

/* A change on its way to the accounts thread, with the exchange that it will answer. */
struct admin_change {
    struct accounts_request request;
    struct http_exchange *exchange;
    char secret_text[128];                              /* an API key, to be shown once */
    json_t *(*view)(const struct admin_change *change); /* the 200 or 201 body */
    int status;
};

/* Answers 503 and returns NULL when there is no memory. */
struct admin_change *admin_change_new(struct http_exchange *exchange, enum accounts_act act, int status,
    json_t *(*view)(const struct admin_change *change));
/*
 * A change that takes one required name from the body, `member`, to be copied to `offset` of the request (an array of
 * NAME_BYTES_MAX + 1). NULL after an answer: no token, no such body, no memory.
 */
struct admin_change *admin_change_of_name(struct admin *admin, struct http_exchange *exchange, enum accounts_act act,
    json_t *(*view)(const struct admin_change *change), const char *member, size_t offset);
void admin_change_submit(struct admin *admin, struct admin_change *change);

json_t *admin_time(int64_t wall_us);   /* RFC 3339, null for 0 */
json_t *admin_text(struct slice text); /* null for an empty one */

/* The handlers. */
void admin_get_livez(struct http_exchange *exchange, void *context);
void admin_get_readyz(struct http_exchange *exchange, void *context);
void admin_get_metrics(struct http_exchange *exchange, void *context);
void admin_get_status(struct http_exchange *exchange, void *context);
void admin_list_partners(struct http_exchange *exchange, void *context);
void admin_add_partner(struct http_exchange *exchange, void *context);
void admin_add_key(struct http_exchange *exchange, void *context);
void admin_grant_account(struct http_exchange *exchange, void *context);
void admin_list_accounts(struct http_exchange *exchange, void *context);
void admin_add_account(struct http_exchange *exchange, void *context);
void admin_list_endpoints(struct http_exchange *exchange, void *context);
void admin_add_endpoint(struct http_exchange *exchange, void *context);
void admin_get_endpoint(struct http_exchange *exchange, void *context);
void admin_change_endpoint(struct http_exchange *exchange, void *context);
void admin_get_event(struct http_exchange *exchange, void *context);

#endif
