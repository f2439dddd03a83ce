/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder. Everything here is owned by the server's thread. */
#ifndef PENSTOCK_HTTP_HTTP_INTERNAL_H
#define PENSTOCK_HTTP_HTTP_INTERNAL_H

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "http/address_table.h"
#include "http/head.h"
#include "http/problem.h"
#include "http/proxy_protocol.h"
#include "http/refusals.h"
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
#pragma GCC diagnostic pop

#define HTTP_PATH_PARTS_MAX 4
#define HTTP_CALLERS 256
#define FORWARDED_FIELDS_MAX 16
#define HTTP_REQUEST_ID "x-request-id"
#define HTTP_NEVER INT64_MAX /* a deadline that never comes */

/* The largest piece that is given to a socket at once. When it is written, the client has made
 * progress. */
#define HTTP_WRITE_BYTES (64 * 1024)

/* The time for a body or an answer grows by a second with each. */
#define HTTP_STEP_BYTES (64 * 1024)

/* Parts of the memory that requests and answers may use, over all connections of a server. */
enum http_room {
    HTTP_ROOM_HEADS,
    HTTP_ROOM_UNKNOWN, /* bodies whose caller is not authenticated yet, such as signed ones */
    HTTP_ROOM_BODIES,  /* and answers */
    HTTP_ROOMS
};
#define HTTP_REQUEST_ID_BYTES 31 /* "req_", 26 characters, NUL */

struct http_server {
    struct http_options options; /* immutable after http_server_new */
    size_t body_bytes_max;       /* of the largest route */

    h2o_evloop_t *loop;
    h2o_timeout_t zero_timeout, one_ms_timeout, hundred_ms_timeout;
    h2o_socket_t *listener;       /* NULL without one, and once it drains */
    h2o_socket_t *tls_listener;   /* the same */
    h2o_socket_t *mailbox_socket; /* a dup of the mailbox's eventfd; NULL without a mailbox */

    h2o_timeout_entry_t accept_pause; /* linked: full or out of descriptors, retries when due */
    h2o_timeout_entry_t tick;         /* linked: every 100 ms */
    h2o_timeout_entry_t flush;        /* linked: HTTP/2 connections have frames to write */
    h2o_timeout_entry_t greet;        /* linked: connections are in `greeting` */
    h2o_timeout_entry_t end;          /* linked: the loop ends, and the last answers are written */

    struct list connections; /* of struct http_connection */
    unsigned connections_open;
    struct list exchanges; /* of struct http_exchange: a handler has them */
    struct list timed;     /* of struct http_exchange: HTTP/2, with a deadline */
    struct list unflushed; /* of struct http_connection: HTTP/2, with frames to write */
    struct list waiting;   /* of struct http_connection: http2_read.c */
    struct list greeting;  /* of struct http_connection: TLS, a handshake is to begin */
    struct list delayed;   /* of answers that admission.c sends later, the first one first */
    unsigned delayed_count;

    /* Requests that are refused in masses: http2_read.c */
    unsigned refused;    /* since the last tick */
    unsigned handshakes; /* begun in this turn */
    uint64_t ticks;
    size_t waiting_bytes;                          /* of the input of `waiting` */
    size_t waiting_bytes_of_callers[HTTP_CALLERS]; /* the same, by caller; see room.c */

    size_t room_taken[HTTP_ROOMS];        /* bytes */
    size_t room_of_callers[HTTP_CALLERS]; /* see room.c */
    uint64_t request_ids, requests;       /* see http_request_id */

    int64_t date_s; /* what `date` says */
    char date[32];  /* of the date header */

    int64_t tls_log_mono_us;   /* from then on a failed handshake is logged again */
    unsigned tls_unlogged;     /* handshakes that have failed since the last line */
    int64_t proxy_log_mono_us; /* the same for a header of the PROXY protocol that is wrong */

    uint64_t turns;         /* see http_turn */
    bool online;            /* for RCU, in this turn */
    bool resumes;           /* connections that have waited are read now */
    int64_t online_mono_us; /* the time of that */
    bool draining;
    int64_t drain_since_mono_us;
    bool drain_is_final; /* HTTP/2 clients have the final GOAWAY */
    bool stopping;
    bool closing; /* the loop has ended: handlers are not called any more */
};

/*
 * An accepted connection:
 *
 *   PROXY --> HANDSHAKE --> UNDECIDED --preface--> HTTP2 ---.
 *     |           |             |'-------other-----> HTTP1 --+--> CLOSING
 *     '-----------'-------------'-----------------------------'
 *
 * PROXY is for connections of proxies that begin with a header of the PROXY protocol, HANDSHAKE for
 * those to the TLS listener. Others begin UNDECIDED.
 * CLOSING: Penstock does not use it any more. With TLS it lasts until the peer has read our end, or
 * until the deadline.
 */
