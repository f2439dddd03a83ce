/* SPDX-License-Identifier: Apache-2.0 */
/* A server with TLS, and clients that misuse it after the handshake. */
#include "fixture.h"
#include "unit/http/certificates.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <unistd.h>

#define KEY_UPDATES_MAX 16 /* for each MiB */
#define GET "GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct fixture fixture;
static struct authority ca;

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    static const struct http_tls_options options = {
        .listener = "ingress", .expires = METRIC_TLS_EXPIRES_INGRESS};
    struct http_tls_report report = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    certificates_begin();
    ca = authority_make("ca");
    certificate_make(&ca, "a", "DNS:localhost", -86400, 86400);
    struct http_tls_files files = {certificates_path("a.pem"), certificates_path("a.key"), NULL};
    fixture = (struct fixture){.limits.idle_ms = 60000};
    cr_assert_eq(http_tls_new(&options, &files, &fixture.tls, &report), OK);
    http_tls_report_done(&report);
    fixture_start(&fixture);
}

static void end(void)
{
    fixture_stop(&fixture);
    http_tls_free(fixture.tls);
    authority_done(&ca);
    certificates_end();
}

TestSuite(tls_server, .init = begin, .fini = end);

struct talk {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static struct talk talk_open(int version)
{
    struct talk talk = {
        .context = SSL_CTX_new(TLS_client_method()), .fd = client_connect(&fixture)};
    SSL_CTX_set_min_proto_version(talk.context, version);
    SSL_CTX_set_max_proto_version(talk.context, version);
    talk.ssl = SSL_new(talk.context);
    SSL_set_fd(talk.ssl, talk.fd);
    return talk;
}

static struct talk talk_begin(int version)
{
    struct talk talk = talk_open(version);
    cr_assert_eq(SSL_connect(talk.ssl), 1);
    return talk;
}

static void talk_end(struct talk *talk)
{
    SSL_free(talk->ssl);
    SSL_CTX_free(talk->context);
    close(talk->fd);
    ERR_clear_error();
}

static void send_text(struct talk *talk, const char *text, size_t len)
{
    cr_assert_eq(SSL_write(talk->ssl, text, (int)len), (int)len);
}

/* Returns whether a request is answered. */
static bool is_served(struct talk *talk)
{
    char answer[2048];
    return SSL_write(talk->ssl, GET, sizeof GET - 1) > 0 &&
           SSL_read(talk->ssl, answer, sizeof answer) > 12 &&
           memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

/* Sends them until the connection ends. */
static void update_keys(struct talk *talk, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        if (SSL_key_update(talk->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
            SSL_do_handshake(talk->ssl) != 1)
            return;
}

#define MANY 60

static struct talk many[MANY];

/* On the server's thread, so that it reads them in one turn. */
static void send_hellos(struct fixture *unused)
{
    for (unsigned i = 0; i < MANY; i++) {
        fcntl(many[i].fd, F_SETFL, O_NONBLOCK);
        cr_assert_eq(SSL_connect(many[i].ssl), -1);
        fcntl(many[i].fd, F_SETFL, 0);
    }
}

/* A turn has a few of them. Half of the clients leave before their turn. */
Test(tls_server, handshakes_that_begin_at_once_are_all_made)
{
    for (unsigned i = 0; i < MANY; i++)
        many[i] = talk_open(i % 4 < 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    fixture_call(&fixture, send_hellos);
    for (unsigned i = 1; i < MANY; i += 2)
        talk_end(&many[i]);
    for (unsigned i = 0; i < MANY; i += 2) {
        cr_assert_eq(SSL_connect(many[i].ssl), 1, "%u", i);
        cr_assert(is_served(&many[i]), "%u", i);
        talk_end(&many[i]);
    }
    WAIT_UNTIL(fixture_is_idle(&fixture));
}

Test(tls_server, keys_may_be_updated_sometimes)
{
    struct talk talk = talk_begin(TLS1_3_VERSION);
    for (unsigned i = 0; i < KEY_UPDATES_MAX; i++) {
        update_keys(&talk, 1);
        cr_assert(is_served(&talk), "%u", i);
    }
    cr_assert_eq(metrics_read(METRIC_REFUSED_KEY_UPDATES), 0);
    talk_end(&talk);
}

Test(tls_server, endless_key_updates_are_cut_and_counted_once)
{
    struct talk talk = talk_begin(TLS1_3_VERSION);
    cr_assert(is_served(&talk));
    update_keys(&talk, 10000);
    cr_assert_not(is_served(&talk));
    WAIT_UNTIL(fixture_is_idle(&fixture));
    cr_assert_eq(metrics_read(METRIC_REFUSED_KEY_UPDATES), 1);
    talk_end(&talk);
}

Test(tls_server, key_updates_are_cut_also_between_requests)
{
    struct talk talk = talk_begin(TLS1_3_VERSION);
    unsigned served = 0;
    for (; served < 2 * KEY_UPDATES_MAX && is_served(&talk); served++)
        update_keys(&talk, 1);
    cr_assert_eq(served, KEY_UPDATES_MAX + 1);
    talk_end(&talk);
}

/* A body of 4 KiB in each request. */
Test(tls_server, each_mib_allows_more_key_updates)
{
    static char request[4096 + 128];
    struct talk talk = talk_begin(TLS1_3_VERSION);
    int head = snprintf(request, sizeof request,
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n\r\n");
    memset(request + head, 'x', 4096);
    for (unsigned round = 0; round < 3; round++) {
        update_keys(&talk, KEY_UPDATES_MAX);
        for (unsigned i = 0; i < 257; i++) {
            char answer[8192];
            send_text(&talk, request, (size_t)head + 4096);
            for (int got = 0, more; got < 4096; got += more)
                cr_assert_gt(more = SSL_read(talk.ssl, answer, sizeof answer), 0);
        }
    }
    cr_assert_eq(metrics_read(METRIC_REFUSED_KEY_UPDATES), 0);
    talk_end(&talk);
}

/* OpenSSL answers the first one with its next write. It must write while it reads to answer the
 * second one, and h2o does not allow that. */
Test(tls_server, second_key_update_that_asks_for_an_answer_ends_an_idle_connection)
{
    struct talk talk = talk_begin(TLS1_3_VERSION);
    SSL_key_update(talk.ssl, SSL_KEY_UPDATE_REQUESTED);
    cr_assert(is_served(&talk));
    for (int i = 0; i < 2; i++) {
        SSL_key_update(talk.ssl, SSL_KEY_UPDATE_REQUESTED);
        cr_assert_eq(SSL_do_handshake(talk.ssl), 1);
    }
    WAIT_UNTIL(fixture_is_idle(&fixture));
    talk_end(&talk);
}

Test(tls_server, renegotiation_ends_the_connection)
{
    struct talk talk = talk_begin(TLS1_2_VERSION);
    cr_assert(is_served(&talk));
    cr_assert_eq(SSL_renegotiate(talk.ssl), 1);
    cr_assert_neq(SSL_do_handshake(talk.ssl), 1);
    WAIT_UNTIL(fixture_is_idle(&fixture));
    talk_end(&talk);
}
