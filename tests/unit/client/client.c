/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its end, with a real server on 127.0.0.1. */
#include "unit/client/fixture.h"

#include "base/clock.h"
#include "runtime/metrics.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define LOOPBACK "http://127.0.0.1"
#define ANSWER(head, body) "HTTP/1.1 " head "\r\nContent-Length: " body

static struct server server;
static struct bench bench;
static struct exchange first, second;

static const struct reply ok_empty = {ANSWER("200 OK", "0\r\n\r\n"), THEN_KEEP};
static const struct reply closes = {NULL, THEN_CLOSE};
static const struct reply stalls = {NULL, THEN_STALL};

static void start(const struct reply *replies, unsigned count)
{
    server_start(&server, replies, count);
    bench_start(&bench, "127.0.0.0/8", NULL);
    exchange_init(&first);
    exchange_init(&second);
}

static void stop(void)
{
    bench_stop(&bench);
    server_stop(&server);
}

static void expect_end(const struct exchange *exchange, int status, enum err error, unsigned sends)
{
    const struct attempt_end *end = &exchange->request.end;
    cr_expect_eq(exchange->done, 1, "on_done was called %u times", exchange->done);
    cr_expect_eq(end->http_status, status, "status is %d", end->http_status);
    cr_expect_eq(end->error, error, "error is %s", err_name(end->error));
    cr_expect_eq(exchange->request.sends, sends, "%u sends", exchange->request.sends);
    cr_expect_eq(end->request_begun, sends > 0);
    cr_expect_null(exchange->request.transfer);
}

/* Sends one request to a server that answers with this reply. */
static void try_reply(const char *text, enum then then, int status, enum err error)
{
    start(&(struct reply){text, then}, 1);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, status, error, 1);
    stop();
}

Test(client, post_has_body_and_headers_and_its_status_is_reported)
{
    start(&(struct reply){ANSWER("200 OK", "5\r\n\r\nhello"), THEN_KEEP}, 1);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 200, OK, 1);
    cr_expect(first.request.duration_us > 0 && first.request.duration_us < 10 * US_PER_SECOND);
    cr_expect_eq(first.request.retry_after_us, 0);
    cr_expect_eq(first.request.excerpt_len, 5);
    cr_expect_arr_eq(first.request.excerpt, "hello", 5);
    const char *sent = server.last_request;
    cr_expect(strncmp(sent, "POST /hook?a=b HTTP/1.1\r\n", 25) == 0, "%s", sent);
    cr_expect(strstr(sent, "\r\ncontent-type: application/json\r\n") != NULL, "%s", sent);
    cr_expect(strstr(sent, "\r\nwebhook-id: evt_1\r\n") != NULL, "%s", sent);
    cr_expect(strstr(sent, "\r\n\r\n{\"a\":1}") != NULL, "%s", sent);
    stop();
}

Test(client, long_body_is_posted_without_an_expect_header)
{
    static char body[1024 * 1024 + 1]; /* from 1 MiB on, libcurl by default sends Expect */
    memset(body, 'b', sizeof body);
    start(&ok_empty, 1);
    first.request.body = slice_of(body, sizeof body);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 200, OK, 1);
    cr_expect(strcasestr(server.last_request, "\r\nexpect:") == NULL);
    cr_expect_arr_eq(
        server.last_request + server.last_request_len - sizeof body, body, sizeof body);
    stop();
}

Test(client, empty_body_is_posted)
{
    start(&ok_empty, 1);
    first.request.body = (struct slice){NULL, 0};
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 200, OK, 1);
    cr_expect(strstr(server.last_request, "\r\nContent-Length: 0\r\n") != NULL, "%s",
        server.last_request);
    stop();
}

Test(client, kept_connection_is_used_again)
{
    start(&ok_empty, 1);
    for (int i = 0; i < 5; i++) {
        exchange_init(&first);
        bench_exchange(&bench, &first, LOOPBACK, server.port);
        expect_end(&first, 200, OK, 1);
    }
    cr_expect_eq(server.requests, 5);
    cr_expect_eq(server.connections, 1);
    stop();
}

Test(client, guarded_request_uses_a_new_connection_and_closes_it)
{
    static const struct {
        bool once;
        unsigned connections; /* made so far */
    } steps[] = {{false, 1}, {true, 2}, {true, 3}, {false, 3}};
    start(&ok_empty, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
        exchange_init(&first);
        first.request.once = steps[i].once;
        bench_exchange(&bench, &first, LOOPBACK, server.port);
        expect_end(&first, 200, OK, 1);
        cr_expect_eq(server.connections, steps[i].connections, "step %zu", i);
    }
    stop();
}

