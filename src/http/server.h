/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 and HTTP/2 (cleartext) on h2o: one server per thread, with its own loop, listener and
 * connections. Nothing outside this folder sees h2o.
 *
 * A handler gets an exchange and answers it once with http_answer, at once or later, from the same
 * thread; what other threads answer comes through the server's mailbox. The exchange outlives its
 * client: when the client resets or leaves, h2o's request goes away, the exchange stays until
 * http_answer, which then only counts it (penstock_answers_orphaned_total).
 *
 * The thread is online for RCU from the first handler of a turn until the loop waits again. The
 * threads that run or free a server must have SIGPIPE blocked or ignored.
 */
#ifndef PENSTOCK_HTTP_SERVER_H
#define PENSTOCK_HTTP_SERVER_H

#include "base/buffer.h"
#include "runtime/mailbox.h"

#include <netinet/in.h>

struct http_server;
struct http_exchange;

struct http_route {
    const char *method; /* "POST" */
    const char *path; /* "/v1/events/{id}": a segment in braces matches any one non-empty segment */
    void (*handle)(struct http_exchange *exchange, void *context);
    size_t body_bytes_max; /* 0: the server's */
    const char *challenge; /* what a 401 asks for in WWW-Authenticate; NULL: Bearer */
};

/* How long a client may take, in milliseconds; 0: the default. */
struct http_limits {
    unsigned first_ms; /* a new connection, until it has said which protocol it speaks (10 s) */
    unsigned head_ms;  /* HTTP/1: from the first byte of a head to its last (5 s) */
    unsigned body_ms;  /* HTTP/1: the same for a body (10 s) */
    unsigned
        idle_ms; /* between two requests; HTTP/2: without a byte, and no request to answer (75 s) */
};

struct http_options {
    int listen_fd; /* owned by the server from http_server_new on, also when that fails */
    const struct http_route *routes; /* ends with a NULL method; must outlive the server */
    void *context;                   /* for the handlers */
    const struct slice *
        /* lower-case header names (literals, at most 32), the last empty; a request that has one of
         * them twice is answered with 400: who reads the first only may read the wrong one. May be
         * NULL */
        single;
    struct mailbox *mailbox; /* worked off on this loop; may be NULL */
    void (*on_tick)(
        void *context); /* about every 100 ms on the server's thread, online for RCU; may be NULL */
    size_t body_bytes_max; /* of routes that say nothing else; 413 beyond (see server.c) */
    unsigned
        /* the next one takes the place of the oldest without a request; else it waits */
        connections_max;
    bool
        /* ... or of one that has had its answers: a caller who comes back connects again */
        closes_idle;
    struct http_limits limits;
    bool is_measured; /* keep METRIC_HTTP_CONNECTIONS and HISTOGRAM_TURN */
};

/* "127.0.0.1:8080", "[::1]:8080", "*:8080". False with a sentence in *ret_problem. */
bool http_parse_address(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
    const char **ret_problem);

/*
 * Whether nobody listens on the address yet. SO_REUSEPORT would let another process of the same
 * user join in, and take half of our partners: ask before the first http_listen. Errors as there.
 */
enum err http_reserve(const struct sockaddr_storage *address, socklen_t len) MUST_CHECK;
/*
 * A listening socket with SO_REUSEPORT and a bounded receive buffer. Port 0 picks a free one, and
 * `address` is updated, so that the next thread can join the same port. ERR_ADDRESS_IN_USE,
 * ERR_PERMISSION, ERR_SYSTEM.
 */
enum err http_listen(struct sockaddr_storage *address, socklen_t len, int *ret_fd) MUST_CHECK;
/* "http://127.0.0.1:41234"; `ret_text` holds at least 64 bytes. An any-address is written as
 * loopback. */
void http_base_url(const struct sockaddr_storage *address, char *ret_text);

enum err http_server_new(
    const struct http_options *options, struct http_server **ret_server) MUST_CHECK;
/* After http_server_run has returned, or without it; any thread; takes NULL. */
void http_server_free(struct http_server *server);

/*
 * Runs the loop on the calling thread until http_server_stop. Then open connections are closed, and
 * what is unanswered is answered with 503. Exchanges that somebody still holds stay valid until he
 * answers them, on any one thread.
 */
void http_server_run(struct http_server *server);

/* The rest on the server's thread only. */
void http_server_drain(
    struct http_server *server); /* close the listener, GOAWAY, let what is in flight finish */
/* No exchange unanswered, no answer half written, no connection open. */
bool http_server_is_idle(const struct http_server *server);
void http_server_stop(struct http_server *server);

/* What came in: valid until the handler returns. */
struct slice http_method(const struct http_exchange *exchange);
struct slice http_path(const struct http_exchange *exchange);  /* without the query */
struct slice http_query(const struct http_exchange *exchange); /* behind '?', may be empty */
/* The braces of the route, from 0 (at most 4). Not percent-decoded: our ids don't need it. */
struct slice http_path_part(const struct http_exchange *exchange, unsigned index);
/* The first of that name; empty when absent (`data` is NULL then, and not with an empty header).
 * h2o shows no content-length, transfer-encoding, expect and upgrade. */
struct slice http_header(const struct http_exchange *exchange, const char *lower_case_name);
struct slice http_body(const struct http_exchange *exchange);
/* When the request was complete; valid until http_answer. */
int64_t http_received_mono_us(const struct http_exchange *exchange);

struct http_header_field {
    const char *name, *value; /* copied */
};

struct http_reply {
    int status;
    const char *content_type; /* static; NULL when there is no body */
    struct slice body;        /* copied */
    struct http_header_field headers[4];
    unsigned headers_count;
};

/* Answers and ends the exchange; it must not be used any more. True when the client was still
 * there. */
bool http_answer(struct http_exchange *exchange, const struct http_reply *reply);

#endif
