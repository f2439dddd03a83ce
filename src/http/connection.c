/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: ends those whose deadline has come, those that must make room for others, and all.
 * accept.c makes them, and http1.c or http2.c use them.
 *
 * A drain closes connections without a request at once. It asks HTTP/2 clients to leave (GOAWAY,
 * and a final one after 1 s). Other connections finish their requests.
 */
#include "http/http_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CLOSING_US (2 * US_PER_SECOND)
#define DRAIN_NOTICE_US US_PER_SECOND /* from the first GOAWAY to the final one */

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
    if (h2o_timeout_is_linked(&server->accept_pause)) { /* there is room now, and a descriptor */
        h2o_timeout_unlink(&server->accept_pause);
        h2o_timeout_link(server->loop, &server->zero_timeout, &server->accept_pause);
    }
}

void http_connection_acknowledge(const struct http_connection *connection)
{
    const int on = 1;
    (void)setsockopt(
        h2o_socket_get_fd(connection->socket), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

struct http_connection *http_connection_new(
    struct http_server *server, h2o_socket_t *socket, bool is_tls)
{
    struct http_connection *connection = memory_new_raw(sizeof *connection);
    *connection = (struct http_connection){.server = server,
        .socket = socket,
        .stage = CONNECTION_UNDECIDED,
        .is_tls = is_tls,
        .write_since_mono_us = HTTP_NEVER};
    list_init(&connection->in_unflushed);
    list_init(&connection->in_waiting);
    list_init(&connection->in_greeting);
    http_peer_read(socket, &connection->peer);
    list_add_tail(&server->connections, &connection->link);
    server->connections_open++;
    if (server->options.is_measured)
        metrics_add(METRIC_HTTP_CONNECTIONS, 1);
    socket->on_close.cb = on_close;
    socket->on_close.data = socket->data = connection;
    return connection;
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
    list_remove(&connection->in_greeting);
    http2_read_end(connection);
    (void)http_room_hold_input(connection, 0, 0);
    if (connection->protocol)
        TAKE(connection->protocol)->end(connection);
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

static struct http_connection *connection_of(struct list *link)
{
    return CONTAINER_OF(link, struct http_connection, link);
}

static bool is_idle(const struct http_connection *connection)
{
    return !connection->protocol || connection->protocol->is_idle(connection);
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

/* The deadline has come, or a write makes no progress. */
static void end_late(struct http_connection *connection)
{
    switch (connection->stage) {
    case CONNECTION_HTTP1:
    case CONNECTION_HTTP2:
        connection->protocol->late(connection);
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
            connection->protocol->drain(connection, true);
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
        } else if (now_mono_us - http2_read_waits_us(connection, now_mono_us) >=
                   connection->deadline_mono_us) {
            end_late(connection);
        } else if (server->draining) {
            sweep_draining(connection, is_final);
        }
    }
    server->drain_is_final |= is_final;
    list_for_each_safe (link, following, &server->timed) {
        struct http_exchange *exchange = CONTAINER_OF(link, struct http_exchange, in_timed);
        if (now_mono_us - http2_read_waits_us_of(exchange, now_mono_us) >=
            exchange->deadline_mono_us)
            exchange->connection->protocol->exchange_late(exchange);
    }
}

void http_connections_drain(struct http_server *server)
{
    list_for_each_safe (link, following, &server->connections) {
        struct http_connection *connection = connection_of(link);
        if (connection->stage == CONNECTION_HTTP2)
            connection->protocol->drain(connection, false);
        else if (connection->stage != CONNECTION_CLOSING && is_idle(connection))
            http_connection_close(connection, false);
    }
}

void http_connections_cut(struct http_server *server)
{
    list_for_each_safe (link, following, &server->connections) {
        struct http_connection *connection = connection_of(link);
        if (connection->stage == CONNECTION_CLOSING)
            shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
        else
            http_connection_close(connection, true);
    }
}
