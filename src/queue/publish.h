/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of rabbitmq mode. An event goes to its partition's queue and is durable when the broker
 * has confirmed it; where the broker is not there, is blocked, has no room, refuses or returns it,
 * or does not confirm in time, the journal takes it instead, and the partner gets his 200 all the
 * same.
 *
 *     enqueue --recent_events.h: seen lately--> answered, or waits for the first one
 *        |
 *        |  the breaker is closed
 *        +--------------------------> unconfirmed --ack--------------------------------> durable
 *        |                                |  nack, return, lost, no confirm in time;        ^
 *        |  else                          v  with the first timeout the whole window        |
 *        '-------------------------> in the journal ----------committed---------------------'
 *
 * A confirm that comes after that is nobody's: the event is in both, and the dedupe store knows its
 * id.
 *
 * On a gateway that delivers the journal's part is delivered from the journal at once. On one that
 * doesn't (`outbox`) it waits there for the broker (outbox.h).
 *
 * Limits: the publisher's window; the budgets of events. An event costs no allocation here.
 */
#ifndef PENSTOCK_QUEUE_PUBLISH_H
#define PENSTOCK_QUEUE_PUBLISH_H

#include "queue/publish_breaker.h"
#include "queue/queue.h"

struct queue_publish_options {
    struct publish_breaker_options breaker;
    struct journal *const *journals; /* by shard; must outlive it, as the budgets */
    struct byte_budget *budgets;
    struct recent_keys *known; /* of all ingress threads; must outlive it */
    unsigned shards, threads;
    bool outbox;
};

/* Nothing that can fail may follow while the connector runs: a connection is asked for at once. */
enum err queue_publish_new(
    const struct queue_publish_options *options, struct queue **ret_queue) MUST_CHECK;
/* The breaker of its events, for the refused ones of the intake. */
struct publish_breaker *queue_publish_breaker(struct queue *queue);

#endif
