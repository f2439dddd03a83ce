/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress/broker_host.h"

static struct ingress_host *host_of(struct broker_host *host)
{
    return CONTAINER_OF(host, struct ingress_host, host);
}

static void on_ready(void *context)
{
    struct ingress_host *host = context;
    host->watch->on_ready(host->watch);
}

static enum err watch(struct broker_host *broker_host, struct broker_watch *broker_watch)
{
    struct ingress_host *host = host_of(broker_host);
    enum err failed =
        http_watch_new(host->server, broker_watch->fd, on_ready, host, &host->http_watch);
    if (!failed)
        host->watch = broker_watch;
    return failed;
}

static void want_write(struct broker_host *host)
{
    http_watch_want_write(host_of(host)->http_watch);
}

static void set_reading(struct broker_host *host, bool reading)
{
    http_watch_set_reading(host_of(host)->http_watch, reading);
}

static void unwatch(struct broker_host *broker_host)
{
    struct ingress_host *host = host_of(broker_host);
    http_watch_free(TAKE(host->http_watch));
    host->watch = NULL;
}

static void run_turn_end(void *context)
{
    struct ingress_host *host = context;
    if (host->on_turn_end)
        TAKE(host->on_turn_end)(host->context);
}

static void at_turn_end(
    struct broker_host *broker_host, void (*on_turn_end)(void *context), void *context)
{
    struct ingress_host *host = host_of(broker_host);
    host->on_turn_end = on_turn_end;
    host->context = context;
    if (on_turn_end)
        http_turn_end_link(host->turn_end);
}

void ingress_host_init(struct ingress_host *host, struct http_server *server)
{
    static const struct broker_host_ops ops = {.watch = watch,
        .want_write = want_write,
        .set_reading = set_reading,
        .unwatch = unwatch,
        .at_turn_end = at_turn_end};
    *host = (struct ingress_host){.host.ops = &ops, .server = server};
    host->turn_end = http_turn_end_new(server, run_turn_end, host);
}

void ingress_host_done(struct ingress_host *host)
{
    http_watch_free(TAKE(host->http_watch));
    http_turn_end_free(TAKE(host->turn_end));
}
