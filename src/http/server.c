/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: its loop, which is h2o's, and its start and end.
 *
 * One turn is one h2o_evloop_run. It waits once, at its beginning, and then runs callbacks. So the
 * thread is offline for RCU when the turn begins. The first handler or mail sets it online, and it
 * is set offline after the turn. At the end of a turn, the frames of HTTP/2 connections are
 * written.
 *
 * Memory. Heads, bodies and answers of all connections share the room (http_options.room_bytes).
 * Without room, a new request is refused (REFUSED_STREAM, or the connection ends), and a body is
 * answered with 503. Input that waits is bounded too (http2_read.c). The rest of a connection is
 * small: the socket's buffers in the kernel, and 13 KiB for HTTP/2, or 28 KiB with TLS.
 *
 * When a server is freed, h2o 2.2.5 does not return the descriptor of its epoll and a few recycled
 * blocks of the thread.
 */
#include "http/http_internal.h"

#include "base/crypto.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

/*
 * Why these:
 *   handshake  two round trips and a signature; three retransmissions of each
 *   first   a client speaks at once; a TCP connection without a byte is a scan or a spare one
 *   head    one or two packets; 5 s are three retransmissions
 *   body    10 s, and 1 s for each 64 KiB that has arrived: half a megabit per second
 *   answer  the client has this for each 64 KiB of the answer
 *   idle    load balancers keep connections for a minute, so it must be longer
 */
static const struct http_limits default_limits = {.handshake_ms = 5000,
    .first_ms = 5000,
    .head_ms = 5000,
    .body_ms = 10000,
    .answer_ms = 10000,
    .idle_ms = 75000};

#define ROOM_BYTES ((size_t)24 * 1024 * 1024)
#define TURNS_TO_CLOSE_MAX 200
#define TURN_TO_CLOSE_MS 5

static void go_offline(struct http_server *server)
{
    if (server->online)
        rcu_go_offline();
    server->online = false;
    server->handshakes = 0;
    server->turns++;
}

static void end_turn(struct http_server *server)
{
    if (server->online && server->options.is_measured)
        metrics_observe(HISTOGRAM_TURN, clock_mono_us() - server->online_mono_us);
    go_offline(server);
}

static void on_mailbox_ready(h2o_socket_t *socket, const char *error)
{
    struct http_server *server = socket->data;
    http_server_go_online(server);
    mailbox_work(server->options.mailbox);
}

static void on_tick(h2o_timeout_entry_t *entry)
{
    struct http_server *server = CONTAINER_OF(entry, struct http_server, tick);
    h2o_timeout_link(server->loop, &server->hundred_ms_timeout, &server->tick);
    http_connections_sweep(server, clock_mono_us());
    http2_read_tick(server);
    if (!server->options.on_tick || server->closing)
        return;
    http_server_go_online(server);
    http_admission_tick(server, false);
    server->options.on_tick(server->options.context);
}

static void on_flush(h2o_timeout_entry_t *entry)
{
    struct http_server *server = CONTAINER_OF(entry, struct http_server, flush);
    while (!list_is_empty(&server->unflushed)) {
        struct http_connection *connection =
            CONTAINER_OF(server->unflushed.next, struct http_connection, in_unflushed);
        connection->protocol->flush(connection);
    }
}

/* The last answers. They are written from the loop, as all others: h2o does not expect that a write
 * is complete before the loop runs. */
static void on_end(h2o_timeout_entry_t *entry)
{
    struct http_server *server = CONTAINER_OF(entry, struct http_server, end);
    http_admission_tick(server, true);
    http_exchanges_abandon(server);
    on_flush(&server->flush);
}

static void fill_in(struct http_limits *limits)
{
    if (!limits->handshake_ms)
        limits->handshake_ms = default_limits.handshake_ms;
    if (!limits->first_ms)
        limits->first_ms = default_limits.first_ms;
    if (!limits->head_ms)
        limits->head_ms = default_limits.head_ms;
    if (!limits->body_ms)
        limits->body_ms = default_limits.body_ms;
    if (!limits->answer_ms)
        limits->answer_ms = default_limits.answer_ms;
    if (!limits->idle_ms)
        limits->idle_ms = default_limits.idle_ms;
}

