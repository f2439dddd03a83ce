/* SPDX-License-Identifier: Apache-2.0 */
/* How far an attempt got: what is recorded of the request and the answer for each kind of end. */
#include "unit/client/fixture.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

#define LOOPBACK "http://127.0.0.1"
#define BODY_BYTES strlen("{\"a\":1}")
#define STATUS_LINE "HTTP/1.1 200 OK\r\n"

static struct server server;
static struct bench bench;
static struct exchange exchange;

static const struct reply ok_empty = {STATUS_LINE "Content-Length: 0\r\n\r\n", THEN_KEEP};
static const struct reply closes = {NULL, THEN_CLOSE};

static void start(const struct reply *replies, unsigned count)
{
    server_start(&server, replies, count);
    bench_start(&bench, "127.0.0.0/8", NULL);
}

static void stop(void)
{
    bench_stop(&bench);
    server_stop(&server);
}

static void send_one(bool once)
{
    exchange_init(&exchange);
    exchange.request.once = once;
    bench_exchange(&bench, &exchange, LOOPBACK, server.port);
}

static void expect_request(bool warm, bool complete, size_t bytes)
{
    const struct attempt_evidence *evidence = &exchange.request.evidence;
    cr_expect_eq(evidence->warm, warm);
    cr_expect_eq(evidence->request_complete, complete);
    cr_expect_eq(evidence->request_bytes, bytes, "%u bytes of %zu", evidence->request_bytes, bytes);
}

static void expect_answer(size_t bytes, const char *excerpt)
{
    const struct client_request *request = &exchange.request;
    cr_expect_eq(request->evidence.answer_bytes, bytes, "%u bytes of %zu",
        request->evidence.answer_bytes, bytes);
    cr_expect_eq(request->excerpt_len, strlen(excerpt), "excerpt \"%.*s\"",
        (int)request->excerpt_len, request->excerpt);
    cr_expect(memcmp(request->excerpt, excerpt, strlen(excerpt)) == 0, "excerpt \"%.*s\"",
        (int)request->excerpt_len, request->excerpt);
}

static void expect_end(int status, enum err error, unsigned sends)
{
    const struct attempt_end *end = &exchange.request.end;
    cr_expect_eq(end->http_status, status, "status is %d", end->http_status);
    cr_expect_eq(end->error, error, "error is %s", err_name(end->error));
    cr_expect_eq(exchange.request.sends, sends, "%u sends", exchange.request.sends);
    cr_expect_eq(end->request_begun, sends > 0);
}

Test(evidence, request_and_answer_of_a_success_are_counted)
{
    const char *answer = STATUS_LINE "Content-Length: 5\r\n\r\nhello";
    start(&(struct reply){answer, THEN_KEEP}, 1);
    for (int i = 0; i < 3; i++) {
        send_one(false);
        expect_end(200, OK, 1);
        expect_request(i > 0, true, server.last_request_len);
        expect_answer(strlen(answer), "hello");
    }
    send_one(true);
    expect_request(false, true, server.last_request_len);
    expect_answer(strlen(answer), "hello");
    stop();
}

/* The same for guarded and other requests, for answers that are no success. */
static const struct {
    const char *title, *answer;
    enum then then;
    int status;
    enum err error;
    const char *excerpt;
    size_t answer_bytes;
} answers[] = {
    {"nothing", NULL, THEN_CLOSE, 0, ERR_ANSWER_LOST, "", 0},
    {"nothing, and the time runs out", NULL, THEN_STALL, 0, ERR_ANSWER_TIMEOUT, "", 0},
    {"a status line", STATUS_LINE, THEN_CLOSE, 0, ERR_ANSWER_LOST, STATUS_LINE, 17},
    {"half the headers", STATUS_LINE "Date: x\r\n", THEN_CLOSE, 0, ERR_ANSWER_LOST,
        STATUS_LINE "Date: x\r\n", 26},
    {"half the headers, and the time runs out", STATUS_LINE "Date: x\r\n", THEN_STALL, 0,
        ERR_ANSWER_TIMEOUT, STATUS_LINE "Date: x\r\n", 26},
    {"a line of the headers broken off", STATUS_LINE "Dat", THEN_CLOSE, 0, ERR_ANSWER_LOST,
        STATUS_LINE, 17},
    {"a provisional answer only", "HTTP/1.1 100 Continue\r\n\r\n", THEN_CLOSE, 0, ERR_ANSWER_LOST,
        "HTTP/1.1 100 Continue\r\n\r\n", 25},
    {"a failure after a provisional answer",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n\r\nwhy", THEN_CLOSE, 500, OK, "why",
        25 + 19 + 3},
    {"a line that is no HTTP", "garbage\r\n\r\n", THEN_CLOSE, 0, ERR_ANSWER_MALFORMED,
        "garbage\r\n\r\n", 11},
    {"bytes without a line", "\x15\x03\x01", THEN_CLOSE, 0, ERR_ANSWER_MALFORMED, "\x15\x03\x01",
        3},
    {"no HTTP, and no end of it", "SSH-2.0-x\r\n", THEN_STALL, 0, ERR_ANSWER_MALFORMED,
        "SSH-2.0-x\r\n", 11},
    {"a status that is no number", "HTTP/abc 200 OK\r\n\r\n", THEN_STALL, 0, ERR_ANSWER_MALFORMED,
        "HTTP/abc 200 OK\r\n", 17},
    {"the body stalls", STATUS_LINE "Content-Length: 99\r\n\r\nhalf", THEN_STALL, 200, OK, "half",
        17 + 22 + 4},
    {"the body breaks off", STATUS_LINE "Content-Length: 99\r\n\r\nhalf", THEN_CLOSE, 200, OK,
        "half", 17 + 22 + 4},
};

