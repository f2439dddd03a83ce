/* SPDX-License-Identifier: Apache-2.0 */
#include "client/multiplex.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct multiplex multiplex;
static struct multiplex_stream streams[4096];

static void start(void)
{
    multiplex_init(&multiplex);
}

static enum multiplex_way enter(unsigned stream)
{
    return multiplex_enter(&multiplex, "sink.test:443", &streams[stream], 1);
}

static void make(unsigned stream)
{
    multiplex_note_made(&multiplex, &streams[stream], true, 1);
    multiplex_note_sent(&streams[stream], 1);
}

/* A connection with one stream that is sent. */
static void open_connection(unsigned stream)
{
    cr_assert_eq(enter(stream), MULTIPLEX_OPEN);
    make(stream);
}

static bool leave(unsigned stream, enum multiplex_end end)
{
    return multiplex_leave(&multiplex, &streams[stream], end);
}

static void expect_next(unsigned stream, enum multiplex_way way)
{
    cr_expect_eq(multiplex_next(&multiplex, 1), &streams[stream]);
    cr_expect_eq(streams[stream].way, way);
}

Test(multiplex, requests_wait_for_the_first_connection_and_join_it)
{
    start();
    cr_expect_eq(enter(0), MULTIPLEX_OPEN);
    cr_expect_eq(enter(1), MULTIPLEX_WAIT);
    cr_expect_eq(enter(2), MULTIPLEX_WAIT);
    cr_expect_null(multiplex_next(&multiplex, 1));
    cr_expect_not(multiplex_is_ready(&multiplex));
    make(0);
    cr_expect(multiplex_is_ready(&multiplex));
    expect_next(1, MULTIPLEX_JOIN);
    expect_next(2, MULTIPLEX_JOIN);
    cr_expect_null(multiplex_next(&multiplex, 1));
    cr_expect_eq(enter(3), MULTIPLEX_JOIN);
    for (unsigned i = 1; i < 4; i++)
        cr_expect_eq(multiplex_number(&streams[i]), multiplex_number(&streams[0]));
    for (unsigned i = 0; i < 4; i++)
        cr_expect_not(leave(i, MULTIPLEX_ENDED), "the connection is kept");
    cr_expect_eq(enter(0), MULTIPLEX_JOIN);
    multiplex_done(&multiplex);
}

Test(multiplex, next_request_makes_the_connection_when_the_first_fails)
{
    start();
    enter(0);
    enter(1);
    enter(2);
    cr_expect(leave(0, MULTIPLEX_LOST));
    expect_next(1, MULTIPLEX_OPEN);
    cr_expect_null(multiplex_next(&multiplex, 1));
    leave(2, MULTIPLEX_ENDED); /* gives up waiting */
    cr_expect(leave(1, MULTIPLEX_LOST));
    cr_expect_null(multiplex_next(&multiplex, 1));
    cr_expect_eq(enter(0), MULTIPLEX_OPEN);
    multiplex_done(&multiplex);
}

Test(multiplex, origins_share_nothing)
{
    start();
    open_connection(0);
    cr_expect_eq(multiplex_enter(&multiplex, "other.test:443", &streams[1], 1), MULTIPLEX_OPEN);
    cr_expect_neq(multiplex_number(&streams[0]), multiplex_number(&streams[1]));
    cr_expect_neq(multiplex_take_number(&multiplex), multiplex_number(&streams[1]));
    multiplex_done(&multiplex);
}

Test(multiplex, full_connections_lead_to_another_up_to_the_limit)
{
    unsigned next = 0;
    start();
    for (unsigned connection = 0; connection < MULTIPLEX_CONNECTIONS_MAX; connection++) {
        open_connection(next++);
        for (unsigned i = 1; i < MULTIPLEX_STREAMS_MAX; i++)
            cr_assert_eq(enter(next++), MULTIPLEX_JOIN);
    }
    cr_expect_eq(enter(next), MULTIPLEX_WAIT);
    cr_expect_null(multiplex_next(&multiplex, 1));
    leave(5, MULTIPLEX_ENDED);
    expect_next(next, MULTIPLEX_JOIN);
    multiplex_done(&multiplex);
}

