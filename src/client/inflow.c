/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces functions that the C library's headers may define inline. */
#undef _FORTIFY_SOURCE

#include "client/inflow.h"

#include "base/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ROOM_MIN 64

struct inflow_connection {
    struct list users; /* requests that were sent on it and have not ended, or that opened it */
    unsigned sent;     /* of them, sent */
    uint64_t bytes, bytes_max;
    uint64_t turn; /* the last one with a call of recv(), and what it has cost so far */
    size_t turn_cost;
    bool cut; /* it received too much: nothing more is read */
};

/* While libcurl runs on this thread: its client's. */
static _Thread_local struct inflow *current;

void inflow_enter(struct inflow *inflow)
{
    inflow->turn++;
    current = inflow;
}

void inflow_leave(void)
{
    current->sending = NULL;
    current = NULL;
}

bool inflow_is_libcurl(void)
{
    return current != NULL;
}

/* Connections and requests */

static struct inflow_connection *find(const struct inflow *inflow, int fd)
{
    return fd >= 0 && (size_t)fd < inflow->room ? inflow->by_fd[fd] : NULL;
}

static void make_room(struct inflow *inflow, int fd)
{
    size_t room = inflow->room ? inflow->room : ROOM_MIN;
    while (room <= (size_t)fd)
        room *= 2;
    if (room == inflow->room)
        return;
    inflow->by_fd = memory_resize(inflow->by_fd, room * sizeof(struct inflow_connection *));
    memset(inflow->by_fd + inflow->room, 0,
        (room - inflow->room) * sizeof(struct inflow_connection *));
    inflow->room = room;
}

static void join(struct inflow_connection *connection, struct inflow_user *user)
{
    user->connection = connection;
    list_add_tail(&connection->users, &user->link);
}

static void part(struct inflow_user *user)
{
    struct inflow_connection *connection = user->connection;
    if (!connection)
        return;
    user->bytes = connection->bytes - user->bytes_before;
    connection->sent -= user->sent;
    user->connection = NULL;
    list_remove(&user->link);
}

void inflow_close(struct inflow *inflow, int fd)
{
    struct inflow_connection *connection = find(inflow, fd);
    if (!connection)
        return;
    while (!list_is_empty(&connection->users))
        part(CONTAINER_OF(connection->users.next, struct inflow_user, link));
    inflow->by_fd[fd] = NULL;
    free(connection);
}

/* libcurl 7.88 closes sockets that are still connecting without a callback. So there may be an
 * entry of an earlier socket with this number. */
void inflow_open(struct inflow *inflow, int fd, struct inflow_user *user)
{
    inflow_close(inflow, fd);
    make_room(inflow, fd);
    struct inflow_connection *connection = memory_new(sizeof *connection);
    list_init(&connection->users);
    connection->bytes_max = INFLOW_BYTES_MAX;
    inflow->by_fd[fd] = connection;
    part(user); /* from another address of its name */
    user->bytes_before = 0;
    join(connection, user);
}

void inflow_send(struct inflow *inflow, struct inflow_user *user)
{
    part(user);
    inflow->sending = user;
}

static void note_sent(struct inflow_connection *connection, struct inflow_user *user)
{
    uint64_t left_max = connection->sent * INFLOW_BYTES_MAX;
    if (connection->bytes_max > connection->bytes + left_max)
        connection->bytes_max = connection->bytes + left_max;
    connection->bytes_max += INFLOW_BYTES_MAX;
    connection->sent++;
    user->sent = true;
    user->bytes_before = connection->bytes;
    user->too_large |= connection->cut;
    join(connection, user);
}

void inflow_end(struct inflow *inflow, struct inflow_user *user)
{
    if (inflow->sending == user)
        inflow->sending = NULL;
    part(user);
    user->sent = false;
}

void inflow_done(struct inflow *inflow)
{
    for (size_t fd = 0; fd < inflow->room; fd++)
        inflow_close(inflow, (int)fd);
    free(inflow->by_fd);
    *inflow = (struct inflow){0};
}

/* The replacements */

typedef ssize_t recv_fn(int fd, void *buffer, size_t len, int flags);
typedef ssize_t send_fn(int fd, const void *buffer, size_t len, int flags);

/* Returns how many bytes the connection may receive now. 0: none in this turn. */
static size_t room_in_turn(const struct inflow *inflow, struct inflow_connection *connection)
{
    if (connection->turn != inflow->turn) {
        connection->turn = inflow->turn;
        connection->turn_cost = 0;
    }
    if (connection->turn_cost + INFLOW_CALL_COST >= INFLOW_TURN_COST_MAX)
        return 0;
    connection->turn_cost += INFLOW_CALL_COST;
    return INFLOW_TURN_COST_MAX - connection->turn_cost;
}

static ssize_t fail(int error)
{
    errno = error;
    return -1;
}

static ssize_t receive(const struct inflow *inflow, struct inflow_connection *connection,
    recv_fn *real, int fd, void *buffer, size_t len, int flags)
{
    if (connection->cut)
        return fail(EMSGSIZE);
    size_t room = room_in_turn(inflow, connection);
    if (room == 0)
        return fail(EAGAIN);
    ssize_t got = real(fd, buffer, len < room ? len : room, flags);
    if (got <= 0)
        return got;
    connection->turn_cost += (size_t)got;
    connection->bytes += (uint64_t)got;
    if (connection->bytes <= connection->bytes_max)
        return got;
    connection->cut = true;
    list_for_each (node, &connection->users)
        CONTAINER_OF(node, struct inflow_user, link)->too_large = true;
    return fail(EMSGSIZE);
}

/* The reader of the socket, in libcurl. */
ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    static _Atomic(recv_fn *) found;
    recv_fn *real = found;
    if (!real)
        found = real = (recv_fn *)dlsym(RTLD_NEXT, "recv");
    struct inflow_connection *connection = current ? find(current, fd) : NULL;
    if (!connection || flags & MSG_PEEK)
        return real(fd, buffer, len, flags);
    return receive(current, connection, real, fd, buffer, len, flags);
}

ssize_t send(int fd, const void *buffer, size_t len, int flags)
{
    static _Atomic(send_fn *) found;
    send_fn *real = found;
    if (!real)
        found = real = (send_fn *)dlsym(RTLD_NEXT, "send");
    if (current && current->sending) {
        struct inflow_user *user = TAKE(current->sending);
        struct inflow_connection *connection = find(current, fd);
        if (connection)
            note_sent(connection, user);
    }
    return real(fd, buffer, len, flags);
}

bool inflow_is_seen(void)
{
    return dlsym(RTLD_DEFAULT, "recv") == (void *)recv &&
           dlsym(RTLD_DEFAULT, "send") == (void *)send;
}
