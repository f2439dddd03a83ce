/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from HTTP/2 connections.
 *
 * Requests that are refused in masses wait. A client with the right key may send 100 requests at
 * once on each of thousands of connections. To refuse them all takes the thread half a second, and
 * others would wait for it. So a thread that has refused REFUSED_PER_TICK requests in a tick lets
 * the connections wait whose requests it refuses: it does not read them, and their input stays
 * where it is. With the next tick they go on, the one first that waits longest. Others are read as
 * ever, and so are the connections of proxies, which speak for many.
 *
 * The input that waits is bounded. A connection for which there is no room is cut, if many of its
 * requests were refused in this tick.
 */
#include "http/http2_internal.h"

#include "runtime/metrics.h"

#define REFUSED_PER_TICK 1000 /* each takes about 5 us: a twentieth of the time */
#define WAITING_PERCENT 8     /* of room_bytes; h2o's smallest input has 8 KiB */
#define CUT_REFUSED 16        /* requests of one connection in a tick, without room to wait */
/* The input that libnghttp2 gets at once, and the same when it must be seen soon whether a request
 * is refused: a usual head has 100 bytes, and a short one 20. */
#define PIECE_BYTES 4096
#define SMALL_PIECE_BYTES 64

void http_connection_note_refused(struct http_connection *connection)
{
    if (!connection)
        return;
    struct http_server *server = connection->server;
    server->refused++;
    if (connection->refused_tick != server->ticks)
        connection->refused_in_tick = 0;
    connection->refused_tick = server->ticks;
    connection->refused_in_tick++;
}

static bool refuses_masses(const struct http_server *server)
{
    return server->refused >= REFUSED_PER_TICK;
}

static bool must_wait(const struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    return refuses_masses(server) && connection->refused_tick == server->ticks &&
           !connection->is_of_proxy;
}

/* Returns false if the connection was closed. */
static bool take(struct http_connection *connection, size_t len)
{
    struct http2 *http2 = connection->http2;
    h2o_socket_t *socket = connection->socket;
    const uint8_t *bytes = (const uint8_t *)socket->input->bytes;
    http2_count_bytes(http2, bytes, len);
    ssize_t used = nghttp2_session_mem_recv(http2->session, bytes, len);
    h2o_buffer_consume(&socket->input, len);
    bool is_paid = http2_pay_for_unseen(http2);
    if (http2->cut)
        http_note_cut(connection, REFUSAL_FLOOD, 0);
    if (used >= 0 && is_paid)
        return true;
    http_connection_close(connection, true);
    return false;
}

static bool has_room_to_wait(const struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    return server->waiting_bytes + connection->socket->input->capacity <=
           server->options.room_bytes / 100 * WAITING_PERCENT;
}

static void begin_to_wait(struct http_connection *connection)
{
    h2o_socket_read_stop(connection->socket);
    connection->waits_since_mono_us = connection->http2->now_mono_us;
    connection->waits_with_bytes = connection->socket->input->capacity;
    connection->server->waiting_bytes += connection->waits_with_bytes;
    list_add_tail(&connection->server->waiting, &connection->in_waiting);
    metrics_add(METRIC_HTTP_WAITS, 1);
}

void http2_read_end(struct http_connection *connection)
{
    if (!http_connection_waits(connection))
        return;
    list_remove(&connection->in_waiting);
    connection->server->waiting_bytes -= connection->waits_with_bytes;
}

/* Returns false if the connection was closed. */
static bool take_input(struct http_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    for (size_t left = socket->input->size; left > 0; left = socket->input->size) {
        if (must_wait(connection)) {
            if (has_room_to_wait(connection)) {
                begin_to_wait(connection);
                break;
            }
            if (connection->refused_in_tick >= CUT_REFUSED) {
                http_note_cut(connection, REFUSAL_FLOOD, 0);
                http_connection_close(connection, true);
                return false;
            }
        }
        size_t piece = refuses_masses(connection->server) ? SMALL_PIECE_BYTES : PIECE_BYTES;
        if (!take(connection, left < piece ? left : piece))
            return false;
    }
    return true;
}

static void read_input(struct http_connection *connection)
{
    struct http2 *http2 = connection->http2;
    http2->now_mono_us = clock_mono_us();
    if (!take_input(connection))
        return;
    http2_set_deadline(http2);
    if (http2->awaits_body)
        http_connection_acknowledge(connection);
    http2->awaits_body = false;
    http_connection_free_input(connection);
    if (http2->has_refused) /* libnghttp2 keeps refused streams until then */
        http2_flush(connection);
    else
        http2_want_flush(connection);
}

static void on_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    if (error)
        http_connection_close(connection, true);
    else
        read_input(connection);
}

void http2_read_begin(struct http_connection *connection)
{
    h2o_socket_read_start(connection->socket, on_bytes);
    read_input(connection);
}

/* The client is not late for the time in which we did not read. */
static void move_deadlines(struct http_connection *connection)
{
    int64_t waited_us = clock_mono_us() - connection->waits_since_mono_us;
    if (connection->deadline_mono_us != HTTP_NEVER)
        connection->deadline_mono_us += waited_us;
    list_for_each (link, &connection->http2->exchanges) {
        struct http_exchange *exchange = CONTAINER_OF(link, struct http_exchange, in_connection);
        if (exchange->state != EXCHANGE_RECEIVING)
            continue;
        exchange->waited_us += waited_us;
        if (exchange->deadline_mono_us != HTTP_NEVER)
            exchange->deadline_mono_us += waited_us;
    }
}

void http2_read_tick(struct http_server *server)
{
    server->ticks++;
    server->refused = 0;
    while (!refuses_masses(server) && !list_is_empty(&server->waiting)) {
        struct http_connection *connection =
            CONTAINER_OF(server->waiting.next, struct http_connection, in_waiting);
        http2_read_end(connection);
        move_deadlines(connection);
        http2_read_begin(connection);
    }
}