Test(multiplex, peers_limit_is_learned_when_joining_is_refused)
{
    start();
    open_connection(0);
    for (unsigned i = 1; i <= 3; i++)
        cr_expect_eq(enter(i), MULTIPLEX_JOIN);
    multiplex_note_sent(&streams[1], 1);
    leave(2, MULTIPLEX_REFUSED);
    cr_expect_eq(enter(2), MULTIPLEX_OPEN, "two are sent, and no more fit");
    leave(3, MULTIPLEX_REFUSED);
    cr_expect_eq(enter(3), MULTIPLEX_WAIT);
    leave(0, MULTIPLEX_ENDED);
    expect_next(3, MULTIPLEX_JOIN);
    cr_expect_eq(multiplex_number(&streams[3]), multiplex_number(&streams[1]));
    multiplex_done(&multiplex);
}

/* The first connection could have two streams. */
static void learn_limit(void)
{
    open_connection(0);
    enter(1);
    multiplex_note_sent(&streams[1], 1);
    enter(2);
    leave(2, MULTIPLEX_REFUSED);
    open_connection(2);
}

Test(multiplex, new_connection_has_the_learned_limit_until_its_first_answer)
{
    start();
    learn_limit();
    cr_expect_eq(enter(3), MULTIPLEX_JOIN);
    cr_expect_eq(enter(4), MULTIPLEX_OPEN);
    leave(4, MULTIPLEX_ENDED);
    multiplex_note_answer(&multiplex, &streams[2], 2);
    for (unsigned i = 4; i < 10; i++) {
        cr_expect_eq(enter(i), MULTIPLEX_JOIN);
        cr_expect_eq(multiplex_number(&streams[i]), multiplex_number(&streams[2]));
    }
    multiplex_done(&multiplex);
}

Test(multiplex, learned_limit_rises_with_the_streams_of_a_connection)
{
    start();
    learn_limit();
    multiplex_note_answer(&multiplex, &streams[2], 2);
    for (unsigned i = 3; i < 7; i++) {
        enter(i);
        multiplex_note_sent(&streams[i], 3);
    }
    leave(2, MULTIPLEX_LOST); /* so another connection is opened */
    open_connection(2);
    for (unsigned i = 7; i < 11; i++)
        cr_expect_eq(enter(i), MULTIPLEX_JOIN);
    cr_expect_eq(enter(11), MULTIPLEX_OPEN, "five fit");
    multiplex_done(&multiplex);
}

Test(multiplex, waiting_requests_are_ready_after_the_first_answer)
{
    unsigned next = 20;
    start();
    learn_limit();
    while (enter(next) != MULTIPLEX_WAIT) {
        if (streams[next].way == MULTIPLEX_OPEN)
            make(next);
        next++;
    }
    cr_expect_null(multiplex_next(&multiplex, 1));
    multiplex_note_answer(&multiplex, &streams[2], 2);
    expect_next(next, MULTIPLEX_JOIN);
    multiplex_done(&multiplex);
}

Test(multiplex, unused_connection_that_refuses_is_closed)
{
    start();
    open_connection(0);
    leave(0, MULTIPLEX_ENDED);
    cr_expect_eq(enter(1), MULTIPLEX_JOIN);
    cr_expect(leave(1, MULTIPLEX_REFUSED));
    cr_expect_eq(enter(1), MULTIPLEX_OPEN);
    multiplex_done(&multiplex);
}

/* On one connection. */
static void send_four(void)
{
    open_connection(0);
    for (unsigned i = 1; i <= 3; i++) {
        enter(i);
        multiplex_note_sent(&streams[i], 1);
    }
}

Test(multiplex, connection_that_left_a_request_unprocessed_is_closed_and_shows_its_limit)
{
    start();
    send_four();
    cr_expect_not(leave(3, MULTIPLEX_UNPROCESSED), "the others end first");
    leave(2, MULTIPLEX_UNPROCESSED);
    open_connection(2);
    cr_expect_eq(enter(3), MULTIPLEX_JOIN);
    cr_expect_eq(multiplex_number(&streams[3]), multiplex_number(&streams[2]));
    cr_expect_eq(enter(4), MULTIPLEX_OPEN, "two fit");
    leave(0, MULTIPLEX_ENDED);
    cr_expect(leave(1, MULTIPLEX_ENDED));
    multiplex_done(&multiplex);
}

