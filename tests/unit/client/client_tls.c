/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over TLS to `openssl s_server`, with a self-made certificate for sink.test. */
#include "unit/client/fixture.h"

#include "base/clock.h"
#include "client/unprocessed.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define NAME "https://sink.test"
#define BODY "{\"a\":1}"

static struct tls_server server;
static struct dns_server dns;
static struct bench bench;
static struct exchange exchange;

static const struct slice ok_empty = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38};

/* HTTP/2: the server's SETTINGS (empty), then what it does to stream 1. */
#define H2_SETTINGS "\0\0\0\4\0\0\0\0\0"
#define H2_STATUS_204 "\0\0\1\1\5\0\0\0\1\x89"
#define H2_RESET_STREAM "\0\0\4\3\0\0\0\0\1\0\0\0\2" /* INTERNAL_ERROR */
#define H2_REFUSED_STREAM "\0\0\4\3\0\0\0\0\1\0\0\0\7"
#define H2_HTTP_1_1_REQUIRED "\0\0\4\3\0\0\0\0\1\0\0\0\xd"
#define H2_GOAWAY \
    "\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0" /* stream 1 was not processed: it may be sent again */

static void start(const char *const *arguments, struct slice answer, bool trusted)
{
    tls_server_start(&server, arguments, BODY, answer);
    static const char *const loopback[] = {"127.0.0.1"};
    dns_server_start(&dns, loopback, 1);
    bench_start(&bench, "127.0.0.0/8", &dns);
    client_free(bench.client);
    bench.options.allow_http = false;
    bench.options.ca_file = trusted ? server.certificate : NULL;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
    exchange_init(&exchange);
}

static void stop(void)
{
    bench_stop(&bench);
    tls_server_stop(&server);
    dns_server_stop(&dns);
}

static void expect_end(int status, enum err error, unsigned sends)
{
    const struct attempt_end *end = &exchange.request.end;
    cr_expect_eq(exchange.done, 1);
    cr_expect_eq(end->http_status, status, "status is %d", end->http_status);
    cr_expect_eq(end->error, error, "error is %s", err_name(end->error));
    cr_expect_eq(exchange.request.sends, sends, "%u sends", exchange.request.sends);
    cr_expect_eq(end->request_begun, sends > 0);
}

Test(client_tls, certificates_of_the_ca_file_are_trusted)
{
    start(NULL, ok_empty, true);
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(200, OK, 1);
    stop();
}

Test(client_tls, unknown_certificate_fails_before_anything_is_sent)
{
    start(NULL, ok_empty, false);
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(0, ERR_TLS, 0);
    cr_expect_eq(server.bodies, 0);
    cr_expect_eq(exchange.request.evidence.request_bytes, 0);
    cr_expect_not(exchange.request.evidence.request_complete);
    stop();
}

Test(client_tls, certificate_for_another_name_fails)
{
    start(NULL, ok_empty, true);
    bench_exchange(&bench, &exchange, "https://other.test", server.port);
    expect_end(0, ERR_TLS, 0);
    exchange_init(&exchange);
    bench_exchange(&bench, &exchange, "https://127.0.0.1", server.port);
    expect_end(0, ERR_TLS, 0);
    stop();
}

Test(client_tls, tls_1_1_is_rejected)
{
    start((const char *const[]){"-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", NULL}, ok_empty, true);
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(0, ERR_TLS, 0);
    stop();
}

Test(client_tls, peer_without_tls_fails_with_tls)
{
    static struct server plain;
    start(NULL, ok_empty, true);
    server_start(&plain, &(struct reply){"HTTP/1.1 400 Bad Request\r\n\r\n", THEN_CLOSE}, 1);
    plain.greets = true;
    bench_exchange(&bench, &exchange, NAME, plain.port);
    expect_end(0, ERR_TLS, 0);
    server_stop(&plain);
    stop();
}

