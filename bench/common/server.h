/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare h2o server that the ceilings and the sink stand on: HTTP/1.1 and HTTP/2 (in cleartext by
 * prior knowledge, or over TLS), one loop for each thread, each with a listener of its own on the
 * shared port. Nothing of Penstock is in it, so that it can be what Penstock is measured against.
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

/* One loop. Everything in it belongs to its thread. */
struct server_loop {
    struct server *server;
    unsigned number;
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_evloop_t *loop;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    pthread_t thread;
    void *data; /* the user's, set in on_start */
};

struct server_options {
    unsigned port; /* on 127.0.0.1; 0: a free one */
    unsigned threads;
    const char *certificate_file, *key_file; /* PEM; NULL: cleartext */
    size_t body_bytes_max;
    /* Before the loop's thread runs; may be NULL. */
    enum err (*on_start)(struct server_loop *loop, void *context);
    /* For each request with its whole body, on the loop's thread: an h2o handler's on_req. The loop
     * is server_loop_of(req). */
    int (*on_request)(h2o_handler_t *handler, h2o_req_t *req);
    /* Instead of h2o_accept, when a connection must be dressed first; may be NULL. */
    void (*on_connection)(struct server_loop *loop, h2o_socket_t *socket);
    /* After each turn of the loop (some callbacks have run); may be NULL. */
    void (*on_turn)(struct server_loop *loop);
    void *context;
};

/* Binds and starts all threads. ERR_ADDRESS_IN_USE, ERR_SYSTEM, ERR_TLS (the certificate),
 * ERR_NO_MEMORY. */
enum err server_start(const struct server_options *options, struct server **ret_server) MUST_CHECK;
struct server_loop *server_loop_of(h2o_req_t *req);
struct server_loop *server_loop_at(struct server *server, unsigned number);

/* Ends the threads; connections are left to the end of the process. Their data is then nobody's but
 * the caller's. */
void server_stop(struct server *server);

/* {"port", "url", "pid"}, renamed into place, so that whoever sees the file sees all of it.
 * ERR_DISK, ERR_NO_MEMORY. */
enum err server_write_ready_file(const struct server *server, const char *path) MUST_CHECK;

/* A program's end is SIGTERM or SIGINT, and main's alone: blocked before any thread starts, which
 * inherits the mask. */
void server_block_signals(void);
void server_wait_for_signal(void);

/* The whole answer at once. `content_type` NULL: none. */
void server_answer(
    h2o_req_t *req, int status, const char *content_type, const char *body, size_t body_len);

#endif
