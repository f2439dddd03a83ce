/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small real servers on 127.0.0.1 for the tests of the client, each with threads of its own, and a
 * loop with a client on the test's thread. A test that gets no answer ends after
 * BENCH_SECONDS_MAX.
 */
#ifndef PENSTOCK_TESTS_UNIT_CLIENT_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_CLIENT_FIXTURE_H

#include "client/client.h"
#include "unit/client/certificates.h"

#include <pthread.h>
#include <stdatomic.h>

#define BENCH_SECONDS_MAX 20

/* An HTTP/1.1 server. It answers the n-th request, on any connection, with its n-th reply. The last
 * reply is repeated. */

enum then { THEN_KEEP, THEN_CLOSE, THEN_STALL, THEN_ENDLESS };

struct reply {
    const char *text; /* NULL: nothing */
    enum then then;
};

#define SERVER_CONNECTIONS_MAX 32
#define SERVER_REQUEST_BYTES_MAX (2 * 1024 * 1024)

struct server {
    const struct reply *replies;
    unsigned replies_count;
    _Atomic bool greets; /* sends its first reply as soon as a client connects */
    _Atomic bool
        /* reads only the first bytes of a request and closes, so that the client gets a reset */
        cuts;
    _Atomic size_t cuts_after;
    int listen_fd;
    unsigned port;
    _Atomic unsigned connections, closed, requests;
    char last_request[SERVER_REQUEST_BYTES_MAX]; /* whole; read it after its answer */
    size_t last_request_len;

    pthread_t thread;
    pthread_mutex_t lock; /* guards the fields below */
    bool stopping;
    struct connection {
        struct server *server;
        int fd;
        pthread_t thread;
    } table[SERVER_CONNECTIONS_MAX];
};

void server_start(struct server *server, const struct reply *replies, unsigned count);
/* On another address of this machine, with the port of another server. */
void server_start_at(struct server *server, const char *ip, unsigned port,
    const struct reply *replies, unsigned count);
void server_stop(struct server *server);
void server_refuse(struct server *server); /* closes the listener: connections are refused */

/* A DNS server over UDP: one answer for every name. */

struct dns_server {
    const char *const *_Atomic addresses; /* IPv4; NULL: never answers; empty: no such name */
    unsigned addresses_count;
    _Atomic unsigned ttl_s; /* 60 */
    int fd;
    char address[32];        /* "127.0.0.1:port", for client_options */
    _Atomic bool knows_root; /* answers for the root in any case */
    const char *silent_name; /* never answers for names that begin so; NULL: none */
    _Atomic unsigned queries;
    _Atomic bool stopping;
    pthread_t thread;
};

void dns_server_start(struct dns_server *dns, const char *const *addresses, unsigned count);
void dns_server_stop(struct dns_server *dns);

/* `openssl s_server` with a certificate for sink.test. When it has received `marker`, it sends
 * `answer`, once per connection. */

struct tls_server {
    unsigned port;
    char directory[64], certificate[96];
    struct slice answer;
    const char *marker;
    pid_t pid;
    int to_fd, from_fd;
    _Atomic unsigned bodies; /* markers seen */
    pthread_t thread;
};

void tls_server_start(struct tls_server *server, const char *const *more_arguments,
    const char *marker, struct slice answer);
/* With another certificate than the usual one. */
void tls_server_start_as(struct tls_server *server, const struct identity *identity,
    const char *const *more_arguments, const char *marker, struct slice answer);
void tls_server_stop(struct tls_server *server);

/* A listener whose backlog is full: connecting to it gets no answer. */
void dead_end_open(const char *ip, unsigned port, int ret_fds[4]);
void dead_end_close(const int fds[4]);

/* The loop and the client. */

struct bench {
    struct loop loop;
    struct client *client;
    struct client_options options;
    unsigned waits_for; /* answers */
    struct timer limit, poll;
    bool too_late;
    const _Atomic unsigned *counter;
    unsigned value;
};

struct exchange {
    struct client_request request; /* with long timeouts, except those that the test is about */
    struct bench *bench;
    char url[128];
    unsigned done, order; /* calls of on_done; the position among the bench's answers */
    void (*then)(struct exchange *exchange);
};

/* Besides public addresses only those in `allowed` ("a,b", or "") are allowed. `dns` may be
 * NULL. */
void bench_start(struct bench *bench, const char *allowed, const struct dns_server *dns);
void bench_stop(struct bench *bench);
void bench_send(struct bench *bench, struct exchange *exchange, const char *host, unsigned port);
void bench_run(struct bench *bench); /* until all requests are done */

/* Runs until the counter of a server has this value. */
void bench_run_until(struct bench *bench, const _Atomic unsigned *counter, unsigned value);

void exchange_init(struct exchange *exchange);
/* Sends one and waits for it. */
void bench_exchange(
    struct bench *bench, struct exchange *exchange, const char *host, unsigned port);

#endif