Test(client, excerpt_is_limited_and_a_failure_keeps_the_connection)
{
    static char text[4096];
    size_t len = (size_t)snprintf(
        text, sizeof text, ANSWER("500 Internal Server Error", "2000\r\n\r\nbroken: "));
    memset(text + len, 'z', 2000 - 8);
    start((struct reply[]){{text, THEN_KEEP}, ok_empty}, 2);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 500, OK, 1);
    cr_expect_eq(first.request.excerpt_len, ANSWER_EXCERPT_BYTES_MAX);
    cr_expect(strncmp(first.request.excerpt, "broken: zzz", 11) == 0);
    bench_exchange(&bench, &second, LOOPBACK, server.port);
    expect_end(&second, 200, OK, 1);
    cr_expect_eq(server.connections, 1);
    stop();
}

Test(client, redirect_is_not_followed)
{
    char text[200];
    start((struct reply[]){{text, THEN_KEEP}, ok_empty}, 2);
    snprintf(text, sizeof text,
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/other\r\nContent-Length: 0\r\n\r\n",
        server.port);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 302, OK, 1);
    cr_expect_eq(server.requests, 1);
    stop();
}

Test(client, retry_after_in_seconds_is_read)
{
    start(&(struct reply){"HTTP/1.1 503 Busy\r\nretry-AFTER:  7 \r\nContent-Length: 0\r\n\r\n",
              THEN_KEEP},
        1);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 503, OK, 1);
    cr_expect_eq(first.request.retry_after_us, 7 * US_PER_SECOND);
    stop();
}

Test(client, retry_after_as_a_date_is_read)
{
    char text[200], date[64];
    time_t then = time(NULL) + 3600;
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
    snprintf(text, sizeof text,
        "HTTP/1.1 429 Slow down\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    start(&(struct reply){text, THEN_KEEP}, 1);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 429, OK, 1);
    int64_t retry_after_s = first.request.retry_after_us / US_PER_SECOND;
    cr_expect(retry_after_s > 3500 && retry_after_s <= 3600, "%lld", (long long)retry_after_s);
    stop();
}

Test(client, provisional_response_is_not_the_answer)
{
    try_reply("HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nLink: </x>\r\n\r\n" ANSWER(
                  "201 Created", "0\r\n\r\n"),
        THEN_KEEP, 201, OK);
    cr_expect_eq(first.request.retry_after_us, 0);
    try_reply("HTTP/1.1 103 Early Hints\r\n\r\n", THEN_CLOSE, 0, ERR_ANSWER_LOST);
}

Test(client, succeeds_with_the_headers_of_a_2xx_whatever_the_body_does)
{
    static const struct {
        const char *text;
        enum then then;
    } cases[] = {
        {ANSWER("200 OK", "1000000000\r\n\r\n"), THEN_ENDLESS},
        {"HTTP/1.1 202 Accepted\r\n\r\n", THEN_ENDLESS},
        {ANSWER("200 OK", "1000\r\n\r\nstalls"), THEN_STALL},
        {ANSWER("200 OK", "1000\r\n\r\nends early"), THEN_CLOSE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n", THEN_STALL},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", THEN_KEEP},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHTTP/1.1 500 "
         "No\r\n\r\n",
            THEN_KEEP},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        start(&(struct reply){cases[i].text, cases[i].then}, 1);
        bench_exchange(&bench, &first, LOOPBACK, server.port);
        cr_expect_eq(first.request.end.http_status / 100, 2, "%s", cases[i].text);
        cr_expect_eq(first.request.end.error, OK, "%s", cases[i].text);
        cr_expect(first.request.duration_us < 5 * US_PER_SECOND, "%s", cases[i].text);
        stop();
    }
}

Test(client, stalled_body_does_not_extend_the_answer_timeout)
{
    start(&(struct reply){ANSWER("500 No", "1000\r\n\r\nwhy: "), THEN_STALL}, 1);
    first.request.answer_timeout_us = 200 * US_PER_MS;
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 500, OK, 1);
    cr_expect_eq(first.request.excerpt_len, 5);
    cr_expect(first.request.duration_us < 5 * US_PER_SECOND);
    stop();
}

Test(client, missing_answer_ends_with_answer_timeout)
{
    static const char *const begun[] = {
        NULL, "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(begun); i++) {
        start(&(struct reply){begun[i], THEN_STALL}, 1);
        first.request.answer_timeout_us = 200 * US_PER_MS;
        bench_exchange(&bench, &first, LOOPBACK, server.port);
        expect_end(&first, 0, ERR_ANSWER_TIMEOUT, 1);
        cr_expect(first.request.duration_us >= 200 * US_PER_MS);
        stop();
    }
}

