/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the sink, waits for a signal, stops it. See sink.h. */
#include "base/clock.h"
#include "sink/connection.h"
#include "sink/options.h"

#include <inttypes.h>
#include <stdlib.h>

static void on_tick(h2o_timeout_entry_t *entry)
{
    struct sink_loop *loop = CONTAINER_OF(entry, struct sink_loop, tick_entry);
    respond_find_gone(loop);
    if (loop->server->number == 0)
        sink_log_flush(loop->sink->log);
    h2o_timeout_link(loop->server->loop, &loop->tick, &loop->tick_entry);
}

static uint64_t seed; /* set before the loops start */

static enum err on_start(struct server_loop *server, void *context)
{
    struct sink *sink = context;
    struct sink_loop *loop = &sink->loops[server->number];
    server->data = loop;
    loop->sink = sink;
    loop->server = server;
    loop->random = behaviour_seed(seed, server->number);
    list_init(&loop->waiting);
    list_init(&loop->dying);
    enum err result = timers_init(&loop->timers, server->loop);
    if (result)
        return result;
    h2o_timeout_init(server->loop, &loop->tick, SINK_LOG_FLUSH_MS);
    loop->tick_entry.cb = on_tick;
    h2o_timeout_link(server->loop, &loop->tick, &loop->tick_entry);
    return OK;
}

static int fail(const char *what, enum err error)
{
    fprintf(stderr, "penstock-sink: %s: %s\n", what, err_title(error));
    return err_exit_code(error);
}

static enum err start(struct sink *sink, const struct sink_options *options)
{
    struct server_options server = {.address = options->address,
        .port = options->port,
        .threads = options->threads,
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
        .body_bytes_max = SINK_BODY_BYTES_MAX,
        .on_start = on_start,
        .on_request = respond_on_request,
        .on_connection = relay_on_connection,
        .on_turn = connection_on_turn,
        .context = sink};
    seed = (uint64_t)options->seed;
    paths_share(sink->paths);
    sink->start_us = clock_mono_us();
    return server_start(&server, &sink->server);
}

/* The loops have ended. */
static void stop(struct sink *sink, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        respond_end_waiting(&sink->loops[i]);
        signature_checker_done(&sink->loops[i].signatures);
        worker_table_done(&sink->loops[i].workers);
        timers_done(&sink->loops[i].timers);
    }
}

static void print_summary(struct sink *sink)
{
    struct sink_counts counts;
    sink_log_count(sink->log, &counts);
    fprintf(stderr,
        "penstock-sink: %" PRIu64 " requests: %" PRIu64 " answered, %" PRIu64 " dropped, %" PRIu64
        " cut, %" PRIu64 " never ended\n",
        counts.requests, counts.deeds[SINK_ANSWERED], counts.deeds[SINK_DROPPED],
        counts.deeds[SINK_CUT_SHORT], counts.deeds[SINK_NEVER_ENDED]);
}

static int serve(struct sink *sink, const struct sink_options *options)
{
    server_block_signals();
    enum err result = sink_log_new(options->log_file, &sink->log);
    if (result)
        return fail(options->log_file ? options->log_file : "log", result);
    result = start(sink, options);
    if (!result && options->ready_file)
        result = server_write_ready_file(sink->server, options->ready_file);
    if (result) {
        server_stop(sink->server);
        return fail(sink->server ? options->ready_file : "server", result);
    }
    server_wait_for_signal();
    server_stop(sink->server);
    stop(sink, options->threads);
    print_summary(sink);
    result = sink_log_free(TAKE(sink->log));
    return result ? fail(options->log_file, result) : 0;
}

int main(int argc, char **argv)
{
    static struct sink
        sink; /* not on the stack: connections point into it until the process ends */
    struct sink_options options;
    enum err result = paths_new(&sink.paths);
    if (result)
        return fail("paths", result);
    result = sink_options_parse(argc, argv, sink.paths, &options);
    if (result)
        return err_exit_code(result);
    sink.match = options.match;
    sink.is_on_loopback = !options.address || strncmp(options.address, "127.", 4) == 0;
    return serve(&sink, &options);
}
