/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be there before anybody publishes or consumes: the partitions' quorum queues, the
 * exchange of the taps, the queues of the intake. All durable, declared one by one; what is there
 * already with the same arguments is fine.
 *
 * A partition's queue refuses what it has no room for (reject-publish) instead of dropping its
 * oldest message, and what a policy makes it drop all the same (drop-head, a time to live, a
 * delivery limit) goes to the partition's queue of dropped messages. A policy can override the
 * first argument, not the second (RabbitMQ 3.10, third_party/README.md).
 *
 * RabbitMQ compares what is declared with what exists. Another kind of queue or exchange under one
 * of our names is ERR_CONFIG: it may hold messages, so nobody but an operator may delete it.
 * Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_TOPOLOGY_H
#define PENSTOCK_BROKER_TOPOLOGY_H

#include "broker/link.h"

/* On a channel that is open; behind a failure it is closed. `ret_detail` is the broker's text, and
 * the command that shows what is there. */
enum err broker_topology_declare(struct broker_link *link, amqp_channel_t channel,
    const struct broker_options *options, char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

#endif
