/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingress: the HTTP interface for partners. Each core has one thread with its own h2o loop and its
 * own listener on the shared port. A thread authenticates, validates, classifies and enqueues an
 * event. It answers 200 when the queue reports that the event is durable. It never runs SQLite and
 * never blocks.
 *
 *   POST /v1/events                       post_event.c
 *   POST /v1/events/batch                 post_batch.c
 *   POST /v1/partners/{partner}/events    post_signed.c
 *   GET  /v1/events?key=KEY               find_events.c
 *   GET  /v1/events/{id}                  get_event.c
 *
 * All posts use the same steps: accept.c makes an event or says why it is rejected, the queue makes
 * it durable, answer.c says what the partner is answered.
 *
 * In rabbitmq mode (with a connector) each thread has a connection to the broker on its loop.
 * queue/broker_queue.h decides whether an event is published or written to the journal. Thread 0
 * may also read the intake queue (intake.h).
 *
 * An event that is not durable within 3 s is answered with 503, because partners re-send after a
 * few seconds. It may become durable later; then the re-sent event is a duplicate.
 */
#ifndef PENSTOCK_INGRESS_INGRESS_H
#define PENSTOCK_INGRESS_INGRESS_H

#include "accounts/directory.h"
#include "base/byte_budget.h"
#include "base/hash.h"
#include "broker/connector.h"
#include "broker/status.h"
#include "history/journal_reader.h"
#include "http/address_table.h"
#include "http/refusals.h"
#include "http/rejections.h"
#include "http/server.h"
#include "ingress/partner_limits.h"
#include "model/class.h"

struct ingress;

struct ingress_options {
    unsigned number;
    int listen_fd, tls_listen_fd; /* as in http_options. Owned by ingress, also if it fails */
    struct http_tls *tls;         /* must outlive ingress; NULL: no TLS */
    unsigned connections_max;
    unsigned descriptors_end;      /* see struct http_options */
    const struct network *proxies; /* the next three as well */
    unsigned proxies_count;
    bool proxy_protocol;
    const struct directory *directory;
    struct journal *const *journals; /* by shard; must outlive ingress */
    struct byte_budget *budgets;     /* by shard */
    struct journal_reader *reader;
    struct hash_seed seed; /* of the installation: gives an account's partition */
    unsigned partitions, shards;
    struct slice receipt_key;
    const struct class_rules *class_rules; /* copied */
    struct partner_limits *partner_limits; /* shared by all threads; NULL: no limits */
    struct address_table *addresses;       /* the same */
    struct refusals *refusals;             /* the same */
    struct rejections *rejections;         /* the same; NULL: rejected posts are not listed */

    /* For rabbitmq mode. The connector (NULL: the embedded queue) is stopped before ingress_free.
     * The other objects must outlive ingress. */
    struct broker_connector *connector;
    const struct broker_options *broker;
    struct broker_status *broker_status;        /* may be NULL */
    struct operator_event_sink operator_events; /* of the queue: conflicts */
    struct recent_keys *recent_keys; /* shared by all ingress threads; NULL: no connector */
    unsigned publish_window;
    int64_t confirm_timeout_us;
    struct broker_lag *lag; /* shared by all ingress threads; NULL: the lag is not measured */
    int64_t lag_us_max;
    bool outbox; /* this gateway does not deliver: its journal's events wait in the outbox */
    const char *intake_partner; /* for number 0; NULL or empty: no intake. Copied */
    /* All threads by number, complete when the first one starts. NULL: only this one. */
    struct ingress *const *ingresses;
    unsigned threads; /* their number; 0: only this one */
};

enum err ingress_new(
    const struct ingress_options *options, struct ingress **ret_ingress) MUST_CHECK;
enum err ingress_start(struct ingress *ingress) MUST_CHECK;

/* Judges the types of later events by these rules, which are copied. Any thread. */
void ingress_set_rules(struct ingress *ingress, const struct class_rules *rules);

/* Stops accepting, sends GOAWAY, finishes open requests for up to `drain_us`, and ends the thread.
 * Returns at once. */
void ingress_stop(struct ingress *ingress, int64_t drain_us);
void ingress_join(struct ingress *ingress);
/* Call it once all threads are joined, and the journals and the connector have stopped. By then
 * late answers are in the mailbox. Takes NULL. */
void ingress_free(struct ingress *ingress);

#endif