Test(evidence, bytes_of_a_failed_answer_are_counted_and_shown)
{
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(answers); i++) {
        bool once = i % 2;
        size_t at = i / 2;
        start(&(struct reply){answers[at].answer, answers[at].then}, 1);
        exchange_init(&exchange);
        exchange.request.once = once;
        exchange.request.answer_timeout_us =
            answers[at].then == THEN_STALL ? 300 * US_PER_MS : 10 * US_PER_SECOND;
        bench_exchange(&bench, &exchange, LOOPBACK, server.port);
        const struct client_request *request = &exchange.request;
        cr_expect_eq(request->end.http_status, answers[at].status, "%s", answers[at].title);
        cr_expect_eq(request->end.error, answers[at].error, "%s: %s", answers[at].title,
            err_name(request->end.error));
        cr_expect_eq(request->sends, 1, "%s", answers[at].title);
        cr_expect(request->evidence.answer_bytes == answers[at].answer_bytes, "%s: %u bytes",
            answers[at].title, request->evidence.answer_bytes);
        expect_answer(answers[at].answer_bytes, answers[at].excerpt);
        expect_request(false, true, server.last_request_len);
        stop();
    }
}

Test(evidence, half_a_status_line_is_seen_for_guarded_requests_only)
{
    const char half[] = "HTTP/1.1 2";
    for (int once = 0; once <= 1; once++) {
        start(&(struct reply){NULL, THEN_STALL}, 1);
        exchange_init(&exchange);
        exchange.request.once = once;
        bench_send(&bench, &exchange, LOOPBACK, server.port);
        bench_run_until(
            &bench, &server.requests, 1); /* then libcurl waits instead of reading at once */
        cr_assert_eq(
            send(server.table[0].fd, half, strlen(half), MSG_NOSIGNAL), (ssize_t)strlen(half));
        shutdown(server.table[0].fd, SHUT_RDWR);
        bench_run(&bench);
        expect_end(0, ERR_ANSWER_LOST, 1);
        expect_answer(once ? strlen(half) : 0, once ? half : "");
        stop();
    }
}

Test(evidence, bytes_seen_ahead_are_counted_once)
{
    const char *answer = "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops";
    start(&(struct reply){answer, THEN_KEEP}, 1);
    send_one(true);
    expect_end(500, OK, 1);
    expect_answer(strlen(answer), "oops");
    stop();
}

Test(evidence, excerpt_of_what_is_not_http_is_limited)
{
    start(&(struct reply){"garbage: ", THEN_ENDLESS}, 1);
    send_one(false);
    expect_end(0, ERR_ANSWER_MALFORMED, 1);
    cr_expect_eq(exchange.request.excerpt_len, ANSWER_EXCERPT_BYTES_MAX);
    cr_expect(exchange.request.evidence.answer_bytes >= ANSWER_EXCERPT_BYTES_MAX);
    cr_expect(
        exchange.request.evidence.answer_bytes <= 128 * 1024, "it is read no further than a body");
    cr_expect(memcmp(exchange.request.excerpt, "garbage: xx", 11) == 0);
    stop();
}

