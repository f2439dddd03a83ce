/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: accepts them, detects their protocol (after the handshake of connection_tls.c if
 * there is one), and hands them to h2o (HTTP/1 through http1.c).
 *
 * This file looks for the HTTP/2 preface itself. h2o does it only together with `Upgrade: h2c`,
 * which would bypass the checks of http1.c (h2c smuggling) and which RFC 9113 has removed. A client
 * that offers the upgrade stays on HTTP/1.1.
 *
 * With connections_max connections open, a new one replaces the oldest one that has never sent a
 * whole request, so that silent connections do not block others. If there is none, accepting
 * pauses. It also pauses for 100 ms when the system has no file descriptor. Meanwhile new
 * connections wait in the listener's backlog.
 *
 * A drain closes connections without a request at once. It asks HTTP/2 clients to leave (GOAWAY,
 * and a final one after 1 s). Other connections finish their requests.
 */
#include "http/http_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* So that a flood of connections does not delay the requests of open ones. */
#define ACCEPTS_PER_TURN 16

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 section 3.4 */
#define PREFACE_BYTES (sizeof preface - 1)

static void on_listener_ready(h2o_socket_t *listener, const char *error);

static void update_listener(h2o_socket_t *listener, bool wanted)
{
    bool accepting = listener && h2o_socket_is_reading(listener);
    if (listener && wanted && !accepting)
        h2o_socket_read_start(listener, on_listener_ready);
    else if (!wanted && accepting)
        h2o_socket_read_stop(listener);
}

/* The only function that starts and stops accepting. */
static void update_accepting(struct http_server *server)
{
    bool wanted = !h2o_timeout_is_linked(&server->accept_pause);
    update_listener(server->listener, wanted);
    update_listener(server->tls_listener, wanted);
}

static void on_accept_pause_over(h2o_timeout_entry_t *entry)
{
    update_accepting(CONTAINER_OF(entry, struct http_server, accept_pause));
}

static void pause_accepting(struct http_server *server)
{
    h2o_timeout_link(server->loop, &server->context.hundred_ms_timeout, &server->accept_pause);
    update_accepting(server);
}

/* The socket is closed, by h2o or by Penstock. Frees the connection. */
static void on_close(void *data)
{
    struct http_connection *connection = data;
    struct http_server *server = connection->server;
    h2o_timeout_unlink(&connection->deadline);
    list_remove(&connection->link);
    if (connection->gone)
        *connection->gone = true;
    free(connection->refusal);
    http_connection_end_tls(connection);
    free(connection);
    server->connections_open--;
    if (server->options.is_measured)
        metrics_add(METRIC_HTTP_CONNECTIONS, -1);
    h2o_timeout_unlink(&server->accept_pause); /* there is room now, and a descriptor */
    update_accepting(server);
}

struct http_connection *http_connection_of(h2o_socket_t *socket)
{
    return socket->on_close.cb == on_close ? socket->on_close.data : NULL;
}

void http_connection_close(struct http_connection *connection)
{
    h2o_timeout_unlink(&connection->deadline);
    if (connection->is_closing) {
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR); /* the last record waits */
        return;
    }
    connection->is_closing = true;
    h2o_socket_close(connection->socket);
}

static void on_first_bytes_late(h2o_timeout_entry_t *entry)
{
    http_connection_close(CONTAINER_OF(entry, struct http_connection, deadline));
}

static void on_first_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->on_close.data;
    struct http_server *server = connection->server;
    if (error) {
        http_connection_close(connection);
        return;
    }
    size_t len = socket->input->size < PREFACE_BYTES ? socket->input->size : PREFACE_BYTES;
    bool is_preface = memcmp(socket->input->bytes, preface, len) == 0;
    if (is_preface && len < PREFACE_BYTES)
        return;
    bool is_broken_promise =
        connection->alpn != HTTP_ALPN_NONE && is_preface != (connection->alpn == HTTP_ALPN_2);
    if (is_broken_promise || (is_preface && server->draining)) { /* it would miss the GOAWAY */
        http_connection_close(connection);
        return;
    }
    h2o_timeout_unlink(&connection->deadline);
    if (!is_preface) {
        http1_begin(connection);
        return;
    }
    connection->stage = CONNECTION_HTTP2;
    /* h2o owns the socket now. The call may free `connection`. */
    h2o_http2_accept(&server->accept, socket, *h2o_get_timestamp(&server->context, NULL, NULL));
}

void http_connection_detect(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    h2o_socket_t *socket = connection->socket;
    connection->stage = CONNECTION_UNDECIDED;
    connection->deadline.cb = on_first_bytes_late;
    h2o_timeout_link(server->loop, &server->first_timeout, &connection->deadline);
    h2o_socket_read_start(socket, on_first_bytes);
    if (socket->input->size > 0) /* they came with the last record of the handshake */
        on_first_bytes(socket, NULL);
}

static struct http_connection *connection_of(struct list *link)
{
    return CONTAINER_OF(link, struct http_connection, link);
}

