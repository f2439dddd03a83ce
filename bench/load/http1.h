/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 of a connection to a target: one request at a time, without pipelining. http_parser
 * reads the answers. So --connections is the number of requests that can be in flight. Events that
 * are due while all connections are in use wait. Their latency counts from when they were due.
 *
 * The connection owns the socket. It takes bytes from here, and gives those that it has read.
 *
 *   idle --http1_begin--> busy --whole answer--> idle, when the connection may be kept
 *                              --give up, end, malformed--> the connection is closed
 *
 * Bounds: the head of an answer is bounded by http_parser (80 KiB), the kept body by
 * HTTP1_ANSWER_BYTES_MAX; the rest of a longer body is read and thrown away.
 */
#ifndef PENSTOCK_BENCH_LOAD_HTTP1_H
#define PENSTOCK_BENCH_LOAD_HTTP1_H

#include "load/sending.h"

#include <http_parser.h>

#define HTTP1_ANSWER_BYTES_MAX (1024 * 1024)

enum http1_result {
    HTTP1_GOING_ON, /* no answer yet, or none is expected */
    HTTP1_ANSWERED, /* a whole answer: http1_finish takes the sending */
    HTTP1_FAILED    /* malformed, or bytes that nobody asked for */
};

struct http1 {
    const struct post *post;
    struct http_parser parser;
    struct sending *sending; /* in flight; NULL: idle */
    struct buffer head;
    size_t head_at;            /* bytes handed out so far */
    bool has_answer;           /* it is complete */
    bool is_last;              /* the connection ends with this answer */
    struct buffer name, value; /* of the present header */
    bool in_value;             /* its value has begun; it may be empty */
};

void http1_init(struct http1 *http1, const struct post *post);
void http1_done(struct http1 *http1);
/* A new connection: forgets the request in flight. */
void http1_reset(struct http1 *http1);

static inline bool http1_is_idle(const struct http1 *http1)
{
    return !http1->sending;
}

/* Begins a request. It must be idle. `authority` is the Host. */
void http1_begin(struct http1 *http1, const char *authority, struct sending *sending);
/* Copies bytes of the request. Returns their number; 0: all are handed out. */
size_t http1_give(struct http1 *http1, uint8_t *buffer, size_t room);
/* Takes bytes of the answer; `len` 0: the server has closed the connection. */
enum http1_result http1_take(struct http1 *http1, const uint8_t *data, size_t len);
/* Ends the answered request. *ret_keep: another request may follow on the connection. */
struct sending *http1_finish(struct http1 *http1, bool *ret_keep);

#endif
