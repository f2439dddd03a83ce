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

/* Requests that are refused in masses (http2_read.c). */

#define FLOODS 120
#define FLOOD_REQUESTS 100 /* as many as a connection may have at once */
#define FEW_REQUESTS 3

static int flood_fds[FLOODS];
static int few_fd, good_fd;

static void begin_floods(size_t room_bytes)
{
    fixture =
        (struct fixture){.room_bytes = room_bytes, .limits.body_ms = 900, .connections_max = 200};
    fixture_start(&fixture);
    for (unsigned i = 0; i < FLOODS; i++)
        flood_fds[i] = h2_connect(&fixture);
    few_fd = h2_connect(&fixture);
    good_fd = h2_connect(&fixture);
}

static void end_floods(void)
{
    for (unsigned i = 0; i < FLOODS; i++)
        close(flood_fds[i]);
    close(few_fd);
    close(good_fd);
}

/* On the server's thread, so that it reads them in one turn. */
static void send_floods(struct fixture *unused)
{
    for (unsigned i = 0; i < FLOODS; i++) {
        h2_send_request(flood_fds[i], 1, "POST", "/echo", true);
        for (unsigned n = 1; n < FLOOD_REQUESTS; n++)
            h2_send_request(flood_fds[i], 1 + 2 * n, "GET", "/nowhere", false);
    }
    for (unsigned n = 0; n < FEW_REQUESTS; n++) {
        h2_send_request(few_fd, 1 + 2 * n, "GET", "/nowhere", false);
        h2_send_request(good_fd, 1 + 2 * n, "GET", "/now", false);
    }
}

/* Reads until so many streams are answered or refused, or the connection ends. Returns how many. */
static unsigned read_answers(int fd, unsigned requests)
{
    struct h2_frame frame;
    unsigned answers = 0;
    while (answers < requests && h2_read_frame(fd, &frame))
        answers += frame.type == H2_HEADERS || frame.type == H2_RST_STREAM;
    return answers;
}

static unsigned count_created(void)
{
    struct h2_frame frame;
    unsigned created = 0;
    for (unsigned i = 0; i < FLOODS; i++)
        h2_send_data(flood_fds[i], 1, "x", 1, true);
    for (unsigned i = 0; i < FLOODS; i++) {
        do
            cr_assert(h2_read_frame(flood_fds[i], &frame));
        while (frame.type != H2_HEADERS && frame.type != H2_RST_STREAM);
        created += frame.type == H2_HEADERS && frame.status == 201;
    }
    return created;
}

/* 11,880 requests are refused, about 1000 in a tick. So some connections wait for longer than a
 * body may take. The bodies come only then: those that have waited are not too late. */
Test(room, connections_wait_whose_requests_are_refused_in_masses)
{
    begin_floods(0);
    fixture_call(&fixture, send_floods);
    cr_assert_eq(read_answers(good_fd, FEW_REQUESTS), FEW_REQUESTS);
    cr_assert_eq(read_answers(few_fd, FEW_REQUESTS), FEW_REQUESTS);
    for (unsigned i = 0; i < FLOODS; i++)
        cr_assert_eq(read_answers(flood_fds[i], FLOOD_REQUESTS - 1), FLOOD_REQUESTS - 1);
    unsigned ticks = fixture.ticks;
    WAIT_UNTIL(fixture.ticks >= ticks + 2);
    cr_assert_geq(count_created(), 8);
    cr_assert_geq(metrics_read(METRIC_HTTP_WAITS), FLOODS / 2);
    /* Between two ticks: twice the masses while all are new, with one more of each and the rest of
     * a piece; and the masses that the next tick begins with. */
    unsigned most = 3 * 1000 + FLOODS + FLOOD_REQUESTS;
    cr_assert_leq(fixture.refused_most, most, "%u", fixture.refused_most);
    cr_assert_eq(metrics_read(METRIC_REFUSED_FLOOD), 0);
    end_floods();
}

/* 8 % of the room are 640 KB, and strangers have 46 % of that: enough for 36 connections. */
Test(room, connections_without_room_to_wait_are_cut)
{
    begin_floods(8 * 1024 * 1024);
    fixture_call(&fixture, send_floods);
    cr_assert_eq(read_answers(few_fd, FEW_REQUESTS), FEW_REQUESTS, "a few are no flood");
    cr_assert_eq(read_answers(good_fd, FEW_REQUESTS), FEW_REQUESTS);
    unsigned cut = 0;
    for (unsigned i = 0; i < FLOODS; i++)
        cut += read_answers(flood_fds[i], FLOOD_REQUESTS - 1) < FLOOD_REQUESTS - 1;
    cr_assert(cut > 0 && cut < FLOODS, "%u", cut);
    cr_assert_eq(metrics_read(METRIC_REFUSED_FLOOD), cut);
    end_floods();
}