enum connection_stage {
    CONNECTION_PROXY,
    CONNECTION_HANDSHAKE,
    CONNECTION_UNDECIDED,
    CONNECTION_HTTP1,
    CONNECTION_HTTP2,
    CONNECTION_CLOSING
};

/* The protocol that a TLS client has chosen. NONE: it has offered none, or there is no TLS. */
enum http_alpn { HTTP_ALPN_NONE, HTTP_ALPN_1, HTTP_ALPN_2 };

struct http_connection {
    struct list link;
    struct list in_unflushed; /* in server->unflushed */
    struct list in_waiting;   /* in server->waiting */
    struct list in_greeting;  /* in server->greeting */
    struct http_server *server;
    h2o_socket_t *socket;
    struct http_peer peer;
    bool is_tls;
    bool is_of_proxy;             /* Forwarded counts. False after a header of the PROXY protocol */
    struct proxy_protocol proxy;  /* while PROXY */
    struct address_ref address;   /* its place in the table of addresses */
    struct in6_addr known_client; /* of a proxy: the last client that was authenticated */
    enum connection_stage stage;
    size_t room[HTTP_ROOMS];     /* bytes of its exchanges and of its input */
    size_t input_bytes;          /* of these, those of the input that waits */
    enum http_room input_room;   /* where they are taken */
    bool has_authenticated;      /* a caller with the right credentials has used it */
    unsigned caller_bucket;      /* of its last caller; see room.c */
    unsigned refused_in_a_row;   /* over the limit of its address, since then */
    uint64_t refused_tick;       /* of server->ticks: the last one in which a request was refused */
    unsigned refused_in_tick;    /* requests of this connection, in that one */
    int64_t waits_since_mono_us; /* while it is in server->waiting */
    size_t waits_with_bytes;     /* of input, in server->waiting_bytes */
    unsigned waits_as_caller;    /* of waiting_bytes_of_callers */
    bool has_asked;              /* a whole head was received */
    int64_t deadline_mono_us;    /* of the phase that it is in; HTTP_NEVER: none */
    int64_t write_since_mono_us; /* HTTP/2: of the write that is in progress; HTTP_NEVER: none */
    const struct http_protocol *protocol; /* NULL before it is known, and while CLOSING */
    struct http1 *http1;                  /* of http1.c; NULL in other stages */
    struct http2 *http2;                  /* of http2.c; the same */
    /* The next stage, for connection_proxy.c and connection_tls.c. */
    void (*then)(struct http_connection *connection);

    /* TLS, owned by connection_tls.c */
    enum http_alpn alpn;
    SSL_CTX *context;                /* a reference; NULL: no TLS */
    struct tls_handshake *handshake; /* NULL once the handshake is complete */
    struct tls_identity *identity;   /* NULL: the client has sent no certificate */
    unsigned key_updates;            /* of the client, in this MiB that it has sent */
    uint64_t key_updates_from;       /* where this MiB begins */
};

struct http_exchange;

/* What http1.c and http2.c do for the rest of the folder. */
struct http_protocol {
    void (*end)(struct http_connection *connection); /* frees what the protocol has of it */
    bool (*is_idle)(const struct http_connection *connection);
    void (*answer)(struct http_exchange *exchange, const struct http_reply *reply);
    void (*set_exchange)(struct http_exchange *exchange); /* in the place of the present one */
    /* The deadline of the connection has come. May free it. */
    void (*late)(struct http_connection *connection);
    /* HTTP/2 only: the deadline of one request or answer has come. */
    void (*exchange_late)(struct http_exchange *exchange);
    /* HTTP/2 only: tells the client to leave. `is_final`: requests after those that were received
     * are not taken. */
    void (*drain)(struct http_connection *connection, bool is_final);
    /* HTTP/2 only: writes what waits. May free the connection. */
    void (*flush)(struct http_connection *connection);
};

enum exchange_state {
    EXCHANGE_RECEIVING, /* its connection owns it */
    EXCHANGE_HANDLED,   /* its handler owns it, until http_answer */
    EXCHANGE_ANSWERING  /* its connection owns it, and writes the reply */
};

/* A header of the answer, whichever it is (set_header.c). */
struct http_set_header {
    struct http_set_header *next;
    const char *name;
    char value[];
};