Test(multiplex, connection_that_left_all_requests_unprocessed_shows_no_limit)
{
    start();
    send_four();
    for (unsigned i = 0; i <= 3; i++)
        cr_expect_eq(leave(i, MULTIPLEX_UNPROCESSED), i == 3);
    open_connection(0);
    for (unsigned i = 1; i <= 3; i++)
        cr_expect_eq(enter(i), MULTIPLEX_JOIN);
    multiplex_done(&multiplex);
}

Test(multiplex, connection_that_lost_a_request_gets_no_new_ones)
{
    start();
    open_connection(0);
    enter(1);
    enter(2);
    cr_expect_not(leave(0, MULTIPLEX_LOST), "others use it");
    cr_expect_eq(enter(3), MULTIPLEX_OPEN);
    cr_expect_not(leave(1, MULTIPLEX_ENDED));
    cr_expect(leave(2, MULTIPLEX_ENDED), "it was the last one");
    multiplex_done(&multiplex);
}

Test(multiplex, silent_connection_gets_no_new_requests)
{
    start();
    open_connection(0);
    cr_expect_eq(enter(1), MULTIPLEX_JOIN);
    cr_expect_not(multiplex_note_sent(&streams[1], 10), "nothing was answered on it yet");
    multiplex_note_answer(&multiplex, &streams[0], 20);
    leave(0, MULTIPLEX_ENDED);
    leave(1, MULTIPLEX_SILENT); /* sent before the last answer */
    cr_expect_eq(enter(2), MULTIPLEX_JOIN);
    cr_expect(multiplex_note_sent(&streams[2], 30));
    cr_expect(leave(2, MULTIPLEX_SILENT));
    cr_expect_eq(enter(3), MULTIPLEX_OPEN);
    multiplex_done(&multiplex);
}

Test(multiplex, peer_without_http_2_is_asked_again_later)
{
    start();
    enter(0);
    enter(1);
    multiplex_note_made(&multiplex, &streams[0], false, 1);
    cr_expect_eq(multiplex_number(&streams[0]), 0);
    expect_next(1, MULTIPLEX_HTTP_1);
    cr_expect_eq(enter(2), MULTIPLEX_HTTP_1);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_not(leave(i, MULTIPLEX_ENDED));
    cr_expect_eq(multiplex_enter(&multiplex, "sink.test:443", &streams[0], 1 + MULTIPLEX_HTTP_1_US),
        MULTIPLEX_OPEN);
    multiplex_done(&multiplex);
}

Test(multiplex, unused_origins_make_room_for_others)
{
    char name[32];
    start();
    for (unsigned i = 0; i < 2 * MULTIPLEX_ORIGINS_MAX; i++) {
        snprintf(name, sizeof name, "sink%u.test:443", i);
        cr_assert_eq(multiplex_enter(&multiplex, name, &streams[0], 1), MULTIPLEX_OPEN);
        leave(0, MULTIPLEX_LOST);
    }
    for (unsigned i = 0; i < 2 * MULTIPLEX_ORIGINS_MAX; i++) {
        snprintf(name, sizeof name, "used%u.test:443", i);
        cr_assert_eq(multiplex_enter(&multiplex, name, &streams[i], 1),
            i < MULTIPLEX_ORIGINS_MAX ? MULTIPLEX_OPEN : MULTIPLEX_HTTP_1);
    }
    multiplex_done(&multiplex);
}

Test(multiplex, stream_that_is_in_no_table_may_leave)
{
    struct multiplex_stream stream = {.way = MULTIPLEX_HTTP_1};
    start();
    cr_expect_not(multiplex_leave(&multiplex, &stream, MULTIPLEX_LOST));
    multiplex_note_answer(&multiplex, &stream, 1);
    cr_expect_eq(multiplex_number(&stream), 0);
    multiplex_done(&multiplex);
}