/* A socket that h2o owns is shut down; h2o closes it when it reads the end. */
static void end_connection(struct http_connection *connection)
{
    if (connection->stage <= CONNECTION_UNDECIDED)
        http_connection_close(connection);
    else
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

/* An HTTP/1 request stays in the input until it is answered. A new one may still be in the
 * kernel. */
static bool waits_for_request(const struct http_connection *connection)
{
    char byte;
    return connection->stage != CONNECTION_HTTP2 && connection->socket->input->size == 0 &&
           recv(h2o_socket_get_fd(connection->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static h2o_socket_t *socket_of(h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn);
}

void http_connection_has_asked(h2o_req_t *req)
{
    ((struct http_connection *)socket_of(req)->on_close.data)->has_asked = true;
}

static bool is_idle(const struct http_connection *connection)
{
    if (connection->stage != CONNECTION_HTTP2)
        return waits_for_request(connection);
    list_for_each (link, &connection->server->exchanges) {
        h2o_req_t *req = CONTAINER_OF(link, struct http_exchange, link)->req;
        if (req && socket_of(req) == connection->socket)
            return false;
    }
    return true;
}

/* Closes a connection to make room for one that waits. */
static void make_room(struct http_server *server)
{
    struct http_connection *idle = NULL;
    list_for_each (link, &server->connections) {
        struct http_connection *connection = connection_of(link);
        if (connection->is_ending)
            continue;
        if (!connection->has_asked) {
            idle = connection;
            break;
        }
        if (!idle && server->options.closes_idle && is_idle(connection))
            idle = connection;
    }
    if (!idle)
        return;
    metrics_add(METRIC_HTTP_SILENT_CLOSED, 1);
    idle->is_ending = true;
    end_connection(idle);
}

static void connection_begin(struct http_server *server, h2o_socket_t *socket, bool is_tls)
{
    struct http_connection *connection = memory_new_raw(sizeof *connection);
    *connection =
        (struct http_connection){.server = server, .socket = socket, .stage = CONNECTION_UNDECIDED};
    list_add_tail(&server->connections, &connection->link);
    server->connections_open++;
    if (server->options.is_measured)
        metrics_add(METRIC_HTTP_CONNECTIONS, 1);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    if (is_tls)
        http_connection_handshake(connection);
    else
        http_connection_detect(connection);
    update_accepting(server);
}

/* h2o closes its connections a turn later, and others may become idle. So a full server looks again
 * every 100 ms. */
static bool has_place(struct http_server *server)
{
    if (server->connections_open >= server->options.connections_max)
        make_room(server);
    if (server->connections_open < server->options.connections_max)
        return true;
    pause_accepting(server);
    return false;
}

/* Returns false if there is nothing more to accept now. */
static bool accept_one(struct http_server *server, h2o_socket_t *listener)
{
    if (!has_place(server))
        return false;
    /* The socket is non-blocking and has TCP_NODELAY. */
    h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
    if (socket) {
        connection_begin(server, socket, listener == server->tls_listener);
        return server->connections_open <
               server->options.connections_max; /* if full: only when another one waits */
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        metrics_add(METRIC_HTTP_ACCEPT_FAILURES, 1);
        pause_accepting(server);
        return false;
    default: /* this one connection has failed (accept(2), "Error handling") */
        return true;
    }
}

static void on_listener_ready(h2o_socket_t *listener, const char *error)
{
    struct http_server *server = listener->data;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(server, listener); i++) {
    }
}

/* Repeated until no connection is left: h2o keeps a connection alive if its answer was in flight
 * when the drain began. */
static void sweep(struct http_server *server)
{
    list_for_each_safe (link, following, &server->connections) {
        struct http_connection *connection = connection_of(link);
        if (waits_for_request(connection))
            end_connection(connection);
    }
    if (server->connections_open > 0)
        h2o_timeout_link(server->loop, &server->context.hundred_ms_timeout, &server->drain_sweep);
}

static void on_drain_sweep(h2o_timeout_entry_t *entry)
{
    sweep(CONTAINER_OF(entry, struct http_server, drain_sweep));
}

static h2o_socket_t *make_listener(struct http_server *server, int fd)
{
    h2o_socket_t *listener = h2o_evloop_socket_create(server->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->data = server;
    return listener;
}

void http_connections_begin(struct http_server *server)
{
    list_init(&server->connections);
    server->accept_pause = (h2o_timeout_entry_t){.cb = on_accept_pause_over};
    server->drain_sweep = (h2o_timeout_entry_t){.cb = on_drain_sweep};
    if (server->options.listen_fd >= 0)
        server->listener = make_listener(server, server->options.listen_fd);
    if (server->options.tls) {
        http_server_use_tls(server);
        server->tls_listener = make_listener(server, server->options.tls_listen_fd);
    }
    update_accepting(server);
}

static void stop_accepting(struct http_server *server)
{
    if (server->listener)
        h2o_socket_close(TAKE(server->listener));
    if (server->tls_listener)
        h2o_socket_close(TAKE(server->tls_listener));
    h2o_timeout_unlink(&server->accept_pause);
}

void http_connections_drain(struct http_server *server)
{
    stop_accepting(server);
    h2o_context_request_shutdown(&server->context);
    if (!h2o_timeout_is_linked(&server->drain_sweep))
        sweep(server);
}

void http_connections_cut(struct http_server *server)
{
    stop_accepting(server);
    h2o_timeout_unlink(&server->drain_sweep);
    list_for_each_safe (link, following, &server->connections) {
        end_connection(connection_of(link));
    }
}
