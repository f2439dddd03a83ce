/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 and 1.0 connections: one request at a time, in order. framing.h says where a head, a
 * body and a request end. A head stays in the input until it is complete. Bytes of a body are given
 * to the exchange at once. While a request is handled or answered, nothing is read, so a client
 * that pipelines waits in the kernel.
 *
 * An answer before the end of the body: a rest of at most DISCARD_BYTES_MAX is read and dropped,
 * and the connection stays usable. Otherwise the connection ends with the answer, as it does after
 * a request that framing.h rejects. Then the server reads and drops what still arrives for a
 * moment: closing at once could reset the connection before the client reads the answer.
 */
#include "http/framing.h"
#include "http/http_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define DISCARD_BYTES_MAX (64 * 1024)
#define LINGER_US (2 * US_PER_SECOND)      /* without a byte */
#define LINGER_US_MAX (20 * US_PER_SECOND) /* in all */
#define LINGER_BYTES_MAX (4 * 1024 * 1024) /* clients that send a whole batch before they read */

struct http1 {
    struct framing framing;
    struct http_exchange *exchange; /* NULL between two requests */
    size_t head_bytes;              /* of an incomplete head, at the start of the input */
    bool is_writing;
    bool is_broken; /* the framing was rejected: bytes have no meaning any more */
    bool lingers;
    size_t lingered_bytes;
    int64_t linger_until_mono_us;
};

static void work(struct http_connection *connection);
static void write_more(struct http_connection *connection);

static void set_deadline(struct http_connection *connection, int64_t after_us)
{
    connection->deadline_mono_us = clock_mono_us() + after_us;
}

static void set_body_deadline(struct http_connection *connection)
{
    connection->deadline_mono_us = http_exchange_body_deadline(connection->http1->exchange);
}

static void on_lingering(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    struct http1 *http1 = connection->http1;
    http1->lingered_bytes += socket->input->size;
    if (socket->input->size > 0 && clock_mono_us() < http1->linger_until_mono_us)
        set_deadline(connection, LINGER_US);
    h2o_buffer_consume(&socket->input, socket->input->size);
    http_connection_free_input(connection);
    (void)http_room_hold_input(connection, 0, 0);
    if (error || http1->lingered_bytes > LINGER_BYTES_MAX)
        http_connection_close(connection, true);
}

static void linger(struct http_connection *connection)
{
    connection->http1->lingers = true;
    connection->http1->linger_until_mono_us = clock_mono_us() + LINGER_US_MAX;
    set_deadline(connection, LINGER_US);
    if (!connection->socket->ssl) /* the end of TLS is written by closing */
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_WR);
    h2o_socket_read_start(connection->socket, on_lingering);
}

/* Closing a socket with unread bytes resets it, and the client may lose the answer. */
static bool has_unread(h2o_socket_t *socket)
{
    int bytes = 0;
    return socket->input->size > 0 ||
           (ioctl(h2o_socket_get_fd(socket), FIONREAD, &bytes) == 0 && bytes > 0);
}

/* The answer is written. */
static void end_answer(struct http_connection *connection)
{
    struct http1 *http1 = connection->http1;
    struct http_exchange *exchange = http1->exchange;
    if (exchange->closes) {
        bool may_be_reset = !exchange->is_complete || has_unread(connection->socket);
        http_exchange_drop(TAKE(http1->exchange));
        if (may_be_reset)
            linger(connection);
        else
            http_connection_close(connection, false);
        return;
    }
    if (exchange->is_complete) {
        http_exchange_drop(TAKE(http1->exchange));
        set_deadline(connection, connection->server->options.limits.idle_ms * US_PER_MS);
    } else {
        set_body_deadline(connection);
    }
    work(connection);
}

static bool is_answer_written(const struct http_exchange *exchange)
{
    return exchange->state == EXCHANGE_ANSWERING && exchange->reply_sent == exchange->reply.len;
}

static void on_written(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    struct http1 *http1 = connection->http1;
    http1->is_writing = false;
    if (error) {
        http_connection_close(connection, true);
        return;
    }
    if (!http1->exchange)
        linger(connection); /* this was the answer without room */
    else if (http1->exchange->state != EXCHANGE_ANSWERING)
        return; /* this was "100 Continue" */
    else if (is_answer_written(http1->exchange))
        end_answer(connection);
    else
        write_more(connection);
}

