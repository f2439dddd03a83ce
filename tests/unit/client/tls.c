/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint's own CA and certificate, and what the evidence says when TLS fails. */
#include "client/tls.h"

#include "base/clock.h"
#include "unit/client/fixture.h"
#include "unit/client/h2_server.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME "https://sink.test"
#define BODY "{\"a\":1}"

static struct dns_server dns;
static struct bench bench;
static struct tls_server server;
static struct exchange exchange;
static struct client_tls tls;
static struct identity ca, other_ca, of_server, of_client;

static const struct slice ok_empty = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38};

static void make_identities(void)
{
    identity_make(&ca, &(struct identity_options){.common_name = "test ca", .is_ca = true});
    identity_make(&other_ca, &(struct identity_options){.common_name = "other ca", .is_ca = true});
    identity_make(
        &of_server, &(struct identity_options){
                        .common_name = "sink.test", .dns_name = "sink.test", .issuer = &ca});
    identity_make(&of_client, &(struct identity_options){.common_name = "penstock", .issuer = &ca});
}

static void start_client(void)
{
    static const char *const loopback[] = {"127.0.0.1"};
    dns_server_start(&dns, loopback, 1);
    bench_start(&bench, "127.0.0.0/8", &dns);
    exchange_init(&exchange);
    tls = (struct client_tls){.ca_pem = ca.certificate_pem, .id = 1};
    exchange.request.tls = &tls;
}

/* Criterion runs each test in a process of its own. */
static void start(const struct identity *identity, const char *const *arguments)
{
    tls_server_start_as(&server, identity, arguments, BODY, ok_empty);
    start_client();
}

static void stop(void)
{
    bench_stop(&bench);
    tls_server_stop(&server);
    dns_server_stop(&dns);
}

static void expect_success(void)
{
    const struct client_request *request = &exchange.request;
    cr_expect_eq(request->end.http_status, 200, "%d %s: %s", request->end.http_status,
        err_name(request->end.error), request->evidence.tls_problem);
    cr_expect_str_eq(request->evidence.tls_problem, "");
}

/* The cause that belongs to a problem. */
static enum attempt_cause cause_of(const char *problem)
{
    static const struct {
        const char *part;
        enum attempt_cause cause;
    } causes[] = {{"unable to get local issuer", CAUSE_TLS_UNKNOWN_CA},
        {"self-signed certificate", CAUSE_TLS_SELF_SIGNED}, {"has expired", CAUSE_TLS_EXPIRED},
        {"not yet valid", CAUSE_TLS_NOT_YET_VALID}, {"for another name", CAUSE_TLS_WRONG_NAME},
        {"no alternative name", CAUSE_TLS_NO_NAME}, {"wrong version number", CAUSE_TLS_NOT_TLS},
        {"protocol", CAUSE_TLS_VERSION}, {"handshake failure", CAUSE_TLS_FAILED},
        {"certificate required", CAUSE_TLS_OUR_CERTIFICATE},
        {"unknown ca", CAUSE_TLS_OUR_CERTIFICATE},
        {"CA certificates cannot be read", CAUSE_TLS_OUR_SETTINGS},
        {"our certificate cannot be used", CAUSE_TLS_OUR_SETTINGS}};
    for (size_t i = 0; i < ARRAY_LENGTH(causes); i++)
        if (strstr(problem, causes[i].part))
            return causes[i].cause;
    cr_assert_fail("no cause for: %s", problem);
    return CAUSE_OTHER;
}

static void expect_problem(const char *problem)
{
    const struct client_request *request = &exchange.request;
    cr_expect_str_eq(attempt_cause_code(request->evidence.cause),
        attempt_cause_code(cause_of(problem)), "%s: %s", problem,
        attempt_cause_code(request->evidence.cause));
    cr_expect_eq(request->end.error, ERR_TLS, "%s: %s", problem, err_name(request->end.error));
    cr_expect_not(request->end.request_begun);
    cr_expect(strstr(request->evidence.tls_problem, problem) != NULL, "\"%s\" is not in \"%s\"",
        problem, request->evidence.tls_problem);
    char peer[EVIDENCE_PEER_BYTES];
    snprintf(peer, sizeof peer, "127.0.0.1:%u", server.port);
    cr_expect_str_eq(request->evidence.peer, peer, "%s", request->evidence.peer);
    cr_expect(
        request->evidence.connect_us > 0 && request->evidence.connect_us <= request->duration_us,
        "%s: %u us of %lld", problem, request->evidence.connect_us,
        (long long)request->duration_us);
}

