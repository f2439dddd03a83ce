/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket that is neither read nor written is watched with EPOLLONESHOT. epoll always reports a
 * hang-up, and without EPOLLONESHOT it would do so in every turn. The end of the turn is a timer
 * without delay.
 */
#include "base/cleanup.h"
#include "broker/host.h"

static struct broker_loop_host *of(struct broker_host *host)
{
    return CONTAINER_OF(host, struct broker_loop_host, host);
}

static uint32_t events_of(const struct broker_loop_host *host)
{
    if (!host->reading && !host->writing)
        return EPOLLONESHOT;
    return (host->reading ? EPOLLIN : 0u) | (host->writing ? EPOLLOUT : 0u);
}

static void arrange(struct broker_loop_host *host)
{
    if (host->watch)
        loop_watch_change(host->loop, &host->loop_watch, events_of(host));
}

static void end_turn(struct broker_loop_host *host)
{
    void (*on_turn_end)(void *) = TAKE(host->on_turn_end);
    if (on_turn_end)
        on_turn_end(host->context);
}

static void on_turn_timer(struct timer *timer)
{
    end_turn(CONTAINER_OF(timer, struct broker_loop_host, turn_timer));
}

static void on_loop_ready(struct loop_watch *loop_watch, uint32_t events)
{
    struct broker_loop_host *host = CONTAINER_OF(loop_watch, struct broker_loop_host, loop_watch);
    if (host->writing && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        host->writing = false;
        arrange(host);
    }
    if (!timer_is_armed(&host->turn_timer))
        end_turn(host);
    if (host->watch)
        host->watch->on_ready(host->watch);
}

static enum err watch(struct broker_host *base, struct broker_watch *watch)
{
    struct broker_loop_host *host = of(base);
    host->loop_watch =
        (struct loop_watch){.fd = watch->fd, .events = EPOLLIN, .on_ready = on_loop_ready};
    enum err err = loop_watch_add(host->loop, &host->loop_watch);
    if (err)
        return err;
    host->watch = watch;
    host->reading = true;
    host->writing = false;
    return OK;
}

static void want_write(struct broker_host *base)
{
    struct broker_loop_host *host = of(base);
    host->writing = true;
    arrange(host);
}

static void set_reading(struct broker_host *base, bool reading)
{
    struct broker_loop_host *host = of(base);
    host->reading = reading;
    arrange(host);
}

static void unwatch(struct broker_host *base)
{
    struct broker_loop_host *host = of(base);
    if (TAKE(host->watch))
        loop_watch_remove(host->loop, &host->loop_watch);
}

static void at_turn_end(struct broker_host *base, void (*on_turn_end)(void *context), void *context)
{
    struct broker_loop_host *host = of(base);
    host->on_turn_end = on_turn_end;
    host->context = context;
    if (!on_turn_end)
        timer_disarm(host->loop, &host->turn_timer);
    else
        timer_arm(host->loop, &host->turn_timer, 0);
}

void broker_loop_host_init(struct broker_loop_host *host, struct loop *loop)
{
    static const struct broker_host_ops ops = {
        .watch = watch,
        .want_write = want_write,
        .set_reading = set_reading,
        .unwatch = unwatch,
        .at_turn_end = at_turn_end,
    };
    *host = (struct broker_loop_host){.host.ops = &ops, .loop = loop};
    timer_init(&host->turn_timer, on_turn_timer);
}

void broker_loop_host_done(struct broker_loop_host *host)
{
    unwatch(&host->host);
    at_turn_end(&host->host, NULL, NULL);
}
