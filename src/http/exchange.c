/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange is one request and its answer. Its connection owns it while the request is received,
 * then the handler owns it until http_answer, and after that the connection again until the answer
 * is written. When the client resets the stream or disconnects while the handler has it, only the
 * link to the connection is cut.
 *
 * On HTTP/1, the server does not read during a request. So a disconnect shows only when the answer
 * is written, and such an answer counts as sent.
 */
#include "http/http_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STREAM_BYTES 512 /* what libnghttp2 has for a stream */
#define LARGE_ANSWER_BYTES (16 * 1024)

/* What the exchange takes without its head. */
static size_t own_bytes(const struct http_exchange *exchange)
{
    return sizeof *exchange + (exchange->stream ? STREAM_BYTES : 0);
}

static size_t head_bytes(const struct http_exchange *exchange)
{
    return sizeof *exchange->head + exchange->head->text_capacity;
}

struct http_exchange *http_exchange_new(struct http_connection *connection, int32_t stream)
{
    struct http_exchange *exchange = memory_new(sizeof *exchange);
    exchange->server = connection->server;
    exchange->connection = connection;
    exchange->peer = connection->peer;
    exchange->stream = stream;
    exchange->number = connection->server->requests++;
    exchange->state = EXCHANGE_RECEIVING;
    exchange->body_told = UINT64_MAX;
    exchange->over_limit = REFUSAL_OTHER;
    exchange->deadline_mono_us = HTTP_NEVER;
    list_init(&exchange->link);
    list_init(&exchange->in_timed);
    list_init(&exchange->in_connection);
    exchange->head = memory_new_raw(sizeof *exchange->head);
    head_begin(exchange->head);
    /* Strangers who fill the room of heads do not hinder callers who are known. */
    exchange->caller_bucket = connection->caller_bucket;
    exchange->head_room = connection->has_authenticated ? HTTP_ROOM_BODIES : HTTP_ROOM_HEADS;
    if (!http_exchange_head_has_room(exchange)) {
        http_exchange_drop(exchange);
        return NULL;
    }
    return exchange;
}

bool http_exchange_head_has_room(struct http_exchange *exchange)
{
    size_t bytes = own_bytes(exchange) + head_bytes(exchange),
           taken = exchange->room[exchange->head_room];
    if (bytes <= taken || http_room_take(exchange, exchange->head_room, bytes - taken))
        return true;
    http_note_cut(exchange->connection, REFUSAL_NO_ROOM, 0);
    if (http_room_exceeds_share(exchange, exchange->head_room, bytes - taken))
        http_connection_note_refused(exchange->connection);
    return false;
}

void http_exchange_free_request(struct http_exchange *exchange)
{
    if (!exchange->head)
        return;
    size_t bytes = head_bytes(exchange);
    if (exchange->room[exchange->head_room] >= bytes)
        http_room_give(exchange, exchange->head_room, bytes);
    http_room_give(exchange, exchange->body_room, exchange->body_capacity);
    head_done(exchange->head);
    free(TAKE(exchange->head));
    free(TAKE(exchange->body));
    exchange->body_len = exchange->body_capacity = 0;
}

void http_exchange_free(struct http_exchange *exchange)
{
    http_exchange_free_request(exchange);
    http_room_give_all(exchange);
    buffer_done(&exchange->reply);
    list_remove(&exchange->link);
    list_remove(&exchange->in_timed);
    list_remove(&exchange->in_connection);
    http_set_headers_free(exchange);
    free(exchange);
}

void http_exchange_drop(struct http_exchange *exchange)
{
    http_room_leave(exchange);
    exchange->connection = NULL;
    list_remove(&exchange->in_timed);
    list_remove(&exchange->in_connection);
    if (exchange->state != EXCHANGE_HANDLED && !exchange->handler_runs)
        http_exchange_free(exchange);
}

void http_exchange_hold(struct http_exchange *exchange)
{
    if (exchange->state != EXCHANGE_RECEIVING)
        return;
    exchange->state = EXCHANGE_HANDLED;
    list_remove(&exchange->in_timed);
    list_add_tail(&exchange->server->exchanges, &exchange->link);
}