static void try_certificate(const struct identity_options *options, const char *problem)
{
    struct identity identity;
    identity_make(&identity, options);
    start(&identity, NULL);
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem(problem);
    cr_expect_eq(server.bodies, 0);
    stop();
}

/* "2026-11-03", so many days from now. */
static const char *day(int days)
{
    static char text[sizeof "2026-11-03"];
    time_t then = time(NULL) + days * (time_t)86400;
    struct tm parts;
    gmtime_r(&then, &parts);
    strftime(text, sizeof text, "%Y-%m-%d", &parts);
    return text;
}

Test(tls, problem_names_the_certificate)
{
    make_identities();
    char expected[128];
    try_certificate(
        &(struct identity_options){
            .common_name = "sink.test", .dns_name = "sink.test", .issuer = &other_ca},
        "unable to get local issuer certificate (CN=sink.test)");
    try_certificate(&(struct identity_options){.common_name = "sink.test", .dns_name = "sink.test"},
        "self-signed certificate (CN=sink.test)");
    snprintf(expected, sizeof expected, "certificate has expired (CN=sink.test, %s)", day(-1));
    try_certificate(&(struct identity_options){.common_name = "sink.test",
                        .dns_name = "sink.test",
                        .issuer = &ca,
                        .begins_days = -10,
                        .ends_days = -1},
        expected);
    snprintf(expected, sizeof expected, "certificate is not yet valid (CN=sink.test, %s)", day(2));
    try_certificate(&(struct identity_options){.common_name = "sink.test",
                        .dns_name = "sink.test",
                        .issuer = &ca,
                        .begins_days = 2,
                        .ends_days = 10},
        expected);
    try_certificate(
        &(struct identity_options){
            .common_name = "wrong.test", .dns_name = "wrong.test", .issuer = &ca},
        "certificate is for another name (CN=wrong.test)");
    try_certificate(&(struct identity_options){.dns_name = "wrong.test", .issuer = &ca},
        "certificate is for another name (DNS:wrong.test)");
}

Test(tls, common_name_is_not_a_name)
{
    make_identities();
    try_certificate(&(struct identity_options){.common_name = "sink.test", .issuer = &ca},
        "certificate has no alternative name (SAN) (CN=sink.test)");
    try_certificate(
        &(struct identity_options){
            .common_name = "sink.test", .other_name = "email:a@sink.test", .issuer = &ca},
        "certificate has no alternative name (SAN) (CN=sink.test)");
    try_certificate(
        &(struct identity_options){
            .common_name = "sink.test", .other_name = "IP:127.0.0.1", .issuer = &ca},
        "certificate is for another name (CN=sink.test)");
    try_certificate(&(struct identity_options){.issuer = &ca},
        "certificate has no alternative name (SAN) (without a name)");
}

Test(tls, name_of_a_certificate_is_cut_and_printable)
{
    make_identities();
    try_certificate(
        &(struct identity_options){
            .common_name = "a\n\x1b[31m long name that has sixty-four bytes or fewer",
            .issuer = &other_ca},
        "unable to get local issuer certificate (CN=a??[31m long name that has sixty-four");
}

Test(tls, problem_names_the_protocol)
{
    make_identities();
    start(&of_server, (const char *const[]){"-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", NULL});
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem("protocol");
    stop();

    static struct server plain;
    start(&of_server, NULL);
    server_start(&plain, &(struct reply){"HTTP/1.1 400 Bad Request\r\n\r\n", THEN_CLOSE}, 1);
    plain.greets = true;
    unsigned port = server.port;
    server.port = plain.port;
    bench_exchange(&bench, &exchange, NAME, plain.port);
    expect_problem("wrong version number");
    server.port = port;
    server_stop(&plain);
    stop();
}

Test(tls, own_ca_replaces_the_clients)
{
    make_identities();
    start(&of_server, NULL);
    exchange.request.once = true; /* the server serves one connection at a time */
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_success();
    exchange_init(&exchange);
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem("unable to get local issuer certificate");
    exchange_init(&exchange);
    tls = (struct client_tls){.ca_pem = other_ca.certificate_pem, .id = 2};
    exchange.request.tls = &tls;
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem("unable to get local issuer certificate");
    stop();
}