Test(client, closed_port_ends_with_connect)
{
    start(&ok_empty, 1);
    server_stop(&server);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 0, ERR_CONNECT, 0);
    bench_stop(&bench);
}

Test(client, unaccepted_connection_ends_with_connect_timeout)
{
    /* A listener whose queue is full drops further SYNs. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    cr_assert(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 0) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    for (size_t i = 0; i < ARRAY_LENGTH(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, len);
    }
    bench_start(&bench, "127.0.0.0/8", NULL);
    exchange_init(&first);
    first.request.connect_timeout_us = 200 * US_PER_MS;
    bench_exchange(&bench, &first, LOOPBACK, ntohs(address.sin_port));
    expect_end(&first, 0, ERR_CONNECT_TIMEOUT, 0);
    exchange_init(&second);
    second.request.answer_timeout_us = 100 * US_PER_MS;
    bench_exchange(&bench, &second, LOOPBACK, ntohs(address.sin_port));
    expect_end(&second, 0, ERR_CONNECT_TIMEOUT, 0);
    bench_stop(&bench);
    for (size_t i = 0; i < ARRAY_LENGTH(fillers); i++)
        close(fillers[i]);
    close(fd);
}

Test(client, close_before_the_headers_are_complete_ends_with_answer_lost)
{
    static const char *const begun[] = {
        NULL, "HTTP/1.", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(begun); i++)
        try_reply(begun[i], THEN_CLOSE, 0, ERR_ANSWER_LOST);
}

/* libcurl by itself repeats it, up to five times per handle. */
Test(client, request_is_sent_once_even_if_its_kept_connection_breaks)
{
    struct reply replies[16] = {ok_empty};
    for (size_t i = 1; i < ARRAY_LENGTH(replies); i++)
        replies[i] = i % 2 ? closes : ok_empty;
    start(replies, ARRAY_LENGTH(replies));
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    for (unsigned i = 1; i <= 7; i++) {
        exchange_init(&second);
        bench_exchange(&bench, &second, LOOPBACK, server.port);
        expect_end(&second, 0, ERR_ANSWER_LOST, 1);
        cr_expect(second.request.evidence.warm && second.request.evidence.request_complete);
        cr_expect_eq(server.requests, 2 * i);
        cr_expect_eq(server.connections, i, "no connection is made for a repeat");
        exchange_init(&first);
        first.request.fresh = true;
        bench_exchange(&bench, &first, LOOPBACK, server.port);
        expect_end(&first, 200, OK, 1);
        cr_expect_not(first.request.evidence.warm);
    }
    stop();
}

/* The close is seen before anything is sent, so neither the request nor an attempt is lost. */
Test(client, kept_connection_that_the_peer_closed_is_not_used)
{
    start((struct reply[]){{ANSWER("200 OK", "0\r\n\r\n"), THEN_CLOSE}, ok_empty}, 2);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    bench_run_until(&bench, &server.closed, 1);
    bench_exchange(&bench, &second, LOOPBACK, server.port);
    expect_end(&second, 200, OK, 1);
    cr_expect_eq(server.connections, 2);
    stop();
}

Test(client, guarded_request_is_sent_once_even_if_its_answer_is_lost)
{
    start((struct reply[]){ok_empty, closes, ok_empty}, 3);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    second.request.once = true;
    bench_exchange(&bench, &second, LOOPBACK, server.port);
    expect_end(&second, 0, ERR_ANSWER_LOST, 1);
    cr_expect_eq(server.requests, 2);
    stop();
}

Test(client, guarded_request_is_sent_once_whatever_the_answer_asks_for)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {ANSWER("401 Who are you",
             "0\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n\r\n"),
            401},
        {ANSWER("407 Who are you", "0\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n"), 407},
        {ANSWER("408 Too slow", "0\r\nConnection: close\r\n\r\n"), 408},
        {ANSWER("417 Without Expect, please", "0\r\n\r\n"), 417},
        {ANSWER("421 Elsewhere", "0\r\n\r\n"), 421},
        {ANSWER("426 In other words", "0\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"), 426},
        {ANSWER("503 Busy", "0\r\nRetry-After: 0\r\n\r\n"), 503},
        {"HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 307},
        {"HTTP/1.1 100 Continue\r\n\r\n", 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        start((struct reply[]){{cases[i].text, THEN_CLOSE}, ok_empty}, 2);
        first.request.once = true;
        bench_exchange(&bench, &first, LOOPBACK, server.port);
        cr_expect_eq(first.request.end.http_status, cases[i].status, "%s", cases[i].text);
        cr_expect_eq(first.request.sends, 1, "%s", cases[i].text);
        cr_expect_eq(server.requests, 1, "%s", cases[i].text);
        cr_expect(strcasestr(server.last_request, "\r\nauthorization:") == NULL);
        stop();
    }
}

Test(client, headers_that_are_too_large_end_with_answer_too_large)
{
    static char many_lines[200 * 1024];
    size_t head = (size_t)sprintf(many_lines, "HTTP/1.1 200 OK\r\n");
    while (head + 100 < sizeof many_lines)
        head += (size_t)sprintf(many_lines + head, "x-%zu: abcdefghijklmnopqrstuvwxyz\r\n", head);
    try_reply(many_lines, THEN_CLOSE, 0, ERR_ANSWER_TOO_LARGE);
}

Test(client, answer_that_is_not_http_ends_with_answer_malformed)
{
    static char long_line[200 * 1024];
    size_t head = (size_t)sprintf(long_line, "HTTP/1.1 200 OK\r\nx: ");
    memset(long_line + head, 'y', sizeof long_line - head - 1);
    const char *const garbage[] = {"garbage\r\n\r\n", "<html>hello</html>", "HTTP/9.9 xyz\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n", long_line};
    for (size_t i = 0; i < ARRAY_LENGTH(garbage); i++)
        try_reply(garbage[i], THEN_CLOSE, 0, ERR_ANSWER_MALFORMED);
}

Test(client, rejected_address_in_the_url_ends_with_address_refused)
{
    server_start(&server, &ok_empty, 1);
    bench_start(&bench, "10.0.0.0/8", NULL);
    static const char *const hosts[] = {
        LOOPBACK, "http://127.1", "http://[::ffff:127.0.0.1]", "http://0x7f000001"};
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        exchange_init(&first);
        bench_exchange(&bench, &first, hosts[i], server.port);
        expect_end(&first, 0, ERR_ADDRESS_REFUSED, 0);
    }
    cr_expect_eq(server.connections, 0);
    stop();
}

