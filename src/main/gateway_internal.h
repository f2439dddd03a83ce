/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the gateway's parts share. */
#ifndef PENSTOCK_MAIN_GATEWAY_INTERNAL_H
#define PENSTOCK_MAIN_GATEWAY_INTERNAL_H

#include "admin/admin.h"
#include "broker/lag.h"
#include "cluster/ownership.h"
#include "cluster/replica.h"
#include "history/audit.h"
#include "http/rejections.h"
#include "http/tls.h"
#include "ingress/ingress.h"
#include "main/gateway.h"
#include "queue/operator_events.h"
#include "queue/recent_keys.h"
#include "runtime/descriptors.h"

#include <stdatomic.h>

/* Owned by main, except `failed`. */
struct gateway {
    struct gateway_options options;
    bool delivers, uses_broker;                  /* of roles and queue.kind */
    unsigned ingress_threads_wanted;             /* counted once: the number of cores may change */
    struct descriptor_shares shares;             /* of file descriptors */
    unsigned descriptors_end;                    /* the first one that partners must not have */
    struct network proxies[CONFIG_NETWORKS_MAX]; /* ingress.proxies */
    int64_t drain_us;                            /* of the stop */

    /* storage */
    struct installation installation;
    struct accounts *accounts;
    struct journal *journals[SHARDS_MAX];
    struct journal_reader *reader;
    struct operator_events *operator_events;
    struct operator_event_sink operator_sink; /* of these */
    struct audit_loss losses[INSTALLATION_LOSSES_MAX];

    /* broker and delivery */
    struct broker_options broker;
    struct ownership ownership;
    struct broker_status *broker_status;
    struct broker_connector *connector;
    struct broker_lag *lag; /* NULL: broker.lag_max is off */
    struct client_options client_options;
    struct delivery_policy policy;
    struct byte_budget budgets[SHARDS_MAX];
    struct delivery_shard *deliveries[SHARDS_MAX];

    /* listeners */
    struct http_tls *ingress_tls, *admin_tls; /* NULL: no TLS */
    struct admin *admin;
    struct rejections *rejections;   /* ingress adds, admin lists */
    struct replica *replica;         /* NULL: this gateway leads */
    struct recent_keys *recent_keys; /* of all ingress threads; NULL: no broker */
    struct partner_limits *partner_limits;
    struct address_table *addresses;
    struct refusals *refusals;
    struct ingress *ingresses[INGRESS_THREADS_MAX];
    unsigned ingress_threads;
    char ingress_url[64], ingress_tls_url[64]; /* empty: there is no such listener */
    char admin_url[64], admin_tls_url[64];

    _Atomic bool failed; /* shared: a journal's file is in doubt */
};

/*
 * A part. `start` fails with a line in `complaints`. `stop` and `free` accept a part that has
 * started only half. Any of the functions may be NULL.
 */
struct gateway_part {
    const char *name;
    enum err (*start)(struct gateway *gateway, struct buffer *complaints);
    void (*stop)(struct gateway *gateway);
    void (*free)(struct gateway *gateway);
    void (*reload)(struct gateway *gateway, const struct config *config);
};

/* "WHAT: REASON", for an error that has no words of its own. Returns the error. */
static inline enum err gateway_complain(struct buffer *complaints, enum err err, const char *what)
{
    buffer_add_format(complaints, "%s: %s\n", what, err_title(err));
    return err;
}

static inline unsigned gateway_smaller(int64_t wanted, unsigned share)
{
    return wanted < share ? (unsigned)wanted : share;
}

/* parts_storage.c */
enum err start_installation(struct gateway *gateway, struct buffer *complaints);
void free_installation(struct gateway *gateway);
enum err start_accounts(struct gateway *gateway, struct buffer *complaints);
void stop_accounts(struct gateway *gateway);
enum err start_journals(struct gateway *gateway, struct buffer *complaints);
void stop_journals(struct gateway *gateway);
void stop_use(struct gateway *gateway);
enum err start_reader(struct gateway *gateway, struct buffer *complaints);
void stop_reader(struct gateway *gateway);

/* parts_delivery.c */
enum err start_broker(struct gateway *gateway, struct buffer *complaints);
void stop_broker(struct gateway *gateway);
void free_broker(struct gateway *gateway);
enum err make_delivery(struct gateway *gateway, struct buffer *complaints);
void free_delivery(struct gateway *gateway);
enum err start_delivery(struct gateway *gateway, struct buffer *complaints);
void stop_delivery(struct gateway *gateway);
void join_delivery(struct gateway *gateway);
void reload_delivery(struct gateway *gateway, const struct config *config);

/* parts_operator.c */
enum err make_operator_events(struct gateway *gateway, struct buffer *complaints);
void free_operator_events(struct gateway *gateway);
enum err start_operator_events(struct gateway *gateway, struct buffer *complaints);
void stop_operator_events(struct gateway *gateway);
void reload_operator_events(struct gateway *gateway, const struct config *config);

/* parts_tls.c */
enum err start_tls(struct gateway *gateway, struct buffer *complaints);
void free_tls(struct gateway *gateway);
void reload_tls(struct gateway *gateway, const struct config *config);
void look_at_tls(struct gateway *gateway);

/* parts_listeners.c */
enum err start_admin(struct gateway *gateway, struct buffer *complaints);
void stop_admin(struct gateway *gateway);
void free_admin(struct gateway *gateway);
void reload_admin(struct gateway *gateway, const struct config *config);
enum err start_replica(struct gateway *gateway, struct buffer *complaints);
void stop_replica(struct gateway *gateway);
void free_replica(struct gateway *gateway);
enum err start_ingress(struct gateway *gateway, struct buffer *complaints);
void stop_ingress(struct gateway *gateway);
void free_ingress(struct gateway *gateway);
void reload_ingress(struct gateway *gateway, const struct config *config);
enum err publish_address(struct gateway *gateway, struct buffer *complaints);
enum err start_ready(struct gateway *gateway, struct buffer *complaints);
void stop_ready(struct gateway *gateway);

#endif
