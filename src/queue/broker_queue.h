/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of rabbitmq mode: publishes events to the broker, and writes them to the journal when
 * the broker does not take them. The partner gets a 200 in both cases.
 *
 *   enqueue --a recent event has this key--> answered, or waits for that one (recent_events.h)
 *      |
 *      |  the publish breaker is closed
 *      +------------------> unconfirmed --ack-----------------------------------------> durable
 *      |                        |  nack, return, connection lost, or no confirm in time;   ^
 *      |  it is open            v  with the first timeout the whole window                 |
 *      '------------------> in the journal -----------committed---------------------------'
 *
 * An event whose confirm is late is in the broker and in the journal. The dedupe store recognizes
 * its id, so it is delivered once.
 *
 * A gateway that delivers sends the journal's events from the journal at once. On a gateway that
 * does not (`outbox`), they wait there for the broker (outbox.h).
 *
 * Limits: the publisher's window, and the byte budgets. An entry needs no allocation here.
 */
#ifndef PENSTOCK_QUEUE_BROKER_QUEUE_H
#define PENSTOCK_QUEUE_BROKER_QUEUE_H

#include "model/operator_event.h"
#include "queue/publish_breaker.h"
#include "queue/queue.h"

struct broker_queue_options {
    struct publish_breaker_options breaker;
    struct journal *const *journals; /* by shard; must outlive it, as the budgets */
    struct byte_budget *budgets;
    struct recent_keys *known; /* of all ingress threads; must outlive it */
    unsigned shards, threads;
    bool outbox;
    struct operator_event_sink operator_events; /* gets the conflicts that are found here */
};

/* Starts to connect at once, so nothing that can fail may follow while the connector runs. */
enum err broker_queue_new(
    const struct broker_queue_options *options, struct queue **ret_queue) MUST_CHECK;
/* The breaker, for the messages that the intake refuses. */
struct publish_breaker *broker_queue_breaker(struct queue *queue);

#endif