Test(client, plain_http_is_rejected_unless_it_is_allowed)
{
    server_start(&server, &ok_empty, 1);
    bench_start(&bench, "127.0.0.0/8", NULL);
    client_free(bench.client);
    bench.options.allow_http = false;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
    exchange_init(&first);
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 0, ERR_URL, 0);
    cr_expect_eq(server.connections, 0);
    stop();
}

static void send_second(struct exchange *exchange)
{
    bench_send(exchange->bench, &second, LOOPBACK, server.port);
}

Test(client, on_done_may_send_another_request)
{
    start(&ok_empty, 1);
    first.then = send_second;
    bench_exchange(&bench, &first, LOOPBACK, server.port);
    expect_end(&first, 200, OK, 1);
    expect_end(&second, 200, OK, 1);

    exchange_init(&first);
    exchange_init(&second);
    first.then = send_second;
    bench_exchange(&bench, &first, "nonsense", 1);
    expect_end(&first, 0, ERR_URL, 0);
    expect_end(&second, 200, OK, 1);
    stop();
}

Test(client, hanging_request_does_not_delay_others)
{
    static struct server slow;
    server_start(&slow, &stalls, 1);
    start(&ok_empty, 1);
    first.request.answer_timeout_us = 3 * US_PER_SECOND;
    bench_send(&bench, &first, LOOPBACK, slow.port);
    struct exchange others[10];
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        exchange_init(&others[i]);
        bench_send(&bench, &others[i], LOOPBACK, server.port);
    }
    bench_run(&bench);
    expect_end(&first, 0, ERR_ANSWER_TIMEOUT, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        expect_end(&others[i], 200, OK, 1);
        cr_expect_lt(others[i].order, first.order);
    }
    stop();
    server_stop(&slow);
}

Test(client, free_cancels_requests_in_flight)
{
    start(&stalls, 1);
    bench_send(&bench, &first, LOOPBACK, server.port);
    bench_run_until(&bench, &server.requests, 1);
    bench_send(&bench, &second, "nonsense", 1);
    struct exchange third;
    exchange_init(&third);
    bench_send(&bench, &third, LOOPBACK, server.port);
    client_free(TAKE(bench.client));
    expect_end(&first, 0, ERR_CANCELLED, 1);
    expect_end(&second, 0, ERR_URL, 0);
    expect_end(&third, 0, ERR_CANCELLED, 0);
    stop();
}

Test(client, free_reports_a_status_that_is_known)
{
    start(&(struct reply){ANSWER("500 No", "1000\r\n\r\nwhy: "), THEN_STALL}, 1);
    bench_send(&bench, &first, LOOPBACK, server.port);
    while (first.request.excerpt_len == 0)
        bench_run_until(&bench, &server.requests, 1);
    client_free(TAKE(bench.client));
    expect_end(&first, 500, OK, 1);
    stop();
}
