/* SPDX-License-Identifier: Apache-2.0 */
/* Many requests over HTTP/2 to tests/support/h2_server.py: they share connections, none is lost,
 * and none is sent twice. */
#include "unit/client/fixture.h"
#include "unit/client/h2_server.h"

#include "base/clock.h"
#include "client/multiplex.h"
#include "client/unprocessed.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define NAME "https://sink.test"
#define EXCHANGES_MAX 256

static struct h2_server server;
static struct dns_server dns;
static struct bench bench;
static struct exchange exchanges[EXCHANGES_MAX];
static char ids[EXCHANGES_MAX][32];
static unsigned count;

static void start(const char *const *options)
{
    static const char *const loopback[] = {"127.0.0.1"};
    h2_server_start(&server, options);
    dns_server_start(&dns, loopback, 1);
    bench_start(&bench, "127.0.0.0/8", &dns);
    client_free(bench.client);
    bench.options.ca_file = server.certificate;
    bench.options.connections_max = 64;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
}

static void stop(void)
{
    bench_stop(&bench);
    h2_server_stop(&server);
    dns_server_stop(&dns);
}

/* The next exchange, with "webhook-id: N" for its number. It is not sent yet. */
static struct exchange *next_exchange(void)
{
    struct exchange *exchange = &exchanges[count];
    exchange_init(exchange);
    snprintf(ids[count], sizeof ids[count], "webhook-id: %u", count);
    exchange->request.headers[1] = ids[count];
    exchange->request.http = CLIENT_HTTP_2;
    count++;
    return exchange;
}

static void send_many(unsigned many, bool once)
{
    for (unsigned i = 0; i < many; i++) {
        struct exchange *exchange = next_exchange();
        exchange->request.once = once;
        bench_send(&bench, exchange, NAME, server.port);
    }
}

/* Returns how many ended with this status, of those from `first` on. */
static unsigned count_status(unsigned first, int status)
{
    unsigned found = 0;
    for (unsigned i = first; i < count; i++)
        found += exchanges[i].done == 1 && exchanges[i].request.end.http_status == status;
    return found;
}

static void expect_all_ok(unsigned first)
{
    for (unsigned i = first; i < count; i++) {
        const struct client_request *request = &exchanges[i].request;
        cr_expect(request->end.http_status == 200 && request->sends == 1, "%u: %d %s", i,
            request->end.http_status, err_name(request->end.error));
        cr_expect_str_eq(request->evidence.http, "2");
        cr_expect_str_eq(request->evidence.tls, "TLSv1.3");
        cr_expect_neq(request->evidence.peer[0], '\0');
    }
}

/* Returns how many sends were refused and repeated. */
static unsigned count_refusals(unsigned first)
{
    unsigned found = 0;
    for (unsigned i = first; i < count; i++)
        found += exchanges[i].request.unprocessed_sends;
    return found;
}

static void expect_lost(unsigned i, unsigned refusals)
{
    const struct client_request *request = &exchanges[i].request;
    cr_expect(request->end.http_status == 0 && request->end.error == ERR_ANSWER_LOST, "%u: %d %s",
        i, request->end.http_status, err_name(request->end.error));
    cr_expect(request->sends == 1 && request->end.request_begun);
    cr_expect_eq(request->unprocessed_sends, refusals, "%u: %u", i, request->unprocessed_sends);
    cr_expect_str_eq(request->evidence.http, "2");
    cr_expect_eq(request->evidence.answer_bytes, 0);
}

/* As the delivery engine does: what failed is sent again, with its id. */
static unsigned send_failed_again(unsigned first)
{
    unsigned sent = 0;
    for (unsigned i = first; i < count; i++) {
        struct client_request *request = &exchanges[i].request;
        if (request->end.http_status == 200)
            continue;
        exchanges[i].done = 0;
        request->fresh = request->evidence.warm;
        bench_send(&bench, &exchanges[i], NAME, server.port);
        sent++;
    }
    if (sent > 0)
        bench_run(&bench);
    return sent;
}

