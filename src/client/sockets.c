/* SPDX-License-Identifier: Apache-2.0 */
#include "client/sockets.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <string.h>

#define ROOM_MIN 64

struct socket_watch {
    struct loop_watch watch;
    struct sockets *sockets;
    void *owner;
    bool wished;            /* false: it rests */
    unsigned writable_only; /* events that said only that, since libcurl wishes to write */
    int64_t held_us;        /* the wish to write is held, for so long; 0: it is not */
    struct timer held_timer;
};

static void report(struct socket_watch *socket, uint32_t events)
{
    struct sockets *sockets = socket->sockets;
    sockets->on_ready(sockets->context, socket->owner, socket->watch.fd, events);
}

/* libcurl tries to write. It may close the socket and free the watch, so the timer comes first. */
static void on_held_timer(struct timer *timer)
{
    struct socket_watch *socket = CONTAINER_OF(timer, struct socket_watch, held_timer);
    socket->held_us = socket->held_us < HELD_US_MAX / 2 ? 2 * socket->held_us : HELD_US_MAX;
    timer_arm(socket->sockets->loop, timer, socket->held_us);
    report(socket, EPOLLOUT);
}

static void hold(struct socket_watch *socket)
{
    struct loop *loop = socket->sockets->loop;
    socket->held_us = HELD_US_MIN;
    timer_arm(loop, &socket->held_timer, HELD_US_MIN);
    loop_watch_change(loop, &socket->watch, socket->watch.events & ~(uint32_t)EPOLLOUT);
}

static void end_hold(struct socket_watch *socket)
{
    socket->writable_only = 0;
    socket->held_us = 0;
    timer_disarm(socket->sockets->loop, &socket->held_timer);
}

static void on_event(struct loop_watch *watch, uint32_t events)
{
    struct socket_watch *socket = CONTAINER_OF(watch, struct socket_watch, watch);
    if (!socket->wished) {
        sockets_forget(socket->sockets, watch->fd); /* otherwise the event repeats forever */
        return;
    }
    if (events == EPOLLOUT && ++socket->writable_only > WRITABLE_EVENTS_MAX) {
        hold(socket);
        return;
    }
    if (events != EPOLLOUT && socket->held_us > 0)
        events |= EPOLLOUT;
    report(socket, events); /* may close the socket and free the watch */
}

static void make_room(struct sockets *sockets, int fd)
{
    size_t room = sockets->room ? sockets->room : ROOM_MIN;
    while (room <= (size_t)fd)
        room *= 2;
    if (room == sockets->room)
        return;
    struct socket_watch **larger = memory_resize(sockets->by_fd, room * sizeof *larger);
    memset(larger + sockets->room, 0, (room - sockets->room) * sizeof *larger);
    sockets->by_fd = larger;
    sockets->room = room;
}

static struct socket_watch *find(const struct sockets *sockets, int fd)
{
    return (size_t)fd < sockets->room ? sockets->by_fd[fd] : NULL;
}

static void add(struct sockets *sockets, int fd, uint32_t events, void *owner)
{
    make_room(sockets, fd);
    struct socket_watch *socket = memory_new_raw(sizeof *socket);
    *socket = (struct socket_watch){.watch = {.fd = fd, .events = events, .on_ready = on_event},
        .sockets = sockets,
        .owner = owner,
        .wished = true};
    timer_init(&socket->held_timer, on_held_timer);
    if (loop_watch_add(sockets->loop, &socket->watch) != OK)
        free(socket);
    else
        sockets->by_fd[fd] = socket;
}

void sockets_wish(struct sockets *sockets, int fd, uint32_t events, void *owner)
{
    struct socket_watch *socket = find(sockets, fd);
    if (!socket) {
        if (events)
            add(sockets, fd, events, owner);
        return;
    }
    if (!(events & EPOLLOUT))
        end_hold(socket);
    if (!events && socket->watch.events != EPOLLIN) {
        sockets_forget(sockets, fd);
        return;
    }
    socket->wished = events != 0;
    socket->owner = owner;
    if (socket->held_us > 0)
        events &= ~(uint32_t)EPOLLOUT;
    if (events && events != socket->watch.events)
        loop_watch_change(sockets->loop, &socket->watch, events);
}

void sockets_forget(struct sockets *sockets, int fd)
{
    struct socket_watch *socket = find(sockets, fd);
    if (!socket)
        return;
    end_hold(socket);
    loop_watch_remove(sockets->loop, &socket->watch);
    sockets->by_fd[fd] = NULL;
    free(socket);
}

void sockets_done(struct sockets *sockets)
{
    for (size_t fd = 0; fd < sockets->room; fd++)
        sockets_forget(sockets, (int)fd);
    free(sockets->by_fd);
    sockets->by_fd = NULL;
    sockets->room = 0;
}
