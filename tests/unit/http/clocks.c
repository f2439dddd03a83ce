/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts of clients, in milliseconds. Each test makes one of them short and the others long. */
#include "fixture.h"

#include "base/cleanup.h"

#include <sys/socket.h>

#define GET "GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define LONG_MS 60000
#define SHORT_MS 300

static struct fixture fixture;

static void start(struct http_limits limits)
{
    fixture.limits = limits;
    fixture_start(&fixture);
}

/* Checks that the connection ends without an answer, and not before `least_ms`. */
static void assert_is_cut(int fd, int64_t since_us, int64_t least_ms)
{
    cr_assert(client_is_at_end(fd));
    cr_assert_geq(clock_mono_us() - since_us, (least_ms - 10) * US_PER_MS);
    fixture_stop(&fixture);
}

Test(clocks, idle_connection_is_closed)
{
    start((struct http_limits){.head_ms = LONG_MS, .body_ms = LONG_MS, .idle_ms = SHORT_MS});
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    int64_t since_us = clock_mono_us();
    client_ask(fd, GET, &answer);
    cr_assert_eq(answer.status, 200);
    assert_is_cut(fd, since_us, SHORT_MS);
}

Test(clocks, idle_http2_connection_is_closed)
{
    start((struct http_limits){.head_ms = LONG_MS, .body_ms = LONG_MS, .idle_ms = SHORT_MS});
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 1), 200);
    struct h2_frame frame;
    while (h2_read_frame(fd, &frame))
        ;
    fixture_stop(&fixture);
}

