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
    bool wished; /* false: it rests */
};

static void on_event(struct loop_watch *watch, uint32_t events)
{
    struct socket_watch *socket = CONTAINER_OF(watch, struct socket_watch, watch);
    if (socket->wished) /* the callback may close the socket and free the watch */
        socket->sockets->on_ready(socket->sockets->context, socket->owner, watch->fd, events);
    else
        sockets_forget(socket->sockets, watch->fd); /* otherwise the event repeats forever */
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
    if (!events && socket->watch.events != EPOLLIN) {
        sockets_forget(sockets, fd);
        return;
    }
    socket->wished = events != 0;
    socket->owner = owner;
    if (events && events != socket->watch.events)
        loop_watch_change(sockets->loop, &socket->watch, events);
}

void sockets_forget(struct sockets *sockets, int fd)
{
    struct socket_watch *socket = find(sockets, fd);
    if (!socket)
        return;
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
