/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room: the memory of heads, bodies and answers, over all connections of a server.
 *
 * Each room has a part of http_options.room_bytes, and each connection and each known caller can
 * have a part of a room. So strangers leave known callers their part, and one caller leaves the
 * others theirs. Bytes are taken as they arrive, not as they are announced. Each connection has
 * HEAD_ALWAYS_BYTES for a head, whatever others have taken, so that every caller can say who it is.
 *
 * Input that waits counts as heads do: an incomplete head of HTTP/1, and requests that wait for the
 * answer before them. h2o's smallest input has 8 KiB.
 *
 * Callers are counted by a hash of their name: two of them may share their part. Until the caller
 * of a request is known, it is the last one of the connection.
 */
#include "http/http_internal.h"

#define CALLER_PERCENT 46      /* of the room for bodies and answers */
#define HEAD_ALWAYS_BYTES 4096 /* a usual head with its exchange takes 3 KiB */

static const struct {
    unsigned percent;            /* of room_bytes */
    unsigned connection_percent; /* of the room */
} shares[HTTP_ROOMS] = {
    [HTTP_ROOM_HEADS] = {10, 12}, [HTTP_ROOM_UNKNOWN] = {14, 12}, [HTTP_ROOM_BODIES] = {60, 46}};

static size_t *room_of_caller(struct http_exchange *exchange)
{
    return &exchange->server->room_of_callers[exchange->caller_bucket];
}

static void add(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    exchange->server->room_taken[room] += bytes;
    exchange->room[room] += bytes;
    if (exchange->connection)
        exchange->connection->room[room] += bytes;
    if (room == HTTP_ROOM_BODIES && exchange->caller_bucket) {
        exchange->caller_room += bytes;
        *room_of_caller(exchange) += bytes;
    }
}

static size_t limit_of(const struct http_server *server, enum http_room room)
{
    return server->options.room_bytes / 100 * shares[room].percent;
}

/* Whether a connection (NULL: it is gone) would exceed its share with so many bytes more. */
static bool exceeds_share(const struct http_server *server,
    const struct http_connection *connection, enum http_room room, size_t bytes)
{
    size_t taken = connection ? connection->room[room] : 0;
    return taken > 0 &&
           taken + bytes > limit_of(server, room) / 100 * shares[room].connection_percent;
}

/* The same for the caller of an exchange. */
static bool exceeds_share_of_caller(
    const struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    const struct http_server *server = exchange->server;
    return room == HTTP_ROOM_BODIES && exchange->caller_bucket &&
           server->room_of_callers[exchange->caller_bucket] + bytes >
               limit_of(server, room) / 100 * CALLER_PERCENT;
}

/* Whether a connection (NULL: it is gone) may have so many bytes more. */
static bool has_room(const struct http_server *server, const struct http_connection *connection,
    enum http_room room, size_t bytes)
{
    size_t limit = limit_of(server, room);
    size_t taken = connection ? connection->room[room] : 0;
    size_t input = connection && connection->input_room == room ? connection->input_bytes : 0;
    if (room == HTTP_ROOM_HEADS && connection && taken - input + bytes <= HEAD_ALWAYS_BYTES)
        return true;
    return bytes <= limit && server->room_taken[room] <= limit - bytes &&
           !exceeds_share(server, connection, room, bytes);
}

bool http_room_exceeds_share(
    const struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    return exceeds_share(exchange->server, exchange->connection, room, bytes) ||
           exceeds_share_of_caller(exchange, room, bytes);
}

bool http_room_take(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    if (!has_room(exchange->server, exchange->connection, room, bytes) ||
        exceeds_share_of_caller(exchange, room, bytes))
        return false;
    add(exchange, room, bytes);
    return true;
}

bool http_room_hold_input(struct http_connection *connection, size_t size, size_t capacity)
{
    struct http_server *server = connection->server;
    server->room_taken[connection->input_room] -= connection->input_bytes;
    connection->room[connection->input_room] -= connection->input_bytes;
    connection->input_bytes = 0;
    if (size == 0)
        return true;
    enum http_room room = connection->has_authenticated ? HTTP_ROOM_BODIES : HTTP_ROOM_HEADS;
    if (size > HEAD_ALWAYS_BYTES && !has_room(server, connection, room, capacity))
        return false;
    server->room_taken[room] += capacity;
    connection->room[room] += capacity;
    connection->input_bytes = capacity;
    connection->input_room = room;
    return true;
}

void http_room_force(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    add(exchange, room, bytes);
}

void http_room_give(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    exchange->room[room] -= bytes;
    if (exchange->connection)
        exchange->connection->room[room] -= bytes;
    if (!exchange->server)
        return;
    exchange->server->room_taken[room] -= bytes;
    if (room == HTTP_ROOM_BODIES && exchange->caller_room > 0) {
        size_t of_caller = bytes < exchange->caller_room ? bytes : exchange->caller_room;
        exchange->caller_room -= of_caller;
        *room_of_caller(exchange) -= of_caller;
    }
}

void http_room_give_all(struct http_exchange *exchange)
{
    for (enum http_room room = 0; room < HTTP_ROOMS; room++)
        http_room_give(exchange, room, exchange->room[room]);
}

void http_room_leave(struct http_exchange *exchange)
{
    for (enum http_room room = 0; exchange->connection && room < HTTP_ROOMS; room++)
        exchange->connection->room[room] -= exchange->room[room];
}

void http_room_set_caller(struct http_exchange *exchange)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = exchange->caller; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    if (exchange->caller_bucket)
        *room_of_caller(exchange) -= exchange->caller_room;
    exchange->caller_bucket = 1 + hash % (HTTP_CALLERS - 1);
    exchange->caller_room = exchange->room[HTTP_ROOM_BODIES];
    *room_of_caller(exchange) += exchange->caller_room;
    if (exchange->connection)
        exchange->connection->caller_bucket = exchange->caller_bucket;
}
