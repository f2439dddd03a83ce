/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room: the memory of heads, bodies and answers, over all connections of a server.
 *
 * Each room has a part of http_options.room_bytes, and each connection can have a part of a room.
 * So strangers leave known callers their part, and one connection leaves the others theirs. Bytes
 * are taken as they arrive, not as they are announced.
 */
#include "http/http_internal.h"

static const struct {
    unsigned percent;            /* of room_bytes */
    unsigned connection_percent; /* of the room */
} shares[HTTP_ROOMS] = {
    [HTTP_ROOM_HEADS] = {20, 10}, [HTTP_ROOM_UNKNOWN] = {20, 10}, [HTTP_ROOM_BODIES] = {60, 25}};

static void add(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    exchange->server->room_taken[room] += bytes;
    exchange->room[room] += bytes;
    if (exchange->connection)
        exchange->connection->room[room] += bytes;
}

bool http_room_take(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    const struct http_server *server = exchange->server;
    size_t limit = server->options.room_bytes / 100 * shares[room].percent;
    size_t of_connection = limit / 100 * shares[room].connection_percent;
    if (bytes > limit || server->room_taken[room] > limit - bytes)
        return false;
    if (exchange->connection && exchange->connection->room[room] > 0 &&
        exchange->connection->room[room] + bytes > of_connection)
        return false;
    add(exchange, room, bytes);
    return true;
}

void http_room_force(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    add(exchange, room, bytes);
}

void http_room_give(struct http_exchange *exchange, enum http_room room, size_t bytes)
{
    exchange->room[room] -= bytes;
    if (exchange->server)
        exchange->server->room_taken[room] -= bytes;
    if (exchange->connection)
        exchange->connection->room[room] -= bytes;
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
