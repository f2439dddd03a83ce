/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface between a link and its owner's event loop. The loop's owner gives each link a host.
 * A link never waits and never starts a thread.
 *
 * The owner also calls the tick of each link (publisher_tick, subscriber_tick, tap_tick) about
 * every 100 ms. The tick sends heartbeats and checks for silence.
 */
#ifndef PENSTOCK_BROKER_HOST_H
#define PENSTOCK_BROKER_HOST_H

#include "base/err.h"
#include "runtime/loop.h"

struct broker_host;

/* A socket that a host watches. A host watches one at a time. */
struct broker_watch {
    int fd;
    /* The socket is readable or writable. May call the host, unwatch included. */
    void (*on_ready)(struct broker_watch *watch);
};

struct broker_host_ops {
    /* Calls on_ready when the socket is readable. The link keeps the descriptor. */
    enum err (*watch)(struct broker_host *host, struct broker_watch *watch);
    /* Calls on_ready once when the socket is writable. */
    void (*want_write)(struct broker_host *host);
    /* Switches on_ready for reading on or off. While off, received bytes stay in the kernel. */
    void (*set_reading)(struct broker_host *host, bool reading);
    /* Call it before the descriptor is closed. */
    void (*unwatch)(struct broker_host *host);
    /* Calls on_turn_end of the link once, after the current callbacks of the loop. NULL cancels it.
     */
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
