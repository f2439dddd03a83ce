/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder. Everything here is owned by the server's thread. */
#ifndef PENSTOCK_HTTP_HTTP_INTERNAL_H
#define PENSTOCK_HTTP_HTTP_INTERNAL_H

#include "base/clock.h"
#include "base/list.h"
#include "http/framing.h"
#include "http/problem.h"
#include "http/server.h"
#include "http/tls_internal.h"
#include "runtime/rcu.h"

/* h2o's headers cause warnings with Penstock's flags. */
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
    h2o_socket_t *listener;       /* NULL without one, and once it drains */
    h2o_socket_t *tls_listener;   /* the same */
    h2o_socket_t *mailbox_socket; /* a dup of the mailbox's eventfd; NULL without a mailbox */

    h2o_timeout_t handshake_timeout, first_timeout;         /* see struct http_limits */
    h2o_timeout_t head_timeout, body_timeout, idle_timeout; /* HTTP/1 */
    h2o_timeout_entry_t accept_pause; /* linked: full or out of descriptors, retries when due */
    h2o_timeout_entry_t tick;         /* linked: with an on_tick */
    h2o_timeout_entry_t drain_sweep;  /* linked: draining, and connections are still open */

    struct list connections; /* of struct http_connection */
    unsigned connections_open;
    struct list exchanges; /* of struct http_exchange: not answered yet */

    int64_t tls_log_mono_us; /* from then on a failed handshake is logged again */
    unsigned tls_unlogged;   /* handshakes that have failed since the last line */

    bool online;            /* for RCU, in this turn */
    int64_t online_mono_us; /* the time of that */
    bool draining;
    bool stopping;
    bool closing; /* the loop has ended: handlers are not called any more */
};

/*
 * An accepted connection:
 *
 *   HANDSHAKE --> UNDECIDED --preface--> HTTP2
 *                     '------other-----> HTTP1
 *
 * HANDSHAKE is for connections to the TLS listener only; others begin UNDECIDED. Penstock owns the
 * socket until the protocol is known. After that h2o owns it, and reports only its close.
 */
enum connection_stage {
    CONNECTION_HANDSHAKE,
    CONNECTION_UNDECIDED,
    CONNECTION_HTTP1,
    CONNECTION_HTTP2
};

/* The protocol that a TLS client has chosen. NONE: it has offered none, or there is no TLS. */
enum http_alpn { HTTP_ALPN_NONE, HTTP_ALPN_1, HTTP_ALPN_2 };

struct http_connection {
    struct list link;
    struct http_server *server;
    h2o_socket_t *socket;
    enum connection_stage stage;
    bool has_asked;  /* a whole request was received */
    bool is_ending;  /* it was shut down to make room, and h2o has not seen that yet */
    bool is_closing; /* http_connection_close was called: TLS closes with a last record */
    h2o_timeout_entry_t deadline; /* linked until the protocol is known, and while HTTP1 waits */

    /* TLS, owned by connection_tls.c */
    bool is_tls;
    enum http_alpn alpn;
    SSL_CTX *context;                /* a reference */
    struct tls_handshake *handshake; /* NULL once the handshake is complete */
    struct tls_identity *identity;   /* NULL: the client has sent no certificate */

    /* HTTP1, owned by http1.c */
    struct framing framing;
    enum framing_phase phase; /* the phase that the deadline is for */
    h2o_socket_cb h2o_read;   /* h2o's callback; NULL before h2o has the connection */
    const char *fault; /* why the bytes after those that h2o has are rejected; NULL: they are not */
    bool refused;      /* the 400 is being written or was written */
    char *refusal;     /* its bytes, while they are being written */
    bool *gone;        /* set when the connection is freed; may be NULL */
};

struct http_exchange {
    struct list link;
    struct http_server *server;  /* NULL after the server was freed */
    h2o_req_t *req;              /* NULL after the client has disconnected */
    struct http_exchange **cell; /* in the request's memory; points back (see exchange.c) */
    int64_t received_mono_us;
    const struct http_route *route; /* NULL: none matches */
    struct slice parts[HTTP_PATH_PARTS_MAX];
};

/* Sets the thread online for RCU until the end of the turn. Call it before code that reads under
 * RCU.
 */
static inline void http_server_go_online(struct http_server *server)
{
    if (server->online)
        return;
    rcu_go_online();
    server->online = true;
    server->online_mono_us = clock_mono_us();
}

/* connection.c */
void http_connection_has_asked(h2o_req_t *req);
void http_connections_begin(struct http_server *server);
void http_connections_drain(struct http_server *server);
/* Stops accepting and shuts down every connection. h2o closes them in the next turns. */
void http_connections_cut(struct http_server *server);

/* Detects the protocol. Call it when nothing comes before it any more. May free the connection. */
void http_connection_detect(struct http_connection *connection);
/* Closes a connection whose socket h2o does not own. Frees it, now or in one of the next turns. */
void http_connection_close(struct http_connection *connection);

/* connection_tls.c */
void http_server_use_tls(struct http_server *server);
/* Takes a new connection to the TLS listener, and calls http_connection_detect when the handshake
 * is complete. */
void http_connection_handshake(struct http_connection *connection);
void http_connection_end_tls(struct http_connection *connection);

/* Returns NULL if the socket is not a partner's connection. */
struct http_connection *http_connection_of(h2o_socket_t *socket);

/* http1.c: takes a connection whose first bytes are not HTTP/2's preface. May free it. */
void http1_begin(struct http_connection *connection);
bool http1_is_guarded(void); /* whether h2o calls the function of http1.c */

/* http2.c: returns why the body does not match its header list, or NULL. */
const char *http2_framing_doubt(const h2o_req_t *req);
bool http2_is_guarded(void);

/* exchange.c */
struct http_exchange *http_exchange_new(struct http_server *server, h2o_req_t *req);
/* Answers open exchanges with 503 if their client is still connected. After that only their holders
 * own them. */
void http_exchanges_abandon(struct http_server *server);

struct http_request_handler {
    h2o_handler_t super;
    struct http_server *server;
};

/* router.c: h2o's entry point for every request. */
int http_route_on_request(h2o_handler_t *handler, h2o_req_t *req);

/* problem.c */
void http_print_problem(
    struct buffer *body, enum err error, const char *detail, const struct field_problems *problems);
/* http_answer_problem with one more header, which may be NULL. */
void http_answer_problem_with(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems, const struct http_header_field *extra);

/* The standard phrase of a status that we answer with (RFC 9110): "Not Found". */
const char *http_status_text(int status);

#endif
