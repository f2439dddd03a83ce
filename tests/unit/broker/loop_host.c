/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/host.h"
#include "runtime/thread.h"
#include "unit/broker/peer.h"

#include <sys/socket.h>

static struct loop loop;
static struct broker_loop_host host;
static struct timer end_timer;
static int fds[2];
static unsigned readies, turn_ends;
static bool unwatches;

static void on_ready(struct broker_watch *watch)
{
    readies++;
    char bytes[64];
    if (host.reading)
        (void)!recv(watch->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (unwatches)
        host.host.ops->unwatch(&host.host);
}

static struct broker_watch watch = {.on_ready = on_ready};

static void on_turn_end(void *context)
{
    turn_ends++;
}

static void on_end_timer(struct timer *timer)
{
    loop_stop(&loop);
}

static void begin(void)
{
    thread_adopt_main();
    cr_assert_eq(loop_init(&loop), OK);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    broker_loop_host_init(&host, &loop);
    watch.fd = fds[0];
    cr_assert_eq(host.host.ops->watch(&host.host, &watch), OK);
}

static void end(void)
{
    broker_loop_host_done(&host);
    loop_done(&loop);
    close(fds[0]);
    close(fds[1]);
    thread_leave_main();
}

TestSuite(loop_host, .init = begin, .fini = end);

static void run(void)
{
    timer_init(&end_timer, on_end_timer);
    timer_arm(&loop, &end_timer, 20000);
    loop_run(&loop);
}

Test(loop_host, readable_socket_is_reported)
{
    run();
    cr_assert_eq(readies, 0);
    cr_assert_eq(send(fds[1], "x", 1, 0), 1);
    run();
    cr_assert_eq(readies, 1);
}

Test(loop_host, writable_socket_is_reported_once)
{
    host.host.ops->want_write(&host.host);
    run();
    cr_assert_eq(readies, 1);
}

Test(loop_host, received_bytes_are_not_reported_while_not_reading)
{
    host.host.ops->set_reading(&host.host, false);
    cr_assert_eq(send(fds[1], "x", 1, 0), 1);
    run();
    cr_assert_eq(readies, 0);
    host.host.ops->set_reading(&host.host, true);
    run();
    cr_assert_eq(readies, 1);
}

Test(loop_host, hang_up_does_not_spin_while_not_reading)
{
    host.host.ops->set_reading(&host.host, false);
    cr_assert_eq(shutdown(fds[1], SHUT_RDWR), 0);
    cr_assert_eq(shutdown(fds[0], SHUT_RDWR), 0);
    run();
    cr_assert_leq(readies, 1);
}

Test(loop_host, turn_end_runs_once_or_is_cancelled)
{
    host.host.ops->at_turn_end(&host.host, on_turn_end, NULL);
    host.host.ops->at_turn_end(&host.host, on_turn_end, NULL);
    run();
    cr_assert_eq(turn_ends, 1);
    host.host.ops->at_turn_end(&host.host, on_turn_end, NULL);
    host.host.ops->at_turn_end(&host.host, NULL, NULL);
    run();
    cr_assert_eq(turn_ends, 1);
}

Test(loop_host, watch_may_remove_itself)
{
    unwatches = true;
    cr_assert_eq(send(fds[1], "xy", 2, 0), 2);
    run();
    cr_assert_eq(readies, 1);
    cr_assert_eq(send(fds[1], "z", 1, 0), 1);
    run();
    cr_assert_eq(readies, 1);
}
