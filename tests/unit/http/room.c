/* SPDX-License-Identifier: Apache-2.0 */
/* Memory is bounded over all connections, and those who take too much do not hinder others. */
#include "fixture.h"

#include "base/cleanup.h"

#include <stdio.h>

static struct fixture fixture;

static void begin(size_t room_bytes)
{
    fixture = (struct fixture){.room_bytes = room_bytes};
    fixture_start(&fixture);
}

static void tear_down(void)
{
    fixture_stop(&fixture);
}

TestSuite(room, .fini = tear_down);

/* Bodies have 60 % of the room, one connection and one caller 46 % of that. */
Test(room, bodies_beyond_the_room_are_answered_with_503)
{
    begin(2 * 1024 * 1024);
    static char body[FIXTURE_HUGE_BODY_BYTES_MAX];
    static const char *const names[] = {"one", "two", "three", "four", "five", "one"};
    int fds[ARRAY_LENGTH(names)];
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        const struct h2_field fields[] = {{"x-one", "friend"}, {"x-name", names[i]}, {0}};
        fds[i] = h2_connect(&fixture);
        h2_send_request_with(fds[i], 1, "POST", "/friend/huge", true, fields);
        h2_send_data(fds[i], 1, body, sizeof body, false); /* held open */
        h2_send_request(fds[i], 3, "GET", "/now", false);
        if (i < 4)
            cr_assert_eq(h2_read_status(fds[i], 3), 200); /* then the body was read */
    }
    cr_assert_eq(h2_read_status(fds[4], 1), 503, "all together have taken too much");
    cr_assert_eq(h2_read_status(fds[5], 1), 503, "this caller has taken too much");
    h2_send_rst(fds[0], 1);
    h2_send_request(fds[0], 5, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fds[0], 5), 200);
    const struct h2_field fields[] = {{"x-one", "friend"}, {"x-name", "one"}, {0}};
    h2_send_request_with(fds[5], 5, "POST", "/friend/huge", true, fields);
    h2_send_data(fds[5], 5, body, sizeof body, true);
    cr_assert_eq(h2_read_status(fds[5], 5), 200, "there is room again");
    for (unsigned i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
}

/* 10 % of the room are 51 KB: enough for 17 heads. */
Test(room, connection_can_say_who_it_is_when_strangers_have_taken_all_heads)
{
    begin(512 * 1024);
    int fds[40];
    for (unsigned i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = h2_connect(&fixture);
        h2_send_request(fds[i], 1, "POST", "/echo", true); /* its body never comes */
    }
    struct h2_frame frame;
    h2_send_request(fds[39], 3, "POST", "/echo", true);
    cr_assert(h2_read_until(fds[39], H2_RST_STREAM, 3, &frame));
    cr_assert_eq(frame.payload[3], 7, "REFUSED_STREAM: a second head is too much now");
    AUTO_CLOSE int fd = h2_connect(&fixture), http1 = client_connect(&fixture);
    h2_send_request(fd, 1, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 1), 200);
    struct answer answer;
    client_ask(http1, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
    cr_assert_eq(answer.status, 200);
    for (unsigned i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
}

static int pipelining_fd;
static char many[64 * 1024];
static size_t many_len;

/* On the server's thread, so that it reads them at once. */
static void send_many(struct fixture *unused)
{
    client_send_bytes(pipelining_fd, many, many_len);
}

/* 10 % of the room are 200 KB, and 12 % of that 25 KB for one connection. */
Test(room, requests_behind_an_unanswered_one_are_dropped_without_room)
{
    begin(2 * 1024 * 1024);
    static const char hold[] = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char next[] = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
    many_len = (size_t)snprintf(many, sizeof many, "%s", hold);
    for (unsigned i = 0; i < 1500; i++)
        many_len += (size_t)snprintf(many + many_len, sizeof many - many_len, "%s", next);
    AUTO_CLOSE int fd = client_connect(&fixture), other = client_connect(&fixture);
    pipelining_fd = fd;
    fixture_call(&fixture, send_many);
    WAIT_UNTIL(fixture.held_seen == 1);
    struct answer answer;
    client_ask(other, next, &answer);
    cr_assert_eq(answer.status, 200);
    fixture_call(&fixture, fixture_answer_broker_owned);
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert(strstr(answer.head, "Connection: close"));
    cr_assert(client_is_at_end(fd));
    cr_assert_eq(fixture.requests, 2);
}

Test(room, few_requests_behind_an_unanswered_one_wait)
{
    begin(2 * 1024 * 1024);
    AUTO_CLOSE int fd = client_connect(&fixture);
    client_send(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    WAIT_UNTIL(fixture.held_seen == 1);
    fixture_call(&fixture, fixture_answer_broker_owned);
    struct answer answer;
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 200);
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 200);
}

/* The second stream of the connection is refused in the middle of its head, which never ends. */
Test(room, refused_head_that_does_not_end_is_cut)
{
    fixture = (struct fixture){.room_bytes = 512 * 1024, .limits.head_ms = 500};
    fixture_start(&fixture);
    /* GET http://a/ with the field "b" of 1024 bytes. */
    static const unsigned char start[] = {0x82, 0x86, 0x84, 0x41, 1, 'a', 0, 1, 'b', 0x7f, 0x81, 7};
    unsigned char block[sizeof start + 1024];
    memcpy(block, start, sizeof start);
    memset(block + sizeof start, 'y', 1024);
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/echo", true); /* its body never comes */
    h2_send_frame(fd, H2_HEADERS, 0, 3, block, sizeof block);
    struct h2_frame frame;
    cr_assert(h2_read_until(fd, H2_RST_STREAM, 3, &frame));
    cr_assert_eq(frame.payload[3], 7, "REFUSED_STREAM");
    cr_assert_not(h2_read_until(fd, H2_GOAWAY, 0, &frame), "the connection has ended");
    cr_assert_eq(metrics_read(METRIC_REFUSED_DEADLINE), 1);
}
