/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PENSTOCK_ADMIN_ADMIN_INTERNAL_H
#define PENSTOCK_ADMIN_ADMIN_INTERNAL_H

#include "admin/admin.h"
#include "admin/lag.h"
#include "base/list.h"
#include "http/problem.h"
#include "model/delivery_filter.h"
#include "runtime/thread.h"

#include <jansson.h>
#include <stdatomic.h>

struct admin {
    /* immutable after init */
    struct admin_options options; /* without the tokens and the texts of `hosts` */
    char *hosts[ADMIN_HOSTS_MAX];
    int64_t started_mono_us;
    struct thread thread;
    struct mailbox mailbox;

    _Atomic bool ready; /* shared */

    /* owned by the admin thread */
    char token[ADMIN_TOKEN_BYTES_MAX + 1], readonly_token[ADMIN_TOKEN_BYTES_MAX + 1];
    struct http_server *server;
    bool draining;
    bool has_ended; /* what is answered now is answered without stores and shards */
    int64_t drain_until_mono_us;
    struct lag lag;
    struct list feeds; /* requests that wait for a change: followers.c */
    unsigned feeds_count;
    struct event_id_generator replay_ids;
};

/* Details of problems that several handlers answer with. */
#define ADMIN_ASK_LATER "The gateway has no memory for the answer: ask again later."
#define ADMIN_SEE_ERRORS "Correct the fields under errors."
#define ADMIN_JOURNALS_UNREADABLE "The journals cannot be read: see the log, and ask again later."

/* guard.c: who may use the listener. */

/* True when the request is for this listener and not from a page of another site; else a 403 has
 * been answered. */
bool admin_check_host(const struct admin *admin, struct http_exchange *exchange);
/* The same, and the request has a token that allows its method; else a 401 or 403 has been
 * answered. The holder of a token is a known caller: "operator", or "reader" with the token that
 * may only read. */
bool admin_authenticate(const struct admin *admin, struct http_exchange *exchange);
/* Whether the request was authenticated with the token that may change things: the other one does
 * not get the bodies of events. */
bool admin_may_change(const struct http_exchange *exchange);
/* The same when the head is complete, before the body. */
void admin_admit(struct http_exchange *exchange, void *context);

/* exchange.c: requests and answers. */

/* Whether this gateway follows another one, its leader. */
bool admin_follows(const struct admin *admin);
/* For what only a leader does: returns true after a 403 that names the leader. */
bool admin_refuse_as_follower(const struct admin *admin, struct http_exchange *exchange);

/* Answers with `json`, whose reference it takes; NULL is answered as out of memory. */
void admin_answer_json(struct http_exchange *exchange, int status, json_t *json);
/* Answers a 422 that names the member; `detail` says what it must be. */
void admin_refuse_member(struct http_exchange *exchange, const char *name, const char *detail);
/* Answers a 404: a filter names an object that does not exist, and the journals hold nothing for
 * it. `what` is account, partner or endpoint. */
void admin_answer_unknown(struct http_exchange *exchange, const char *what, const char *id);

/* Returns the body of the request as a JSON object whose members are all among `known`
 * (NULL-terminated), which the caller owns; NULL after an answer. */
json_t *admin_read_object(struct http_exchange *exchange, const char *const *known);

/* Members of a body. ANSWERED: the member is wrong or missing, and a 422 has been answered. */
enum admin_member { ADMIN_MEMBER_ABSENT, ADMIN_MEMBER_TAKEN, ADMIN_MEMBER_ANSWERED };
/* A text, copied with its NUL into `ret_text` of `size` bytes. */
enum admin_member admin_take_text(struct http_exchange *exchange, const json_t *object,
    const char *name, bool required, char *ret_text, size_t size);
enum admin_member admin_take_flag(
    struct http_exchange *exchange, const json_t *object, const char *name, bool *ret_flag);
/* The member `reason`: the reason for an operator action. */
enum admin_member admin_take_reason(struct http_exchange *exchange, const json_t *object,
    bool required, char ret_reason[ACTION_NOTE_BYTES_MAX + 1]);
/* A list of patterns of event types. The 422 names each wrong one, as /name/index. */
enum admin_member admin_take_types(struct http_exchange *exchange, const json_t *object,
    const char *name, struct type_list *ret_types);

/* Parameters of the query. */
#define ADMIN_PARAMETER_BYTES 1152 /* the cursor of a list of events is the longest */
struct admin_parameter {
    const char *name;
    bool given;
    char value[ADMIN_PARAMETER_BYTES];
};
/* Fills the parameters that the query has. False after a 422 that names an unknown or wrong one; so
 * do the next two, which leave their output when the parameter is not given. */
bool admin_take_parameters(
    struct http_exchange *exchange, struct admin_parameter *parameters, size_t count);
bool admin_take_day(
    struct http_exchange *exchange, const struct admin_parameter *parameter, int64_t *ret_day);
bool admin_take_name(struct http_exchange *exchange, const struct admin_parameter *parameter,
    char ret_name[NAME_BYTES_MAX + 1]);

