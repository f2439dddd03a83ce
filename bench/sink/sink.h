/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-sink plays the client deployments that bench runs deliver to: it answers, delays, fails,
 * drops and hangs as its paths are told to (behaviour.h), and logs each request once its end is
 * known (common/run_log.h).
 *
 *   main.c      options, start and stop          respond.c     a request from its coming to its record
 *   behaviour   words, chance                    connection.c  warm or new; how a connection is cut
 *   paths       which behaviour                  relay.c       connections that are read slowly
 *   log         records and counts               control.c     what changes and shows it at run time
 *
 * Threads: each loop has its own connections, requests, timers, MACs and random numbers. Shared are
 * the log (a lock) and the paths (published tables). The main thread waits for a signal, and writes
 * the rest of the log when the loops have ended.
 */
#ifndef PENSTOCK_BENCH_SINK_SINK_H
#define PENSTOCK_BENCH_SINK_SINK_H

#include "base/list.h"
#include "common/server.h"
#include "sink/log.h"
#include "sink/paths.h"
#include "sink/signature_check.h"
#include "sink/timers.h"

#define SINK_BODY_BYTES_MAX (1024 * 1024)

struct sink;

/* Owned by the loop's thread. */
struct sink_loop {
    struct sink *sink;
    struct server_loop *server;
    uint64_t random;
    struct timers timers;
    struct signature_checker signatures;
    struct list waiting; /* requests that have not ended */
    struct list dying;   /* connections to be shut down behind this turn */
    h2o_timeout_t tick;  /* SINK_LOG_FLUSH_MS */
    h2o_timeout_entry_t tick_entry;
};

struct sink {
    int64_t start_us;    /* monotonic; what windows count from */
    struct paths *paths; /* shared */
    struct sink_log *log;
    struct server *server;
    struct sink_loop loops[SERVER_THREADS_MAX];
};

static inline struct slice slice_from_iovec(h2o_iovec_t iovec)
{
    return slice_of(iovec.base, iovec.len);
}

/* respond.c: an h2o handler's on_req. */
int respond_on_request(h2o_handler_t *handler, h2o_req_t *req);
/* HTTP/1 does not show that the client has left while its request waits: so it is looked for, now
 * and then. */
void respond_find_gone(struct sink_loop *loop);
/* Logs what waits still; the loop's thread has ended. */
void respond_end_waiting(struct sink_loop *loop);

/* control.c: false when the request is none of its own; otherwise it is answered. */
bool control_handle(struct sink *sink, h2o_req_t *req);

/* relay.c: server_options' on_connection. */
void relay_on_connection(struct server_loop *server, h2o_socket_t *socket);

#endif