enum err http_server_new(const struct http_options *options, struct http_server **ret_server)
{
    AUTO_CLOSE int listen_fd = options->listen_fd;
    AUTO_CLOSE int tls_listen_fd = options->tls ? options->tls_listen_fd : -1;
    AUTO_CLOSE int mailbox_fd = -1;
    if (options->mailbox) {
        /* h2o closes the copy. */
        mailbox_fd = fcntl(options->mailbox->event_fd, F_DUPFD_CLOEXEC, 0);
        if (mailbox_fd < 0)
            return ERR_SYSTEM;
    }
    struct http_server *server = memory_new(sizeof *server);
    server->options = *options;
    fill_in(&server->options.limits);
    if (!server->options.room_bytes)
        server->options.room_bytes = ROOM_BYTES;
    crypto_random(&server->request_ids, sizeof server->request_ids);
    list_init(&server->exchanges);
    list_init(&server->timed);
    list_init(&server->delayed);
    server->loop = h2o_evloop_create();
    h2o_timeout_init(server->loop, &server->zero_timeout, 0);
    h2o_timeout_init(server->loop, &server->one_ms_timeout, 1);
    h2o_timeout_init(server->loop, &server->hundred_ms_timeout, 100);
    list_init(&server->connections);
    list_init(&server->unflushed);
    list_init(&server->waiting);
    list_init(&server->greeting);
    server->ticks = 1; /* a connection that was never refused has 0 */
    http_accept_begin(server);
    server->tick = (h2o_timeout_entry_t){.cb = on_tick};
    server->flush = (h2o_timeout_entry_t){.cb = on_flush};
    server->end = (h2o_timeout_entry_t){.cb = on_end};
    h2o_timeout_link(server->loop, &server->hundred_ms_timeout, &server->tick);
    if (mailbox_fd >= 0) {
        server->mailbox_socket =
            h2o_evloop_socket_create(server->loop, TAKE_FD(mailbox_fd), H2O_SOCKET_FLAG_DONT_READ);
        server->mailbox_socket->data = server;
        h2o_socket_read_start(server->mailbox_socket, on_mailbox_ready);
    }
    (void)TAKE_FD(listen_fd);
    (void)TAKE_FD(tls_listen_fd);
    *ret_server = server;
    return OK;
}

void http_server_drain(struct http_server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    server->drain_since_mono_us = clock_mono_us();
    http_accept_end(server);
    http_connections_drain(server);
}

bool http_server_is_idle(const struct http_server *server)
{
    return server->connections_open == 0 && list_is_empty(&server->exchanges);
}

void http_server_stop(struct http_server *server)
{
    server->stopping = true;
}

/* With TLS, a connection ends some turns after it was closed. In the last turn, h2o frees
 * sockets. */
static void close_connections(struct http_server *server)
{
    h2o_timeout_link(server->loop, &server->zero_timeout, &server->end);
    h2o_evloop_run(server->loop, 0);
    http_accept_end(server);
    http_connections_cut(server);
    for (int i = 0; i < TURNS_TO_CLOSE_MAX && server->connections_open > 0; i++)
        h2o_evloop_run(server->loop, TURN_TO_CLOSE_MS);
    assert(server->connections_open == 0);
    h2o_evloop_run(server->loop, 0);
}

/* Runs on the loop's thread if there was one: h2o's objects point into memory of that thread
 * (2.2.5). */
static void shut(struct http_server *server)
{
    if (server->closing)
        return;
    server->closing = true;
    if (server->mailbox_socket)
        h2o_socket_close(server->mailbox_socket);
    close_connections(server);
    h2o_timeout_unlink(&server->tick);
    h2o_timeout_unlink(&server->greet);
    h2o_timeout_unlink(&server->flush);
    h2o_timeout_unlink(&server->end);
    go_offline(server);
}

void http_server_run(struct http_server *server)
{
    while (!server->stopping) {
        h2o_evloop_run(server->loop, INT32_MAX);
        end_turn(server);
    }
    shut(server);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    shut(server);
    h2o_timeout_dispose(server->loop, &server->zero_timeout);
    h2o_timeout_dispose(server->loop, &server->one_ms_timeout);
    h2o_timeout_dispose(server->loop, &server->hundred_ms_timeout);
    h2o_evloop_destroy(server->loop);
    free(server);
}
