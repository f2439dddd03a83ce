/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sink keeps of a connection, hung on its socket by the first request and freed when h2o
 * closes it.
 *
 * A connection that is to be broken is only marked at first, and shut down behind the loop's turn:
 * h2o keeps HTTP/2 answers until then, and what has been logged as answered should really have gone
 * out.
 */
#ifndef PENSTOCK_BENCH_SINK_CONNECTION_H
#define PENSTOCK_BENCH_SINK_CONNECTION_H

#include "sink/sink.h"

struct connection {
    h2o_socket_t *socket;
    uint64_t requests; /* so far */
    struct list link;  /* in the loop's dying ones, or in none */
};

struct connection *connection_of(h2o_req_t *req);
bool connection_is_dying(const struct connection *connection);

/* Ends the connection without an answer to this request, which h2o may dispose of at once (HTTP/1)
 * or behind this turn (HTTP/2). */
void connection_break(struct sink_loop *loop, h2o_req_t *req);
/* The same in the middle of an answer: the headers and half of the body, at least one byte, are
 * sent before. */
void connection_break_answer(
    struct sink_loop *loop, h2o_req_t *req, const char *body, size_t body_len);

/* server_options' on_turn. */
void connection_on_turn(struct server_loop *server);

#endif
