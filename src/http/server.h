/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 and HTTP/2, in cleartext and with TLS (tls.h), on h2o's event loop and sockets. Each
 * thread has one server with its own loop, listeners and connections. Code outside this folder does
 * not use h2o.
 *
 * A handler gets an exchange and answers it exactly once with http_answer, at once or later, on the
 * same thread. Answers of other threads arrive through the server's mailbox. The exchange outlives
 * its client: after a reset or a disconnect, http_answer only counts it
 * (penstock_answers_orphaned_total).
 *
 * The thread is online for RCU from the first handler of a turn until the loop waits again. Threads
 * that run or free a server must block or ignore SIGPIPE.
 */
#ifndef PENSTOCK_HTTP_SERVER_H
#define PENSTOCK_HTTP_SERVER_H

#include "base/buffer.h"
#include "base/network.h"
#include "runtime/mailbox.h"

#include <netinet/in.h>

struct http_server;
struct tls_identity; /* model/tls_identity.h */
struct http_refused; /* problem.h */
struct http_exchange;
struct http_tls;

struct http_route {
    const char *method; /* "POST" */
    const char *path;   /* "/v1/events/{id}": braces match any one non-empty segment */
    void (*handle)(struct http_exchange *exchange, void *context);
    size_t body_bytes_max; /* 0: the server's */
    /* Called when the head is complete, before memory is used for the body. It may answer. Then
     * `handle` is not called. NULL: nothing to check. */
    void (*admit)(struct http_exchange *exchange, void *context);
    const char *challenge; /* WWW-Authenticate of a 401; NULL: Bearer */
};

/* Timeouts of a client in milliseconds; 0: the default. */
struct http_limits {
    unsigned handshake_ms; /* TLS: a new connection, until the handshake is complete (5 s) */
    unsigned first_ms;     /* after that, until its protocol is known (5 s) */
    unsigned head_ms;      /* from the first byte of a head, or of a frame outside of a request, to
                            * its last (5 s) */
    unsigned body_ms;      /* the same for a body (10 s); 1 s more for each 64 KiB */
    unsigned answer_ms;    /* in which some of a waiting answer must be read (10 s) */
    unsigned idle_ms;      /* without an open request (75 s) */
};

struct http_options {
    /* Two listening sockets: in cleartext (-1: none), and with TLS (not used without `tls`). Owned
     * by the server, also if http_server_new fails. */
    int listen_fd, tls_listen_fd;
    struct http_tls *tls;            /* must outlive the server; NULL: no TLS */
    const struct http_route *routes; /* ends with a NULL method; must outlive the server */
    void *context;                   /* for the handlers */
    /* Lower-case header names (literals, at most 32); the last one is empty. A request that has one
     * of them twice is answered with 400, because two readers may use different ones. May be
     * NULL. */
    const struct slice *single;
    struct mailbox *mailbox; /* handled on this loop; may be NULL */
    /* Called about every 100 ms on the server's thread, online for RCU. May be NULL. */
    void (*on_tick)(void *context);
    size_t body_bytes_max; /* for routes without their own; 413 beyond it */
    size_t room_bytes;     /* memory for requests and answers of all connections; 0: 24 MiB */
    /* When it is reached, a new connection replaces the oldest one without a request, or waits. */
    unsigned connections_max;
    /* A connection with this descriptor or a higher one replaces one without a request, and is
     * closed (runtime/descriptors.h). 0: none is. */
    unsigned descriptors_end;
    /* Networks of proxies, which say for whom they speak: with the PROXY protocol (version 2) at
     * the start of each connection, or with the field Forwarded. They must outlive the server. */
    const struct network *proxies;
    unsigned proxies_count;
    bool proxy_protocol;
    bool closes_idle;   /* it also replaces one whose requests are all answered */
    bool knows_callers; /* handlers call http_set_caller: idle connections of others are replaced */
    struct http_limits limits;
    /* Called for each refusal of a request or of a part of it, before the answer, on the server's
     * thread. May be NULL. */
    void (*on_refused)(
        struct http_exchange *exchange, const struct http_refused *refused, void *context);
    struct refusals *refusals; /* counts and logs what is refused, shared; NULL: nobody does */
    struct address_table *addresses; /* limits of client addresses, shared; NULL: none */
    bool is_measured;                /* updates METRIC_HTTP_CONNECTIONS and HISTOGRAM_TURN */
};

/* The far end of a connection. */
struct http_peer {
    struct in6_addr address; /* IPv4 is mapped (::ffff:a.b.c.d) */
    uint16_t port;
    char text[INET6_ADDRSTRLEN]; /* IPv4 in dotted form */
    bool is_tls;
};

