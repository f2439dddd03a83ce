/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingress: what partners talk to. One thread per core, each with its own h2o loop and its own
 * listener on the shared port: authenticate, validate, classify, enqueue, and answer 200 once the
 * queue says that the event is durable. Never runs SQLite, never blocks.
 *
 *   POST /v1/events                       post_event.c
 *   POST /v1/events/batch                 post_batch.c
 *   POST /v1/partners/{partner}/events    post_signed.c
 *   GET  /v1/events/{id}                  get_event.c
 *
 * What is posted goes one way, however it came: accept.c makes an event of it or says why not, the
 * queue makes it durable, result.c says what the partner is told.
 *
 * In rabbitmq mode (there is a connector) each thread has a connection to the broker on its loop:
 * publish.h says which way an event takes. Thread 0 may read the intake queue as well
 * (intake.h).
 *
 * An event that the queue has not confirmed within 3 s is answered 503 (partners re-send after a
 * few seconds); it may have been taken all the same, and a re-send is then a duplicate.
 */
#ifndef PENSTOCK_INGRESS_INGRESS_H
#define PENSTOCK_INGRESS_INGRESS_H

#include "accounts/directory.h"
#include "base/byte_budget.h"
#include "base/hash.h"
#include "broker/connector.h"
#include "broker/status.h"
#include "history/journal_reader.h"
#include "http/server.h"
#include "model/class.h"

struct ingress;

struct ingress_options {
    unsigned number;
    int listen_fd; /* owned by ingress from ingress_new on */
    unsigned connections_max;
    const struct directory *directory;
    struct journal *const *journals; /* by shard; must outlive ingress */
    struct byte_budget *budgets;     /* by shard */
    struct journal_reader *reader;
    struct hash_seed seed; /* of the installation: an account's partition */
    unsigned partitions, shards;
    struct slice receipt_key;
    const struct class_rules *class_rules; /* copied */

    /* Of rabbitmq mode. The connector (NULL: the embedded queue) is stopped before ingress_free;
     * what else is pointed to must outlive ingress. */
    struct broker_connector *connector;
    const struct broker_options *broker;
    struct broker_status *broker_status; /* may be NULL */
    struct recent_keys *recent_keys;     /* of all ingress threads; NULL without a connector */
    unsigned publish_window;
    int64_t confirm_timeout_us;
    struct broker_lag
        *lag; /* of all ingress threads; NULL: how long events wait in the broker does not matter */
    int64_t lag_us_max;
    bool outbox; /* this gateway doesn't deliver: the direct path ends in the outbox */
    const char *intake_partner; /* of number 0; NULL or empty: no intake. Copied */
    struct ingress *const
        *ingresses; /* all threads' by number, there when the first one starts; NULL: this alone */
    unsigned threads; /* how many; 0: this alone */
};

enum err ingress_new(
    const struct ingress_options *options, struct ingress **ret_ingress) MUST_CHECK;
enum err ingress_start(struct ingress *ingress) MUST_CHECK;

/* From now on types are judged by these, which are copied. ERR_NO_MEMORY leaves the old ones. */
enum err ingress_set_rules(struct ingress *ingress, const struct class_rules *rules) MUST_CHECK;

/* Stops accepting, sends GOAWAY, finishes what is in flight for up to `drain_us`, ends the thread.
 * Returns at once. */
void ingress_stop(struct ingress *ingress, int64_t drain_us);
void ingress_join(struct ingress *ingress);
/* After all threads were joined and the journals and the connector have stopped: answers that came
 * late are in the mailbox. Takes NULL. */
void ingress_free(struct ingress *ingress);

#endif
