/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from HTTP/2 connections.
 *
 * Requests that are refused in masses wait. A client with the right key may send 100 requests at
 * once on each of thousands of connections. To refuse them all takes the thread half a second, and
 * others would wait for it. So a thread that has refused REFUSED_PER_TICK requests in a tick lets
 * the connections wait whose requests it refuses: it does not read them, and their input stays
 * where it is. With each tick some of them go on for a while, the one first that waits longest.
 *
 * Not affected are connections with few refused requests in the tick, and those of proxies, which
 * speak for many. Requests that are refused for lack of resources (5xx) do not count.
 *
 * The input that waits is bounded, for all and for one caller. A connection for which there is no
 * room is cut, if too many of its requests were refused in this tick.
 */
#include "http/http2_internal.h"

#include "runtime/metrics.h"

#include <limits.h>

#define REFUSED_PER_TICK 1000 /* each takes about 5 us: a twentieth of the time */
#define REFUSED_PER_TURN 16   /* requests of a connection that has waited, while others wait */
#define FEW_REFUSED 4         /* requests of a connection in a tick; above twice the masses: 1 */
#define CUT_FACTOR \
    4                     /* it is cut with so many times as many, without room to wait: or with as
                              * many, if its caller has all of its share */
#define WAITING_PERCENT 8 /* of room_bytes */
#define CALLER_PERCENT 46 /* of that */
#define PIECE_BYTES 4096  /* that libnghttp2 gets at once */
/* The same, when it must be seen soon whether a request is refused: a usual head has 100 bytes, and
 * a short one 20. */
#define SMALL_PIECE_BYTES 64

void http_connection_note_refused(struct http_connection *connection)
{
    if (!connection || connection->stage != CONNECTION_HTTP2 || connection->is_of_proxy)
        return;
    struct http_server *server = connection->server;
    server->refused++;
    if (connection->refused_tick != server->ticks)
        connection->refused_in_tick = 0;
    connection->refused_tick = server->ticks;
    connection->refused_in_tick++;
}

/* Requests of this connection that were refused in this tick. */
static unsigned count_refused(const struct http_connection *connection)
{
    return connection->refused_tick == connection->server->ticks ? connection->refused_in_tick : 0;
}

/* With so many, it waits. */
static unsigned count_allowed(const struct http_server *server)
{
    if (server->refused >= 2 * REFUSED_PER_TICK)
        return 1;
    if (server->refused >= REFUSED_PER_TICK)
        return FEW_REFUSED;
    return server->resumes ? REFUSED_PER_TURN : UINT_MAX;
}

static bool must_wait(const struct http_connection *connection)
{
    return count_refused(connection) >= count_allowed(connection->server);
}

