/* SPDX-License-Identifier: Apache-2.0 */
/* A server on its own thread with routes for the tests, and clients on plain sockets. */
#ifndef PENSTOCK_TESTS_HTTP_FIXTURE_H
#define PENSTOCK_TESTS_HTTP_FIXTURE_H

#include "base/clock.h"
#include "http/address_table.h"
#include "http/problem.h"
#include "http/refusals.h"
#include "http/server.h"
#include "http/tls.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"
#include "support/wait_until.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

#define FIXTURE_BODY_BYTES_MAX 4096
#define FIXTURE_LARGE_BODY_BYTES_MAX (2 * FIXTURE_BODY_BYTES_MAX) /* POST /large */
#define FIXTURE_HUGE_BODY_BYTES_MAX (256 * 1024)                  /* POST /friend/huge */
#define FIXTURE_BIG_BYTES (8 * 1024 * 1024)
#define FIXTURE_BROKER_OWNED_MAX 256
#define FIXTURE_ROOM_BYTES (16 * FIXTURE_BIG_BYTES)

struct fixture {
    struct sockaddr_storage address;
    socklen_t address_len;
    /* set before fixture_start */
    unsigned connections_max; /* 0: 100 */
    bool closes_idle;
    size_t room_bytes; /* 0: FIXTURE_ROOM_BYTES */
    struct http_limits limits;
    struct address_table *addresses; /* NULL: none */
    struct http_tls *tls;            /* NULL: cleartext */
    struct mailbox mailbox;
    struct http_server *server;
    struct refusals *refusals;
    struct thread thread;
    /* owned by the server's thread while that runs */
    struct http_exchange *held[FIXTURE_BROKER_OWNED_MAX];
    unsigned held_count;
    unsigned refused_before; /* requests that were not found, at the last tick */
    /* shared: atomic */
    _Atomic unsigned heads;    /* that reached admit_friend */
    _Atomic unsigned requests; /* that reached a handler */
    _Atomic unsigned held_seen, ticks;
    _Atomic unsigned refused_most; /* the same, between two ticks */
    _Atomic unsigned answered_present, answered_gone;
    _Atomic bool was_offline_in_handler;
};

/* Listens at `address` if its family is set, otherwise on a free port of 127.0.0.1 and sets it. */
void fixture_start(struct fixture *fixture);
/* Stops and frees the server on its thread. Then answers the exchanges that are still held. */
void fixture_stop(struct fixture *fixture);

/* Runs `run` on the server's thread and waits for it. */
void fixture_call(struct fixture *fixture, void (*run)(struct fixture *fixture));
void fixture_answer_broker_owned(struct fixture *fixture); /* for fixture_call */
void fixture_do_nothing(struct fixture *fixture); /* for fixture_call: one turn of the loop */
void fixture_drain(struct fixture *fixture);      /* for fixture_call */
bool fixture_is_idle(struct fixture *fixture);    /* from the test's thread */

/* HTTP/1 */
struct answer {
    int status; /* 0: the connection ended without an answer */
    char head[4096];
    size_t body_len;
    char body[8192];
};

int client_connect(const struct fixture *fixture);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *bytes, size_t len);
void client_read_answer(int fd, struct answer *ret_answer);
void client_read_head(int fd, struct answer *ret_answer); /* for an answer without a body */
void client_ask(int fd, const char *request, struct answer *ret_answer);
/* Waits. Returns true if the server has closed, false if there is a byte to read. */
bool client_is_at_end(int fd);

/* HTTP/2, as much as the tests need: literal headers, small frames */
#define H2_DATA 0
#define H2_HEADERS 1
#define H2_PRIORITY 2
#define H2_RST_STREAM 3
#define H2_SETTINGS 4
#define H2_PING 6
#define H2_GOAWAY 7
#define H2_WINDOW_UPDATE 8
#define H2_CONTINUATION 9

struct h2_frame {
    unsigned type, flags, stream;
    size_t len;
    int status; /* of HEADERS */
    unsigned char payload[16384];
};

int h2_connect(const struct fixture *fixture);
void h2_send_frame(
    int fd, unsigned type, unsigned flags, unsigned stream, const void *payload, size_t len);
void h2_send_request(int fd, unsigned stream, const char *method, const char *path, bool has_body);
struct h2_field {
    const char *name, *value;
};
/* `fields` ends with a NULL name and may be NULL. A trailer ends the stream. */
void h2_send_request_with(int fd, unsigned stream, const char *method, const char *path,
    bool has_body, const struct h2_field *fields);
void h2_send_trailer(int fd, unsigned stream, const struct h2_field *fields);
void h2_send_data(int fd, unsigned stream, const void *data, size_t len, bool is_last);
void h2_send_rst(int fd, unsigned stream);
bool h2_read_frame(int fd, struct h2_frame *ret_frame); /* false at the end of the connection */
/* Reads frames until one of this type and stream. Returns false at the end of the connection. */
bool h2_read_until(int fd, unsigned type, unsigned stream, struct h2_frame *ret_frame);
int h2_read_status(int fd, unsigned stream); /* 0: no answer */

#endif
