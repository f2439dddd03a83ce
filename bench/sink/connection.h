/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sink keeps of a connection. The first request attaches it to the socket; it is freed
 * when h2o closes the socket.
 *
 * A connection that has to be broken is first only marked, and shut down after the loop's turn. h2o
 * keeps HTTP/2 answers until then, and answers that are logged must really be sent.
 */
#ifndef PENSTOCK_BENCH_SINK_CONNECTION_H
#define PENSTOCK_BENCH_SINK_CONNECTION_H

#include "sink/sink.h"

struct connection {
    h2o_socket_t *socket;
    uint64_t requests; /* so far */
    struct list link;  /* in the loop's `dying`, or in no list */
};

struct connection *connection_of(h2o_req_t *req);
bool connection_is_dying(const struct connection *connection);

/* Ends the connection without an answer to this request. h2o may dispose of the request at once
 * (HTTP/1) or after this turn (HTTP/2). */
void connection_break(struct sink_loop *loop, h2o_req_t *req);
/* Ends it in the middle of an answer: the headers and half of the body, at least one byte, are
 * sent. */
/* On_turn of server_options. */
void connection_break_answer(
    struct sink_loop *loop, h2o_req_t *req, const char *body, size_t body_len);
void connection_on_turn(struct server_loop *server);

#endif
