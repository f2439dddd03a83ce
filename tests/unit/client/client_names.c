/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to names, with a DNS server that belongs to the test. */
#include "unit/client/fixture.h"

#include "base/clock.h"
#include "client/resolver.h"
#include "runtime/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME "http://sink.test"
#define DNS(...)      \
    dns_server_start( \
        &dns, (const char *const[]){__VA_ARGS__}, ARRAY_LENGTH(((const char *[]){__VA_ARGS__})))

static struct server server;
static struct dns_server dns;
static struct bench bench;
static struct exchange first, second;

static const struct reply ok_empty = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", THEN_KEEP};

static void start(const char *allowed, const struct reply *replies, unsigned count)
{
    server_start(&server, replies, count);
    bench_start(&bench, allowed, &dns);
    exchange_init(&first);
    exchange_init(&second);
}

static void stop(void)
{
    bench_stop(&bench);
    server_stop(&server);
    dns_server_stop(&dns);
}

static void expect_end(const struct exchange *exchange, int status, enum err error)
{
    cr_expect_eq(exchange->done, 1, "on_done was called %u times", exchange->done);
    cr_expect_eq(exchange->request.end.http_status, status, "status is %d",
        exchange->request.end.http_status);
    cr_expect_eq(
        exchange->request.end.error, error, "error is %s", err_name(exchange->request.end.error));
}

Test(client_names, name_is_resolved_and_cached)
{
    DNS("127.0.0.1");
    start("127.0.0.0/8", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 200, OK);
    bench_exchange(&bench, &second, "http://SINK.test", server.port);
    expect_end(&second, 200, OK);
    cr_expect(strstr(server.last_request, "\r\nHost: ") != NULL);
    cr_expect_eq(dns.queries, 2, "A and AAAA, once: %u", dns.queries);
    cr_expect_eq(server.connections, 1);
    stop();
}

Test(client_names, requests_for_one_name_share_a_look_up)
{
    DNS("127.0.0.1");
    start("127.0.0.0/8", &ok_empty, 1);
    struct exchange exchanges[8];
    for (size_t i = 0; i < ARRAY_LENGTH(exchanges); i++) {
        exchange_init(&exchanges[i]);
        bench_send(&bench, &exchanges[i], NAME, server.port);
    }
    bench_run(&bench);
    for (size_t i = 0; i < ARRAY_LENGTH(exchanges); i++)
        expect_end(&exchanges[i], 200, OK);
    cr_expect_eq(dns.queries, 2, "%u", dns.queries);
    stop();
}

Test(client_names, name_with_a_rejected_address_is_rejected)
{
    DNS("127.0.0.1", "169.254.169.254");
    start("", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 0, ERR_ADDRESS_REFUSED);
    bench_exchange(&bench, &second, NAME, server.port); /* from the cache */
    expect_end(&second, 0, ERR_ADDRESS_REFUSED);
    cr_expect_eq(server.connections, 0);
    stop();
}

Test(client_names, address_that_refuses_is_skipped_at_once)
{
    DNS("127.0.0.4", "127.0.0.3", "127.0.0.1", "127.0.0.2");
    start("127.0.0.0/8", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 200, OK);
    cr_expect_lt(first.request.duration_us, first.request.connect_timeout_us / 4);
    stop();
}

Test(client_names, request_fails_at_once_when_all_addresses_refuse)
{
    DNS("127.0.0.4", "127.0.0.3", "127.0.0.2");
    start("127.0.0.0/8", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 0, ERR_CONNECT);
    cr_expect_eq(first.request.evidence.cause, CAUSE_CONNECT_REFUSED);
    cr_expect_lt(first.request.duration_us, first.request.connect_timeout_us / 4);
    stop();
}

Test(client_names, unknown_name_ends_with_name_lookup)
{
    dns_server_start(&dns, (const char *const[]){NULL}, 0);
    start("127.0.0.0/8", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 0, ERR_NAME_LOOKUP);
    cr_expect_eq(first.request.evidence.cause, CAUSE_DNS_NO_NAME);
    cr_expect(!first.request.end.request_begun);
    unsigned queries = dns.queries;
    bench_exchange(&bench, &second, NAME, server.port);
    expect_end(&second, 0, ERR_NAME_LOOKUP);
    cr_expect_eq(dns.queries, queries, "the answer was not remembered");
    stop();
}

