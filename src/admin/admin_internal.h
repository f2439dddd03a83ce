/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PENSTOCK_ADMIN_ADMIN_INTERNAL_H
#define PENSTOCK_ADMIN_ADMIN_INTERNAL_H

#include "admin/admin.h"
#include "base/list.h"
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
    struct list feeds; /* questions that wait for a change: changes.c */
    unsigned feeds_count;
};

/* True when the request carries the token; else a 401 has been answered. */
bool admin_authenticate(const struct admin *admin, struct http_exchange *exchange);

/* Answers with `json`, whose reference it takes; NULL reads as out of memory. */
void admin_answer_json(struct http_exchange *exchange, int status, json_t *json);

/*
 * The request's body as a JSON object whose members are all among `known` (NULL-terminated); NULL
 * after an answer. The caller owns it.
 */
json_t *admin_read_object(struct http_exchange *exchange, const char *const *known);

/* Answers a 422 that names the member; `detail` says what it must be. */
void admin_refuse_member(struct http_exchange *exchange, const char *name, const char *detail);

/* A text member, copied with its NUL into `ret_text` of `size` bytes. Absent: false unless
 * required; wrong: a 422 is answered. */
enum admin_member { ADMIN_MEMBER_ABSENT, ADMIN_MEMBER_TAKEN, ADMIN_MEMBER_ANSWERED };
enum admin_member admin_take_text(struct http_exchange *exchange, const json_t *object,
    const char *name, bool required, char *ret_text, size_t size);
enum admin_member admin_take_flag(
    struct http_exchange *exchange, const json_t *object, const char *name, bool *ret_flag);
/* A list of patterns of event types. Each that is wrong is named, as /name/index. */
enum admin_member admin_take_types(struct http_exchange *exchange, const json_t *object,
    const char *name, struct type_list *ret_types);

/* A parameter of the query; an array of them ends with one without a name. */
#define ADMIN_PARAMETER_BYTES 128
struct admin_parameter {
    const char *name;
    bool given;
    char value[ADMIN_PARAMETER_BYTES];
};
/* False after a 422 that names the parameter; so are all that follow, which leave their output
 * where the parameter is not given. */
bool admin_take_parameters(struct http_exchange *exchange, struct admin_parameter *parameters);
bool admin_take_day(
    struct http_exchange *exchange, const struct admin_parameter *parameter, int64_t *ret_day);
bool admin_take_name(struct http_exchange *exchange, const struct admin_parameter *parameter,
    char ret_name[NAME_BYTES_MAX + 1]);
bool admin_take_limit(
    struct http_exchange *exchange, const struct admin_parameter *parameter, unsigned *ret_limit);

/* Where a list goes on, as text. */
struct listing_cursor;
bool admin_take_cursor(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_cursor *ret_cursor);
struct journal_page;
/* What a filter names and the directory does not have (any more). An error if nothing in the
 * journals is of it either: the answer to an only page is a 404 then, and other pages say it
 * (`unknown`) beside their items. */
struct admin_unknown {
    const char *what, *id;
    bool from_start; /* the page had no cursor */
};
/* {name: items, "next": ...} of a page that was read, or what went wrong with it. Takes `items`
 * over; NULL: no memory, or no good page. `unknown` may be NULL. */
void admin_answer_page(struct http_exchange *exchange, const struct journal_page *page,
    const char *name, json_t *items, const struct admin_unknown *unknown);

/* Whether the directory has it; an empty text is no question. */
bool admin_knows_account(const struct admin *admin, const char *id);
bool admin_knows_partner(const struct admin *admin, const char *id);
/* 404: the filter names something that does not exist, and nothing is left of it; `what` is
 * account, partner, endpoint. / */
void admin_answer_unknown(struct http_exchange *exchange, const char *what, const char *id);

#define ADMIN_DAY_BYTES 11
void admin_day_text(int64_t day, char ret_text[ADMIN_DAY_BYTES]); /* since 1970-01-01: 2026-01-31 */

/* Copies a path part that may be a name; false after a 404. */
bool admin_take_path_name(
    struct http_exchange *exchange, unsigned part, char ret_name[NAME_BYTES_MAX + 1]);

/* What the path names, or NULL after a 404: the partner or account of the first part, its endpoint
 * of the second. */
const struct partner *admin_find_partner(const struct admin *admin, struct http_exchange *exchange);
const struct account *admin_find_account(const struct admin *admin, struct http_exchange *exchange);
const struct endpoint *admin_find_endpoint(
    const struct admin *admin, struct http_exchange *exchange);

/* A change on its way to the accounts thread, with the exchange that it will answer. */
struct admin_change {
    struct accounts_request request;
    struct http_exchange *exchange;
    char secret_text[128];                              /* an API key, to be shown once */
    json_t *(*view)(const struct admin_change *change); /* the 200 or 201 body */
    int status;
};

/* Answers 503 and returns NULL when there is no memory. */
struct admin_change *admin_change_new(struct http_exchange *exchange, enum accounts_change kind,
    int status, json_t *(*view)(const struct admin_change *change));
/*
 * A change that takes one required name from the body, `member`, to be copied to `offset` of the
 * request (an array of NAME_BYTES_MAX + 1). NULL after an answer: no token, no such body, no
 * memory.
 */