struct http_exchange {
    struct list link;                   /* in server->exchanges */
    struct list in_timed;               /* in server->timed */
    struct list in_connection;          /* HTTP/2: in its connection's */
    struct http_server *server;         /* NULL after the server was freed */
    struct http_connection *connection; /* NULL: the client has disconnected or reset the stream */
    int32_t stream;                     /* HTTP/2; 0: HTTP/1 */
    enum exchange_state state;
    bool is_head;      /* HEAD: the answer has no body */
    bool is_complete;  /* the body is complete */
    bool handler_runs; /* so it must not be freed */
    bool closes;       /* the connection ends with the answer */
    bool lingers;      /* HTTP/2: answered, and the rest of the body may still arrive */
    bool is_judged;    /* its problem was counted against its address (admission.c) */
    /* The limit of its address that it is refused for; REFUSAL_OTHER: none. */
    enum refusal_reason over_limit;
    unsigned data_frames; /* HTTP/2: received for the body */
    struct http_peer peer;
    uint64_t number;                        /* of the server's requests */
    char request_id[HTTP_REQUEST_ID_BYTES]; /* empty: not made yet */
    char caller[NAME_BYTES_MAX + 1];        /* empty: not authenticated */
    struct http_set_header *set_headers;
    int64_t deadline_mono_us; /* HTTP/2 */
    int64_t received_mono_us;
    int64_t waited_us; /* HTTP/2: in which its connection was not read; see http2_read.c */

    const struct http_route *route; /* NULL: none matches */
    struct slice parts[HTTP_PATH_PARTS_MAX];
    size_t body_bytes_max; /* of the route */
    uint64_t body_told;    /* Content-Length; UINT64_MAX: not told */
    char *body;
    size_t body_len, body_capacity;
    enum http_room head_room, body_room; /* where their bytes are taken */

    int status;
    struct buffer reply; /* HTTP/1: all of it. HTTP/2: the body */
    size_t reply_sent;