struct slice http_method(const struct http_exchange *exchange)
{
    return exchange->head ? head_slice(exchange->head, exchange->head->method) : slice_of(NULL, 0);
}

bool http_is_post(const struct http_exchange *exchange)
{
    return exchange->route && strcmp(exchange->route->method, "POST") == 0;
}

const char *http_caller(const struct http_exchange *exchange)
{
    return exchange->caller;
}

struct slice http_path(const struct http_exchange *exchange)
{
    return exchange->head ? head_path(exchange->head) : slice_of(NULL, 0);
}

struct slice http_query(const struct http_exchange *exchange)
{
    return exchange->head ? head_query(exchange->head) : slice_of(NULL, 0);
}

struct slice http_path_part(const struct http_exchange *exchange, unsigned index)
{
    return exchange->head && index < HTTP_PATH_PARTS_MAX ? exchange->parts[index]
                                                         : slice_of(NULL, 0);
}

struct slice http_header(const struct http_exchange *exchange, const char *lower_case_name)
{
    if (!exchange->head)
        return slice_of(NULL, 0);
    if (strcmp(lower_case_name, "host") == 0 && exchange->head->authority.len)
        return head_slice(exchange->head, exchange->head->authority);
    return head_find(exchange->head, lower_case_name);
}

struct slice http_body(const struct http_exchange *exchange)
{
    return slice_of(exchange->body, exchange->body_len);
}

uint64_t http_turn(const struct http_exchange *exchange)
{
    return exchange->server->turns;
}

int64_t http_received_mono_us(const struct http_exchange *exchange)
{
    return exchange->received_mono_us;
}

/* The id is a random number of the server and a counter: 13 characters each, in base 32. */
static char *print_base32(uint64_t number, char *text)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    for (int shift = 60; shift >= 0; shift -= 5)
        *text++ = digits[number >> shift & 31];
    return text;
}

const char *http_request_id(const struct http_exchange *exchange)
{
    char *text = ((struct http_exchange *)exchange)->request_id;
    if (*text)
        return text;
    memcpy(text, "req_", 4);
    char *end = print_base32(exchange->server->request_ids, text + 4);
    *print_base32(exchange->number, end) = '\0';
    return text;
}

struct slice http_date(struct http_server *server)
{
    int64_t now_s = clock_wall_us() / US_PER_SECOND;
    if (now_s != server->date_s) {
        struct tm parts;
        time_t seconds = (time_t)now_s;
        gmtime_r(&seconds, &parts);
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        server->date_s = now_s;
    }
    return slice_from_string(server->date);
}

static void send_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    static const struct http_reply no_room = {
        .status = 503, .headers = {{"retry-after", "5"}}, .headers_count = 1};
    bool is_large = reply->body.len > LARGE_ANSWER_BYTES;
    if (is_large && !http_room_take(exchange, HTTP_ROOM_BODIES, reply->body.len)) {
        http_note_cut(exchange->connection, REFUSAL_NO_ROOM, no_room.status);
        reply = &no_room;
        is_large = false;
    }
    exchange->status = reply->status;
    exchange->connection->protocol->answer(exchange, reply);
    size_t taken = is_large ? reply->body.len : 0;
    if (exchange->reply.capacity > taken)
        http_room_force(exchange, HTTP_ROOM_BODIES, exchange->reply.capacity - taken);
}

bool http_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    bool is_present = exchange->connection != NULL;
    exchange->state = EXCHANGE_ANSWERING;
    list_remove(&exchange->link);
    list_remove(&exchange->in_timed);
    if (is_present) {
        send_answer(exchange, reply);
        if (!exchange->handler_runs)
            http_exchange_free_request(exchange);
    } else {
        metrics_add(METRIC_ANSWERS_ORPHANED, 1);
        if (!exchange->handler_runs)
            http_exchange_free(exchange);
    }
    return is_present;
}
