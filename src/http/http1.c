/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1 connections: checks the framing of received bytes (framing.h) before h2o sees them, and
 * limits the time of each part of a request.
 *
 * h2o 2.2.5 starts to read through its own function h2o_socket_read_start, which the dynamic linker
 * resolves. The function of that name in this file replaces it and puts a callback before h2o's.
 * h2o reads only while it waits for a request or its rest, so no answer is in flight when bytes
 * arrive.
 *
 * A rejected request gets one 400, or 413 if its Content-Length is too large for h2o, and the
 * connection is closed. Nothing after it is read. Earlier requests of the same read are answered
 * first: h2o gets the bytes up to the rejected request. When h2o has used them and reads more, the
 * refusal follows.
 *
 * Timeouts: idle between two requests, then one for the head and one for the body. Each counts from
 * its first byte, however slowly the bytes arrive. h2o has a single timeout for all three, from the
 * last answer to the end of the next request. It is set longer than the sum of ours.
 */
#include "http/http_internal.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>

#define REFUSED "refused" /* h2o treats any error as the end */

typedef void read_start_fn(h2o_socket_t *socket, h2o_socket_cb callback);

static void h2o_reads(h2o_socket_t *socket, h2o_socket_cb callback)
{
    static _Atomic(read_start_fn *) found;
    read_start_fn *real = found;
    if (!real)
        found = real = (read_start_fn *)dlsym(RTLD_NEXT, "h2o_socket_read_start");
    real(socket, callback);
}

/* Ends a connection that h2o may already own. */
static void finish(struct http_connection *connection)
{
    h2o_timeout_unlink(&connection->deadline);
    if (connection->h2o_read)
        connection->h2o_read(connection->socket, REFUSED);
    else
        h2o_socket_close(connection->socket);
}

static void on_rest(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->on_close.data;
    h2o_buffer_consume(&socket->input, socket->input->size);
    if (error)
        finish(connection);
}

/* Reads and drops what the client still sends, until the client closes. Closing at once could reset
 * the connection before the client reads the answer. */
static void on_refusal_written(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->on_close.data;
    free(TAKE(connection->refusal));
    if (error) {
        finish(connection);
        return;
    }
    shutdown(h2o_socket_get_fd(socket), SHUT_WR);
    h2o_reads(socket, on_rest);
}

static void answer_refusal(struct http_connection *connection, const char *fault)
{
    struct http_server *server = connection->server;
    h2o_socket_t *socket = connection->socket;
    struct buffer body = BUFFER_EMPTY, answer = BUFFER_EMPTY;
    enum err error = fault == framing_too_large ? ERR_TOO_LARGE : ERR_BAD_REQUEST;
    http_note_cut(connection, refusal_of_error(error), err_http_status(error));
    http_print_problem(&body, error, fault, NULL);
    buffer_add_format(&answer,
        "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\nServer: "
        "Penstock\r\n"
        "content-type: application/problem+json\r\n\r\n",
        err_http_status(error), http_status_text(err_http_status(error)), body.len);
    buffer_add_slice(&answer, buffer_slice(&body));
    bool made = buffer_status(&body) == OK && buffer_status(&answer) == OK;
    buffer_done(&body);
    h2o_timeout_unlink(&connection->deadline);
    if (!made) {
        buffer_done(&answer);
        finish(connection);
        return;
    }
    connection->refused = true;
    connection->refusal = answer.data;
    h2o_socket_read_stop(socket);
    h2o_iovec_t out = h2o_iovec_init(answer.data, answer.len);
    h2o_timeout_link(server->loop, &server->head_timeout, &connection->deadline);
    h2o_socket_write(socket, &out, 1, on_refusal_written);
}

static void link_deadline(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    h2o_timeout_t *of_phase[] = {[FRAMING_IDLE] = &server->idle_timeout,
        [FRAMING_HEAD] = &server->head_timeout,
        [FRAMING_BODY] = &server->body_timeout};
    connection->phase = framing_phase(&connection->framing);
    h2o_timeout_unlink(&connection->deadline);
    h2o_timeout_link(server->loop, of_phase[connection->phase], &connection->deadline);
}

static void on_late(h2o_timeout_entry_t *entry)
{
    struct http_connection *connection = CONTAINER_OF(entry, struct http_connection, deadline);
    /* While h2o does not read, the client waits for the answer: that is no timeout. */
    if (connection->refused || h2o_socket_is_reading(connection->socket))
        finish(connection);
}

/* Checks the new bytes. Returns false if they were rejected. */
static bool take(struct http_connection *connection, size_t new_bytes)
{
    h2o_buffer_t *input = connection->socket->input;
    unsigned requests = connection->framing.requests;
    size_t start;
    const char *fault = framing_walk(
        &connection->framing, input->bytes + input->size - new_bytes, new_bytes, &start);
    if (fault && start == 0) {
        answer_refusal(connection, fault);
        return false;
    }
    if (fault) {
        input->size -= new_bytes - start;
        connection->fault = fault;
        h2o_timeout_unlink(&connection->deadline);
    } else if (framing_phase(&connection->framing) != connection->phase ||
               connection->framing.requests != requests) {
        link_deadline(connection);
    }
    return true;
}

static void on_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->on_close.data;
    if (error || take(connection, socket->bytes_read))
        connection->h2o_read(socket, error); /* may free the connection */
}

/* Replaces h2o's function. The socket may be a partner's connection or any other. */
void h2o_socket_read_start(h2o_socket_t *socket, h2o_socket_cb callback)
{
    struct http_connection *connection = http_connection_of(socket);
    if (!connection || connection->stage != CONNECTION_HTTP1) {
        h2o_reads(socket, callback);
        return;
    }
    connection->h2o_read = callback;
    if (connection->fault && socket->input->size == 0) {
        answer_refusal(connection, connection->fault);
        return;
    }
    if (!connection->fault)
        link_deadline(connection);
    h2o_reads(socket, on_bytes);
}

void http1_begin(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    h2o_socket_t *socket = connection->socket;
    connection->stage = CONNECTION_HTTP1;
    connection->deadline.cb = on_late;
    connection->framing.body_bytes_max = server->config.max_request_entity_size;
    if (!take(connection, socket->input->size))
        return;
    bool gone = false;
    connection->gone = &gone;
    h2o_http1_accept(&server->accept, socket, *h2o_get_timestamp(&server->context, NULL, NULL));
    if (gone)
        return;
    connection->gone = NULL;
    /* Otherwise h2o did not call the function above, and would read unchecked bytes. */
    assert(connection->h2o_read);
}

bool http1_is_guarded(void)
{
    return dlsym(RTLD_DEFAULT, "h2o_socket_read_start") == (void *)h2o_socket_read_start;
}
