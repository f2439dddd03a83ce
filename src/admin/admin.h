/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operators' side: health, metrics and the admin API on a listener of its own (loopback by
 * default), one thread. Everything under /api needs the bearer token of the data directory. Changes
 * go to the thread that owns what is changed and are answered after its commit; questions to the
 * journals go to the reader's thread. A DELETE answers 200 with what was taken away.
 *
 *   /livez /readyz /metrics                                health.c
 *   /api/v1/status                                         health.c, status.c
 *   /api/v1/installation                                   installation.c
 *   /api/v1/changes                                        changes.c
 *   /api/v1/partners, .../{p}, .../{p}/accounts            partners.c
 *   /api/v1/partners/{p}/keys, .../{p}/secrets             credentials.c
 *   /api/v1/accounts, .../{a}/endpoints, .../{e}           accounts.c
 *   /api/v1/accounts/{a}/endpoints/{e}/secrets             endpoint_secrets.c
 *   /api/v1/events/{id}                                    events.c
 *   /api/v1/deliveries, .../{id}                           deliveries.c
 *   /api/v1/deliveries/{id}/resolve, resend, discard, replay    operator_actions.c
 *   /api/v1/conflicts                                      conflicts.c
 *   /api/v1/audit                                          audit.c
 */
#ifndef PENSTOCK_ADMIN_ADMIN_H
#define PENSTOCK_ADMIN_ADMIN_H

#include "accounts/accounts.h"
#include "history/journal_reader.h"
#include "http/server.h"

struct admin;
struct broker_status;

/* What a gateway that follows this one gets. */
struct admin_installation {
    char id[33];
    struct hash_seed seed;
    unsigned partitions;
    unsigned char receipt_key[32];
};

struct admin_options {
    int listen_fd; /* owned by admin from admin_new on */
    struct slice token;
    struct accounts *accounts;
    struct journal_reader *reader;
    unsigned shards;
    struct journal *const
        *journals; /* of each shard, for how it stands with the disk; NULL: nothing is said */
    unsigned connections_max; /* as far as there are descriptors; 0: the built-in bound */
    struct admin_installation installation;
    /* Roles. The texts must outlive admin. */
    bool ingress_only;            /* this gateway delivers nothing */
    const char *leader_url;       /* whose accounts it follows; NULL or empty: it leads */
    const char *queue;            /* "direct" or "rabbitmq"; NULL: direct */
    struct broker_status *broker; /* NULL: there is none */
    /* OK, or ERR_URL with a sentence: the egress policy on an endpoint's URL */
    enum err (*check_url)(const char *url, const char **ret_problem, void *context);
    /* Hands an operator's action to the owner of the delivery, who answers it
     * (delivery_shard_operator_action). */
    void (*action)(struct journal_operator_action *action, void *context);
    void *context;
};

enum err admin_new(const struct admin_options *options, struct admin **ret_admin) MUST_CHECK;
enum err admin_start(struct admin *admin) MUST_CHECK;
/* What /readyz says: not ready until main has started everything, and again when it stops. Any
 * thread. */
void admin_set_ready(struct admin *admin, bool ready);
void admin_stop(struct admin *admin); /* returns at once */
void admin_join(struct admin *admin);
void admin_free(
    struct admin *admin); /* after the accounts and the reader have stopped; takes NULL */

#endif