/* Reads "127.0.0.1:8080", "[::1]:8080" or "*:8080". Otherwise returns false with a sentence in
 * *ret_problem. */
bool http_parse_address(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
    const char **ret_problem);

/*
 * Checks that no process listens on the address. With SO_REUSEPORT another process of the same user
 * could join and receive half of the connections, so call this before the first http_listen. Errors
 * as for http_listen.
 */
enum err http_reserve(const struct sockaddr_storage *address, socklen_t len) MUST_CHECK;
/*
 * Makes a listening socket with SO_REUSEPORT and a bounded receive buffer. Port 0 picks a free one
 * and updates `address`, so that the next thread can use the same port. ERR_ADDRESS_IN_USE,
 * ERR_PERMISSION, ERR_SYSTEM.
 */
enum err http_listen(struct sockaddr_storage *address, socklen_t len, int *ret_fd) MUST_CHECK;
/* Writes "http://127.0.0.1:41234", or https. `ret_text` holds at least 64 bytes. An any-address is
 * written as the loopback address. */
void http_base_url(const struct sockaddr_storage *address, bool is_tls, char *ret_text);
/* Returns whether only processes of this machine can connect to the address. */
bool http_is_loopback(const struct sockaddr_storage *address);

enum err http_server_new(
    const struct http_options *options, struct http_server **ret_server) MUST_CHECK;
/* Call it after http_server_run has returned, or without it. Any thread. Takes NULL. */
void http_server_free(struct http_server *server);

/*
 * Runs the loop on the calling thread until http_server_stop. Then it closes open connections and
 * answers open exchanges with 503. Exchanges that are still held stay valid until they are
 * answered, on any one thread.
 */
void http_server_run(struct http_server *server);

/* The functions below are for the server's thread only. */
/* Closes the listener, sends GOAWAY, and lets requests in flight finish. */
void http_server_drain(struct http_server *server);
/* Returns whether no exchange is open, no answer is half written, and no connection is open. */
bool http_server_is_idle(const struct http_server *server);
void http_server_stop(struct http_server *server);

/* The request. The slices are valid until the handler returns. */
struct slice http_method(const struct http_exchange *exchange);
struct slice http_path(const struct http_exchange *exchange);  /* without the query */
struct slice http_query(const struct http_exchange *exchange); /* after '?'; may be empty */
/* Returns the part of the path at the n-th braces of the route, from 0 (at most 4). It is not
 * percent-decoded: ids do not need it. */
struct slice http_path_part(const struct http_exchange *exchange, unsigned index);
/* The first header of that name. If absent, `data` is NULL; an empty header has data and length 0.
 * "host" is the authority of the request. */
struct slice http_header(const struct http_exchange *exchange, const char *lower_case_name);
struct slice http_body(const struct http_exchange *exchange);
/* The number of this turn of the loop. What was read under RCU is valid in the same turn. */
uint64_t http_turn(const struct http_exchange *exchange);
/* The time when the request was complete. Valid until http_answer. */
int64_t http_received_mono_us(const struct http_exchange *exchange);

/* Valid until http_answer. */
const struct http_peer *http_peer(const struct http_exchange *exchange);
/* NULL: no TLS, or the client sent no certificate. Valid until the handler returns. */
const struct tls_identity *http_client_identity(const struct http_exchange *exchange);
/* "req_" and 26 characters. */
const char *http_request_id(const struct http_exchange *exchange);

struct http_header_field {
    const char *name, *value; /* copied */
};

struct http_reply {
    int status;
    const char *content_type; /* static; NULL: there is no body */
    struct slice body;        /* copied */
    struct http_header_field headers[4];
    unsigned headers_count;
};

/*
 * The caller is authenticated: problems of this exchange do not count against its address
 * (address_table.h), and the log names the caller. `id` is copied, and cut after 64 bytes.
 */
void http_set_caller(struct http_exchange *exchange, const char *id);
/* Returns "" if the caller is not authenticated (yet). */
const char *http_caller(const struct http_exchange *exchange);
/* Returns whether it has a route of the method POST. Valid until http_answer. */
bool http_is_post(const struct http_exchange *exchange);

/* Sets a header of the answer of the exchange, whichever it is. It replaces one that was set
 * before. The name is a lower-case literal, the value is copied. */
void http_set_header(struct http_exchange *exchange, const char *name, const char *value);

/* Answers and ends the exchange, which must not be used any more. Returns true if the client was
 * still connected. */
bool http_answer(struct http_exchange *exchange, const struct http_reply *reply);

#endif
