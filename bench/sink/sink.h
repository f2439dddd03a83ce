/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-sink plays the client deployments that bench runs deliver to. It answers, delays, fails,
 * drops and hangs as the words of its paths say (behaviour.h). It logs each request when it ends
 * (common/run_log.h).
 *
 *   main.c          options, start and stop
 *   respond.c       a request, from its arrival to its record
 *   match.c         which event a request of another product is
 *   behaviour.c     the words and the random decisions
 *   paths.c         which behaviour a request gets
 *   worker_table.c  which workers of a path are free
 *   connection.c    new or warm connections; how a connection is broken
 *   relay.c         connections that are read slowly
 *   log.c           records and counts
 *   control.c       changes and counts at run time
 *
 * Threads: each loop has its own connections, requests, timers, MACs, workers and random state. The
 * log (with a lock) and the paths (published tables) are shared. The main thread waits for a
 * signal. When the loops have ended, it writes the rest of the log.
 */
#ifndef PENSTOCK_BENCH_SINK_SINK_H
#define PENSTOCK_BENCH_SINK_SINK_H

#include "base/list.h"
#include "common/server.h"
#include "sink/log.h"
#include "sink/match.h"
#include "sink/paths.h"
#include "sink/signature_check.h"
#include "sink/timers.h"
#include "sink/worker_table.h"

#define SINK_BODY_BYTES_MAX (1024 * 1024)

struct sink;

/* Owned by the loop's thread. */
struct sink_loop {
    struct sink *sink;
    struct server_loop *server;
    uint64_t random;
    struct timers timers;
    struct signature_checker signatures;
    struct worker_table workers;
    struct list waiting; /* requests that have not ended */
    struct list dying;   /* connections to shut down after this turn */
    h2o_timeout_t tick;  /* SINK_LOG_FLUSH_MS */
    h2o_timeout_entry_t tick_entry;
};

struct sink {
    int64_t start_us;    /* monotonic; time 0 of the windows */
    struct paths *paths; /* shared */
    struct sink_log *log;
    /* immutable after the start */
    struct match match;
    bool is_on_loopback;
    struct server *server;
    struct sink_loop loops[SERVER_THREADS_MAX];
};

static inline struct slice slice_from_iovec(h2o_iovec_t iovec)
{
    return slice_of(iovec.base, iovec.len);
}

/* respond.c: an h2o handler's on_req. */
int respond_on_request(h2o_handler_t *handler, h2o_req_t *req);
/* Finds waiting HTTP/1 requests whose client has left. HTTP/1 does not report this while a request
 * waits, so it is called at intervals. */
void respond_find_gone(struct sink_loop *loop);
/* Logs the requests that still wait. Called after the loop's thread has ended. */
void respond_end_waiting(struct sink_loop *loop);

/* control.c: answers a control request. Returns false for any other request. */
bool control_handle(struct sink *sink, h2o_req_t *req);

/* relay.c: on_connection of server_options. */
void relay_on_connection(struct server_loop *server, h2o_socket_t *socket);

#endif
