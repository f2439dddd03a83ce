/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds what clients send: the raw bytes of each connection, as the socket gives them.
 *
 * libcurl 7.88 reports header lines and decoded bytes of a body. It does not report, and does not
 * bound: extensions of chunks, HTTP/2 frames that are not part of an answer (PING, SETTINGS,
 * unknown types, empty and padded DATA), what arrives for streams that have ended, TLS records
 * without data. CURLOPT_MAX_RECV_SPEED_LARGE counts decoded bytes. For HTTP/2 libcurl reads until
 * the socket is empty, in one call: a peer that keeps it full holds the loop. So this module counts
 * where the bytes enter: libcurl calls recv() of the C library, the dynamic linker resolves it, and
 * the function of that name in inflow.c replaces it. Calls from elsewhere pass through. The client
 * does not start if the replacement is not in effect.
 *
 *   In total. A connection may receive INFLOW_BYTES_MAX for its handshake, and as much for each
 *   request that is sent on it. What an answer does not use expires when no request needs it. With
 *   one byte more, recv() fails: libcurl closes the connection, and its requests without an answer
 *   end with ERR_ANSWER_TOO_LARGE.
 *
 *   At a time. In one call of libcurl a connection receives at most INFLOW_TURN_COST_MAX. Then
 *   recv() reports that the socket is empty. The loop reports the socket again after it has handled
 *   the others.
 *
 * The module has to know on which connection a request is sent: the next send() after libcurl said
 * that it is about to send is on it. That function is replaced in the same way.
 *
 * Owned by the client's thread.
 */
#ifndef PENSTOCK_CLIENT_INFLOW_H
#define PENSTOCK_CLIENT_INFLOW_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For 64 KiB of headers and 64 KiB of body (answer.h), twice: HTTP and TLS add to each part, and
 * small parts are not worth a failure. */
#define INFLOW_BYTES_MAX ((uint64_t)256 * 1024)
/* Two records of TLS. Each call of recv() costs more than its bytes, so that records of one byte do
 * not hold the loop. */
#define INFLOW_TURN_COST_MAX ((size_t)32 * 1024)
#define INFLOW_CALL_COST ((size_t)256)

struct inflow_connection;

/* A request's part of its connection. Zeroed, it is on none. */
struct inflow_user {
    struct list link;
    struct inflow_connection *connection; /* NULL: not known yet, or closed */
    bool sent;
    uint64_t bytes_before; /* of the connection, when the request was sent */
    uint64_t bytes;        /* received since then; set when the connection is closed or left */
    bool too_large;        /* the connection received more than it may */
};

struct inflow {
    struct inflow_connection **by_fd;
    size_t room;
    uint64_t turn;               /* calls of libcurl so far */
    struct inflow_user *sending; /* whose connection the next send() shows */
};

void inflow_done(struct inflow *inflow);

/* Around each call of libcurl that may read or write. */
void inflow_enter(struct inflow *inflow);
void inflow_leave(void);
/* Returns whether libcurl runs on this thread: other replacements of functions (unprocessed.h,
 * stream_window.h) are only for its calls. */
bool inflow_is_libcurl(void);

/* A socket was opened for a request, or closed. An unknown socket is harmless. */
void inflow_open(struct inflow *inflow, int fd, struct inflow_user *user);
void inflow_close(struct inflow *inflow, int fd);

/* The request is about to be sent, on a connection that it opened or on another one. */
void inflow_send(struct inflow *inflow, struct inflow_user *user);
/* The request has ended, or starts again. */
void inflow_end(struct inflow *inflow, struct inflow_user *user);

/* Returns whether libcurl calls the functions of this module. */
bool inflow_is_seen(void);

#endif
