/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/cleanup.h"
#include "http/watch.h"
#include "support/at_end.h"

#include <fcntl.h>
#include <sys/socket.h>

/* One set per test, written on the server's thread. */
static struct fixture fixture;
static int fds[2]; /* the test owns the second */
static struct http_watch *watch;
static struct http_turn_end *turn_end;
static _Atomic unsigned ready, turns, offline, got;
static _Atomic bool read_all, free_at_once, link_again;

static void on_ready(void *context)
{
    char byte;
    atomic_fetch_add(&ready, 1);
    if (!rcu_read_ongoing())
        atomic_fetch_add(&offline, 1);
    while (read_all && recv(fds[0], &byte, 1, MSG_DONTWAIT) == 1)
        atomic_fetch_add(&got, 1);
    if (free_at_once)
        http_watch_free(TAKE(watch));
}

static void on_turn_end(void *context)
{
    atomic_fetch_add(&turns, 1);
    if (!rcu_read_ongoing())
        atomic_fetch_add(&offline, 1);
    if (link_again) {
        link_again = false;
        http_turn_end_link(turn_end);
    }
}

static void make(struct fixture *server)
{
    cr_assert_eq(http_watch_new(server->server, fds[0], on_ready, NULL, &watch), OK);
    turn_end = http_turn_end_new(server->server, on_turn_end, NULL);
}

static void unmake(struct fixture *server)
{
    http_watch_free(TAKE(watch));
    http_turn_end_free(TAKE(turn_end));
}

static void want_write(struct fixture *server)
{
    http_watch_want_write(watch);
    http_watch_want_write(watch);
}

static void stop_reading(struct fixture *server)
{
    http_watch_set_reading(watch, false);
    http_watch_set_reading(watch, false);
}

static void go_on_reading(struct fixture *server)
{
    http_watch_set_reading(watch, true);
}

static void free_watch(struct fixture *server)
{
    http_watch_free(TAKE(watch));
}

static void link_twice(struct fixture *server)
{
    http_turn_end_link(turn_end);
    http_turn_end_link(turn_end);
}

static void free_linked(struct fixture *server)
{
    http_turn_end_link(turn_end);
    http_turn_end_free(TAKE(turn_end));
}

static void begin(void)
{
    read_all = true;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    fixture_start(&fixture);
    fixture_call(&fixture, make);
}

static void end(void)
{
    fixture_call(&fixture, unmake);
    fixture_stop(&fixture);
    assert_at_end(fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
    assert_at_end(offline == 0);
}

TestSuite(watch, .init = begin, .fini = end);

static void say(const char *text)
{
    cr_assert_eq(send(fds[1], text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs several turns, so that unwanted calls would happen. */
static void some_turns(void)
{
    for (int i = 0; i < 10; i++)
        fixture_call(&fixture, fixture_do_nothing);
}

Test(watch, received_bytes_are_left_for_the_owner)
{
    say("abc");
    WAIT_UNTIL(got == 3);
    say("de");
    WAIT_UNTIL(got == 5);
}

Test(watch, unread_bytes_are_reported_again)
{
    read_all = false;
    say("a");
    WAIT_UNTIL(ready >= 3);
    read_all = true;
    WAIT_UNTIL(got == 1);
}

Test(watch, want_write_is_reported_once)
{
    some_turns();
    cr_assert_eq(ready, 0);
    fixture_call(&fixture, want_write);
    WAIT_UNTIL(ready == 1);
    some_turns();
    cr_assert_eq(ready, 1);
    fixture_call(&fixture, want_write);
    WAIT_UNTIL(ready == 2);
}

Test(watch, stopped_reading_reports_only_writes)
{
    fixture_call(&fixture, stop_reading);
    say("abc");
    some_turns();
    cr_assert_eq(ready, 0);
    read_all = false;
    fixture_call(&fixture, want_write);
    WAIT_UNTIL(ready == 1);
    some_turns();
    cr_assert_eq(ready, 1);
    read_all = true;
    fixture_call(&fixture, go_on_reading);
    WAIT_UNTIL(got == 3);
}

Test(watch, may_be_freed_in_on_ready)
{
    free_at_once = true;
    say("a");
    WAIT_UNTIL(ready == 1);
    say("b"); /* the owner's descriptor is still open */
    some_turns();
    cr_assert_eq(ready, 1);
}

Test(watch, freed_watch_reports_nothing)
{
    fixture_call(&fixture, free_watch);
    say("a");
    some_turns();
    cr_assert_eq(ready, 0);
}

Test(watch, close_by_the_peer_is_reported)
{
    shutdown(fds[1], SHUT_WR);
    WAIT_UNTIL(ready >= 1);
}

Test(watch, turn_end_runs_once)
{
    fixture_call(&fixture, link_twice);
    WAIT_UNTIL(turns == 1);
    some_turns();
    cr_assert_eq(turns, 1);
}

Test(watch, turn_end_may_link_itself_again)
{
    link_again = true;
    fixture_call(&fixture, link_twice);
    WAIT_UNTIL(turns == 2);
    some_turns();
    cr_assert_eq(turns, 2);
}

Test(watch, freed_turn_end_does_not_run)
{
    fixture_call(&fixture, free_linked);
    some_turns();
    cr_assert_eq(turns, 0);
}
