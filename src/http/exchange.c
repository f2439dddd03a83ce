/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange is one request and its answer. Its connection owns it while the request is received,
 * then the handler owns it until http_answer, and after that the connection again until the answer
 * is written. When the client resets the stream or disconnects while the handler has it, only the
 * link to the connection is cut.
 *
 * The head is checked and the caller is authenticated when the head is complete (`admit` of the
 * route). Only then is memory used for the body: as much as Content-Length says, or in steps.
 * Head and body are freed when the handler returns.
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

#define BODY_FIRST_BYTES 1024
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
    return false;
}

/* The exchange itself stays, which is small. */
static void free_request(struct http_exchange *exchange)
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

static void exchange_free(struct http_exchange *exchange)
{
    free_request(exchange);
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
        exchange_free(exchange);
}

static void answer_too_large(struct http_exchange *exchange)
{
    char detail[96];
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
        exchange_free(exchange);
    else
        free_request(exchange);
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

void http_exchange_hold(struct http_exchange *exchange)
{
    if (exchange->state != EXCHANGE_RECEIVING)
        return;
    exchange->state = EXCHANGE_HANDLED;
    list_remove(&exchange->in_timed);
    list_add_tail(&exchange->server->exchanges, &exchange->link);
}

int64_t http_exchange_body_deadline(const struct http_exchange *exchange)
{
    return exchange->received_mono_us + exchange->server->options.limits.body_ms * US_PER_MS +
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

struct slice http_method(const struct http_exchange *exchange)
{
    return exchange->head ? head_slice(exchange->head, exchange->head->method) : slice_of(NULL, 0);
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
    if (exchange->stream)
        http2_answer(exchange, reply);
    else
        http1_answer(exchange, reply);
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
            free_request(exchange);
    } else {
        metrics_add(METRIC_ANSWERS_ORPHANED, 1);
        if (!exchange->handler_runs)
            exchange_free(exchange);
    }
    return is_present;
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
    if (stand_in->stream)
        http2_set_exchange(stand_in);
    else
        http1_set_exchange(stand_in);
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
