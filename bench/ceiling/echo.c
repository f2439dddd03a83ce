/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceiling of the HTTP server: 200 and the request's own body.
 *
 * With --delay or --stall it is a server whose answer times are known, which the load generator is checked against. A
 * held request is due `delay` after it came, or at the end of the stall when that falls into it: so what came first is
 * due first, one queue for each loop is in order, and one timerfd, armed for its head, is exact to some 50 us.
 */
#include "base/clock.h"
#include "ceiling/ceiling.h"

#include <sys/timerfd.h>

struct echo_loop {
    struct ceiling_loop super;
    struct ceiling *ceiling;
    struct list due;     /* held_echo, in the order of their due times */
    int timer_fd;        /* -1: nothing is held */
    h2o_socket_t *timer; /* has it */
};

struct held_echo {
    struct held super;
    struct list link;
    int64_t due_us; /* monotonic */
};

static void arm(struct echo_loop *echo)
{
    struct itimerspec when = {0}; /* disarmed */
    if (!list_is_empty(&echo->due)) {
        int64_t due_us = CONTAINER_OF(echo->due.next, struct held_echo, link)->due_us;
        when.it_value.tv_sec = due_us / US_PER_SECOND;
        when.it_value.tv_nsec = due_us % US_PER_SECOND * 1000 + 1; /* never 0, which would disarm it */
    }
    if (timerfd_settime(echo->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        abort();
}

static void on_timer(h2o_socket_t *socket, const char *error)
{
    struct echo_loop *echo = socket->data;
    int64_t now_us = clock_mono_us();
    while (!list_is_empty(&echo->due)) {
        struct held_echo *held = CONTAINER_OF(echo->due.next, struct held_echo, link);
        if (held->due_us > now_us)
            break;
        list_remove(&held->link);
        held_answer_echo(&held->super);
    }
    arm(echo); /* also takes the expiration down */
}

static int64_t due_us_of(const struct ceiling *ceiling, int64_t now_us)
{
    const struct ceiling_options *options = &ceiling->options;
    int64_t due_us = now_us + options->delay_us;
    bool stalled =
        due_us >= ceiling->started_us + options->stall_from_us && due_us < ceiling->started_us + options->stall_to_us;
    return stalled ? ceiling->started_us + options->stall_to_us : due_us;
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct echo_loop *echo = server_loop_of(req)->data;
    echo->super.counts.requests++;
    if (!ceiling_is_post(req)) {
        ceiling_answer(&echo->super, req, 405, NULL, 0);
        return 0;
    }
    if (echo->timer_fd < 0) {
        ceiling_answer(&echo->super, req, 200, req->entity.base, req->entity.len);
        return 0;
    }
    struct held_echo *held = malloc(sizeof *held);
    if (!held)
        abort();
    held_init(&held->super, &echo->super, req);
    held->due_us = due_us_of(echo->ceiling, clock_mono_us());
    bool first = list_is_empty(&echo->due);
    list_add_tail(&echo->due, &held->link);
    if (first)
        arm(echo);
    return 0;
}

static enum err on_start(struct server_loop *loop, void *context)
{
    struct ceiling *ceiling = context;
    struct echo_loop *echo = calloc(1, sizeof *echo);
    if (!echo)
        return ERR_NO_MEMORY;
    echo->super.server_loop = loop;
    echo->ceiling = ceiling;
    echo->timer_fd = -1;
    list_init(&echo->due);
    loop->data = echo;
    if (ceiling->options.delay_us == 0 && ceiling->options.stall_to_us == 0)
        return OK;
    echo->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (echo->timer_fd < 0)
        return ERR_SYSTEM;
    echo->timer = h2o_evloop_socket_create(loop->loop, echo->timer_fd, H2O_SOCKET_FLAG_DONT_READ);
    echo->timer->data = echo;
    h2o_socket_read_start(echo->timer, on_timer);
    return OK;
}

static void close_loops(struct ceiling *ceiling, struct server *server)
{
    for (unsigned i = 0; i < ceiling->options.threads; i++) {
        struct echo_loop *echo = server_loop_at(server, i)->data;
        while (!list_is_empty(&echo->due)) {
            struct held_echo *held = CONTAINER_OF(echo->due.next, struct held_echo, link);
            list_remove(&held->link);
            held_drop(&held->super);
        }
    }
}

const struct ceiling_kind ceiling_echo = {.name = "echo",
    .doc = "answers every POST with its body: the HTTP server alone",
    .on_start = on_start,
    .on_request = on_request,
    .close = close_loops};