/* Whether the directory has it. True for an empty text. */
bool admin_knows_account(const struct admin *admin, const char *id);
bool admin_knows_partner(const struct admin *admin, const char *id);

#define ADMIN_DAY_BYTES 11
void admin_day_text(int64_t day, char ret_text[ADMIN_DAY_BYTES]); /* since 1970-01-01: 2026-01-31 */
json_t *admin_time(int64_t wall_us);                              /* RFC 3339, null for 0 */
json_t *admin_text(struct slice text);                            /* null for an empty one */
json_t *admin_view_types(const struct type_list *types);          /* a list of patterns */
json_t *admin_view_accounts(const struct key_scope *scope);       /* a list of names */

/* filter.c: the parameters of a query that make a filter. */

/* The endpoint that a text names: the id or the name of an endpoint of the account. NULL: none. */
const struct endpoint *admin_endpoint_of(
    const struct admin *admin, struct slice account_id, struct slice text);
/* Makes a filter of the parameters that have the names of its members. `endpoint` may be a name,
 * with `account`; `day` is short for since and until. False after a 422. */
bool admin_take_filter(const struct admin *admin, struct http_exchange *exchange,
    const struct admin_parameter *parameters, size_t count, struct delivery_filter *ret_filter);
/* The first of these parameters that names an account, a partner or an endpoint that does not
 * exist; NULL: none. */
const struct admin_parameter *admin_filter_unknown(
    const struct admin *admin, const struct admin_parameter *parameters, size_t count);
#define ADMIN_CURSOR_RULE "must be the value of `next` in an answer to the same request"
/*
 * Answers a page of a list: {NAME: items, "next": next}. Takes over `items` (NULL: no memory) and
 * `next`. `unknown` is the filter for something that does not exist, or NULL. Then a list that is
 * `complete` with this page and empty is a 404; other pages have the member `unknown`.
 */
void admin_answer_page(struct http_exchange *exchange, const char *name, json_t *items,
    json_t *next, const struct admin_parameter *unknown, bool complete);
/* Answers that the reader of the journals has failed. ERR_INVALID: the cursor is wrong. */
void admin_answer_unread(struct http_exchange *exchange, enum err error);
/* The shard of an account. False if `account` is empty, or the shards are not known here. */
bool admin_shard_of(const struct admin *admin, const char *account, unsigned *ret_shard);
/* Leaves *ret_limit if the parameter is not given. False after a 422. */
bool admin_take_limit(struct http_exchange *exchange, const struct admin_parameter *parameter,
    unsigned limit_max, unsigned *ret_limit);

/* change.c: objects in a path, and changes. */

/* Copies a part of the path; false after a 404, when it is too long for a name. */
bool admin_take_path_name(
    struct http_exchange *exchange, unsigned part, char ret_name[NAME_BYTES_MAX + 1]);

/* The object that the path names, or NULL after a 404: the partner or account is in the first part,
 * the endpoint of the account in the second. */
const struct partner *admin_find_partner(const struct admin *admin, struct http_exchange *exchange);
const struct account *admin_find_account(const struct admin *admin, struct http_exchange *exchange);
const struct endpoint *admin_find_endpoint(
    const struct admin *admin, struct http_exchange *exchange);

/* A change on its way to the accounts thread, with the exchange that it answers. */
struct admin_change {
    struct accounts_request request; /* owns its policy */
    const struct admin *admin;       /* from admin_change_submit on */
    struct http_exchange *exchange;
    char secret_text[128];                              /* an API key, to be shown once */
    json_t *(*view)(const struct admin_change *change); /* the 200 or 201 body */
    int status;
};

struct admin_change *admin_change_new(struct http_exchange *exchange, enum accounts_change kind,
    int status, json_t *(*view)(const struct admin_change *change));
/*
 * A change with one required name in the body, `member`, which is copied to `offset` of the request
 * (an array of NAME_BYTES_MAX + 1). NULL after an answer: the token or the body is wrong.
 */
struct admin_change *admin_change_of_name(struct admin *admin, struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change),
    const char *member, size_t offset);
/*
 * A change that adds a secret: the one in `secret` of the body, or a new one without it or without
 * a body. NULL after an answer: the body is wrong.
 */
struct admin_change *admin_change_of_secret(struct http_exchange *exchange,
    enum accounts_change kind, json_t *(*view)(const struct admin_change *change));
void admin_change_submit(struct admin *admin, struct admin_change *change);

/* followers.c: requests of followers that wait. */
void admin_changes_tick(struct admin *admin);
void admin_changes_end(struct admin *admin); /* answers those that still wait */

/* partners.c */

/* The members that are set; an empty object for none. */
json_t *admin_view_rules(const struct partner_rules *rules);

/* keys.c */

json_t *admin_view_keys(const struct admin *admin, const struct partner *partner);

/* policy.c */

/* Answers with the problems of an object within the body; `outer` is its pointer, such as
 * "/policy". */
