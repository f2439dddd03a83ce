/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's sockets: a resting one costs no system call and never spins. */
#include "client/sockets.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned kernel_calls;

/* The linker prefers this one to the C library's. */
int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    kernel_calls++;
    return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

static struct loop loop;
static struct sockets sockets;
static int pair[2];
static unsigned ready;
static uint32_t ready_events;      /* of the last call */
static uint32_t ready_events_read; /* of the last call that said readable */
static bool keeps_wish;
static struct timer stopper;

static void on_ready(void *context, void *owner, int fd, uint32_t events)
{
    char byte;
    ready++;
    ready_events = events;
    if (events & EPOLLIN)
        ready_events_read = events;
    if (keeps_wish)
        return;
    while (read(fd, &byte, 1) == 1) {
    }
    sockets_wish(&sockets, fd, 0, NULL);
}

static void on_stop(struct timer *timer)
{
    loop_stop(&loop);
}

static void begin(void)
{
    cr_assert_eq(loop_init(&loop), OK);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    sockets = (struct sockets){.loop = &loop, .on_ready = on_ready};
    timer_init(&stopper, on_stop);
    ready = 0;
    ready_events_read = 0;
}

static void end(void)
{
    sockets_done(&sockets);
    loop_done(&loop);
    close(pair[0]);
    close(pair[1]);
}

/* Runs a few turns, so that all ready events are reported. */
static void turn(void)
{
    loop.stopping = false;
    timer_arm(&loop, &stopper, 2000);
    loop_run(&loop);
}

static void send_byte(void)
{
    cr_assert_eq(write(pair[1], "x", 1), 1);
}

TestSuite(sockets, .init = begin, .fini = end);

Test(sockets, wish_for_a_resting_socket_needs_no_system_call)
{
    sockets_wish(&sockets, pair[0], EPOLLIN, NULL);
    unsigned before = kernel_calls;
    for (unsigned i = 1; i <= 3; i++) {
        send_byte();
        turn();
        cr_assert_eq(ready, i);
        sockets_wish(&sockets, pair[0], EPOLLIN, NULL);
    }
    cr_assert_eq(kernel_calls, before);
}

Test(sockets, change_of_events_takes_effect)
{
    sockets_wish(&sockets, pair[0], EPOLLIN, NULL);
    sockets_wish(&sockets, pair[0], EPOLLIN | EPOLLOUT, NULL);
    turn();
    cr_assert_eq(ready, 1);
    cr_assert(ready_events & EPOLLOUT);
}

Test(sockets, connecting_socket_does_not_rest_so_its_number_may_be_reused)
{
    int number = pair[0], other[2];
    sockets_wish(&sockets, number, EPOLLOUT, NULL);
    sockets_wish(&sockets, number, 0, NULL);
    close(number); /* as libcurl does, without a callback */
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);
    cr_assert_eq(other[0], number, "the lowest free number");
    sockets_wish(&sockets, number, EPOLLOUT, NULL);
    turn();
    cr_assert_eq(ready, 1, "it is in the loop");
    close(other[1]);
}

Test(sockets, event_on_a_resting_socket_is_reported_after_the_next_wish)
{
    sockets_wish(&sockets, pair[0], EPOLLIN, NULL);
    sockets_wish(&sockets, pair[0], 0, NULL);
    unsigned before = kernel_calls;
    close(pair[1]);
    pair[1] = -1;
    turn();
    cr_assert_eq(ready, 0);
    cr_assert_eq(kernel_calls, before + 1, "it left the loop once, instead of spinning in it");
    turn();
    cr_assert_eq(kernel_calls, before + 1);
    sockets_wish(&sockets, pair[0], EPOLLIN, NULL);
    turn();
    cr_assert_eq(ready, 1, "the end is still to be read");
}

Test(sockets, forgotten_socket_is_not_watched_and_its_number_may_be_reused)
{
    int number = pair[0];
    sockets_wish(&sockets, number, EPOLLIN, NULL);
    sockets_forget(&sockets, number);
    sockets_forget(&sockets, number);
    send_byte();
    turn();
    cr_assert_eq(ready, 0);
    sockets_wish(&sockets, number, EPOLLIN, NULL);
    turn();
    cr_assert_eq(ready, 1);
}

Test(sockets, rest_of_an_unknown_socket_has_no_effect)
{
    sockets_wish(&sockets, pair[0], 0, NULL);
    send_byte();
    turn();
    cr_assert_eq(ready, 0);
}

/* As libcurl does while an HTTP/2 peer's window is closed. */
Test(sockets, wish_to_write_that_changes_nothing_is_held)
{
    keeps_wish = true;
    sockets_wish(&sockets, pair[0], EPOLLIN | EPOLLOUT, NULL);
    for (unsigned i = 0; i < 30; i++)
        turn(); /* 60 ms */
    cr_expect(ready > WRITABLE_EVENTS_MAX && ready < WRITABLE_EVENTS_MAX + 10, "%u calls", ready);
    unsigned before = ready;
    send_byte();
    turn();
    cr_expect_gt(ready, before);
    cr_expect_eq(ready_events_read, EPOLLIN | EPOLLOUT, "what is read may allow to write");

    char byte;
    cr_expect_eq(read(pair[0], &byte, 1), 1);
    sockets_wish(&sockets, pair[0], EPOLLIN, NULL); /* it has written */
    turn();
    before = ready;
    sockets_wish(&sockets, pair[0], EPOLLIN | EPOLLOUT, NULL);
    for (unsigned i = 0; i < 20; i++)
        turn(); /* 40 ms: a hold would report at most four times */
    cr_expect_geq(ready, before + WRITABLE_EVENTS_MAX, "the hold has ended");
}

Test(sockets, held_socket_may_be_forgotten)
{
    keeps_wish = true;
    sockets_wish(&sockets, pair[0], EPOLLOUT, NULL);
    for (unsigned i = 0; i < 3; i++)
        turn();
    sockets_forget(&sockets, pair[0]);
    unsigned before = ready;
    for (unsigned i = 0; i < 10; i++)
        turn();
    cr_expect_eq(ready, before);
}
