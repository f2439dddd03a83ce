/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a link lives on somebody's event loop. The loop's owner gives a host to each link of his; a
 * link never waits and never starts a thread.
 *
 * The owner also calls the tick of each link (publisher_tick, subscriber_tick, tap_tick) about
 * every 100 ms: heartbeats and silence are judged there.
 */
#ifndef PENSTOCK_BROKER_HOST_H
#define PENSTOCK_BROKER_HOST_H

#include "base/err.h"
#include "runtime/loop.h"

struct broker_host;

/* What becomes of a socket; one at a time per host. */
struct broker_watch {
    int fd;
    /* The socket may be read or written again. Calls into the host are allowed, host_unwatch among
     * them. */
    void (*on_ready)(struct broker_watch *watch);
};

struct broker_host_ops {
    /* From now on on_ready runs when there is something to read. The fd stays the link's. */
    enum err (*watch)(struct broker_host *host, struct broker_watch *watch);
    /* on_ready is to run when the socket takes bytes again, once. */
    void (*want_write)(struct broker_host *host);
    /* on_ready is not to run for reading until the next call says otherwise: what comes stays in
     * the kernel. */
    void (*set_reading)(struct broker_host *host, bool reading);
    /* Before the fd is closed. */
    void (*unwatch)(struct broker_host *host);
    /* on_turn_end of the link is to run once, after what the loop is doing now. NULL on_turn_end:
     * not any more. */
    void (*at_turn_end)(
        struct broker_host *host, void (*on_turn_end)(void *context), void *context);
};

struct broker_host {
    const struct broker_host_ops *ops;
};

/* A host on runtime/loop.h. The loop must outlive it. */
struct broker_loop_host {
    struct broker_host host;
    struct loop *loop;
    struct loop_watch loop_watch;
    struct broker_watch *watch; /* NULL: none */
    bool reading, writing;
    struct timer turn_timer;
    void (*on_turn_end)(void *context);
    void *context;
};

void broker_loop_host_init(struct broker_loop_host *host, struct loop *loop);
void broker_loop_host_done(struct broker_loop_host *host);

#endif