static size_t piece_of(const struct http_connection *connection)
{
    if (connection->is_of_proxy || count_allowed(connection->server) == UINT_MAX)
        return PIECE_BYTES;
    size_t rest = connection->http2->walker.left; /* of a frame */
    return rest < SMALL_PIECE_BYTES ? SMALL_PIECE_BYTES : rest < PIECE_BYTES ? rest : PIECE_BYTES;
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

/* A small rest of a large input takes less memory. */
static void shrink_input(struct http_connection *connection)
{
    h2o_buffer_t **input = &connection->socket->input, *small;
    if ((*input)->size > (*input)->capacity / 4)
        return;
    h2o_buffer_init(&small, &h2o_socket_buffer_prototype);
    h2o_iovec_t place = h2o_buffer_reserve(&small, (*input)->size);
    memcpy(place.base, (*input)->bytes, (*input)->size);
    small->size = (*input)->size;
    h2o_buffer_dispose(input);
    *input = small;
}

static size_t bytes_to_wait(const struct http_connection *connection)
{
    size_t capacity = connection->socket->input->capacity;
    return connection->is_tls ? 2 * capacity : capacity; /* h2o may have as much encrypted */
}

static size_t room_to_wait(const struct http_server *server)
{
    return server->options.room_bytes / 100 * WAITING_PERCENT;
}

static bool exceeds_share(const struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    return server->waiting_bytes_of_callers[connection->caller_bucket] + bytes_to_wait(connection) >
           room_to_wait(server) / 100 * CALLER_PERCENT;
}

/* Returns false without room for its input. */
static bool begin_to_wait(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    shrink_input(connection);
    size_t bytes = bytes_to_wait(connection);
    if (server->waiting_bytes + bytes > room_to_wait(server) || exceeds_share(connection))
        return false;
    server->waiting_bytes += bytes;
    server->waiting_bytes_of_callers[connection->caller_bucket] += bytes;
    connection->waits_with_bytes = bytes;
    connection->waits_as_caller = connection->caller_bucket;
    connection->waits_since_mono_us = connection->http2->now_mono_us;
    list_add_tail(&server->waiting, &connection->in_waiting);
    h2o_socket_read_stop(connection->socket);
    metrics_add(METRIC_HTTP_WAITS, 1);
    return true;
}

/* There is no room for it to wait. A caller who has all of its share gets no more patience. */
static bool must_be_cut(const struct http_connection *connection)
{
    bool is_own_fault = connection->caller_bucket && exceeds_share(connection);
    return count_refused(connection) / (is_own_fault ? 1 : CUT_FACTOR) >=
           count_allowed(connection->server);
}

void http2_read_end(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (!http_connection_waits(connection))
        return;
    list_remove(&connection->in_waiting);
    server->waiting_bytes -= connection->waits_with_bytes;
    server->waiting_bytes_of_callers[connection->waits_as_caller] -= connection->waits_with_bytes;
}

/* Returns false if the connection was closed. */
static bool take_input(struct http_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    for (size_t left = socket->input->size; left > 0; left = socket->input->size) {
        if (must_wait(connection)) {
            if (begin_to_wait(connection))
                break;
            if (must_be_cut(connection)) {
                http_note_cut(connection, REFUSAL_FLOOD, 0);
                http_connection_close(connection, true);
                return false;
            }
        }
        size_t piece = piece_of(connection);
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

int64_t http2_read_waits_us(const struct http_connection *connection, int64_t now_mono_us)
{
    return http_connection_waits(connection) ? now_mono_us - connection->waits_since_mono_us : 0;
}

int64_t http2_read_waits_us_of(const struct http_exchange *exchange, int64_t now_mono_us)
{
    if (exchange->state != EXCHANGE_RECEIVING && !exchange->lingers)
        return 0;
    int64_t waits_us = http2_read_waits_us(exchange->connection, now_mono_us);
    int64_t left_us = exchange->server->options.limits.body_ms * US_PER_MS - exchange->waited_us;
    return waits_us < left_us ? waits_us : left_us;
}

static void move_deadlines(struct http_connection *connection)
{
    int64_t now_us = clock_mono_us();
    if (connection->deadline_mono_us != HTTP_NEVER)
        connection->deadline_mono_us += http2_read_waits_us(connection, now_us);
    list_for_each (link, &connection->http2->exchanges) {
        struct http_exchange *exchange = CONTAINER_OF(link, struct http_exchange, in_connection);
        int64_t waited_us = http2_read_waits_us_of(exchange, now_us);
        exchange->waited_us += waited_us;
        if (exchange->deadline_mono_us != HTTP_NEVER)
            exchange->deadline_mono_us += waited_us;
    }
}

void http2_read_tick(struct http_server *server)
{
    server->ticks++;
    server->refused = 0;
    server->resumes = true;
    while (server->refused < REFUSED_PER_TICK && !list_is_empty(&server->waiting)) {
        struct http_connection *connection =
            CONTAINER_OF(server->waiting.next, struct http_connection, in_waiting);
        move_deadlines(connection);
        http2_read_end(connection);
        connection->refused_in_tick = 0; /* its next turn, so that it comes forward */
        http2_read_begin(connection);
    }
    server->resumes = false;
}
