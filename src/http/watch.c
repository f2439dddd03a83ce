/* SPDX-License-Identifier: Apache-2.0 */
/* h2o must not read these sockets: a library reads them itself. */
#include "http/watch.h"

#include "base/memory.h"
#include "http/http_internal.h"

#include <fcntl.h>
#include <stdlib.h>

struct http_watch {
    struct http_server *server;
    h2o_socket_t *socket; /* a dup of the fd, which h2o closes */
    void (*on_ready)(void *context);
    void *context;
};

static void on_ready(h2o_socket_t *socket, const char *error)
{
    struct http_watch *watch = socket->data;
    http_server_go_online(watch->server);
    watch->on_ready(watch->context); /* may free the watch; a read or write shows an error */
}

enum err http_watch_new(struct http_server *server, int fd, void (*ready)(void *context),
    void *context, struct http_watch **ret_watch)
{
    AUTO_CLOSE int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return ERR_SYSTEM;
    struct http_watch *watch = memory_new_raw(sizeof *watch);
    *watch = (struct http_watch){.server = server, .on_ready = ready, .context = context};
    watch->socket =
        h2o_evloop_socket_create(server->loop, TAKE_FD(copy), H2O_SOCKET_FLAG_DONT_READ);
    watch->socket->data = watch;
    h2o_socket_read_start(watch->socket, on_ready);
    *ret_watch = watch;
    return OK;
}

void http_watch_free(struct http_watch *watch)
{
    if (!watch)
        return;
    h2o_socket_close(watch->socket);
    free(watch);
}

void http_watch_want_write(struct http_watch *watch)
{
    if (!h2o_socket_is_writing(watch->socket))
        h2o_socket_notify_write(watch->socket, on_ready);
}

void http_watch_set_reading(struct http_watch *watch, bool reading)
{
    if (reading == (bool)h2o_socket_is_reading(watch->socket))
        return;
    if (reading)
        h2o_socket_read_start(watch->socket, on_ready);
    else
        h2o_socket_read_stop(watch->socket);
}

struct http_turn_end {
    struct http_server *server;
    h2o_timeout_entry_t entry; /* linked: it will run */
    void (*run)(void *context);
    void *context;
};

static void on_turn_end(h2o_timeout_entry_t *entry)
{
    struct http_turn_end *end = CONTAINER_OF(entry, struct http_turn_end, entry);
    http_server_go_online(end->server);
    end->run(end->context); /* may free it */
}

struct http_turn_end *http_turn_end_new(
    struct http_server *server, void (*run)(void *context), void *context)
{
    struct http_turn_end *end = memory_new_raw(sizeof *end);
    *end = (struct http_turn_end){
        .server = server, .entry.cb = on_turn_end, .run = run, .context = context};
    return end;
}

void http_turn_end_link(struct http_turn_end *end)
{
    if (!h2o_timeout_is_linked(&end->entry))
        h2o_timeout_link(end->server->loop, &end->server->zero_timeout, &end->entry);
}

void http_turn_end_free(struct http_turn_end *end)
{
    if (!end)
        return;
    h2o_timeout_unlink(&end->entry);
    free(end);
}