Test(clocks, idle_time_does_not_count_for_the_next_request)
{
    start((struct http_limits){.head_ms = SHORT_MS, .body_ms = SHORT_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, GET, &answer);
    int64_t idle_until_us = clock_mono_us() + 3 * SHORT_MS * US_PER_MS;
    while (clock_mono_us() < idle_until_us)
        fixture_call(&fixture, fixture_do_nothing);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n");
    fixture_call(&fixture, fixture_do_nothing);
    client_ask(fd, "ab", &answer);
    cr_assert_eq(answer.status, 201);
    fixture_stop(&fixture);
}

Test(clocks, time_to_answer_does_not_count)
{
    start((struct http_limits){.head_ms = SHORT_MS, .body_ms = SHORT_MS, .idle_ms = SHORT_MS});
    AUTO_CLOSE int fd = client_connect(&fixture);
    client_send(fd, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n" GET);
    WAIT_UNTIL(fixture.held_seen == 1);
    int64_t until_us = clock_mono_us() + 3 * SHORT_MS * US_PER_MS;
    while (clock_mono_us() < until_us)
        fixture_call(&fixture, fixture_do_nothing);
    fixture_call(&fixture, fixture_answer_broker_owned);
    struct answer answer;
    client_read_answer(fd, &answer);
    cr_assert_str_eq(answer.body, "held");
    client_read_answer(fd, &answer);
    cr_assert_str_eq(answer.body, "now");
    fixture_stop(&fixture);
}

Test(clocks, slow_head_is_cut)
{
    start((struct http_limits){.head_ms = SHORT_MS, .body_ms = LONG_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, GET, &answer);
    int64_t since_us = clock_mono_us();
    for (int i = 0; i < 10; i++) {
        client_send(fd, i ? "a" : "GET /");
        fixture_call(&fixture, fixture_do_nothing);
    }
    assert_is_cut(fd, since_us, SHORT_MS);
}

Test(clocks, slow_body_is_cut)
{
    start((struct http_limits){.head_ms = LONG_MS, .body_ms = SHORT_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = client_connect(&fixture);
    int64_t since_us = clock_mono_us();
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        client_send(fd, "a");
        fixture_call(&fixture, fixture_do_nothing);
    }
    assert_is_cut(fd, since_us, SHORT_MS);
}

Test(clocks, silent_connection_is_cut)
{
    start((struct http_limits){.first_ms = SHORT_MS, .head_ms = LONG_MS, .idle_ms = LONG_MS});
    int64_t since_us = clock_mono_us();
    AUTO_CLOSE int fd = client_connect(&fixture);
    assert_is_cut(fd, since_us, SHORT_MS);
}

Test(clocks, slow_http2_head_is_cut)
{
    start((struct http_limits){.head_ms = SHORT_MS, .body_ms = LONG_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = h2_connect(&fixture);
    int64_t since_us = clock_mono_us();
    h2_send_frame(fd, H2_HEADERS, 0, 1, "\x86", 1); /* its continuation is missing */
    struct h2_frame frame;
    while (h2_read_frame(fd, &frame))
        ;
    cr_assert_geq(clock_mono_us() - since_us, (SHORT_MS - 10) * US_PER_MS);
    cr_assert_eq(metrics_read(METRIC_REFUSED_DEADLINE), 1);
    fixture_stop(&fixture);
}

static void send_slowly(int fd, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        client_send_bytes(fd, bytes + at, 1);
        fixture_call(&fixture, fixture_do_nothing);
    }
}

Test(clocks, http2_frame_that_arrives_in_part_is_cut)
{
    static const struct {
        const char *bytes;
        size_t len;
    } parts[] = {{"\0", 1}, {"\0\0\10\6\0\0\0\0", 8},
        {"\0\0\10\6\0\0\0\0\0"
         "1234567",
            16},
        {"\0\0\2\1\5\0\0\0\3\x86", 10}};
    start((struct http_limits){.head_ms = SHORT_MS, .body_ms = LONG_MS, .idle_ms = LONG_MS});
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        AUTO_CLOSE int fd = h2_connect(&fixture);
        h2_send_request(fd, 1, "GET", "/now", false);
        cr_assert_eq(h2_read_status(fd, 1), 200);
        int64_t since_us = clock_mono_us();
        send_slowly(fd, parts[i].bytes, parts[i].len);
        struct h2_frame frame;
        while (h2_read_frame(fd, &frame))
            ;
        cr_expect_geq(clock_mono_us() - since_us, (SHORT_MS - 10) * US_PER_MS);
        cr_expect_eq(metrics_read(METRIC_REFUSED_DEADLINE), (int64_t)i + 1);
    }
    fixture_stop(&fixture);
}

static void wait_ms(int64_t ms)
{
    int64_t until_us = clock_mono_us() + ms * US_PER_MS;
    while (clock_mono_us() < until_us)
        fixture_call(&fixture, fixture_do_nothing);
}

Test(clocks, http2_data_of_a_body_has_the_time_of_the_body)
{
    start((struct http_limits){.head_ms = SHORT_MS, .body_ms = LONG_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/echo", true);
    client_send_bytes(fd, "\0\0", 2);
    wait_ms(2 * SHORT_MS);
    client_send_bytes(fd, "\2\0\1\0\0\0\1a", 8);
    wait_ms(2 * SHORT_MS);
    client_send_bytes(fd, "b", 1);
    cr_assert_eq(h2_read_status(fd, 1), 201);
    wait_ms(2 * SHORT_MS); /* idle */
    h2_send_request(fd, 3, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 3), 200);
    fixture_stop(&fixture);
}

/* The client does not know yet that the stream has ended. */
Test(clocks, http2_frame_of_a_stream_that_ends_has_the_time_of_a_head_from_then_on)
{
    start(
        (struct http_limits){.head_ms = 4 * SHORT_MS, .body_ms = 5 * SHORT_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/echo", true);
    client_send_bytes(fd, "\0\0\2\0\1\0\0\0\1a", 10);
    struct h2_frame frame;
    cr_assert(h2_read_until(fd, H2_RST_STREAM, 1, &frame));
    wait_ms(SHORT_MS);
    client_send_bytes(fd, "b", 1);
    h2_send_request(fd, 3, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 3), 200);
    fixture_stop(&fixture);
}

Test(clocks, slow_http2_body_ends_its_stream_only)
{
    start((struct http_limits){.head_ms = LONG_MS, .body_ms = SHORT_MS, .idle_ms = LONG_MS});
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/echo", true);
    h2_send_data(fd, 1, "a", 1, false);
    struct h2_frame frame;
    cr_assert(h2_read_until(fd, H2_RST_STREAM, 1, &frame));
    h2_send_request(fd, 3, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 3), 200);
    fixture_stop(&fixture);
}

/* The client leaves no window for the body of the answer. */
Test(clocks, http2_answer_that_is_not_read_ends)
{
    start((struct http_limits){.answer_ms = SHORT_MS});
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_frame(fd, H2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    h2_send_request(fd, 1, "GET", "/now", false);
    struct h2_frame frame;
    cr_assert(h2_read_until(fd, H2_RST_STREAM, 1, &frame));
    cr_assert_eq(metrics_read(METRIC_REFUSED_UNREAD), 1);
    fixture_stop(&fixture);
}

Test(clocks, answer_that_is_not_read_ends_the_connection)
{
    start((struct http_limits){.answer_ms = SHORT_MS});
    AUTO_CLOSE int http1 = client_connect(&fixture), http2 = h2_connect(&fixture);
    client_send(http1, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    h2_send_frame(http2, H2_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    h2_send_frame(http2, H2_WINDOW_UPDATE, 0, 0, "\x7f\0\0\0", 4);
    h2_send_request(http2, 1, "GET", "/big", false);
    WAIT_UNTIL(metrics_read(METRIC_HTTP_CONNECTIONS) == 2);
    WAIT_UNTIL(metrics_read(METRIC_HTTP_CONNECTIONS) == 0);
    cr_assert_eq(metrics_read(METRIC_REFUSED_UNREAD), 2);
    fixture_stop(&fixture);
}

/* The whole takes longer than the limit, but each piece is read in time. */
Test(clocks, answer_that_is_read_slowly_is_complete)
{
    start((struct http_limits){.answer_ms = 2 * SHORT_MS});
    AUTO_CLOSE int fd = client_connect(&fixture);
    client_send(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    static char bytes[1024 * 1024];
    size_t len = 0;
    for (ssize_t got; len < FIXTURE_BIG_BYTES && (got = recv(fd, bytes, sizeof bytes, 0)) > 0;) {
        len += (size_t)got;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    cr_assert_geq(len, FIXTURE_BIG_BYTES);
    fixture_stop(&fixture);
}