static void expect_handled_once(void)
{
    bench_run_until(&bench, &server.handled, count);
    for (unsigned i = 0; i < count; i++)
        cr_expect_eq(server.handled_of[i], 1, "%u was handled %u times", i, server.handled_of[i]);
}

Test(http_2, parallel_requests_share_one_connection)
{
    start((const char *const[]){"delay=0.05", NULL});
    send_many(20, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    cr_expect_eq(server.connections, 1, "%u", server.connections);
    unsigned opened = 0;
    for (unsigned i = 0; i < count; i++)
        opened += exchanges[i].request.evidence.tls_us > 0;
    cr_expect_eq(opened, 1, "one of them made the connection");

    send_many(20, false);
    bench_run(&bench);
    expect_all_ok(20);
    cr_expect_eq(server.connections, 1, "it is kept");
    for (unsigned i = 20; i < count; i++)
        cr_expect(exchanges[i].request.evidence.warm);
    stop();
}

Test(http_2, more_requests_than_streams_use_a_few_connections)
{
    start((const char *const[]){"delay=0.05", NULL});
    send_many(EXCHANGES_MAX, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    cr_expect(server.connections == 2 || server.connections == 3, "%u", server.connections);
    stop();
}

Test(http_2, many_requests_need_one_of_the_allowed_connections)
{
    start((const char *const[]){"delay=0.05", NULL});
    client_free(bench.client);
    bench.options.connections_max = 1;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
    send_many(50, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    cr_expect_eq(server.connections, 1, "%u", server.connections);
    stop();
}

/* The peer's limit is learned. While the next connection is being made, nothing is sent on it. */
Test(http_2, limit_of_the_peer_is_kept)
{
    start((const char *const[]){"streams=5", "delay=0.05", "handshake_delay=0.1", NULL});
    send_many(1, false);
    bench_run(&bench); /* now the limit is known to libcurl */
    send_many(60, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    cr_expect_eq(server.refused, 0);
    cr_expect_eq(server.plaintext, 0, "a request was sent before the TLS handshake");
    cr_expect(server.connections > 1 && server.connections <= MULTIPLEX_CONNECTIONS_MAX, "%u",
        server.connections);
    stop();
}

Test(http_2, peer_without_it_gets_http_1_1)
{
    start((const char *const[]){"alpn=http/1.1", "delay=0.02", NULL});
    send_many(8, false);
    bench_run(&bench);
    cr_expect_eq(count_status(0, 200), 8);
    expect_handled_once();
    cr_expect(
        server.http_1 == server.connections && server.connections <= 8, "%u", server.connections);
    unsigned connections = server.connections;
    send_many(3, false);
    bench_run(&bench);
    cr_expect_eq(count_status(8, 200), 3);
    for (unsigned i = 0; i < count; i++)
        cr_expect_str_eq(exchanges[i].request.evidence.http, "1.1");
    cr_expect_eq(server.connections, connections, "the kept connections are used");
    stop();
}

Test(http_2, guarded_requests_have_connections_of_their_own)
{
    start((const char *const[]){"delay=0.05", NULL});
    send_many(5, false);
    send_many(3, true);
    send_many(5, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    cr_expect_eq(server.connections, 1 + 3, "%u", server.connections);
    for (unsigned i = 5; i < 8; i++)
        cr_expect(!exchanges[i].request.evidence.warm && exchanges[i].request.evidence.tls_us > 0);
    stop();
}

/* Requests up to the last stream of GOAWAY are answered. Later ones were not processed, and are
 * sent again as part of the same attempt. */
Test(http_2, request_behind_goaway_is_sent_again_and_is_no_failure)
{
    start((const char *const[]){"goaway=7", "delay=0.05", NULL});
    send_many(1, false);
    bench_run(&bench); /* so that the connection counts as used before */
    send_many(19, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    /* The server says so of those that were sent before the client had read the GOAWAY. */
    unsigned refusals = count_refusals(0);
    cr_expect(refusals > 0 && refusals >= server.ignored, "%u, %u", refusals, server.ignored);
    cr_expect_leq(server.connections, 6, "%u connections", server.connections);
    stop();
}

/* These are more requests than the connections of one attempt take. The rest fails, and is sent
 * again with the next attempt. */
Test(http_2, short_connections_lose_nothing_and_repeat_nothing)
{
    start((const char *const[]){"goaway=7", "delay=0.02", NULL});
    send_many(100, false);
    bench_run(&bench);
    for (unsigned i = 0; i < count; i++)
        if (exchanges[i].request.end.http_status != 200)
            expect_lost(i, UNPROCESSED_SENDS_MAX);
    cr_expect_geq(count_status(0, 200), 7 * (1 + UNPROCESSED_SENDS_MAX));
    unsigned rounds = 0;
    while (send_failed_again(0) > 0)
        cr_assert_lt(++rounds, 20);
    expect_handled_once();
    cr_expect_leq(server.connections, 100 / 7 + 20, "%u connections", server.connections);
    stop();
}

Test(http_2, first_request_of_a_connection_behind_goaway_is_sent_again)
{
    start((const char *const[]){"goaway=1", "delay=0.02", NULL});
    send_many(3, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    stop();
}

Test(http_2, goaway_never_repeats_a_guarded_request)
{
    start((const char *const[]){"goaway=1", "delay=0.02", NULL});
    send_many(10, true);
    send_many(10, false);
    bench_run(&bench);
    cr_expect_eq(count_status(0, 200) >= 10, true, "each guarded one is the only one");
    for (unsigned i = 0; i < 10; i++)
        cr_expect(exchanges[i].request.end.http_status == 200 && exchanges[i].request.sends == 1);
    unsigned rounds = 0;
    while (send_failed_again(10) > 0)
        cr_assert_lt(++rounds, 20);
    expect_handled_once();
    stop();
}

/* The peer may have processed a request whose stream is not above the last one. */
Test(http_2, unanswered_request_up_to_the_last_stream_is_lost)
{
    start((const char *const[]){"goaway=1", "silent=1", NULL});
    send_many(1, false);
    bench_run(&bench);
    expect_lost(0, 0);
    expect_handled_once();
    stop();
}

Test(http_2, refused_stream_is_sent_again_and_is_no_failure)
{
    start((const char *const[]){"refuse=4", NULL});
    send_many(5, false);
    bench_run(&bench);
    expect_all_ok(0);
    expect_handled_once();
    bench_run_until(&bench, &server.refused, 4);
    cr_expect_eq(count_refusals(0), 4);
    stop();
}

Test(http_2, refused_guarded_request_is_one_send)
{
    start((const char *const[]){"refuse=2", NULL});
    send_many(2, true);
    bench_run(&bench);
    expect_lost(0, 0);
    expect_lost(1, 0);
    cr_expect(exchanges[0].request.evidence.request_complete);
    bench_run_until(&bench, &server.refused, 2);
    cr_expect_eq(server.handled, 0, "it was not repeated");
    stop();
}

Test(http_2, request_that_is_refused_again_and_again_is_lost)
{
    start((const char *const[]){"refuse=1000", NULL});
    send_many(1, false);
    bench_run(&bench);
    expect_lost(0, UNPROCESSED_SENDS_MAX);
    bench_run_until(&bench, &server.refused, UNPROCESSED_SENDS_MAX + 1);
    cr_expect_eq(server.handled, 0);
    send_many(1, false);
    bench_run(&bench);
    bench_run_until(&bench, &server.refused, 2 * (UNPROCESSED_SENDS_MAX + 1));
    expect_lost(1, UNPROCESSED_SENDS_MAX);
    stop();
}

Test(http_2, request_whose_answer_began_is_not_sent_again)
{
    start((const char *const[]){"refuse=1", "hint=1", "refuse_delay=0.1", NULL});
    send_many(1, false);
    bench_run(&bench);
    const struct client_request *request = &exchanges[0].request;
    cr_expect_eq(request->end.http_status, 0);
    cr_expect_eq(request->end.error, ERR_ANSWER_LOST, "%s", err_name(request->end.error));
    cr_expect(request->sends == 1 && request->unprocessed_sends == 0);
    cr_expect_gt(request->evidence.answer_bytes, 0);
    bench_run_until(&bench, &server.refused, 1);
    cr_expect_eq(server.handled, 0);
    stop();
}

Test(http_2, libcurl_reports_refusals)
{
    cr_expect(unprocessed_is_seen());
}

/* The evidence is that of the last send, which made a connection of its own. */
Test(http_2, evidence_of_a_repeated_request_is_that_of_its_last_send)
{
    start((const char *const[]){"refuse=1", "delay=0.05", "handshake_delay=0.6", NULL});
    send_many(1, false);
    bench_run(&bench);
    send_many(1, false);
    bench_run(&bench);
    expect_all_ok(0);
    const struct client_request *repeated = &exchanges[0].request, *plain = &exchanges[1].request;
    cr_expect(repeated->unprocessed_sends == 1 && plain->unprocessed_sends == 0);
    cr_expect(repeated->evidence.request_complete && !repeated->evidence.warm);
    cr_expect_eq(repeated->evidence.request_bytes, plain->evidence.request_bytes, "%u, not %u",
        repeated->evidence.request_bytes, plain->evidence.request_bytes);
    cr_expect_eq(repeated->evidence.answer_bytes, plain->evidence.answer_bytes);
    cr_expect_geq(repeated->evidence.tls_us, 500 * US_PER_MS, "%u", repeated->evidence.tls_us);
    cr_expect_lt(
        repeated->evidence.connect_us, 500 * US_PER_MS, "%u", repeated->evidence.connect_us);
    cr_expect_lt(
        repeated->evidence.first_byte_us, 500 * US_PER_MS, "%u", repeated->evidence.first_byte_us);
    cr_expect_geq(repeated->duration_us, repeated->evidence.tls_us);
    stop();
}

Test(http_2, repeat_without_a_connection_is_not_begun)
{
    start((const char *const[]){"refuse=1", "accepts=1", NULL});
    send_many(1, false);
    bench_run(&bench);
    const struct client_request *request = &exchanges[0].request;
    cr_expect_eq(request->end.error, ERR_CONNECT, "%s", err_name(request->end.error));
    cr_expect(
        request->sends == 0 && !request->end.request_begun && request->unprocessed_sends == 1);
    cr_expect(request->evidence.request_bytes == 0 && !request->evidence.request_complete);
    cr_expect_str_eq(request->evidence.http, "");
    cr_expect_str_eq(request->evidence.tls, "");
    cr_expect_neq(request->evidence.peer[0], '\0');
    cr_expect_eq(request->evidence.tls_us, 0);
    stop();
}

/* The connection of a repeat has the whole time to connect, within the time of the attempt. */
Test(http_2, late_refusal_leaves_time_to_connect)
{
    start((const char *const[]){"refuse=1", "refuse_delay=1.2", "handshake_delay=0.2", NULL});
    struct exchange *exchange = next_exchange();
    exchange->request.connect_timeout_us = US_PER_SECOND;
    bench_send(&bench, exchange, NAME, server.port);
    bench_run(&bench);
    expect_all_ok(0);
    cr_expect_eq(exchange->request.unprocessed_sends, 1);
    stop();
}

/* Each send is refused after 0.4 s, so an attempt of 1 s has time for two refusals, on a slow
 * machine for fewer. The last send ends with the attempt: in its handshake or in its wait for the
 * answer. */
Test(http_2, repeats_end_with_the_time_of_the_attempt)
{
    start((const char *const[]){"refuse=1000", "refuse_delay=0.4", NULL});
    struct exchange *exchange = next_exchange();
    exchange->request.answer_timeout_us = US_PER_SECOND;
    bench_send(&bench, exchange, NAME, server.port);
    bench_run(&bench);
    const struct client_request *request = &exchange->request;
    cr_expect(request->end.error == ERR_ANSWER_TIMEOUT || request->end.error == ERR_CONNECT_TIMEOUT,
        "%s", err_name(request->end.error));
    cr_expect(request->unprocessed_sends == 1 || request->unprocessed_sends == 2, "%u",
        request->unprocessed_sends);
    stop();
}

Test(http_2, lost_connection_ends_its_requests_only)
{
    start((const char *const[]){"drop=10", "drops=1", "delay=0.02", NULL});
    send_many(10, false);
    bench_run(&bench);
    for (unsigned i = 0; i < count; i++) {
        const struct client_request *request = &exchanges[i].request;
        cr_expect(request->end.error == ERR_ANSWER_LOST && request->sends == 1, "%u: %s", i,
            err_name(request->end.error));
        cr_expect_not(request->evidence.warm, "nothing was answered on it");
    }
    send_many(10, false);
    bench_run(&bench);
    expect_all_ok(10);
    bench_run_until(&bench, &server.handled, 20);
    cr_expect_eq(server.connections, 2, "%u", server.connections);
    stop();
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The body does not fit into the peer's window: it is not sent, and nothing spins. */
Test(http_2, window_of_zero_ends_with_a_timeout)
{
    start((const char *const[]){"window_after=1", NULL});
    send_many(1, false);
    bench_run(&bench);
    expect_all_ok(0);
    double before = cpu_seconds();
    for (unsigned i = 0; i < 3; i++) {
        struct exchange *exchange = next_exchange();
        exchange->request.answer_timeout_us = US_PER_SECOND;
        bench_send(&bench, exchange, NAME, server.port);
    }
    bench_run(&bench);
    for (unsigned i = 1; i < count; i++) {
        const struct client_request *request = &exchanges[i].request;
        cr_expect_eq(request->end.error, ERR_ANSWER_TIMEOUT, "%s", err_name(request->end.error));
        cr_expect_not(request->evidence.request_complete);
    }
    cr_expect_lt(cpu_seconds() - before, 0.3, "%f s of CPU", cpu_seconds() - before);
    h2_server_settle(&server);
    cr_expect_eq(server.handled, 1);
    send_many(1, false);
    bench_run(&bench);
    expect_all_ok(4);
    bench_run_until(&bench, &server.handled, 2);
    cr_expect_eq(server.connections, 2, "the silent one is not used again");
    stop();
}

Test(http_2, body_larger_than_the_window_is_cut_and_evident)
{
    static char body[200 * 1024];
    memset(body, 'x', sizeof body);
    start((const char *const[]){"updates=0", NULL});
    struct exchange *exchange = next_exchange();
    exchange->request.once = true;
    exchange->request.body = slice_of(body, sizeof body);
    exchange->request.answer_timeout_us = US_PER_SECOND;
    double before = cpu_seconds();
    bench_send(&bench, exchange, NAME, server.port);
    bench_run(&bench);
    const struct client_request *request = &exchange->request;
    cr_expect_eq(request->end.error, ERR_ANSWER_TIMEOUT, "%s", err_name(request->end.error));
    cr_expect_not(request->evidence.request_complete);
    cr_expect(
        request->evidence.request_bytes > 1000 && request->evidence.request_bytes < sizeof body,
        "%u", request->evidence.request_bytes);
    cr_expect_lt(cpu_seconds() - before, 0.3, "%f s of CPU", cpu_seconds() - before);
    stop();
}

Test(http_2, connection_that_answers_nothing_is_not_used_again)
{
    start((const char *const[]){"silent=1", NULL});
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < 5; i++) {
            struct exchange *exchange = next_exchange();
            exchange->request.answer_timeout_us = 300 * US_PER_MS;
            bench_send(&bench, exchange, NAME, server.port);
        }
        bench_run(&bench);
        h2_server_settle(&server);
        cr_expect_eq(server.connections, round, "%u", server.connections);
    }
    for (unsigned i = 0; i < count; i++)
        cr_expect(exchanges[i].request.end.error == ERR_ANSWER_TIMEOUT &&
                  exchanges[i].request.evidence.request_complete);
    stop();
}

Test(http_2, slow_answers_do_not_close_the_connection)
{
    start((const char *const[]){"delay=1.5", NULL});
    send_many(3, false);
    struct exchange *impatient = next_exchange();
    impatient->request.answer_timeout_us = 500 * US_PER_MS;
    bench_send(&bench, impatient, NAME, server.port);
    bench_run(&bench);
    cr_expect_eq(count_status(0, 200), 3);
    cr_expect_eq(impatient->request.end.error, ERR_ANSWER_TIMEOUT);
    stop();
}

Test(http_2, requests_of_different_settings_share_nothing)
{
    static const struct client_tls settings[] = {{.id = 1}, {.id = 2}};
    start((const char *const[]){"delay=0.05", NULL});
    for (unsigned i = 0; i < 9; i++) {
        struct exchange *exchange = next_exchange();
        exchange->request.tls = i % 3 ? &settings[i % 3 - 1] : NULL;
        bench_send(&bench, exchange, NAME, server.port);
    }
    bench_run(&bench);
    expect_all_ok(0);
    bench_run_until(&bench, &server.handled, count);
    cr_expect_eq(server.connections, 3, "%u", server.connections);
    stop();
}

Test(http_2, waiting_requests_fail_when_the_peer_refuses_connections)
{
    start(NULL);
    siginfo_t info;
    kill(server.pid, SIGKILL);
    cr_assert(
        waitid(P_PID, (id_t)server.pid, &info, WEXITED | WNOWAIT) == 0); /* it accepts until then */
    send_many(10, false);
    int64_t before_us = clock_mono_us();
    bench_run(&bench);
    for (unsigned i = 0; i < count; i++)
        cr_expect(exchanges[i].request.end.error == ERR_CONNECT && exchanges[i].request.sends == 0,
            "%s", err_name(exchanges[i].request.end.error));
    cr_expect_lt(clock_mono_us() - before_us, 2 * US_PER_SECOND);
    stop();
}

Test(http_2, waiting_requests_time_out_while_a_connection_hangs)
{
    int dead[4];
    start(NULL);
    dead_end_open("127.0.0.2", server.port, dead);
    dns.addresses = (const char *const[]){"127.0.0.2"};
    for (unsigned i = 0; i < 5; i++) {
        struct exchange *exchange = next_exchange();
        exchange->request.connect_timeout_us = 500 * US_PER_MS;
        bench_send(&bench, exchange, NAME, server.port);
    }
    bench_run(&bench);
    for (unsigned i = 0; i < count; i++)
        cr_expect(exchanges[i].request.end.error == ERR_CONNECT_TIMEOUT &&
                      exchanges[i].request.duration_us < US_PER_SECOND,
            "%s %lld", err_name(exchanges[i].request.end.error),
            (long long)exchanges[i].request.duration_us);
    dead_end_close(dead);
    stop();
}

Test(http_2, one_silent_address_is_not_waited_for)
{
    for (int once = 0; once < 2; once++) {
        int dead[4];
        unsigned first = count;
        start(NULL);
        dns.addresses_count = 2;
        dns.addresses = (const char *const[]){"127.0.0.2", "127.0.0.1"};
        dead_end_open("127.0.0.2", server.port, dead);
        send_many(5, once);
        bench_run(&bench);
        expect_all_ok(first);
        for (unsigned i = first; i < count; i++)
            cr_expect_lt(exchanges[i].request.duration_us, 3 * US_PER_SECOND, "%lld us",
                (long long)exchanges[i].request.duration_us);
        dead_end_close(dead);
        stop();
    }
}

Test(http_2, free_cancels_waiting_and_sent_requests)
{
    start((const char *const[]){"silent=1", NULL});
    send_many(3, false);
    bench_run_until(&bench, &server.handled, 3);
    send_many(2, false);
    client_free(TAKE(bench.client));
    for (unsigned i = 0; i < count; i++)
        cr_expect(exchanges[i].done == 1 && exchanges[i].request.end.error == ERR_CANCELLED);
    stop();
}
