/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PENSTOCK_INGRESS_INGRESS_INTERNAL_H
#define PENSTOCK_INGRESS_INGRESS_INTERNAL_H

#include "base/list.h"
#include "http/problem.h"
#include "ingress/ingress.h"
#include "ingress/queue.h"
#include "runtime/thread.h"

#define RANDOM_POOL_BYTES 4096 /* one getrandom for 512 event ids */

struct ingress {
    /* immutable after init */
    struct ingress_options options;
    struct thread thread;
    struct mailbox mailbox;

    /* owned by the ingress thread */
    struct http_server *server;
    struct queue *queue;
    struct hmac *receipt_mac;
    struct event_id_generator ids;
    unsigned char random_pool[RANDOM_POOL_BYTES];
    size_t random_used;
    struct list waiting; /* of struct posted, in order of arrival: events that are not durable yet */
    bool draining;
    int64_t drain_until_mono_us;
};

/*
 * The partner behind the Authorization header, or NULL after a 401 was answered. Valid until the handler returns.
 */
const struct partner *ingress_authenticate(struct ingress *ingress, struct http_exchange *exchange);

void ingress_post_event(struct http_exchange *exchange, void *context);
void ingress_get_event(struct http_exchange *exchange, void *context);

/* Answers 503 to what has waited too long. */
void ingress_expire_posted(struct ingress *ingress, int64_t now_mono_us);

#endif
