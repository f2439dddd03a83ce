/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts of clients, in milliseconds. Each test makes one of them short and the others long. */
#include "fixture.h"

#include "base/cleanup.h"

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
