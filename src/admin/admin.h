/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side of the operators: health, metrics and the admin API on a listener of their own (loopback
 * by default), one thread. Everything under /api needs the bearer token of the data directory. The
 * thread that owns an object makes its changes, and the answer follows the commit. The thread of
 * the reader answers questions to the journals. A DELETE answers 200 with what was removed.
 *
 *   /livez /readyz /api/v1/status                               status.c
 *   /metrics                                                    metrics_page.c
 *   /openapi.json                                               openapi.c
 *   /api/v1/installation, /api/v1/changes                       followers.c
 *   /api/v1/partners, .../{p}, .../secrets, accounts            partners.c
 *   /api/v1/partners/{p}/keys, .../{k}                          keys.c
 *   /api/v1/partners/{p}/rejections                             rejections.c
 *   /api/v1/accounts, .../{a}/endpoints, .../{e}, .../secrets   accounts.c
 *   /api/v1/accounts/{a}/endpoints/{e}/test                     endpoint_test.c
 *   /api/v1/switches                                            switches.c
 *   /api/v1/events/{id}, /api/v1/deliveries/{id}                timelines.c
 *   /api/v1/deliveries, /api/v1/conflicts, /api/v1/poison       lists.c
 *   /api/v1/deliveries/{id}/retry, discard, resolve             operator_actions.c
 *   /api/v1/audit                                               audit.c
 *   /api/v1/operator-events                                     operator_events.c
 */
#ifndef PENSTOCK_ADMIN_ADMIN_H
#define PENSTOCK_ADMIN_ADMIN_H

#include "accounts/accounts.h"
#include "history/journal_reader.h"
#include "http/server.h"
#include "model/operator_event.h"

#define ADMIN_HOSTS_MAX 16

struct admin;
struct broker_status;
struct rejections;
struct endpoint_test;         /* journal/endpoint_test.h */
struct journal_replay_change; /* journal/replays.h */
struct journal_replay_create;
struct journal_replay_list;
struct queue_look; /* journal/queue_look.h */

/* What followers of this gateway get. */
struct admin_installation {
    char id[33];
    struct hash_seed seed;
    unsigned partitions;
    unsigned char receipt_key[32];
};

struct admin_options {
    int listen_fd, tls_listen_fd; /* as in http_options. Owned by admin from admin_new on */
    struct http_tls *tls;         /* must outlive admin; NULL: no TLS */
    struct slice token;
    struct slice readonly_token; /* may only read; empty: there is none */
    /* Host names of the listener, beside localhost and those of the certificates. Copied. */
    unsigned hosts_count;
    const char *hosts[ADMIN_HOSTS_MAX];
    struct accounts *accounts;
    struct journal_reader *reader;
    unsigned shards;
    struct journal *const *journals; /* by shard, for the state of its disk; may be NULL */
    unsigned connections_max;        /* of the descriptors that there are; 0: the built-in bound */
    struct admin_installation installation;
    /* Roles. The texts must outlive admin. */
    bool ingress_only;             /* this gateway does not deliver */
    const char *leader_url;        /* of the leader that it follows; NULL or empty: it leads */
    const char *queue;             /* "direct" or "rabbitmq"; NULL: direct */
    struct broker_status *broker;  /* NULL: there is none */
    struct rejections *rejections; /* of ingress; must outlive admin. NULL: there are none */
    /* Checks the URL of an endpoint against the egress policy: OK, or ERR_URL with the reason. */
    enum err (*check_url)(const char *url, const char **ret_problem, void *context);
    /* Hands an operator action to the owner of the delivery (delivery_shard_operator_action). */
    void (*action)(struct journal_operator_action *action, void *context);
    /* Hand requests about replays to a shard (delivery/delivery.h). */
    void (*create_replay)(unsigned shard, struct journal_replay_create *create, void *context);
    void (*change_replay)(unsigned shard, struct journal_replay_change *change, void *context);
    void (*list_replays)(unsigned shard, struct journal_replay_list *list, void *context);
    /* Hands the test of an endpoint of this account to its shard (delivery/endpoint_test.h). */
    void (*test_endpoint)(struct endpoint_test *test, struct slice account, void *context);
    /* Asks a shard what the queues of endpoints do (delivery/queue_look.h). NULL: none delivers. */
    void (*look_at_queues)(struct queue_look *look, unsigned shard, void *context);
    void *context;
    struct operator_event_sink operator_events; /* of what operators change here */
    /* Copies the last operator events, the newest first; returns their number. NULL: there are
     * none. Any thread. */
    unsigned (*list_operator_events)(
        struct operator_event ret_events[OPERATOR_EVENTS_LISTED_MAX], void *context);
};

enum err admin_new(const struct admin_options *options, struct admin **ret_admin) MUST_CHECK;
enum err admin_start(struct admin *admin) MUST_CHECK;
/* Whether /readyz says ready: from the end of the start to the begin of the stop. Any thread. */
void admin_set_ready(struct admin *admin, bool ready);
/* Later requests need these tokens, which are copied. Any thread. */
void admin_set_tokens(struct admin *admin, struct slice token, struct slice readonly_token);
void admin_stop(struct admin *admin); /* returns at once */
void admin_join(struct admin *admin);
/* Call it after the accounts and the reader have stopped. Takes NULL. */
void admin_free(struct admin *admin);

#endif