static char ca_path[64];

static void start_asking(const char *version)
{
    strcpy(ca_path, "/tmp/penstock-unit-ca-XXXXXX");
    int fd = mkstemp(ca_path);
    cr_assert(fd >= 0);
    close(fd);
    identity_write(ca.certificate_pem, ca_path);
    start(&of_server, (const char *const[]){"-Verify", "1", "-verify_return_error", "-CAfile",
                          ca_path, version, NULL});
}

static void stop_asking(void)
{
    stop();
    unlink(ca_path);
}

static void use_certificate(const struct identity *identity, uint64_t id)
{
    exchange_init(&exchange);
    tls = (struct client_tls){.ca_pem = ca.certificate_pem,
        .certificate_pem = identity->certificate_pem,
        .key_pem = identity->key_pem,
        .id = id};
    exchange.request.tls = &tls;
}

Test(tls, certificate_is_sent_when_the_peer_asks)
{
    static const char *const versions[] = {"-tls1_2", "-tls1_3"};
    make_identities();
    for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
        start_asking(versions[i]);
        use_certificate(&of_client, 7);
        bench_exchange(&bench, &exchange, NAME, server.port);
        expect_success();
        cr_expect_str_eq(exchange.request.evidence.tls, i ? "TLSv1.3" : "TLSv1.2");
        stop_asking();
    }
}

/* With TLS 1.3 the request is sent before the peer rejects the handshake. It is not ambiguous. */
Test(tls, rejected_certificate_is_named_and_nothing_is_ambiguous)
{
    static const struct {
        const char *version, *without, *unknown;
    } cases[] = {
        {"-tls1_2", "handshake failure", "unknown ca"},
        {"-tls1_3", "certificate required", "unknown ca"},
    };
    make_identities();
    struct identity unknown;
    identity_make(
        &unknown, &(struct identity_options){.common_name = "penstock", .issuer = &other_ca});
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(cases); i++) {
        start_asking(cases[i / 2].version);
        exchange.request.once = i % 2;
        bench_exchange(&bench, &exchange, NAME, server.port);
        expect_problem(cases[i / 2].without);
        stop_asking();
        start_asking(cases[i / 2].version);
        use_certificate(&unknown, 8);
        exchange.request.once = i % 2;
        bench_exchange(&bench, &exchange, NAME, server.port);
        expect_problem(cases[i / 2].unknown);
        cr_expect_eq(server.bodies, 0);
        stop_asking();
    }
}

Test(tls, settings_that_cannot_be_used_are_the_endpoints_fault)
{
    make_identities();
    start(&of_server, NULL);
    tls = (struct client_tls){.ca_pem = "no PEM", .id = 1};
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem("CA certificates cannot be read");
    use_certificate(&of_client, 2);
    tls.certificate_pem = "no PEM";
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem("our certificate cannot be used: ");
    use_certificate(&of_client, 3);
    tls.key_pem = other_ca.key_pem; /* of another certificate */
    bench_exchange(&bench, &exchange, NAME, server.port);
    expect_problem("our certificate cannot be used: ");
    stop();
}

static void expect_connections(
    struct h2_server *h2, const struct client_tls *settings, const char *host, unsigned count)
{
    char id[32];
    static unsigned number;
    exchange_init(&exchange);
    exchange.request.tls = settings;
    snprintf(id, sizeof id, "webhook-id: %u", ++number);
    exchange.request.headers[1] = id;
    bench_exchange(&bench, &exchange, host, h2->port);
    expect_success();
    bench_run_until(&bench, &h2->handled, number);
    cr_expect_eq(h2->connections, count, "%u connections for %u", h2->connections, count);
}

Test(tls, connections_are_shared_only_with_the_same_settings)
{
    static struct h2_server h2;
    make_identities();
    h2_server_start(&h2, (const char *const[]){"alpn=http/1.1", NULL});
    start_client();
    client_free(bench.client);
    bench.options.ca_file = h2.certificate;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
    struct client_tls first = {.id = 1}, second = first;
    second.id = 2;
    expect_connections(&h2, NULL, NAME, 1);
    expect_connections(&h2, &first, NAME, 2);
    expect_connections(&h2, &first, NAME, 2);
    expect_connections(&h2, &second, NAME, 3);
    expect_connections(&h2, NULL, NAME, 3);
    expect_connections(&h2, &first, NAME, 3);
    bench_stop(&bench);
    h2_server_stop(&h2);
    dns_server_stop(&dns);
}

