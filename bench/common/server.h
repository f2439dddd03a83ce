/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare h2o server of the ceilings and the sink: HTTP/1.1 and HTTP/2 (in cleartext by prior
 * knowledge, or over TLS). Each thread has one loop, with a listener of its own on the shared port.
 * It uses no code of Penstock's server, because Penstock is measured against it.
 */
#ifndef PENSTOCK_BENCH_COMMON_SERVER_H
#define PENSTOCK_BENCH_COMMON_SERVER_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#pragma GCC diagnostic pop

#define SERVER_THREADS_MAX 16

struct server;

/* One loop. It belongs to its thread. */
struct server_loop {
    struct server *server;
    unsigned number;
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_evloop_t *loop;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    pthread_t thread;
    void *data; /* of the user, set in on_start */
};

struct server_options {
    const char *address; /* IPv4 or IPv6; NULL: 127.0.0.1 */
    unsigned port;       /* 0: a free one */
    unsigned threads;
    const char *certificate_file, *key_file; /* PEM; NULL: cleartext */
    size_t body_bytes_max;
    /* Called before the loop's thread runs; may be NULL. */
    enum err (*on_start)(struct server_loop *loop, void *context);
    /* An h2o handler's on_req: called on the loop's thread for each request, with its whole body.
     * server_loop_of(req) returns the loop. */
    int (*on_request)(h2o_handler_t *handler, h2o_req_t *req);
    /* Called in place of h2o_accept, for connections that need a preparation; may be NULL. */
    void (*on_connection)(struct server_loop *loop, h2o_socket_t *socket);
    /* Called after each turn of the loop, when some callbacks have run; may be NULL. */
    void (*on_turn)(struct server_loop *loop);
    void *context;
};

/* Binds the port and starts all threads. ERR_ADDRESS_IN_USE, ERR_SYSTEM, ERR_TLS (the certificate),
 * ERR_NO_MEMORY. */
enum err server_start(const struct server_options *options, struct server **ret_server) MUST_CHECK;
struct server_loop *server_loop_of(h2o_req_t *req);
struct server_loop *server_loop_at(struct server *server, unsigned number);

/* Ends the threads. Connections stay open until the process ends. Then the caller alone uses the
 * loops' data. */
void server_stop(struct server *server);

/* Writes {"port", "url", "pid"}. The file is renamed into place, so a reader sees all of it or
 * nothing. ERR_DISK, ERR_NO_MEMORY. */
enum err server_write_ready_file(const struct server *server, const char *path) MUST_CHECK;

/* Blocks SIGTERM and SIGINT. Call it before any thread starts: threads inherit the mask, and only
 * main waits for the signals. */
void server_block_signals(void);
void server_wait_for_signal(void);

/* Sends the whole answer at once. `content_type` NULL: none. */
void server_answer(
    h2o_req_t *req, int status, const char *content_type, const char *body, size_t body_len);

#endif