Test(client_names, dead_dns_server_does_not_delay_other_requests)
{
    dns_server_start(&dns, NULL, 0);
    start("127.0.0.0/8", &ok_empty, 1);
    first.request.connect_timeout_us = 800 * US_PER_MS;
    bench_send(&bench, &first, NAME, server.port);
    struct exchange others[10];
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        exchange_init(&others[i]);
        bench_send(&bench, &others[i], "http://127.0.0.1", server.port);
    }
    bench_run(&bench);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        expect_end(&others[i], 200, OK);
        cr_expect_lt(others[i].order, first.order);
    }
    expect_end(&first, 0, ERR_SHORTAGE); /* the server answers nothing at all */
    cr_expect_str_eq(first.request.shortage, "name servers that answer");
    cr_expect(first.request.duration_us >= 800 * US_PER_MS &&
                  first.request.duration_us < 3000 * US_PER_MS,
        "%lld us", (long long)first.request.duration_us);
    stop();
}

Test(client_names, look_up_at_a_dead_dns_server_times_out)
{
    dns_server_start(&dns, NULL, 0);
    start("127.0.0.0/8", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 0, ERR_SHORTAGE); /* the server answers nothing at all */
    cr_expect_str_eq(first.request.shortage, "name servers that answer");
    cr_expect_lt(first.request.duration_us, 10 * US_PER_SECOND);
    stop();
}

/* The name servers answer, but not for this name: the name is the problem. */
Test(client_names, unanswered_name_is_distinguished_from_dead_name_servers)
{
    dns_server_start(&dns, NULL, 0);
    dns.knows_root = true;
    start("127.0.0.0/8", &ok_empty, 1);
    first.request.connect_timeout_us = US_PER_SECOND;
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 0, ERR_NAME_LOOKUP);
    bench_exchange(&bench, &second, "http://nowhere.invalid", server.port);
    expect_end(&second, 0, ERR_NAME_LOOKUP);
    cr_expect_eq(second.request.evidence.cause, CAUSE_DNS_NO_NAME);
    cr_expect_lt(second.request.duration_us, US_PER_SECOND, "names in .invalid are not asked for");
    stop();
}

Test(client_names, localhost_is_resolved_without_dns)
{
    dns_server_start(&dns, NULL, 0);
    start("127.0.0.0/8,::1", &ok_empty, 1);
    bench_exchange(&bench, &first, "http://localhost", server.port);
    expect_end(&first, 200, OK);
    cr_expect_eq(dns.queries, 0);
    stop();
}

Test(client_names, fresh_connection_uses_the_pinned_address)
{
    DNS("127.0.0.1");
    start("127.0.0.0/8", &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    second.request.fresh = true;
    bench_exchange(&bench, &second, NAME, server.port);
    expect_end(&second, 200, OK);
    cr_expect_eq(server.connections, 2);
    stop();
}

/* Otherwise kept connections would lead to the old address as long as they are used. */
Test(client_names, moved_client_is_followed_when_the_answer_expires)
{
    DNS("127.0.0.1");
    dns.ttl_s = 1; /* but kept for five seconds */
    start("127.0.0.0/8", &ok_empty, 1);
    static struct server other;
    server_start_at(&other, "127.0.0.2", server.port, &ok_empty, 1);
    bench_exchange(&bench, &first, NAME, server.port);
    int64_t known_us = clock_mono_us();
    dns.addresses = (const char *const[]){"127.0.0.2"};
    unsigned sent = 1;
    while (other.requests == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL);
        exchange_init(&second);
        bench_exchange(&bench, &second, NAME, server.port);
        expect_end(&second, 200, OK);
        sent++;
        cr_assert_lt(
            clock_mono_us() - known_us, 9 * US_PER_SECOND, "it still goes to the old address");
    }
    cr_expect_geq(clock_mono_us() - known_us, 4 * US_PER_SECOND, "the answer was not kept");
    cr_expect_eq(server.requests + other.requests, sent);
    unsigned before = server.requests;
    exchange_init(&second);
    bench_exchange(&bench, &second, NAME, server.port);
    expect_end(&second, 200, OK);
    cr_expect(server.requests == before && other.requests == 2 && other.connections == 1);
    server_stop(&other);
    stop();
}

Test(client_names, silent_address_is_skipped_and_put_last)
{
    DNS("127.0.0.2", "127.0.0.3", "127.0.0.1");
    start("127.0.0.0/8", &ok_empty, 1);
    int dead[2][4];
    dead_end_open("127.0.0.2", server.port, dead[0]);
    dead_end_open("127.0.0.3", server.port, dead[1]);
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 200, OK);
    cr_expect(first.request.duration_us > US_PER_SECOND &&
                  first.request.duration_us < 5 * US_PER_SECOND / 2,
        "%lld us for two dead ones", (long long)first.request.duration_us);
    cr_expect(first.request.evidence.connect_us > US_PER_SECOND, "they belong to the connection");
    cr_expect(strncmp(first.request.evidence.peer, "127.0.0.1:", strlen("127.0.0.1:")) == 0, "%s",
        first.request.evidence.peer);
    second.request.fresh = true;
    bench_exchange(&bench, &second, NAME, server.port);
    expect_end(&second, 200, OK);
    cr_expect_lt(
        second.request.duration_us, US_PER_SECOND / 2, "the dead ones are asked first again");
    dead_end_close(dead[0]);
    dead_end_close(dead[1]);
    stop();
}