Test(client_tls, http_2_is_used_only_if_the_request_allows_it)
{
    start((const char *const[]){"-alpn", "h2,http/1.1", NULL}, ok_empty, true);
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(200, OK, 1);
    cr_expect_str_eq(exchange.request.evidence.http, "1.1");
    stop();
}

Test(client_tls, http_2_is_used_if_the_peer_supports_it)
{
    start(
        (const char *const[]){"-alpn", "h2", NULL}, SLICE_LITERAL(H2_SETTINGS H2_STATUS_204), true);
    exchange.request.http = CLIENT_HTTP_2;
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(204, OK, 1);
    cr_expect_str_eq(exchange.request.evidence.http, "2");
    stop();
}

/* After the first and the third of these libcurl by itself sends again: that is refused. The peer
 * says of the first two that it did not process the request. Only these are repeated, unless the
 * request is guarded: nobody can check what the peer says. */
static const struct {
    struct slice answer;
    unsigned sends_max;
} refusals[] = {
    {SLICE_LITERAL(H2_SETTINGS H2_REFUSED_STREAM), 1 + UNPROCESSED_SENDS_MAX},
    {SLICE_LITERAL(H2_SETTINGS H2_GOAWAY), 1 + UNPROCESSED_SENDS_MAX},
    {SLICE_LITERAL(H2_SETTINGS H2_HTTP_1_1_REQUIRED), 1},
};

Test(client_tls, only_an_unprocessed_request_that_is_not_guarded_is_repeated)
{
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(refusals); i++) {
        start((const char *const[]){"-alpn", "h2,http/1.1", NULL}, refusals[i / 2].answer, true);
        exchange.request.http = CLIENT_HTTP_2;
        exchange.request.once = i % 2;
        bench_exchange(&bench, &exchange, NAME, server.port);
        expect_end(0, ERR_ANSWER_LOST, 1);
        unsigned sends = exchange.request.once ? 1 : refusals[i / 2].sends_max;
        cr_expect_eq(server.bodies, sends, "%zu: %u bodies", i, server.bodies);
        const struct attempt_evidence *evidence = &exchange.request.evidence;
        cr_expect(!evidence->warm && evidence->answer_bytes == 0, "%zu", i);
        if (exchange.request.once) /* for others libcurl clears its counts */
            cr_expect(
                evidence->request_complete && evidence->request_bytes > sizeof BODY, "%zu", i);
        stop();
    }
}

Test(client_tls, evidence_is_counted_over_http_1_1)
{
    const char *head = "HTTP/1.1 200 OK\r\n", *broken_off = "HTTP/1.1 200 OK\r\nContent-Le";
    start(NULL, slice_from_string(broken_off), true);
    exchange.request.answer_timeout_us = US_PER_SECOND;
    exchange.request.once = true;
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(0, ERR_ANSWER_TIMEOUT, 1);
    const struct attempt_evidence *evidence = &exchange.request.evidence;
    cr_expect(
        !evidence->warm && evidence->request_complete && evidence->request_bytes > sizeof BODY);
    cr_expect_eq(evidence->answer_bytes, strlen(head), "whole lines only");
    cr_expect_eq(exchange.request.excerpt_len, strlen(head));
    cr_expect(memcmp(exchange.request.excerpt, head, strlen(head)) == 0);
    stop();
}

Test(client_tls, reset_http_2_stream_ends_with_answer_malformed)
{
    start((const char *const[]){"-alpn", "h2", NULL}, SLICE_LITERAL(H2_SETTINGS H2_RESET_STREAM),
        true);
    exchange.request.http = CLIENT_HTTP_2;
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(0, ERR_ANSWER_MALFORMED, 1);
    stop();
}

Test(client_tls, broken_http_2_connection_ends_with_answer_lost)
{
    start(
        (const char *const[]){"-alpn", "h2", NULL}, SLICE_LITERAL("HTTP/1.1 200 OK\r\n\r\n"), true);
    exchange.request.http = CLIENT_HTTP_2;
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_end(0, ERR_ANSWER_LOST, 1);
    stop();
}
