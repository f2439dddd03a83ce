/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of what a connection receives, with a socket pair in place of libcurl's socket. What
 * clients can do with them is in tests/scenario/test_floods.py. */
#include "client/inflow.h"
#include "client/stream_window.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALL ((size_t)1024 * 1024)

static struct inflow inflow;
static struct inflow_user first, second;
static int pair[2]; /* ours, the peer's */
static char block[ALL];

static void open_pair(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    inflow = (struct inflow){0};
    first = second = (struct inflow_user){0};
    list_init(&first.link);
    list_init(&second.link);
    inflow_open(&inflow, pair[0], &first);
}

static void close_pair(void)
{
    inflow_end(&inflow, &first);
    inflow_end(&inflow, &second);
    inflow_done(&inflow);
    close(pair[0]);
    close(pair[1]);
}

/* The peer sends as much as there is room for. */
static void flood(void)
{
    while (write(pair[1], block, sizeof block) > 0)
        continue;
}

/* As libcurl does: reads until the socket is empty. *ret_error is errno then. */
static size_t read_turn(size_t piece, int *ret_error)
{
    size_t all = 0;
    ssize_t got;
    inflow_enter(&inflow);
    while ((got = recv(pair[0], block, piece, 0)) > 0)
        all += (size_t)got;
    *ret_error = errno;
    inflow_leave();
    return all;
}

static size_t read_all(int *ret_error)
{
    size_t all = 0;
    do {
        flood();
        all += read_turn(16384, ret_error);
    } while (*ret_error == EAGAIN && all < ALL);
    return all;
}

static void send_request(struct inflow_user *user)
{
    inflow_enter(&inflow);
    inflow_send(&inflow, user);
    cr_assert_eq(send(pair[0], "GET", 3, MSG_NOSIGNAL), 3);
    inflow_leave();
}

Test(inflow, replacements_are_in_effect)
{
    cr_expect(inflow_is_seen());
    cr_expect(stream_window_is_seen());
}

Test(inflow, turn_is_bounded_by_bytes_and_by_calls)
{
    int error;
    open_pair();
    flood();
    size_t large = read_turn(16384, &error), small = read_turn(1, &error);
    cr_expect_eq(error, EAGAIN);
    cr_expect(large > INFLOW_TURN_COST_MAX * 3 / 4 && large <= INFLOW_TURN_COST_MAX, "%zu", large);
    cr_expect(small > 0 && small <= INFLOW_TURN_COST_MAX / INFLOW_CALL_COST, "%zu", small);
    cr_expect_eq(read_turn(16384, &error), large, "each turn has as much");
    close_pair();
}

Test(inflow, connection_receives_as_much_as_it_may_and_no_byte_more)
{
    int error;
    open_pair();
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_not(first.too_large);
        size_t all = 0;
        while (all < INFLOW_BYTES_MAX) {
            size_t left = INFLOW_BYTES_MAX - all;
            cr_assert(write(pair[1], block, left < 4096 ? left : 4096) > 0);
            all += read_turn(4096, &error);
            cr_assert_eq(error, EAGAIN, "%zu", all);
        }
        send_request(&first);
    }
    inflow_end(&inflow, &first);
    cr_expect_eq(first.bytes, 0);
    cr_expect_not(first.too_large);
    close_pair();
}

Test(inflow, one_byte_too_much_ends_the_connection_and_marks_its_requests)
{
    int error;
    open_pair();
    send_request(&first);
    send_request(&second);
    size_t all = read_all(&error);
    cr_expect_eq(error, EMSGSIZE);
    cr_expect(all <= 2 * INFLOW_BYTES_MAX && all > 2 * INFLOW_BYTES_MAX - INFLOW_TURN_COST_MAX,
        "%zu", all);
    cr_expect(first.too_large && second.too_large);
    cr_expect_eq(read_turn(1, &error), 0);
    cr_expect_eq(error, EMSGSIZE, "also in the next turn");
    inflow_close(&inflow, pair[0]);
    cr_expect(first.bytes > 2 * INFLOW_BYTES_MAX, "%zu", (size_t)first.bytes);
    cr_expect(first.connection == NULL && second.connection == NULL);
    close_pair();
}

Test(inflow, request_on_a_connection_that_has_ended_so_is_marked_as_well)
{
    int error;
    open_pair();
    read_all(&error);
    cr_expect_eq(error, EMSGSIZE);
    send_request(&second);
    cr_expect(second.too_large);
    cr_expect_eq(read_turn(1, &error), 0);
    close_pair();
}

Test(inflow, what_an_answer_did_not_use_is_not_for_the_next_one)
{
    int error;
    open_pair();
    for (unsigned i = 0; i < 50; i++) {
        send_request(&first);
        cr_assert_eq(write(pair[1], "HTTP/1.1 200 OK\r\n\r\n", 19), 19);
        cr_assert_eq(read_turn(100, &error), 19);
        inflow_end(&inflow, &first);
    }
    send_request(&first);
    cr_expect_leq(read_all(&error), INFLOW_BYTES_MAX);
    cr_expect_eq(error, EMSGSIZE);
    close_pair();
}

Test(inflow, calls_of_others_pass_through)
{
    open_pair();
    flood();
    size_t all = 0;
    ssize_t got;
    while ((got = recv(pair[0], block, 1024, 0)) > 0)
        all += (size_t)got;
    cr_expect_gt(all, INFLOW_TURN_COST_MAX);
    cr_assert_eq(send(pair[1], "x", 1, MSG_NOSIGNAL), 1);
    inflow_enter(&inflow);
    for (unsigned i = 0; i < INFLOW_TURN_COST_MAX; i++)
        cr_assert_eq(recv(pair[0], block, 1, MSG_PEEK), 1, "a peek takes nothing");
    cr_assert_eq(send(pair[0], "x", 1, MSG_NOSIGNAL), 1);
    inflow_leave();
    int other[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);
    cr_assert_gt(write(other[1], block, ALL), 2 * (ssize_t)INFLOW_TURN_COST_MAX);
    inflow_enter(&inflow);
    for (all = 0; (got = recv(other[0], block, 1024, 0)) > 0; all += (size_t)got)
        continue;
    inflow_leave();
    cr_expect_gt(all, INFLOW_TURN_COST_MAX, "it was not opened by libcurl");
    close(other[0]);
    close(other[1]);
    close_pair();
}

Test(inflow, number_of_a_socket_may_be_used_again)
{
    int error;
    open_pair();
    read_all(&error);
    cr_expect_eq(error, EMSGSIZE);
    inflow_open(&inflow, pair[0], &second); /* libcurl did not report that it was closed */
    cr_expect(first.connection == NULL);
    cr_expect_gt(read_turn(1024, &error), 0);
    cr_expect_not(second.too_large);
    inflow_close(&inflow, pair[0]);
    inflow_close(&inflow, pair[0]);
    inflow_close(&inflow, 100000);
    close_pair();
}
