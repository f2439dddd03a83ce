/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects that must exist before events are published or consumed: the partitions' quorum
 * queues, the exchange of the taps, the queues of the intake. All are durable and declared one by
 * one. An object that exists with the same arguments is kept.
 *
 * A full partition queue refuses messages (reject-publish) instead of dropping its oldest one. If a
 * policy makes it drop messages (drop-head, a time to live, a delivery limit), they go to the
 * partition's queue of dropped messages. A policy can override the first argument, not the second
 * (RabbitMQ 3.10, third_party/README.md).
 *
 * RabbitMQ compares a declaration with what exists. An object of another kind with one of these
 * names is ERR_CONFIG. It may have messages, so only an operator may delete it. Internal to
 * broker/.
 */
#ifndef PENSTOCK_BROKER_TOPOLOGY_H
#define PENSTOCK_BROKER_TOPOLOGY_H

#include "broker/link.h"

/* On an open channel. A failure closes it. `ret_detail` is the broker's text and the command that
 * shows the object. */
enum err broker_topology_declare(struct broker_link *link, amqp_channel_t channel,
    const struct broker_options *options, char ret_detail[BROKER_DETAIL_BYTES]) MUST_CHECK;

#endif