Test(client_names, one_silent_address_is_not_waited_for)
{
    for (int once = 0; once < 2; once++) {
        DNS("127.0.0.2", "127.0.0.1");
        start("127.0.0.0/8", &ok_empty, 1);
        int dead[4];
        dead_end_open("127.0.0.2", server.port, dead);
        first.request.once = once;
        bench_exchange(&bench, &first, NAME, server.port);
        expect_end(&first, 200, OK);
        cr_expect_eq(first.request.sends, 1);
        cr_expect_lt(first.request.duration_us, 3 * US_PER_SECOND, "%lld us",
            (long long)first.request.duration_us);
        dead_end_close(dead);
        stop();
    }
}

/* The name is fast, so an address that does not answer is given up sooner. It stays last when the
 * answer expires. */
Test(client_names, address_that_becomes_silent_costs_a_quarter_of_a_second_once)
{
    DNS("127.0.0.2", "127.0.0.1");
    dns.ttl_s = 1; /* but kept for five seconds */
    start("127.0.0.0/8", &ok_empty, 1);
    static struct server other;
    server_start_at(&other, "127.0.0.2", server.port, &ok_empty, 1);
    first.request.once = true;
    bench_exchange(&bench, &first, NAME, server.port);
    expect_end(&first, 200, OK);
    server_stop(&other);
    int dead[4];
    dead_end_open("127.0.0.2", server.port, dead);
    second.request.once = true;
    bench_exchange(&bench, &second, NAME, server.port);
    expect_end(&second, 200, OK);
    cr_expect_geq(second.request.duration_us, ADDRESS_US_MIN);
    unsigned queries = dns.queries, asked = 0, waited = 0;
    while (dns.queries == queries) { /* until the answer has expired */
        nanosleep(&(struct timespec){.tv_nsec = 200 * 1000000L}, NULL);
        exchange_init(&second);
        second.request.once = true;
        bench_exchange(&bench, &second, NAME, server.port);
        expect_end(&second, 200, OK);
        asked++;
        waited += second.request.duration_us >= ADDRESS_US_MIN; /* on a slow machine, some do */
    }
    cr_expect_lt(waited * 2, asked, "it is asked first again");
    dead_end_close(dead);
    stop();
}

Test(client_names, name_without_an_answer_does_not_delay_other_names)
{
    DNS("127.0.0.1");
    dns.silent_name = "dead";
    start("127.0.0.0/8", &ok_empty, 1);
    first.request.connect_timeout_us = 2 * US_PER_SECOND;
    bench_send(&bench, &first, "http://dead.test", server.port);
    struct exchange others[5];
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        char host[32];
        exchange_init(&others[i]);
        snprintf(host, sizeof host, "http://alive%zu.test", i);
        bench_send(&bench, &others[i], host, server.port);
    }
    bench_run(&bench);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        expect_end(&others[i], 200, OK);
        cr_expect_lt(others[i].request.duration_us, US_PER_SECOND, "%lld us",
            (long long)others[i].request.duration_us);
        cr_expect_gt(others[i].request.evidence.dns_us, 0);
    }
    expect_end(&first, 0, ERR_NAME_LOOKUP);
    stop();
}

Test(client_names, one_handle_is_used_for_several_hosts)
{
    DNS("127.0.0.1");
    start("127.0.0.0/8", &ok_empty, 1);
    static const char *const hosts[] = {
        NAME, "http://other.test", "http://127.0.0.1", NAME, "http://third.test"};
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        exchange_init(&first);
        first.request.once = true; /* a new connection, and so the pin, for each */
        bench_exchange(&bench, &first, hosts[i], server.port);
        expect_end(&first, 200, OK);
    }
    cr_expect_eq(server.connections, ARRAY_LENGTH(hosts));
    stop();
}

Test(client_names, free_cancels_requests_that_wait_for_a_name)
{
    dns_server_start(&dns, NULL, 0);
    start("127.0.0.0/8", &ok_empty, 1);
    bench_send(&bench, &first, NAME, server.port);
    bench_run_until(&bench, &dns.queries, 1);
    bench_send(&bench, &second, NAME, server.port);
    client_free(TAKE(bench.client));
    expect_end(&first, 0, ERR_CANCELLED);
    expect_end(&second, 0, ERR_CANCELLED);
    stop();
}

Test(client_names, malformed_list_of_servers_is_rejected)
{
    DNS("127.0.0.1");
    start("", &ok_empty, 1);
    struct client *client = NULL;
    bench.options.dns_servers = "not a server";
    cr_expect_eq(client_new(&bench.loop, &bench.options, &client), ERR_CONFIG);
    cr_expect_null(client);
    stop();
}
