/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches libcurl's sockets on the loop with few system calls. libcurl asks to watch a socket for
 * each request, and to stop after the answer, even if it keeps the connection. That would be two
 * system calls per request. So a socket that is not asked for stays watched and rests. Usually the
 * next request asks for the same events.
 *
 *   watched -- no wish, and last for reading only --> resting -- a wish --> watched
 *                                                        |
 *                                                        |-- an event (the peer closed it)
 *                                                        |     --> not watched until the next wish
 *                                                        '-- closed by libcurl --> forgotten
 *
 * Only a connection that waited for an answer rests. A connection that was still connecting (it
 * wished to write) is removed at once. libcurl 7.88 closes such a socket without a callback, and a
 * new socket with the same number would be taken for it.
 *
 * libcurl 7.88 also wishes to write while an HTTP/2 peer's window is closed. The socket is writable
 * then, and the loop would spin. So after WRITABLE_EVENTS_MAX events that say only that, the wish
 * to write is held: libcurl may try to write when the socket is readable (the window may have
 * opened), and every HELD_US_MIN to HELD_US_MAX. The hold ends when libcurl does not wish to write
 * any more.
 *
 * Owned by the client's thread.
 */
#ifndef PENSTOCK_CLIENT_SOCKETS_H
#define PENSTOCK_CLIENT_SOCKETS_H

#include "base/clock.h"
#include "runtime/loop.h"

/* A body of EVENT_BYTES_MAX takes one to three. */
#define WRITABLE_EVENTS_MAX 8
#define HELD_US_MIN (5 * US_PER_MS)
#define HELD_US_MAX (100 * US_PER_MS)

struct sockets {
    struct loop *loop;
    /* Called for watched sockets, with the `owner` of the last wish. */
    void (*on_ready)(void *context, void *owner, int fd, uint32_t events);
    void *context;
    struct socket_watch **by_fd; /* NULL: not in the loop */
    size_t room;
};

/* Sets the events (EPOLLIN, EPOLLOUT) to watch; 0: none. If the loop cannot watch the socket, the
 * transfer ends at its deadline. */
void sockets_wish(struct sockets *sockets, int fd, uint32_t events, void *owner);
/* Call it before the descriptor is closed. */
void sockets_forget(struct sockets *sockets, int fd);
void sockets_done(struct sockets *sockets);

#endif