    size_t room[HTTP_ROOMS]; /* bytes that it has taken */
    size_t caller_room;      /* of these, those that count for its caller */
    unsigned caller_bucket;  /* of room_of_callers; 0: nobody is known yet */
    struct head *head;       /* NULL after the handler has returned */
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

/* HTTP/2 connections in `unflushed` are written in this turn. */
static inline void http_server_want_flush(struct http_server *server)
{
    if (!h2o_timeout_is_linked(&server->flush))
        h2o_timeout_link(server->loop, &server->zero_timeout, &server->flush);
}

/* accept.c */
void http_accept_begin(struct http_server *server);
void http_accept_end(struct http_server *server);

/* connection.c */
/* The address of the peer is read. */
struct http_connection *http_connection_new(
    struct http_server *server, h2o_socket_t *socket, bool is_tls);
void http_connections_drain(struct http_server *server);
void http_connections_sweep(struct http_server *server, int64_t now_mono_us);
/* Closes every connection. */
void http_connections_cut(struct http_server *server);
/* Ends the connection. `connection` must not be used any more. With `is_cut` nothing is written to
 * the client any more, not even the end of TLS. */
void http_connection_close(struct http_connection *connection, bool is_cut);

/* Gives back the memory of an empty input. Idle connections are many. */
void http_connection_free_input(struct http_connection *connection);

/* It is not read: see http2_read.c. */
static inline bool http_connection_waits(const struct http_connection *connection)
{
    return !list_is_empty(&connection->in_waiting);
}

/* Sends the acknowledgement that TCP delays. A client that writes head and body separately, and has
 * Nagle's algorithm, sends the body only then: 40 ms later. */
void http_connection_acknowledge(const struct http_connection *connection);

/* Returns NULL if the socket is not a client's connection. */
struct http_connection *http_connection_of(h2o_socket_t *socket);

/* connection_tls.c */
void http_server_use_tls(struct http_server *server);
/* Takes a new connection to the TLS listener, and calls `then` when the handshake is complete. */
void http_connection_handshake(
    struct http_connection *connection, void (*then)(struct http_connection *connection));
void http_connection_handshake_late(struct http_connection *connection);
void http_connection_end_tls(struct http_connection *connection);

/* peer.c: reads the address of the far end. All zero if the system does not have it any more. */
void http_peer_read(h2o_socket_t *socket, struct http_peer *ret_peer);

void http_peer_set(struct http_peer *peer, const struct in6_addr *address, uint16_t port);

/* connection_proxy.c */
bool http_peer_is_proxy(struct http_server *server, const struct http_peer *peer);
/* Reads the header of the PROXY protocol. Then calls `then`. */
void http_connection_read_proxy(
    struct http_connection *connection, void (*then)(struct http_connection *connection));
/* Sets the peer of a request that a proxy has sent. */
void http_exchange_read_forwarded(struct http_exchange *exchange);

/* connection.c */
/* Closes a connection, but not the newcomer (NULL: it is not accepted yet), to make room for it:
 * one that has never asked, then an idle one of a stranger. */
void http_connections_make_room(struct http_server *server, const struct http_connection *newcomer);

/* http1.c: takes a connection whose first bytes are not HTTP/2's preface. May free it. */
void http1_begin(struct http_connection *connection);
/* http2.c: takes one whose first bytes are the preface. May free it. */
void http2_begin(struct http_connection *connection);
/* http2_read.c */
/* A request of this connection (NULL: it is gone) was refused. */
void http_connection_note_refused(struct http_connection *connection);
/* A tick has come: connections that wait go on, in their order. */
void http2_read_tick(struct http_server *server);
/* Since when the connection waits; 0: it does not. The client is not late for this time. */
int64_t http2_read_waits_us(const struct http_connection *connection, int64_t now_mono_us);
/* The same for a request. In all, it is at most as long as a body may take. 0 as well while it is
 * not the client's turn. */
int64_t http2_read_waits_us_of(const struct http_exchange *exchange, int64_t now_mono_us);
/* It does not wait any more. */
void http2_read_end(struct http_connection *connection);

/* exchange.c */
/* A part of this folder has the exchange now and answers it later, as a handler does. */
void http_exchange_hold(struct http_exchange *exchange);
/* `stream` 0: HTTP/1. Returns NULL without room. Its head is empty. */
struct http_exchange *http_exchange_new(struct http_connection *connection, int32_t stream);
/* The connection does not need it any more: it was answered, or the client has left. Frees it
 * unless its handler has it. */
void http_exchange_drop(struct http_exchange *exchange);
void http_exchange_free(struct http_exchange *exchange);
/* Head and body. The exchange itself stays, which is small. */
void http_exchange_free_request(struct http_exchange *exchange);
/* The head has grown. Returns false if there is no room for it. */
bool http_exchange_head_has_room(struct http_exchange *exchange);

/* request.c */
/* The head is complete: finds the route, checks the head, and asks the route's `admit`. It may be
 * answered when this returns: then its state is EXCHANGE_ANSWERING. */
void http_exchange_admit(struct http_exchange *exchange);
/* When the next part of the body must have arrived: the time grows with what has arrived. */
int64_t http_exchange_body_deadline(const struct http_exchange *exchange);
/* Adds to the body. May answer it (413, 503). Does nothing after an answer. */
void http_exchange_receive(struct http_exchange *exchange, const void *data, size_t len);
/* The body is complete: calls the handler, which may answer at once. Does nothing after an
 * answer. */
void http_exchange_handle(struct http_exchange *exchange);
/* Answers open exchanges with 503 if their client is still connected. After that only their holders
 * own them. */
void http_exchanges_abandon(struct http_server *server);

/* room.c */
/* Takes room. Returns false and takes nothing if there is not enough. */
bool http_room_take(struct http_exchange *exchange, enum http_room room, size_t bytes);
/* Whether so many bytes more would be above the share of the connection or of the caller: then the
 * lack of room is the caller's fault. */
bool http_room_exceeds_share(
    const struct http_exchange *exchange, enum http_room room, size_t bytes);
void http_room_force(struct http_exchange *exchange, enum http_room room, size_t bytes);
void http_room_give(struct http_exchange *exchange, enum http_room room, size_t bytes);
void http_room_give_all(struct http_exchange *exchange);
/* The caller is known: what the exchange has, and takes later, counts for it. */
void http_room_set_caller(struct http_exchange *exchange);
/* The input of the connection has `size` bytes now that wait, and takes `capacity` bytes of memory,
 * instead of as many as before. Returns false if there is no room for it: then none count. */
bool http_room_hold_input(struct http_connection *connection, size_t size, size_t capacity);
/* The exchange leaves its connection, and keeps what it has. */
void http_room_leave(struct http_exchange *exchange);

/* router.c: finds the route. Answers and returns false if there is none or the head is wrong. */
bool http_route_find(struct http_exchange *exchange);

/* admission.c */
/* Counts an accepted connection. Returns false if it must be closed. */
bool http_admission_open(struct http_connection *connection);
void http_admission_close(struct http_connection *connection);
/*
 * Counts the problem of an exchange against its address. Returns true if the exchange is answered
 * here, at once or later: with 429 or after a delay. Otherwise the caller answers it.
 */
bool http_admission_takes(struct http_exchange *exchange, enum err error, const char *detail);
/* Sends the answers that are due, or all. About every 100 ms. */
void http_admission_tick(struct http_server *server, bool all);

/* refusal_notes.c */
/* Counts and logs a connection that is cut; status 0, or the one of its last answer. */
void http_note_cut(
    const struct http_connection *connection, enum refusal_reason reason, int status);

/* set_header.c */
bool http_has_set_header(const struct http_exchange *exchange, const char *name);
void http_set_headers_free(struct http_exchange *exchange);

/* problem.c */
/* http_answer_problem with one more header, which may be NULL. */
void http_answer_problem_with(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems, const struct http_header_field *extra);

/* The value of the date header now. */
struct slice http_date(struct http_server *server);

/* The standard phrase of a status that we answer with (RFC 9110): "Not Found". */
const char *http_status_text(int status);

#endif
