/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens with a request. The head is checked and the caller is authenticated when the head is
 * complete (`admit` of the route). Only then is memory used for the body: as much as Content-Length
 * says, or in steps. Head and body are freed when the handler returns.
 */
#include "http/http_internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_FIRST_BYTES 1024

static void answer_too_large(struct http_exchange *exchange)
{
    char detail[96];
    http_server_go_online(exchange->server); /* on_refused may look for the caller */
    snprintf(detail, sizeof detail, "The body is too large. At most %zu bytes are allowed here.",
        exchange->body_bytes_max);
    http_answer_problem(exchange, ERR_TOO_LARGE, detail, NULL);
}

static void answer_no_room(struct http_exchange *exchange)
{
    exchange->over_limit = REFUSAL_NO_ROOM;
    http_answer_problem(exchange, ERR_OVERLOADED,
        "The gateway has no memory for more requests now. Send it again later.", NULL);
}

/* From the complete head: what the length field says. HTTP/1 has checked it. */
static bool read_length(struct http_exchange *exchange)
{
    struct slice told = head_find(exchange->head, "content-length");
    if (!told.data)
        return true;
    uint64_t length = 0;
    if (told.len == 0 || told.len > 18)
        return false;
    for (size_t i = 0; i < told.len; i++) {
        if (told.data[i] < '0' || told.data[i] > '9')
            return false;
        length = length * 10 + (unsigned)(told.data[i] - '0');
    }
    exchange->body_told = length;
    return true;
}

/* Makes place for `bytes` of body. Answers and returns false if there is none. */
static bool make_place(struct http_exchange *exchange, size_t bytes)
{
    if (bytes <= exchange->body_capacity)
        return true;
    size_t most = exchange->body_bytes_max, capacity = BODY_FIRST_BYTES;
    if (exchange->body_told < most && exchange->body_told >= bytes)
        most = (size_t)exchange->body_told;
    while (capacity < bytes)
        capacity *= 2;
    if (capacity > most)
        capacity = most;
    char *body = NULL;
    if (!exchange->body)
        exchange->body_room = exchange->caller[0] ? HTTP_ROOM_BODIES : HTTP_ROOM_UNKNOWN;
    if (http_room_take(exchange, exchange->body_room, capacity - exchange->body_capacity))
        body = realloc(exchange->body, capacity);
    if (!body) {
        answer_no_room(exchange);
        return false;
    }
    exchange->body = body;
    exchange->body_capacity = capacity;
    return true;
}

/* Calls a function of the route. When it returns, the exchange still exists, whatever it did. */
static void run_handler(
    struct http_exchange *exchange, void (*run)(struct http_exchange *exchange, void *context))
{
    struct http_server *server = exchange->server;
    http_server_go_online(server);
    exchange->handler_runs = true;
    run(exchange, server->options.context);
    exchange->handler_runs = false;
    if (exchange->state == EXCHANGE_RECEIVING)
        return;
    if (exchange->state == EXCHANGE_ANSWERING && !exchange->connection)
        http_exchange_free(exchange);
    else
        http_exchange_free_request(exchange);
}

void http_exchange_admit(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    exchange->received_mono_us = clock_mono_us();
    exchange->connection->has_asked = true;
    exchange->is_head = slice_equals_string(http_method(exchange), "HEAD");
    exchange->body_bytes_max = server->options.body_bytes_max;
    if (server->closing) {
        http_answer_problem(exchange, ERR_SHUTTING_DOWN, NULL, NULL);
        return;
    }
    if (exchange->connection->is_of_proxy)
        http_exchange_read_forwarded(exchange);
    if (!http_route_find(exchange))
        return;
    if (exchange->route->body_bytes_max)
        exchange->body_bytes_max = exchange->route->body_bytes_max;
    if (!read_length(exchange))
        http_answer_problem(exchange, ERR_BAD_REQUEST, "Content-Length must be a number.", NULL);
    else if (exchange->body_told != UINT64_MAX && exchange->body_told > exchange->body_bytes_max)
        answer_too_large(exchange);
    else if (exchange->route->admit)
        run_handler(exchange, exchange->route->admit);
}

int64_t http_exchange_body_deadline(const struct http_exchange *exchange)
{
    return exchange->received_mono_us + exchange->waited_us +
           exchange->server->options.limits.body_ms * US_PER_MS +
           (int64_t)(exchange->body_len / HTTP_STEP_BYTES) * US_PER_SECOND;
}

void http_exchange_receive(struct http_exchange *exchange, const void *data, size_t len)
{
    if (exchange->state != EXCHANGE_RECEIVING || len == 0)
        return;
    if (len > exchange->body_bytes_max - exchange->body_len) {
        answer_too_large(exchange);
        return;
    }
    if (!make_place(exchange, exchange->body_len + len))
        return;
    memcpy(exchange->body + exchange->body_len, data, len);
    exchange->body_len += len;
}

void http_exchange_handle(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    exchange->is_complete = true;
    if (exchange->state != EXCHANGE_RECEIVING)
        return;
    exchange->received_mono_us = clock_mono_us();
    if (server->closing) {
        http_answer_problem(exchange, ERR_SHUTTING_DOWN, NULL, NULL);
        return;
    }
    http_exchange_hold(exchange);
    run_handler(exchange, exchange->route->handle);
}

/* The holder keeps its exchange, so another one takes its place at the connection. */
static struct http_exchange *replace(struct http_exchange *exchange)
{
    struct http_exchange *stand_in = memory_new(sizeof *stand_in);
    stand_in->server = exchange->server;
    http_room_leave(exchange);
    stand_in->connection = TAKE(exchange->connection);
    list_remove(&exchange->in_connection);
    stand_in->stream = exchange->stream;
    stand_in->number = exchange->number;
    stand_in->state = EXCHANGE_HANDLED;
    stand_in->is_complete = true;
    stand_in->is_head = exchange->is_head;
    stand_in->peer = exchange->peer;
    memcpy(stand_in->caller, exchange->caller, sizeof stand_in->caller);
    list_init(&stand_in->link);
    list_init(&stand_in->in_timed);
    list_init(&stand_in->in_connection);
    stand_in->connection->protocol->set_exchange(stand_in);
    return stand_in;
}

void http_exchanges_abandon(struct http_server *server)
{
    list_for_each_safe (link, following, &server->exchanges) {
        struct http_exchange *exchange = CONTAINER_OF(link, struct http_exchange, link);
        if (exchange->connection)
            http_answer_problem(replace(exchange), ERR_SHUTTING_DOWN, NULL, NULL);
        http_room_give_all(exchange);
        exchange->server = NULL;
        list_remove(&exchange->link);
    }
}