struct admin_change *admin_change_of_name(struct admin *admin, struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change),
    const char *member, size_t offset);
/*
 * A change that adds a secret: the one in the body's `secret`, or one that is made (so does an
 * empty body). NULL after an answer: no such body, no memory.
 */
struct admin_change *admin_change_of_secret(struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change));
void admin_change_submit(struct admin *admin, struct admin_change *change);

/* Whether another gateway leads this one. */
bool admin_follows(const struct admin *admin);
/* For what only a leader does: true after a 403 that says where to go; `what` is to be done there.
 * */
bool admin_refuse_as_follower(
    const struct admin *admin, struct http_exchange *exchange, const char *what);

void admin_changes_tick(struct admin *admin);
void admin_changes_end(struct admin *admin); /* answers what still waits */

/* Whether events can be accepted: every journal takes some, or the broker takes them. */
bool admin_takes_events(const struct admin *admin);

/* Lines of /readyz?verbose, and members of /api/v1/status. */
void admin_print_room(const struct admin *admin, struct buffer *text);
json_t *admin_view_room(const struct admin *admin);
void admin_print_status(const struct admin *admin, struct buffer *text);
/* How many messages only the broker holds; 0 without a broker. False: it can't be asked now. */
bool admin_knows_broker(const struct admin *admin, int64_t *ret_waiting);
json_t *admin_view_status(const struct admin *admin);

/* The lists that stand in a partner or an endpoint as well as by themselves. */
json_t *admin_view_keys(const struct admin *admin, const struct partner *partner);
json_t *admin_view_partner_secrets(const struct partner *partner);
json_t *admin_view_endpoint_secrets(const struct endpoint *endpoint);

json_t *admin_time(int64_t wall_us);   /* RFC 3339, null for 0 */
json_t *admin_text(struct slice text); /* null for an empty one */

/* The delivery that the path's first part names; false after a 404. */
bool admin_take_delivery_id(
    struct http_exchange *exchange, struct event_id *ret_event, unsigned *ret_index);

/* An endpoint by its id, and what the directory knows of it; null for 0. */
json_t *admin_endpoint_label(const struct admin *admin, uint64_t id);
/* One delivery of a timeline, with its attempts and actions. */
json_t *admin_view_delivery(
    const struct admin *admin, const struct timeline *timeline, const struct timeline_delivery *it);
/* `delivered_at` (null: never) and `replay`: what both views of a delivery say of its having been
 * delivered. */
void admin_add_delivered(json_t *view, const struct timeline_delivery *delivery);

/* The handlers. */
void admin_get_livez(struct http_exchange *exchange, void *context);
void admin_get_readyz(struct http_exchange *exchange, void *context);
void admin_get_metrics(struct http_exchange *exchange, void *context);
void admin_get_status(struct http_exchange *exchange, void *context);
void admin_get_installation(struct http_exchange *exchange, void *context);
void admin_get_changes(struct http_exchange *exchange, void *context);
void admin_list_partners(struct http_exchange *exchange, void *context);
void admin_add_partner(struct http_exchange *exchange, void *context);
void admin_get_partner(struct http_exchange *exchange, void *context);
void admin_change_partner(struct http_exchange *exchange, void *context);
void admin_list_keys(struct http_exchange *exchange, void *context);
void admin_add_key(struct http_exchange *exchange, void *context);
void admin_revoke_key(struct http_exchange *exchange, void *context);
void admin_list_partner_secrets(struct http_exchange *exchange, void *context);
void admin_add_partner_secret(struct http_exchange *exchange, void *context);
void admin_remove_partner_secret(struct http_exchange *exchange, void *context);
void admin_list_grants(struct http_exchange *exchange, void *context);
void admin_grant_account(struct http_exchange *exchange, void *context);
void admin_withdraw_grant(struct http_exchange *exchange, void *context);
void admin_list_accounts(struct http_exchange *exchange, void *context);
void admin_add_account(struct http_exchange *exchange, void *context);
void admin_list_endpoints(struct http_exchange *exchange, void *context);
void admin_add_endpoint(struct http_exchange *exchange, void *context);
void admin_get_endpoint(struct http_exchange *exchange, void *context);
void admin_change_endpoint(struct http_exchange *exchange, void *context);
void admin_remove_endpoint(struct http_exchange *exchange, void *context);
void admin_list_endpoint_secrets(struct http_exchange *exchange, void *context);
void admin_add_endpoint_secret(struct http_exchange *exchange, void *context);
void admin_remove_endpoint_secret(struct http_exchange *exchange, void *context);
void admin_get_event(struct http_exchange *exchange, void *context);
void admin_list_deliveries(struct http_exchange *exchange, void *context);
void admin_get_delivery(struct http_exchange *exchange, void *context);
void admin_resolve_delivery(struct http_exchange *exchange, void *context);
void admin_resend_delivery(struct http_exchange *exchange, void *context);
void admin_discard_delivery(struct http_exchange *exchange, void *context);
void admin_replay_delivery(struct http_exchange *exchange, void *context);
void admin_list_conflicts(struct http_exchange *exchange, void *context);
void admin_list_poison(struct http_exchange *exchange, void *context);
void admin_get_audit(struct http_exchange *exchange, void *context);

#endif