static void write_bytes(struct http_connection *connection, const char *data, size_t len)
{
    connection->http1->is_writing = true;
    h2o_iovec_t out = {.base = (char *)data, .len = len};
    h2o_socket_write(connection->socket, &out, 1, on_written);
}

static void write_more(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->http1->exchange;
    if (connection->http1->is_writing)
        return;
    size_t left = exchange->reply.len - exchange->reply_sent;
    size_t len = left < HTTP_WRITE_BYTES ? left : HTTP_WRITE_BYTES;
    const char *data = exchange->reply.data + exchange->reply_sent;
    exchange->reply_sent += len;
    set_deadline(connection, connection->server->options.limits.answer_ms * US_PER_MS);
    write_bytes(connection, data, len);
}

/* Whether the list of a Connection field has the token. */
static bool has_token(struct slice list, const char *token)
{
    size_t len = strlen(token);
    for (size_t at = 0; at < list.len;) {
        size_t end = at;
        while (end < list.len && list.data[end] != ',')
            end++;
        size_t first = at, last = end;
        while (first < last && (list.data[first] == ' ' || list.data[first] == '\t'))
            first++;
        while (last > first && (list.data[last - 1] == ' ' || list.data[last - 1] == '\t'))
            last--;
        if (last - first == len && strncasecmp(list.data + first, token, len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/* Whether the connection ends with the answer to this request. */
static bool ends_after(const struct http_connection *connection)
{
    const struct http1 *http1 = connection->http1;
    const struct http_exchange *exchange = http1->exchange;
    if (exchange->closes || http1->is_broken || connection->server->draining ||
        connection->server->closing)
        return true;
    return !exchange->is_complete &&
           (exchange->body_told == UINT64_MAX || exchange->body_told > DISCARD_BYTES_MAX);
}

static void answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    struct http_connection *connection = exchange->connection;
    struct buffer *out = &exchange->reply;
    exchange->closes = ends_after(connection);
    buffer_add_format(
        out, "HTTP/1.1 %d %s\r\nDate: ", reply->status, http_status_text(reply->status));
    buffer_add_slice(out, http_date(connection->server));
    buffer_add_string(
        out, exchange->closes ? "\r\nConnection: close\r\n" : "\r\nConnection: keep-alive\r\n");
    bool may_have_body = reply->status != 204 && reply->status != 304;
    if (may_have_body)
        buffer_add_format(out, "Content-Length: %zu\r\n", reply->body.len);
    buffer_add_format(
        out, "Server: Penstock\r\n" HTTP_REQUEST_ID ": %s\r\n", http_request_id(exchange));
    if (reply->content_type)
        buffer_add_format(out, "content-type: %s\r\n", reply->content_type);
    for (unsigned i = 0; i < reply->headers_count; i++)
        buffer_add_format(out, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
    for (const struct http_set_header *set = exchange->set_headers; set; set = set->next)
        buffer_add_format(out, "%s: %s\r\n", set->name, set->value);
    buffer_add_string(out, "\r\n");
    if (may_have_body && !exchange->is_head)
        buffer_add_slice(out, reply->body);
    if (buffer_status(out)) { /* the body is larger than the memory that is left */
        exchange->closes = true;
        buffer_clear(out);
        buffer_add_string(out, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Content-Length: 0\r\nRetry-After: 5\r\n\r\n");
    }
    write_more(connection);
}

static void set_exchange(struct http_exchange *exchange)
{
    exchange->connection->http1->exchange = exchange;
}

static struct slice line_of(struct slice *rest)
{
    const char *end = memchr(rest->data, '\r', rest->len);
    struct slice line = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 2, rest->len - line.len - 2);
    return line;
}

/* Removes the bytes up to the separator from `line`, and the separator. */
static struct slice part_of(struct slice *line, char separator)
{
    const char *end = memchr(line->data, separator, line->len);
    struct slice part = slice_of(line->data, (size_t)(end - line->data));
    *line = slice_of(end + 1, line->len - part.len - 1);
    return part;
}

static struct slice trimmed(struct slice text)
{
    while (text.len && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_of(text.data + 1, text.len - 1);
    while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* framing.h has checked the grammar, so every separator is there. */
static void read_head(struct head *head, struct slice bytes)
{
    while (bytes.data[0] == '\r' || bytes.data[0] == '\n') /* the rest of an empty line */
        bytes = slice_of(bytes.data + 1, bytes.len - 1);
    struct slice line = line_of(&bytes);
    head_set_method(head, part_of(&line, ' '));
    head_set_target(head, part_of(&line, ' '));
    for (line = line_of(&bytes); line.len; line = line_of(&bytes)) {
        struct slice name = part_of(&line, ':');
        head_add_field(head, name, trimmed(line));
    }
}

/* Without room it answers 503, and returns false. */
static bool begin_exchange(struct http_connection *connection)
{
    static const char no_room[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                                  "Content-Length: 0\r\nRetry-After: 5\r\n\r\n";
    struct http1 *http1 = connection->http1;
    http1->exchange = http_exchange_new(connection, 0);
    if (http1->exchange)
        return true;
    http1->is_broken = true;
    set_deadline(connection, connection->server->options.limits.answer_ms * US_PER_MS);
    write_bytes(connection, no_room, sizeof no_room - 1);
    return false;
}

static bool wants_to_close(const struct http1 *http1)
{
    const struct head *head = http1->exchange->head;
    bool keeps = !http1->framing.is_http_1_0;
    for (unsigned i = 0; i < head->fields_count; i++) {
        if (!slice_equals_string(head_slice(head, head->fields[i].name), "connection"))
            continue;
        struct slice told = head_slice(head, head->fields[i].value);
        if (has_token(told, "close"))
            return true;
        keeps |= has_token(told, "keep-alive");
    }
    return !keeps;
}

static void ask_for_body(struct http_connection *connection)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http1 *http1 = connection->http1;
    struct slice expected = head_find(http1->exchange->head, "expect");
    if (framing_body_length(&http1->framing) == 0 || connection->socket->input->size > 0)
        return;
    if (!http1->framing.is_http_1_0 && expected.len == 12 &&
        strncasecmp(expected.data, "100-continue", 12) == 0)
        write_bytes(connection, go_on, sizeof go_on - 1);
    else
        http_connection_acknowledge(connection);
}

/* The head is complete: it is the first `len` bytes of the input. */
static void take_head(struct http_connection *connection, size_t len)
{
    struct http1 *http1 = connection->http1;
    h2o_socket_t *socket = connection->socket;
    if (!begin_exchange(connection))
        return;
    struct http_exchange *exchange = http1->exchange;
    read_head(exchange->head, slice_of(socket->input->bytes, len));
    h2o_buffer_consume(&socket->input, len);
    http1->head_bytes = 0;
    exchange->closes = wants_to_close(http1);
    exchange->is_complete = framing_body_length(&http1->framing) == 0;
    http_exchange_admit(exchange);
    if (framing_body_length(&http1->framing) > 0)
        exchange->is_complete = false; /* until the walker says so */
    if (exchange->state == EXCHANGE_RECEIVING)
        ask_for_body(connection);
    set_body_deadline(connection);
}

/* Answers bytes that are not HTTP. */
static void reject(struct http_connection *connection, enum err error, const char *detail)
{
    struct http1 *http1 = connection->http1;
    http1->is_broken = true;
    if (!http1->exchange)
        (void)begin_exchange(connection);
    if (!http1->exchange)
        return;
    if (http1->exchange->state == EXCHANGE_RECEIVING)
        http_answer_problem(http1->exchange, error, detail, NULL);
    else
        http1->exchange->closes = true;
}

/* Whether bytes of this connection can be used now. */
static bool may_walk(const struct http1 *http1)
{
    if (http1->is_broken || http1->lingers)
        return false;
    const struct http_exchange *exchange = http1->exchange;
    if (!exchange || exchange->state == EXCHANGE_RECEIVING)
        return true;
    return exchange->state == EXCHANGE_ANSWERING && !exchange->is_complete && !exchange->closes;
}

static void on_event(
    struct http_connection *connection, enum framing_event event, size_t used, struct slice data)
{
    struct http1 *http1 = connection->http1;
    switch (event) {
    case FRAMING_HEAD:
        take_head(connection, http1->head_bytes + used);
        return;
    case FRAMING_FAULT:
        reject(connection, ERR_BAD_REQUEST, http1->framing.fault);
        return;
    case FRAMING_DATA:
        http_exchange_receive(http1->exchange, data.data, data.len);
        if (http1->exchange->state == EXCHANGE_RECEIVING)
            set_body_deadline(connection);
        break;
    case FRAMING_END:
        if (http1->exchange) /* not yet answered, or the rest of its body was dropped */
            http_exchange_handle(http1->exchange);
        break;
    default:
        break;
    }
    h2o_buffer_consume(&connection->socket->input, used);
}

/* All bytes are used. */
static void want_more(struct http_connection *connection, size_t used)
{
    struct http1 *http1 = connection->http1;
    /* A chunk's size, a trailer, or an empty line after the last body. */
    if (http1->exchange || framing_phase(&http1->framing) == FRAMING_IDLE) {
        h2o_buffer_consume(&connection->socket->input, used);
        return;
    }
    bool is_first = http1->head_bytes == 0 && used > 0;
    http1->head_bytes += used;
    if (is_first)
        set_deadline(connection, connection->server->options.limits.head_ms * US_PER_MS);
    if (http1->head_bytes > HEAD_BYTES_MAX)
        reject(connection, ERR_HEAD_TOO_LARGE,
            "The head of the request is too large. At most 16 KiB are allowed.");
}

static void on_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    if (error)
        http_connection_close(connection, true);
    else
        work(connection);
}

/* An empty input has no address. */
static struct slice bytes_to_walk(const struct http_connection *connection)
{
    const h2o_buffer_t *input = connection->socket->input;
    size_t walked = connection->http1->head_bytes;
    return input->size > walked ? slice_of(input->bytes + walked, input->size - walked)
                                : slice_of("", 0);
}

/* What is left of the input waits. Without room for it, the connection ends: with the answer that
 * it waits for, or at once. Then it returns false. */
static bool keep_input(struct http_connection *connection)
{
    struct http1 *http1 = connection->http1;
    h2o_buffer_t **input = &connection->socket->input;
    if (http1->is_broken)
        h2o_buffer_consume(input, (*input)->size);
    http_connection_free_input(connection);
    if (http_room_hold_input(connection, (*input)->size, (*input)->capacity))
        return true;
    http_note_cut(connection, REFUSAL_NO_ROOM, 0);
    if (!http1->exchange) {
        http_connection_close(connection, true);
        return false;
    }
    http1->is_broken = http1->exchange->closes = true;
    h2o_buffer_consume(input, (*input)->size);
    http_connection_free_input(connection);
    return true;
}

/* Uses the bytes of the input until a request is complete, or until they are used up. */
static void work(struct http_connection *connection)
{
    struct http1 *http1 = connection->http1;
    h2o_socket_t *socket = connection->socket;
    while (may_walk(http1)) {
        struct slice data = {0};
        size_t used;
        enum framing_event event =
            framing_next(&http1->framing, bytes_to_walk(connection), &used, &data);
        if (event != FRAMING_MORE) {
            on_event(connection, event, used, data);
            continue;
        }
        want_more(connection, used);
        if (may_walk(http1)) {
            if (keep_input(connection))
                h2o_socket_read_start(socket, on_bytes);
            return;
        }
    }
    h2o_socket_read_stop(socket);
    const struct http_exchange *exchange = http1->exchange;
    if (exchange && exchange->state == EXCHANGE_HANDLED)
        connection->deadline_mono_us = HTTP_NEVER;
    /* The answer was written before the body was complete. */
    if (exchange && !http1->is_writing && is_answer_written(exchange))
        end_answer(connection);
    else
        (void)keep_input(connection);
}

static void end(struct http_connection *connection)
{
    struct http1 *http1 = TAKE(connection->http1);
    if (http1->exchange)
        http_exchange_drop(http1->exchange);
    free(http1);
}

static bool is_idle(const struct http_connection *connection)
{
    char byte;
    return !connection->http1->exchange && connection->socket->input->size == 0 &&
           recv(h2o_socket_get_fd(connection->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static void late(struct http_connection *connection)
{
    const struct http1 *http1 = connection->http1;
    if (!http1->lingers && http1->is_writing)
        http_note_cut(connection, REFUSAL_UNREAD, 0);
    else if (!http1->lingers && (http1->exchange || http1->head_bytes))
        http_note_cut(connection, REFUSAL_DEADLINE, 0);
    http_connection_close(connection, true);
}

static const struct http_protocol protocol = {
    .end = end, .is_idle = is_idle, .answer = answer, .set_exchange = set_exchange, .late = late};

void http1_begin(struct http_connection *connection)
{
    connection->http1 = memory_new(sizeof *connection->http1);
    connection->stage = CONNECTION_HTTP1;
    connection->protocol = &protocol;
    work(connection);
}