Test(tls, addresses_in_urls_have_settings_as_well)
{
    struct identity identity;
    make_identities();
    identity_make(
        &identity, &(struct identity_options){.other_name = "IP:127.0.0.1", .issuer = &ca});
    start(&identity, NULL);
    bench_exchange(&bench, &exchange, "https://127.0.0.1", server.port);
    expect_success();
    stop();
}

Test(tls, steps_have_durations_on_a_new_connection_only)
{
    static struct h2_server h2;
    h2_server_start(&h2, (const char *const[]){"alpn=http/1.1", "delay=0.05", NULL});
    start_client();
    client_free(bench.client);
    bench.options.ca_file = h2.certificate;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
    exchange.request.tls = NULL;
    bench_exchange(&bench, &exchange, NAME, h2.port);
    const struct attempt_evidence *evidence = &exchange.request.evidence;
    expect_success();
    cr_expect(evidence->dns_us > 0 && evidence->connect_us > 0 && evidence->tls_us > 0, "%u %u %u",
        evidence->dns_us, evidence->connect_us, evidence->tls_us);
    cr_expect(evidence->first_byte_us >= 50 * US_PER_MS, "%u", evidence->first_byte_us);
    cr_expect_leq(
        evidence->dns_us + evidence->connect_us + evidence->tls_us + evidence->first_byte_us,
        exchange.request.duration_us);
    cr_expect_str_eq(evidence->http, "1.1");
    exchange_init(&exchange);
    bench_exchange(&bench, &exchange, NAME, h2.port);
    expect_success();
    cr_expect(evidence->warm && evidence->dns_us == 0 && evidence->connect_us == 0 &&
              evidence->tls_us == 0 && evidence->first_byte_us >= 50 * US_PER_MS);
    cr_expect_str_eq(evidence->tls, "TLSv1.3");
    char peer[EVIDENCE_PEER_BYTES];
    snprintf(peer, sizeof peer, "127.0.0.1:%u", h2.port);
    cr_expect_str_eq(evidence->peer, peer, "%s", evidence->peer);
    bench_stop(&bench);
    h2_server_stop(&h2);
    dns_server_stop(&dns);
}

/* A server that accepts a connection and sends nothing. */
Test(tls, handshake_that_does_not_end_has_the_time_of_its_connection)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    cr_assert(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 8) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    make_identities();
    start_client();
    exchange.request.connect_timeout_us = 300 * US_PER_MS;
    bench_exchange(&bench, &exchange, NAME, ntohs(address.sin_port));
    const struct client_request *request = &exchange.request;
    cr_expect_eq(request->end.error, ERR_CONNECT_TIMEOUT, "%s", err_name(request->end.error));
    cr_expect(request->evidence.connect_us > 0 && request->evidence.connect_us < 150 * US_PER_MS,
        "%u", request->evidence.connect_us);
    cr_expect_eq(request->evidence.tls_us, 0);
    bench_stop(&bench);
    dns_server_stop(&dns);
    close(fd);
}

/* Its address has accepted the connection: the other one is not tried. */
Test(tls, slow_handshake_does_not_make_its_address_silent)
{
    static struct h2_server h2;
    h2_server_start(&h2, (const char *const[]){"alpn=http/1.1", "handshake_delay=1.2", NULL});
    start_client();
    dns.addresses_count = 2;
    dns.addresses = (const char *const[]){"127.0.0.1", "127.0.0.2"};
    client_free(bench.client);
    bench.options.ca_file = h2.certificate;
    cr_assert(client_new(&bench.loop, &bench.options, &bench.client) == OK);
    for (unsigned i = 1; i <= 2; i++) { /* the second handshake is slow */
        exchange_init(&exchange);
        exchange.request.once = true;
        bench_exchange(&bench, &exchange, NAME, h2.port);
        expect_success();
        h2_server_settle(&h2);
        cr_expect_eq(h2.connections, i, "%u connections", h2.connections);
    }
    cr_expect_geq(
        exchange.request.evidence.tls_us, US_PER_SECOND, "%u", exchange.request.evidence.tls_us);
    bench_stop(&bench);
    h2_server_stop(&h2);
    dns_server_stop(&dns);
}
