/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to the broker, with one channel and one queue. The thread that opens it owns it:
 * librabbitmq allows one thread for each connection.
 *
 * There are no heartbeats, because librabbitmq sends them only within API calls. To end a call that
 * blocks, another thread shuts `fd` down.
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

/* Connects, logs in, opens the channel and declares the quorum queue. Blocks for up to some
 * seconds. ERR_UNAVAILABLE: the complaint is on stderr. */
enum err broker_link_open(
    const struct ceiling_options *options, struct broker_link *ret_link) MUST_CHECK;
void broker_link_close(struct broker_link *link); /* without closing handshake, which could block */

/* A kind's open: declares the queue and removes the messages of an earlier run. */
enum err broker_link_empty_queue(struct ceiling *ceiling) MUST_CHECK;

/* Returns whether the last RPC failed; then the error is on stderr, after `what`. */
bool broker_link_failed(struct broker_link *link, const char *what);

#endif
