/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: h2o's configuration, context and loop, and their start and end.
 *
 * One turn is one h2o_evloop_run. It waits once, at its beginning, and then runs callbacks. So the
 * thread is offline for RCU when the turn begins. The first handler or mail sets it online, and it
 * is set offline after the turn.
 *
 * Limits. router.c enforces body_bytes_max (413 with a problem). h2o accepts bodies that are larger
 * than the largest route's limit by body_bytes_max. So a body that is slightly too large is read,
 * and the connection stays usable. A larger one is not read. On HTTP/1 it ends the connection: with
 * a Content-Length, http1.c answers 413 with a problem; with chunks, h2o answers 413 in plain text.
 * On HTTP/2, h2o sends RST_STREAM.
 *
 * h2o 2.2.5 buffers a whole body before it calls the handler, and has one limit for all paths. A
 * connection has at most 100 HTTP/2 streams (fixed in h2o), each with a window of 16 MiB. So with
 * batches of 1 MiB, one connection can make the ingress use 106 MiB (13 MiB if every route had 64
 * KiB). This folder does not limit the sum over all connections. An edge proxy must do that,
 * because it sees the frames before h2o does.
 *
 * When a server is freed, h2o 2.2.5 does not return the descriptor of its epoll and a few recycled
 * blocks of the thread.
 */
#include "http/http_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

/* Load balancers keep connections for a minute, so idle must be longer (server.h, struct
 * http_limits).
 */
static const struct http_limits default_limits = {
    .handshake_ms = 5000, .first_ms = 10000, .head_ms = 5000, .body_ms = 10000, .idle_ms = 75000};

#define H2O_MARGIN_MS 1000 /* so that h2o's timeout for a whole HTTP/1 request is never the first */
/* HTTP/2: from the final GOAWAY until h2o closes the remaining connections. */
#define DRAIN_MS_MAX 30000
#define TURNS_TO_CLOSE_MAX 200
#define TURN_TO_CLOSE_MS 5

static void go_offline(struct http_server *server)
{
    if (server->online)
        rcu_go_offline();
    server->online = false;
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
    h2o_timeout_link(server->loop, &server->context.hundred_ms_timeout, &server->tick);
    http_server_go_online(server);
    server->options.on_tick(server->options.context);
}

static size_t largest_body(const struct http_options *options)
{
    size_t largest = options->body_bytes_max;
    for (const struct http_route *route = options->routes; route->method; route++)
        if (route->body_bytes_max > largest)
            largest = route->body_bytes_max;
    return largest;
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
    if (!limits->idle_ms)
        limits->idle_ms = default_limits.idle_ms;
}

static void begin_timeouts(struct http_server *server)
{
    const struct http_limits *limits = &server->options.limits;
    h2o_timeout_init(server->loop, &server->handshake_timeout, limits->handshake_ms);
    h2o_timeout_init(server->loop, &server->first_timeout, limits->first_ms);
    h2o_timeout_init(server->loop, &server->head_timeout, limits->head_ms);
    h2o_timeout_init(server->loop, &server->body_timeout, limits->body_ms);
    h2o_timeout_init(server->loop, &server->idle_timeout, limits->idle_ms);
}

static void end_timeouts(struct http_server *server)
{
    h2o_timeout_dispose(server->loop, &server->handshake_timeout);
    h2o_timeout_dispose(server->loop, &server->first_timeout);
    h2o_timeout_dispose(server->loop, &server->head_timeout);
    h2o_timeout_dispose(server->loop, &server->body_timeout);
    h2o_timeout_dispose(server->loop, &server->idle_timeout);
}

static void configure(struct http_server *server)
{
    h2o_globalconf_t *config = &server->config;
    h2o_config_init(config);
    config->server_name = h2o_iovec_init(H2O_STRLIT("Penstock"));
    config->max_request_entity_size =
        largest_body(&server->options) + server->options.body_bytes_max;
    const struct http_limits *limits = &server->options.limits;
    config->http1.req_timeout = limits->idle_ms + limits->head_ms + limits->body_ms + H2O_MARGIN_MS;
    config->http1.upgrade_to_http2 = 0; /* connection.c finds the preface */
    config->http2.idle_timeout = limits->idle_ms;
    config->http2.graceful_shutdown_timeout = DRAIN_MS_MAX;

    /* All paths have the same handler. It is on h2o's fallback path, which needs no leading
     * slash. */
    h2o_hostconf_t *host =
        h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    struct http_request_handler *handler =
        (void *)h2o_create_handler(&host->fallback_path, sizeof *handler);
    handler->super.on_req = http_route_on_request;
    handler->server = server;
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
    /* Otherwise h2o is linked in a way that bypasses the checks of http1.c and http2.c. */
    assert(http1_is_guarded() && http2_is_guarded());
    list_init(&server->exchanges);
    configure(server);
    server->loop = h2o_evloop_create();
    begin_timeouts(server);
    h2o_context_init(&server->context, server->loop, &server->config);
    server->accept = (h2o_accept_ctx_t){.ctx = &server->context, .hosts = server->config.hosts};
    http_connections_begin(server);
    server->tick = (h2o_timeout_entry_t){.cb = on_tick};
    if (options->on_tick)
        h2o_timeout_link(server->loop, &server->context.hundred_ms_timeout, &server->tick);
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
    server->draining = true;
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

/* Only h2o can free its connections. It does so when it reads the end of each. */
static void close_connections(struct http_server *server)
{
    http_exchanges_abandon(server);
    h2o_evloop_run(server->loop, 0); /* HTTP/2 writes its frames in the next turn */
    http_connections_cut(server);
    for (int i = 0; i < TURNS_TO_CLOSE_MAX && server->connections_open > 0; i++)
        h2o_evloop_run(server->loop, TURN_TO_CLOSE_MS);
    assert(server->connections_open == 0);
}

/* Runs on the loop's thread if there was one: h2o's objects point into memory of that thread
 * (2.2.5). */
static void shut(struct http_server *server)
{
    if (server->closing)
        return;
    server->closing = true;
    h2o_timeout_unlink(&server->tick);
    if (server->mailbox_socket)
        h2o_socket_close(server->mailbox_socket);
    close_connections(server);
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
    h2o_timeout_unlink(&server->context.http2._graceful_shutdown_timeout);
    h2o_multithread_queue_t *queue = server->context.queue;
    h2o_context_dispose(&server->context);
    end_timeouts(server);
    free(queue); /* h2o_multithread_destroy_queue does not free it */
    h2o_evloop_destroy(server->loop);
    h2o_config_dispose(&server->config);
    free(server);
}