void admin_refuse_nested(
    struct http_exchange *exchange, const char *outer, const struct refusal *refusal);
/* Without its secrets; null without a policy. */
json_t *admin_view_policy(const struct endpoint_policy *policy);
/* Takes the member `policy`; null gives NULL. `present` is the policy that the endpoint has, or
 * NULL. The caller owns the reference. */
enum admin_member admin_take_policy(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, const struct endpoint_policy *present,
    const struct endpoint_policy **ret_policy);

/* status.c */

bool admin_is_ready(const struct admin *admin);
/* Members of /api/v1/status: the journals' room, and the overload of ingress. */
json_t *admin_view_room(const struct admin *admin);
json_t *admin_view_overload(void);

/* The members of /api/v1/status about the broker, the roles and the leader. */
json_t *admin_view_links(const struct admin *admin);
/* How many events only the broker holds; 0 without a broker. False: the broker does not say. */
bool admin_knows_broker(const struct admin *admin, int64_t *ret_waiting);

/* switches.c */

/* A switch that is off; null for NULL. */
json_t *admin_view_switch(const struct admin *admin, const struct operator_switch *off);
/* All that are off, at most 100. */
json_t *admin_view_switches_off(const struct admin *admin);
/* Those that are off for the deliveries of an endpoint. */
json_t *admin_view_switches_of(const struct admin *admin, const struct endpoint *endpoint);
/* The switch that holds a delivery of this event; null: none does. */
json_t *admin_view_held_by(const struct admin *admin, const struct event_parts *parts,
    uint64_t endpoint, enum delivery_state state);
/* Lines for /readyz. */
void admin_print_switches(const struct admin *admin, struct buffer *text);

/* timelines.c: views of events and deliveries. */

/* The delivery that the first part of the path names; false after a 404. */
bool admin_take_delivery_id(
    struct http_exchange *exchange, struct event_id *ret_event, unsigned *ret_index);
/* Adds what a partner sent about an event to a view. */
void admin_add_event_fields(json_t *view, const struct event_parts *parts);
/* Adds the members of its event to the view of a delivery. */
void admin_add_event(json_t *view, const struct event_parts *parts);
/* One attempt, with what is known about how it was made. */
json_t *admin_view_attempt(const struct attempt *attempt);
/* Adds `delivered_at` (null: never) and `replay` to the view of a delivery. */
void admin_add_delivered(json_t *view, const struct timeline_delivery *delivery);
/* Why a delivery waits; null for one that does not wait. */
json_t *admin_wait_cause(const struct delivery *delivery);
/* An endpoint by its id, with its name and URL if the directory has it; null for 0. */
json_t *admin_endpoint_label(const struct admin *admin, uint64_t id);

/* The handlers. */
void admin_get_livez(struct http_exchange *exchange, void *context);
void admin_get_readyz(struct http_exchange *exchange, void *context);
void admin_get_metrics(struct http_exchange *exchange, void *context);
void admin_get_openapi(struct http_exchange *exchange, void *context);
void admin_get_backlog(struct http_exchange *exchange, void *context);
void admin_get_status(struct http_exchange *exchange, void *context);
void admin_get_installation(struct http_exchange *exchange, void *context);
void admin_get_changes(struct http_exchange *exchange, void *context);
void admin_list_partners(struct http_exchange *exchange, void *context);
void admin_add_partner(struct http_exchange *exchange, void *context);
void admin_get_partner(struct http_exchange *exchange, void *context);
void admin_change_partner(struct http_exchange *exchange, void *context);
void admin_list_keys(struct http_exchange *exchange, void *context);
void admin_add_key(struct http_exchange *exchange, void *context);
void admin_change_key(struct http_exchange *exchange, void *context);
void admin_revoke_key(struct http_exchange *exchange, void *context);
void admin_list_rejections(struct http_exchange *exchange, void *context);
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
void admin_test_endpoint(struct http_exchange *exchange, void *context);
void admin_list_switches(struct http_exchange *exchange, void *context);
void admin_set_switch(struct http_exchange *exchange, void *context);
void admin_get_event(struct http_exchange *exchange, void *context);
void admin_list_events(struct http_exchange *exchange, void *context);
void admin_list_deliveries(struct http_exchange *exchange, void *context);
void admin_get_delivery(struct http_exchange *exchange, void *context);
void admin_resolve_delivery(struct http_exchange *exchange, void *context);
void admin_retry_delivery(struct http_exchange *exchange, void *context);
void admin_discard_delivery(struct http_exchange *exchange, void *context);
void admin_create_replay(struct http_exchange *exchange, void *context);
void admin_list_replays(struct http_exchange *exchange, void *context);
void admin_get_replay(struct http_exchange *exchange, void *context);
void admin_change_replay(struct http_exchange *exchange, void *context);
void admin_list_conflicts(struct http_exchange *exchange, void *context);
void admin_list_poison(struct http_exchange *exchange, void *context);
void admin_list_operator_events(struct http_exchange *exchange, void *context);
void admin_get_audit(struct http_exchange *exchange, void *context);

#endif
