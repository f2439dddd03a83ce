/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection with one channel to the broker, and the queue that it is about. Whoever opened it
 * owns it: librabbitmq allows one thread for each connection. There are no heartbeats, since they
 * go out from within API calls only; who wants to end a call that blocks shuts `fd` down from
 * outside.
 */
#ifndef PENSTOCK_BENCH_CEILING_BROKER_LINK_H
#define PENSTOCK_BENCH_CEILING_BROKER_LINK_H

#include "ceiling/ceiling.h"

#include <amqp.h>

#define BROKER_CHANNEL 1

struct broker_link {
    amqp_connection_state_t connection;
    int fd;
};

/* Connects, logs in, opens the channel and declares the quorum queue; blocks, for some seconds at
 * most. ERR_UNAVAILABLE with a complaint on stderr. */
enum err broker_link_open(
    const struct ceiling_options *options, struct broker_link *ret_link) MUST_CHECK;
void broker_link_close(struct broker_link *link); /* without a goodbye, which could block */

/* A kind's open: makes the queue and throws away what an earlier run has left in it. */
enum err broker_link_empty_queue(struct ceiling *ceiling) MUST_CHECK;

/* Whether the last RPC failed; says so on stderr, with `what`. */
bool broker_link_failed(struct broker_link *link, const char *what);

#endif
