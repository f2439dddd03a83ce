/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: accepts them, detects their protocol (after the handshake of connection_tls.c if
 * there is one), and gives them to http1.c or http2.c. Ends those whose deadline has come.
 *
 * HTTP/2 begins with its preface, over TLS as well. An offer to upgrade with `Upgrade: h2c` is
 * ignored: RFC 9113 has removed it, and it would bypass a proxy (h2c smuggling).
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
#define CLOSING_US (2 * US_PER_SECOND)
#define DRAIN_NOTICE_US US_PER_SECOND /* from the first GOAWAY to the final one */

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

/* The socket is closed. Frees the connection. */
static void on_close(void *data)
{
    struct http_connection *connection = data;
    struct http_server *server = connection->server;
    list_remove(&connection->link);
    http_admission_close(connection);
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

void http_connection_close(struct http_connection *connection, bool is_cut)
{
    if (connection->stage == CONNECTION_CLOSING)
        return;
    connection->stage = CONNECTION_CLOSING;
    list_remove(&connection->in_unflushed);
    (void)http_room_hold_input(connection, 0);
    http1_free(TAKE(connection->http1));
    http2_free(TAKE(connection->http2));
    connection->deadline_mono_us = clock_mono_us() + CLOSING_US;
    connection->write_since_mono_us = HTTP_NEVER;
    if (is_cut)
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
    h2o_socket_close(connection->socket); /* without TLS, this frees the connection */
}

void http_connection_free_input(struct http_connection *connection)
{
    h2o_buffer_t **input = &connection->socket->input;
    if ((*input)->size > 0 || !(*input)->bytes)
        return;
    h2o_buffer_dispose(input);
    h2o_buffer_init(input, &h2o_socket_buffer_prototype);
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

void http_connection_detect(struct http_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    connection->stage = CONNECTION_UNDECIDED;
    connection->deadline_mono_us =
        clock_mono_us() + connection->server->options.limits.first_ms * US_PER_MS;
    h2o_socket_read_start(socket, on_first_bytes);
    if (socket->input->size > 0) /* they came with the last record of the handshake */
        on_first_bytes(socket, NULL);
}

static struct http_connection *connection_of(struct list *link)
{
    return CONTAINER_OF(link, struct http_connection, link);
}

static bool is_idle(const struct http_connection *connection)
{
    switch (connection->stage) {
    case CONNECTION_HTTP1:
        return http1_is_idle(connection);
    case CONNECTION_HTTP2:
        return http2_is_idle(connection);
    default:
        return true;
    }
}

/* The lower, the sooner the connection is closed for another one. */
enum worth { WORTH_SILENT, WORTH_STRANGER, WORTH_IDLE, WORTH_KEPT };

static enum worth worth_of(const struct http_connection *connection)
{
    if (connection->stage == CONNECTION_CLOSING)
        return WORTH_KEPT;
    if (!connection->has_asked)
        return WORTH_SILENT;
    if (!is_idle(connection))
        return WORTH_KEPT;
    if (connection->server->options.knows_callers && !connection->has_authenticated)
        return WORTH_STRANGER;
    return connection->server->options.closes_idle ? WORTH_IDLE : WORTH_KEPT;
}

void http_connections_make_room(struct http_server *server, const struct http_connection *newcomer)
{
    struct http_connection *least = NULL;
    enum worth least_worth = WORTH_KEPT;
    list_for_each (link, &server->connections) {
        struct http_connection *connection = connection_of(link);
        enum worth worth = newcomer && connection == newcomer ? WORTH_KEPT : worth_of(connection);
        if (worth < least_worth) {
            least = connection;
            least_worth = worth;
        }
        if (least_worth == WORTH_SILENT)
            break;
    }
    if (!least)
        return;
    metrics_add(METRIC_HTTP_SILENT_CLOSED, 1);
    http_connection_close(least, true);
}

void http_connection_admit(struct http_connection *connection)
{
    if (!http_admission_open(connection))
        http_connection_close(connection, false);
    else if (connection->is_tls)
        http_connection_handshake(connection);
    else
        http_connection_detect(connection);
}

static void connection_begin(struct http_server *server, h2o_socket_t *socket, bool is_tls)
{
    struct http_connection *connection = memory_new_raw(sizeof *connection);
    *connection = (struct http_connection){.server = server,
        .socket = socket,
        .stage = CONNECTION_UNDECIDED,
        .is_tls = is_tls,
        .write_since_mono_us = HTTP_NEVER};
    list_init(&connection->in_unflushed);
    http_peer_read(socket, &connection->peer);
    list_add_tail(&server->connections, &connection->link);
    server->connections_open++;
    if (server->options.is_measured)
        metrics_add(METRIC_HTTP_CONNECTIONS, 1);
    socket->on_close.cb = on_close;
    socket->on_close.data = socket->data = connection;
    connection->is_of_proxy = http_peer_is_proxy(server, &connection->peer);
    if (connection->is_of_proxy && server->options.proxy_protocol) {
        connection->is_of_proxy = false;
        http_connection_read_proxy(connection);
    } else {
        http_connection_admit(connection);
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

static h2o_socket_t *make_listener(struct http_server *server, int fd)
{
    h2o_socket_t *listener = h2o_evloop_socket_create(server->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->data = server;
    return listener;
}

void http_connections_begin(struct http_server *server)
{
    list_init(&server->connections);
    list_init(&server->unflushed);
    server->accept_pause = (h2o_timeout_entry_t){.cb = on_accept_pause_over};
    if (server->options.listen_fd >= 0)
        server->listener = make_listener(server, server->options.listen_fd);
    if (server->options.tls) {
        http_server_use_tls(server);
        server->tls_listener = make_listener(server, server->options.tls_listen_fd);
    }
    update_accepting(server);
}

/* The deadline has come, or a write makes no progress. */
static void end_late(struct http_connection *connection)
{
    switch (connection->stage) {
    case CONNECTION_HTTP1:
        http1_late(connection);
        break;
    case CONNECTION_HTTP2:
        http2_late(connection);
        break;
    case CONNECTION_HANDSHAKE:
        http_connection_handshake_late(connection);
        break;
    case CONNECTION_PROXY:
    case CONNECTION_UNDECIDED:
        http_connection_close(connection, true);
        break;
    case CONNECTION_CLOSING: /* the peer does not read the end of TLS */
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
        connection->deadline_mono_us = HTTP_NEVER;
        break;
    }
}

static void sweep_draining(struct http_connection *connection, bool is_final)
{
    if (connection->stage == CONNECTION_HTTP2) {
        if (is_final)
            http2_drain(connection, true);
    } else if (connection->stage != CONNECTION_CLOSING && is_idle(connection)) {
        http_connection_close(connection, false);
    }
}

void http_connections_sweep(struct http_server *server, int64_t now_mono_us)
{
    int64_t write_us = server->options.limits.answer_ms * US_PER_MS;
    bool is_final = server->draining && !server->drain_is_final &&
                    now_mono_us - server->drain_since_mono_us >= DRAIN_NOTICE_US;
    list_for_each_safe (link, following, &server->connections) {
        struct http_connection *connection = connection_of(link);
        bool is_stuck = connection->write_since_mono_us != HTTP_NEVER &&
                        now_mono_us - connection->write_since_mono_us >= write_us;
        if (is_stuck) {
            http_note_cut(connection, REFUSAL_UNREAD, 0);
            http_connection_close(connection, true);
        } else if (now_mono_us >= connection->deadline_mono_us) {
            end_late(connection);
        } else if (server->draining) {
            sweep_draining(connection, is_final);
        }
    }
    server->drain_is_final |= is_final;
    list_for_each_safe (link, following, &server->timed) {
        struct http_exchange *exchange = CONTAINER_OF(link, struct http_exchange, in_timed);
        if (now_mono_us >= exchange->deadline_mono_us)
            http2_exchange_late(exchange);
    }
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
    list_for_each_safe (link, following, &server->connections) {
        struct http_connection *connection = connection_of(link);
        if (connection->stage == CONNECTION_HTTP2)
            http2_drain(connection, false);
        else if (connection->stage != CONNECTION_CLOSING && is_idle(connection))
            http_connection_close(connection, false);
    }
}

void http_connections_cut(struct http_server *server)
{
    stop_accepting(server);
    list_for_each_safe (link, following, &server->connections) {
        struct http_connection *connection = connection_of(link);
        if (connection->stage == CONNECTION_CLOSING)
            shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
        else
            http_connection_close(connection, true);
    }
}
