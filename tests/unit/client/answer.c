/* SPDX-License-Identifier: Apache-2.0 */
/* Answers whose body decides, GET, and the Location of a redirect. */
#include "unit/client/fixture.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define LOOPBACK "http://127.0.0.1"
#define ANSWER(status, fields) "HTTP/1.1 " status "\r\n" fields "\r\n"

static struct server server;
static struct bench bench;
static struct exchange exchange;
static char body[ANSWER_RULE_BYTES_MAX];

static void run(const struct reply *reply, bool wanted, size_t size)
{
    server_start(&server, reply, 1);
    bench_start(&bench, "127.0.0.0/8", NULL);
    exchange_init(&exchange);
    exchange.request.answer_wanted = wanted;
    exchange.request.answer = body;
    exchange.request.answer_size = size;
    exchange.request.answer_timeout_us = 2 * US_PER_SECOND;
    exchange.request.answer_len = 77; /* of an earlier request */
    exchange.request.answer_cut = true;
    bench_exchange(&bench, &exchange, LOOPBACK, server.port);
    bench_stop(&bench);
    server_stop(&server);
}

static void expect_end(int status, enum err error)
{
    const struct attempt_end *end = &exchange.request.end;
    cr_expect_eq(end->http_status, status, "%d", end->http_status);
    cr_expect_eq(end->error, error, "%s", err_name(end->error));
}

static void expect_body(const char *text, bool cut)
{
    const struct client_request *request = &exchange.request;
    cr_expect_eq(request->answer_len, strlen(text), "%zu bytes", request->answer_len);
    cr_expect(memcmp(body, text, strlen(text)) == 0);
    cr_expect_eq(request->answer_cut, cut);
}

Test(answer, body_is_copied_if_it_is_wanted)
{
    static const struct {
        const char *text;
        enum then then;
        int status;
        const char *body;
    } cases[] = {
        {ANSWER("200 OK", "Content-Length: 4\r\n") "true", THEN_KEEP, 200, "true"},
        {ANSWER("200 OK", "Content-Length: 0\r\n"), THEN_KEEP, 200, ""},
        {ANSWER("200 OK", "") "until the end", THEN_CLOSE, 200, "until the end"},
        {ANSWER("200 OK", "Transfer-Encoding: chunked\r\n") "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            THEN_KEEP, 200, "abc"},
        {ANSWER("204 No Content", ""), THEN_KEEP, 204, ""},
        {ANSWER("503 Service Unavailable", "Content-Length: 5\r\n") "later", THEN_KEEP, 503,
            "later"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        run(&(struct reply){cases[i].text, cases[i].then}, true, sizeof body);
        expect_end(cases[i].status, OK);
        expect_body(cases[i].body, false);
        cr_expect_eq(exchange.request.excerpt_len, strlen(cases[i].body));
    }
}

Test(answer, body_is_not_copied_if_it_is_not_wanted)
{
    run(&(struct reply){ANSWER("200 OK", "Content-Length: 4\r\n") "true", THEN_KEEP}, false,
        sizeof body);
    expect_end(200, OK);
    expect_body("", false);
}

Test(answer, body_that_fills_its_room_is_whole)
{
    run(&(struct reply){ANSWER("200 OK", "Content-Length: 4\r\n") "true", THEN_KEEP}, true, 4);
    expect_end(200, OK);
    expect_body("true", false);
}

Test(answer, longer_body_is_cut_and_ends_the_request)
{
    run(&(struct reply){ANSWER("200 OK", "Content-Length: 5\r\n") "false", THEN_KEEP}, true, 4);
    expect_end(200, OK);
    expect_body("fals", true);
    run(&(struct reply){ANSWER("200 OK", ""), THEN_ENDLESS}, true, sizeof body);
    expect_end(200, OK);
    cr_expect(exchange.request.answer_len == sizeof body && exchange.request.answer_cut);
    cr_expect_lt(exchange.request.duration_us, US_PER_SECOND);
}

/* The status is known, but it does not decide. */
Test(answer, lost_body_is_an_error_beside_the_status)
{
    run(&(struct reply){ANSWER("200 OK", "Content-Length: 9\r\n") "tru", THEN_CLOSE}, true,
        sizeof body);
    expect_end(200, ERR_ANSWER_LOST);
    expect_body("tru", false);
    cr_expect(verdict_is_ambiguous(&exchange.request.end));
    run(&(struct reply){ANSWER("200 OK", "Content-Length: 9\r\n") "tru", THEN_STALL}, true,
        sizeof body);
    expect_end(200, ERR_ANSWER_TIMEOUT);
    cr_expect_geq(exchange.request.duration_us, 2 * US_PER_SECOND, "the whole time is for it");
    run(&(struct reply){ANSWER("200 OK", "Content-Length: 9\r\n") "tru", THEN_CLOSE}, false, 0);
    expect_end(200, OK);
}

Test(answer, get_has_no_body)
{
    server_start(
        &server, &(struct reply){ANSWER("200 OK", "Content-Length: 2\r\n") "ok", THEN_KEEP}, 1);
    bench_start(&bench, "127.0.0.0/8", NULL);
    static const char *const first_words[] = {"POST /hook", "GET /hook", "POST /hook", "GET /hook"};
    for (size_t i = 0; i < ARRAY_LENGTH(first_words); i++) { /* on one handle */
        exchange_init(&exchange);
        exchange.request.get = i % 2;
        if (exchange.request.get)
            exchange.request.body = (struct slice){NULL, 0};
        bench_exchange(&bench, &exchange, LOOPBACK, server.port);
        expect_end(200, OK);
        cr_expect(strncmp(server.last_request, first_words[i], strlen(first_words[i])) == 0, "%s",
            server.last_request);
        cr_expect_eq(strcasestr(server.last_request, "content-length:") == NULL, i % 2);
        cr_expect(exchange.request.evidence.request_complete);
    }
    cr_expect_eq(server.connections, 1);
    bench_stop(&bench);
    server_stop(&server);
}

Test(answer, location_of_a_redirect_is_evidence)
{
    char text[512], long_url[300];
    run(&(struct reply){ANSWER(
                            "301 Moved", "Location:  https://new.test/a \r\nContent-Length: 0\r\n"),
            THEN_KEEP},
        false, 0);
    expect_end(301, OK);
    cr_expect_str_eq(exchange.request.evidence.location, "https://new.test/a");
    run(&(struct reply){ANSWER("201 Created", "Location: /a\r\nContent-Length: 0\r\n"), THEN_KEEP},
        false, 0);
    cr_expect_str_eq(exchange.request.evidence.location, "");
    memset(long_url, 'x', sizeof long_url - 1);
    long_url[sizeof long_url - 1] = '\0';
    snprintf(text, sizeof text, "HTTP/1.1 307 Other\r\nlocation:%s\r\nContent-Length: 0\r\n\r\n",
        long_url);
    run(&(struct reply){text, THEN_KEEP}, false, 0);
    cr_expect_eq(
        strlen(exchange.request.evidence.location), EVIDENCE_LOCATION_BYTES - 1, "it is cut");
}