Test(evidence, refused_repeat_keeps_the_counts_of_the_send)
{
    start((struct reply[]){ok_empty, closes, ok_empty}, 3);
    send_one(false);
    send_one(false);
    expect_end(0, ERR_ANSWER_LOST, 1);
    expect_request(true, true, server.last_request_len);
    expect_answer(0, "");
    stop();
}

Test(evidence, refused_connection_of_a_repeat_keeps_the_counts_of_the_first_send)
{
    start((struct reply[]){ok_empty, closes}, 2);
    send_one(false);
    server_refuse(&server);
    send_one(false);
    expect_end(0, ERR_ANSWER_LOST, 1);
    expect_request(true, true, server.last_request_len);
    expect_answer(0, "");
    stop();
}

Test(evidence, is_zero_when_the_request_was_not_begun)
{
    start(&ok_empty, 1);
    exchange_init(&exchange);
    exchange.request.evidence = (struct attempt_evidence){true, true, 1, 1}; /* an earlier one's */
    server_refuse(&server);
    bench_exchange(&bench, &exchange, LOOPBACK, server.port);
    expect_end(0, ERR_CONNECT, 0);
    expect_request(false, false, 0);
    expect_answer(0, "");

    exchange.request.evidence = (struct attempt_evidence){true, true, 1, 1};
    bench_exchange(&bench, &exchange, "nonsense", 1);
    expect_end(0, ERR_URL, 0);
    expect_request(false, false, 0);
    stop();
}

Test(evidence, unread_request_counts_as_taken_by_the_kernel)
{
    start(&ok_empty, 1);
    server.cuts = true;
    send_one(true);
    expect_end(0, ERR_ANSWER_LOST, 1);
    cr_expect_eq(server.requests, 1, "it had come, and was there to read");
    cr_expect(exchange.request.evidence.request_complete);
    cr_expect(exchange.request.evidence.request_bytes > BODY_BYTES);
    expect_answer(0, "");
    stop();
}

Test(evidence, bytes_of_a_body_that_the_peer_cut_are_counted)
{
    static char
        body[16 * 1024 * 1024]; /* more than the kernel buffers for a peer that does not read */
    start(&ok_empty, 1);
    server.cuts_after = 64 * 1024;
    server.cuts = true;
    exchange_init(&exchange);
    exchange.request.once = true;
    exchange.request.body = slice_of(body, sizeof body);
    bench_exchange(&bench, &exchange, LOOPBACK, server.port);
    cr_expect(verdict_is_ambiguous(&exchange.request.end));
    cr_expect_eq(exchange.request.sends, 1);
    cr_expect_not(exchange.request.evidence.request_complete);
    cr_expect(exchange.request.evidence.request_bytes >= 64 * 1024, "%u",
        exchange.request.evidence.request_bytes);
    cr_expect(exchange.request.evidence.request_bytes < sizeof body, "%u",
        exchange.request.evidence.request_bytes);
    expect_answer(0, "");
    stop();
}

Test(evidence, body_sent_in_parts_is_complete)
{
    static char body[1024 * 1024];
    start(&ok_empty, 1);
    exchange_init(&exchange);
    exchange.request.body = slice_of(body, sizeof body);
    bench_exchange(&bench, &exchange, LOOPBACK, server.port);
    expect_end(200, OK, 1);
    cr_expect(exchange.request.evidence.request_complete);
    cr_expect(exchange.request.evidence.request_bytes > sizeof body);
    cr_expect(exchange.request.evidence.request_bytes <= server.last_request_len);
    stop();
}

Test(evidence, empty_body_is_complete)
{
    start(&closes, 1);
    exchange_init(&exchange);
    exchange.request.body = (struct slice){NULL, 0};
    bench_exchange(&bench, &exchange, LOOPBACK, server.port);
    expect_end(0, ERR_ANSWER_LOST, 1);
    expect_request(false, true, server.last_request_len);
    stop();
}

Test(evidence, is_set_when_the_client_is_freed)
{
    start(&(struct reply){STATUS_LINE "Date: x\r\n", THEN_STALL}, 1);
    exchange_init(&exchange);
    exchange.request.once = true;
    bench_send(&bench, &exchange, LOOPBACK, server.port);
    while (exchange.request.excerpt_len < strlen(STATUS_LINE "Date: x\r\n"))
        bench_run_until(&bench, &server.requests, 1);
    client_free(TAKE(bench.client));
    expect_end(0, ERR_CANCELLED, 1);
    expect_request(false, true, server.last_request_len);
    expect_answer(26, STATUS_LINE "Date: x\r\n");
    stop();
}
