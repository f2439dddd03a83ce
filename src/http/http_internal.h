/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder. Everything here is owned by the server's thread. */
#ifndef PENSTOCK_HTTP_HTTP_INTERNAL_H
#define PENSTOCK_HTTP_HTTP_INTERNAL_H

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "http/address_table.h"
#include "http/framing.h"
#include "http/problem.h"
#include "http/refusals.h"
#include "http/server.h"
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
#define HTTP_REQUEST_ID_BYTES 31 /* "req_", 26 characters, NUL */

struct http_server {
    struct http_options options; /* immutable after http_server_new */

    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_evloop_t *loop;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;       /* NULL once it drains */
    h2o_socket_t *mailbox_socket; /* a dup of the mailbox's eventfd; NULL without a mailbox */

    h2o_timeout_t first_timeout;                            /* see struct http_limits */
    h2o_timeout_t head_timeout, body_timeout, idle_timeout; /* HTTP/1 */
    h2o_timeout_entry_t accept_pause; /* linked: full or out of descriptors, retries when due */
    h2o_timeout_entry_t tick;         /* linked: with an on_tick */
    h2o_timeout_entry_t drain_sweep;  /* linked: draining, and connections are still open */

    struct list connections; /* of struct http_connection */
    unsigned connections_open;
    struct list exchanges; /* of struct http_exchange: not answered yet */
    struct list delayed;   /* of answers that admission.c sends later, the first one first */
    unsigned delayed_count;

    bool online;            /* for RCU, in this turn */
    int64_t online_mono_us; /* the time of that */
    bool draining;
    bool stopping;
    bool closing; /* the loop has ended: handlers are not called any more */
};

/*
 * An accepted connection:
 *
 *   UNDECIDED --preface--> HTTP2
 *       '------other-----> HTTP1
 *
 * Penstock owns the socket while it is UNDECIDED. After that h2o owns it, and reports only its
 * close.
 */
enum connection_stage { CONNECTION_UNDECIDED, CONNECTION_HTTP1, CONNECTION_HTTP2 };

struct http_connection {
    struct list link;
    struct http_server *server;
    h2o_socket_t *socket;
    struct http_peer peer;
    struct address_ref address; /* its place in the table of addresses */
    enum connection_stage stage;
    bool has_authenticated;       /* a caller with the right credentials has used it */
    unsigned refused_in_a_row;    /* over the limit of its address, since then */
    bool has_asked;               /* a whole request was received */
    bool is_ending;               /* it was shut down to make room, and h2o has not seen that yet */
    h2o_timeout_entry_t deadline; /* linked while UNDECIDED, and while HTTP1 waits for the client */

    /* HTTP1, owned by http1.c */
    struct framing framing;
    enum framing_phase phase; /* the phase that the deadline is for */
    h2o_socket_cb h2o_read;   /* h2o's callback; NULL before h2o has the connection */
    const char *fault; /* why the bytes after those that h2o has are rejected; NULL: they are not */
    bool refused;      /* the 400 is being written or was written */
    char *refusal;     /* its bytes, while they are being written */
    bool *gone;        /* set when the connection is freed; may be NULL */
};

/* A header of the answer, whichever it is (set_header.c). */
struct http_set_header {
    struct http_set_header *next;
    const char *name;
    char value[];
};

struct http_exchange {
    struct list link;
    struct http_set_header *set_headers;
    struct http_server *server;  /* NULL after the server was freed */
    h2o_req_t *req;              /* NULL after the client has disconnected */
    struct http_exchange **cell; /* in the request's memory; points back (see exchange.c) */
    int64_t received_mono_us;
    const struct http_route *route; /* NULL: none matches */
    struct slice parts[HTTP_PATH_PARTS_MAX];
    struct http_peer peer;
    char request_id[HTTP_REQUEST_ID_BYTES]; /* empty: not made yet */
    char caller[NAME_BYTES_MAX + 1];        /* empty: not authenticated */
    bool is_judged; /* its problem was counted against its address (admission.c) */
    /* The limit of its address that it is refused for; REFUSAL_OTHER: none. */
    enum refusal_reason over_limit;
    bool is_last; /* its answer ends the connection */
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

/* Closes a connection to make room for one that waits. */
void http_connections_make_room(struct http_server *server);

/* Returns NULL if the socket is not a partner's connection. */
struct http_connection *http_connection_of(h2o_socket_t *socket);

/* peer.c: reads the address of the far end. All zero if the system does not have it any more. */
void http_peer_read(h2o_socket_t *socket, struct http_peer *ret_peer);

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

/* admission.c */
/* Counts an accepted connection. Returns false if it must be closed. */
bool http_admission_open(struct http_connection *connection);
void http_admission_close(struct http_connection *connection);
/*
 * Counts the problem of an exchange against its address. Returns true if the exchange is answered
 * here, at once or later: with 429 or after a delay. Otherwise the caller answers it.
 */
bool http_admission_takes(struct http_exchange *exchange, enum err error, const char *detail);
/* Counts and logs a connection that is cut; status 0, or the one of its last answer. */
void http_note_cut(
    const struct http_connection *connection, enum refusal_reason reason, int status);
/* Sends the answers that are due, or all. About every 100 ms. */
void http_admission_tick(struct http_server *server, bool all);

/* set_header.c */
bool http_has_set_header(const struct http_exchange *exchange, const char *name);
void http_set_headers_free(struct http_exchange *exchange);

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
