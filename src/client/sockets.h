/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's sockets on the loop. It asks for a socket to be watched with each request and no more
 * after its answer, also when the connection is kept: taken at its word, that would be two calls of
 * the kernel for each request. So a socket that nobody asks for stays where it is and rests; mostly
 * the next request wants just the same.
 *
 *   watched --no more wish, last for reading only--> resting --a wish--> watched
 *                                |----an event (the peer has closed it)--> out of the loop, until the next wish
 *                                '----closed by libcurl--> gone
 *
 * Only a connection that waited for an answer rests. One that was still connecting (it wished to
 * write) is taken out at once: libcurl 7.88 closes such a socket without telling, and the next one
 * of its number would be taken for it.
 *
 * Belongs to the client's thread.
 */
#ifndef PENSTOCK_CLIENT_SOCKETS_H
#define PENSTOCK_CLIENT_SOCKETS_H

#include "runtime/loop.h"

struct sockets {
    struct loop *loop;
    /* Of those that are watched; `owner` as wished last. */
    void (*on_ready)(void *context, void *owner, int fd, uint32_t events);
    void *context;
    struct socket_watch **by_fd; /* NULL: not in the loop */
    size_t room;
};

/* The events (EPOLLIN, EPOLLOUT) that are wished for from now on; 0: none. Without memory nothing
 * is watched, and the transfer ends at its deadline. */
void sockets_wish(struct sockets *sockets, int fd, uint32_t events, void *owner);
/* Before the descriptor is closed. */
void sockets_forget(struct sockets *sockets, int fd);
void sockets_done(struct sockets *sockets);

#endif
