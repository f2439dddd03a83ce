/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. Everything here belongs to the server's thread. */
#ifndef PENSTOCK_HTTP_HTTP_INTERNAL_H
#define PENSTOCK_HTTP_HTTP_INTERNAL_H

#include "base/list.h"
#include "http/framing.h"
#include "http/problem.h"
#include "http/server.h"

/* h2o's headers are not clean under our warnings. */
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

#define HTTP_PATH_PARTS_MAX 4

struct http_server {
    struct http_options options; /* immutable after http_server_new */

    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_evloop_t *loop;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;       /* NULL once it drains */
    h2o_socket_t *mailbox_socket; /* a dup of the mailbox's eventfd; NULL without a mailbox */

    h2o_timeout_t first_timeout, head_timeout, body_timeout,
        idle_timeout; /* HTTP/1; see struct http_limits */
    h2o_timeout_entry_t
        accept_pause;                /* linked: out of file descriptors, try again when it is due */
    h2o_timeout_entry_t tick;        /* linked: with an on_tick */
    h2o_timeout_entry_t drain_sweep; /* linked: draining, and connections are still open */

    struct list connections; /* of struct http_connection */
    unsigned connections_open;
    struct list exchanges; /* of struct http_exchange: not answered yet */

    bool online;            /* for RCU, in this turn */
    int64_t online_mono_us; /* since when */
    bool draining;
    bool stopping;
    bool closing; /* the loop has ended: handlers are not called any more */
};

/*
 * A connection that was accepted:
 *
 *   UNDECIDED --preface--> HTTP2
 *       '------other-----> HTTP1
 *
 * While it is UNDECIDED, its socket is ours; afterwards it is h2o's, which tells us only when it
 * closes it.
 */
enum connection_stage { CONNECTION_UNDECIDED, CONNECTION_HTTP1, CONNECTION_HTTP2 };

struct http_connection {
    struct list link;
    struct http_server *server;
    h2o_socket_t *socket;
    enum connection_stage stage;
    bool has_asked; /* a whole request has come */
    bool is_ending; /* it was shut down for another one, and h2o has not seen that yet */
    h2o_timeout_entry_t deadline; /* linked while UNDECIDED, and while HTTP1 waits for the client */

    /* HTTP1, owned by http1.c */
    struct framing framing;
    enum framing_phase phase; /* that the deadline is for */
    h2o_socket_cb h2o_read;   /* h2o's own; NULL before it has the connection */
    const char *fault; /* what comes behind the bytes that h2o has is refused; NULL: nothing */
    bool refused;      /* the refusal is being written, or was */
    char *refusal;     /* its bytes, while they are being written */
    bool *gone;        /* set when the connection goes; may be NULL */
};

struct http_exchange {
    struct list link;
    struct http_server *server; /* NULL once the server was freed */
    h2o_req_t *req;             /* NULL once the client has left */
    struct http_exchange *
        *cell; /* in the request's memory: points back, and is how we learn that h2o frees it */
    int64_t received_mono_us;
    const struct http_route *route; /* NULL when none fits */
    struct slice parts[HTTP_PATH_PARTS_MAX];
};

/* server.c: the first thing that may read under RCU in a turn says so. */
void http_server_go_online(struct http_server *server);

/* connection.c */
void http_connection_has_asked(h2o_req_t *req);
void http_connections_begin(struct http_server *server);
void http_connections_drain(struct http_server *server);
/* Stops accepting and shuts every connection down; h2o closes them as it notices, in the next
 * turns. */
void http_connections_cut(struct http_server *server);

/* NULL: the socket is not a partner's connection. */
struct http_connection *http_connection_of(h2o_socket_t *socket);

/* http1.c: the connection's first bytes are in, and it is no HTTP/2; it may be gone afterwards. */
void http1_begin(struct http_connection *connection);
bool http1_is_guarded(void); /* h2o calls what stands there */

/* http2.c: why the body can't be the one that was told of, or NULL. */
const char *http2_framing_doubt(const h2o_req_t *req);
bool http2_is_guarded(void);

/* exchange.c: h2o's entry point for every request. */
int http_exchange_on_request(h2o_handler_t *handler, h2o_req_t *req);
/* Answers what is unanswered with 503, as far as clients are there. From now on exchanges belong to
 * their holders alone. */
void http_exchanges_abandon(struct http_server *server);

struct http_request_handler {
    h2o_handler_t super;
    struct http_server *server;
};

/* route.c */
enum route_result { ROUTE_FOUND, ROUTE_OTHER_METHOD, ROUTE_NONE };
#define ROUTE_METHODS_BYTES 64
/* With ROUTE_FOUND the route and the path's parts; with ROUTE_OTHER_METHOD the value of Allow. */
enum route_result http_route_find(const struct http_route *routes, struct slice method,
    struct slice path, const struct http_route **ret_route,
    struct slice ret_parts[HTTP_PATH_PARTS_MAX], char ret_methods[ROUTE_METHODS_BYTES]);

/* problem.c */
void http_print_problem(
    struct buffer *body, enum err error, const char *detail, const struct field_problems *problems);
/* http_answer_problem with one more header, which may be NULL. */
void http_answer_problem_with(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems, const struct http_header_field *extra);

/* The standard phrase of a status that we answer with (RFC 9110): "Not Found". */
const char *http_reason(int status);

#endif
