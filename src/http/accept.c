/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepts connections, and takes each through the stages before its protocol: a header of the PROXY
 * protocol (connection_proxy.c), the handshake of TLS (connection_tls.c), and the first bytes,
 * which show whether it is HTTP/2.
 *
 * HTTP/2 begins with its preface, over TLS as well. An offer to upgrade with `Upgrade: h2c` is
 * ignored: RFC 9113 has removed it, and it would bypass a proxy (h2c smuggling).
 *
 * With connections_max connections open, a new one replaces the oldest one that has never sent a
 * whole request, so that silent connections do not block others. If there is none, accepting
 * pauses. It also pauses for 100 ms when the system has no file descriptor. Meanwhile new
 * connections wait in the listener's backlog.
 */
#include "http/http_internal.h"

#include "runtime/metrics.h"

#include <errno.h>

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
    h2o_timeout_link(server->loop, &server->hundred_ms_timeout, &server->accept_pause);
    update_accepting(server);
}

static void on_first_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    if (error) {
        http_connection_close(connection, true);
        return;
    }
    size_t len = socket->input->size < PREFACE_BYTES ? socket->input->size : PREFACE_BYTES;
    bool is_preface = memcmp(socket->input->bytes, preface, len) == 0;
    if (is_preface && len < PREFACE_BYTES)
        return;
    bool is_broken_promise =
        connection->alpn != HTTP_ALPN_NONE && is_preface != (connection->alpn == HTTP_ALPN_2);
    if (is_broken_promise ||
        (is_preface && connection->server->draining)) /* it would miss the GOAWAY */
        http_connection_close(connection, false);
    else if (is_preface)
        http2_begin(connection);
    else
        http1_begin(connection);
}

static void detect(struct http_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    connection->stage = CONNECTION_UNDECIDED;
    connection->deadline_mono_us =
        clock_mono_us() + connection->server->options.limits.first_ms * US_PER_MS;
    h2o_socket_read_start(socket, on_first_bytes);
    if (socket->input->size > 0) /* they came with the last record of the handshake */
        on_first_bytes(socket, NULL);
}

/* The last descriptors of the process are for operators and deliveries. */
static bool has_descriptor(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    unsigned end = server->options.descriptors_end;
    if (!end || (unsigned)h2o_socket_get_fd(connection->socket) < end)
        return true;
    http_note_cut(connection, REFUSAL_DESCRIPTORS, 0);
    http_connections_make_room(server, connection);
    return false;
}

static void admit(struct http_connection *connection)
{
    if (!has_descriptor(connection) || !http_admission_open(connection))
        http_connection_close(connection, false);
    else if (connection->is_tls)
        http_connection_handshake(connection, detect);
    else
        detect(connection);
}

static void begin(struct http_server *server, h2o_socket_t *socket, bool is_tls)
{
    struct http_connection *connection = http_connection_new(server, socket, is_tls);
    connection->is_of_proxy = http_peer_is_proxy(server, &connection->peer);
    if (connection->is_of_proxy && server->options.proxy_protocol) {
        connection->is_of_proxy = false;
        http_connection_read_proxy(connection, admit);
    } else {
        admit(connection);
    }
    update_accepting(server);
}

/* A connection may become idle, or end later than it was closed. So a full server looks again every
 * 100 ms. */
static bool has_place(struct http_server *server)
{
    if (server->connections_open >= server->options.connections_max)
        http_connections_make_room(server, NULL);
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
        begin(server, socket, listener == server->tls_listener);
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

static h2o_socket_t *make_listener(struct http_server *server, int fd)
{
    h2o_socket_t *listener = h2o_evloop_socket_create(server->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->data = server;
    return listener;
}

void http_accept_begin(struct http_server *server)
{
    server->accept_pause = (h2o_timeout_entry_t){.cb = on_accept_pause_over};
    if (server->options.listen_fd >= 0)
        server->listener = make_listener(server, server->options.listen_fd);
    if (server->options.tls) {
        http_server_use_tls(server);
        server->tls_listener = make_listener(server, server->options.tls_listen_fd);
    }
    update_accepting(server);
}

void http_accept_end(struct http_server *server)
{
    if (server->listener)
        h2o_socket_close(TAKE(server->listener));
    if (server->tls_listener)
        h2o_socket_close(TAKE(server->tls_listener));
    h2o_timeout_unlink(&server->accept_pause);
}
