/* SPDX-License-Identifier: Apache-2.0 */
#include "main/sink.h"

#include "base/limits.h"
#include "base/memory.h"
#include "http/server.h"
#include "runtime/log.h"
#include "runtime/thread.h"

#include <stdio.h>
#include <stdlib.h>

#define CONNECTIONS_MAX 1024

struct sink {
    struct thread thread;
    struct mailbox mailbox;
    struct http_server *server;
    struct mail stop;
    char url[80];
};

static void on_hook(struct http_exchange *exchange, void *context)
{
    struct slice id = http_header(exchange, "webhook-id"),
                 attempt = http_header(exchange, "penstock-attempt");
    struct slice signature = http_header(exchange, "webhook-signature");
    log_write(LOG_LIVE, "sink: got %.*s attempt=%.*s bytes=%zu signature=%.*s", SLICE_ARGS(id),
        SLICE_ARGS(attempt), http_body(exchange).len, SLICE_ARGS(signature));
    http_answer(exchange,
        &(struct http_reply){
            .status = 200, .content_type = "application/json", .body = SLICE_LITERAL("{}\n")});
}

static const struct http_route routes[] = {{"POST", "/hook", on_hook}, {NULL, NULL, NULL}};

static void run(void *context)
{
    http_server_run(((struct sink *)context)->server);
}

static void on_stop(struct mail *mail, void *receiver)
{
    http_server_stop(((struct sink *)receiver)->server);
}

static enum err listen_and_serve(struct sink *sink)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    const char *problem;
    int fd;
    if (!http_parse_address("127.0.0.1:0", &address, &len, &problem))
        return ERR_BUG;
    enum err err = http_listen(&address, len, &fd);
    if (err)
        return err;
    char base[64];
    http_base_url(&address, false, base);
    snprintf(sink->url, sizeof sink->url, "%s/hook", base);
    err = http_server_new(&(struct http_options){.listen_fd = fd,
                              .routes = routes,
                              .context = sink,
                              .mailbox = &sink->mailbox,
                              .body_bytes_max = EVENT_BYTES_MAX,
                              .connections_max = CONNECTIONS_MAX},
        &sink->server);
    return err ? err : thread_start(&sink->thread, "sink", run, sink);
}

enum err sink_start(struct sink **ret_sink)
{
    struct sink *sink;
    MEMORY_NEW(sink);
    enum err err = mailbox_init(&sink->mailbox, sink);
    if (!err)
        err = listen_and_serve(sink);
    if (err) {
        sink_stop(sink);
        return err;
    }
    *ret_sink = sink;
    return OK;
}

const char *sink_url(const struct sink *sink)
{
    return sink->url;
}

void sink_stop(struct sink *sink)
{
    if (!sink)
        return;
    if (sink->thread.started) {
        sink->stop.on_receive = on_stop;
        mailbox_post(&sink->mailbox, &sink->stop);
        thread_join(&sink->thread);
    }
    http_server_free(sink->server);
    mailbox_done(&sink->mailbox);
    free(sink);
}
