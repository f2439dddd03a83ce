/* SPDX-License-Identifier: Apache-2.0 */
/* TLS between two ends in memory, without a server: contexts, reload, tickets, identities, and the
 * reasons of failures. */
#include "base/cleanup.h"
#include "http/tls_internal.h"
#include "unit/http/certificates.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <utime.h>

#define DAY_S 86400L
#define YEAR_S (365 * DAY_S)

static struct authority ca, other_ca;
static struct http_tls *tls;
static struct http_tls_report report;
static struct tls_handshake handshake;

static void on_begin(SSL *ssl)
{
    tls_handshake_begin(&handshake, ssl);
}

static const struct http_tls_options options = {
    .listener = "ingress", .expires = METRIC_TLS_EXPIRES_INGRESS};

static enum err make_tls(const char *certificates, const char *keys, const char *client_ca)
{
    struct http_tls_files files = {certificates, keys, client_ca};
    enum err err = http_tls_new(&options, &files, &tls, &report);
    if (!err)
        tls->on_begin = on_begin;
    return err;
}

static void make_usual_tls(const char *client_ca)
{
    cr_assert_eq(make_tls(certificates_path("a.pem"), certificates_path("a.key"), client_ca), OK,
        "%s", report.complaints.data);
}

static enum err reload(const char *certificate, const char *key, const char *client_ca)
{
    struct http_tls_files files = {certificates_path(certificate), certificates_path(key),
        client_ca ? certificates_path(client_ca) : ""};
    return http_tls_reload(tls, &files, &report);
}

static void begin(void)
{
    certificates_begin();
    ca = authority_make("ca");
    other_ca = authority_make("other_ca");
    certificate_make(&ca, "a", "DNS:a.example", -DAY_S, YEAR_S);
    certificate_make(&ca, "b", "DNS:b.example,DNS:*.wild.example", -DAY_S, YEAR_S);
    certificate_make(&ca, "client",
        "DNS:shop.example,URI:spiffe://shop/gate,email:gate@shop.example,IP:192.0.2.1", -DAY_S,
        YEAR_S);
}

static void end(void)
{
    http_tls_free(tls);
    http_tls_report_done(&report);
    authority_done(&ca);
    authority_done(&other_ca);
    certificates_end();
}

TestSuite(tls, .init = begin, .fini = end);

/* The client. */

struct client {
    int version; /* 0: any */
    const char *name;
    const char *alpn; /* in the wire's form */
    const char *ciphers;
    const char *certificate; /* file names without their suffix */
    SSL_SESSION *session;    /* to resume */
};

struct meeting {
    SSL *client, *server;
    SSL_CTX *client_context, *server_context;
    bool is_complete; /* on both sides */
    enum tls_failure failure;
    char reason[TLS_REASON_BYTES];
    int client_alert; /* that the client has received; 0: none */
};

static SSL_SESSION *last_session;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(last_session);
    last_session = session;
    return 1;
}

static SSL_CTX *make_client_context(const struct client *client)
{
    char file[64];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0); /* so that it may offer what is too old */
    cr_assert_eq(SSL_CTX_set_min_proto_version(context, client->version), 1);
    cr_assert_eq(SSL_CTX_set_max_proto_version(context, client->version), 1);
    if (client->ciphers)
        cr_assert_eq(SSL_CTX_set_cipher_list(context, client->ciphers), 1);
    SSL_CTX_set_session_cache_mode(
        context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, on_session);
    if (client->certificate) {
        snprintf(file, sizeof file, "%s.pem", client->certificate);
        cr_assert_eq(SSL_CTX_use_certificate_chain_file(context, certificates_path(file)), 1);
        snprintf(file, sizeof file, "%s.key", client->certificate);
        cr_assert_eq(
            SSL_CTX_use_PrivateKey_file(context, certificates_path(file), SSL_FILETYPE_PEM), 1);
    }
    return context;
}

/* Begins a connection: nothing is sent yet. */
static struct meeting begin_meeting(const struct client *client)
{
    struct meeting meeting = {.client_context = make_client_context(client)};
    BIO *near, *far;
    cr_assert_eq(BIO_new_bio_pair(&near, 65536, &far, 65536), 1);
    meeting.server_context = http_tls_take_context(tls);
    meeting.client = SSL_new(meeting.client_context);
    meeting.server = SSL_new(meeting.server_context);
    SSL_set_bio(meeting.client, near, near);
    SSL_set_bio(meeting.server, far, far);
    SSL_set_connect_state(meeting.client);
    SSL_set_accept_state(meeting.server);
    if (client->name)
        SSL_set_tlsext_host_name(meeting.client, client->name);
    if (client->alpn)
        SSL_set_alpn_protos(
            meeting.client, (const unsigned char *)client->alpn, (unsigned)strlen(client->alpn));
    if (client->session)
        SSL_set_session(meeting.client, client->session);
    handshake = (struct tls_handshake){.ssl = NULL};
    return meeting;
}

static void read_nothing(SSL *ssl)
{
    char byte;
    (void)!SSL_read(ssl, &byte, 1); /* tickets and alerts */
}

static int note_alert(void)
{
    int reason = ERR_GET_REASON(ERR_peek_last_error());
    ERR_clear_error();
    return reason >= SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
}

static void finish_meeting(struct meeting *meeting)
{
    int near = -1, far = -1;
    bool has_failed = false;
    for (int i = 0; i < 20 && !has_failed; i++) {
        ERR_clear_error();
        near = SSL_do_handshake(meeting->client);
        ERR_clear_error();
        far = SSL_do_handshake(meeting->server);
        has_failed = far != 1 && SSL_get_error(meeting->server, far) != SSL_ERROR_WANT_READ;
        if (near == 1 && far == 1)
            break;
    }
    meeting->is_complete = near == 1 && far == 1;
    if (has_failed)
        meeting->failure = tls_handshake_explain(&handshake, meeting->reason);
    ERR_clear_error();
    if (near == 1)
        read_nothing(meeting->client);
    else
        (void)!SSL_do_handshake(meeting->client);
    meeting->client_alert = note_alert();
}

static struct meeting meet(struct client client)
{
    struct meeting meeting = begin_meeting(&client);
    finish_meeting(&meeting);
    return meeting;
}

static void part(struct meeting *meeting)
{
    /* Otherwise OpenSSL does not resume the session. */
    SSL_set_shutdown(meeting->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(meeting->client);
    SSL_free(meeting->server);
    SSL_CTX_free(meeting->client_context);
    SSL_CTX_free(meeting->server_context);
    *meeting = (struct meeting){.client = NULL};
}

static bool has_certificate(const struct meeting *meeting, const char *common_name)
{
    char name[64] = "";
    X509 *certificate = SSL_get0_peer_certificate(meeting->client);
    if (certificate)
        X509_NAME_get_text_by_NID(
            X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return strcmp(name, common_name) == 0;
}

static struct slice chosen_protocol(const struct meeting *meeting)
{
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(meeting->client, &protocol, &len);
    return slice_of(protocol, len);
}

/* Versions, ciphers, protocols. */

Test(tls, versions_and_ciphers_of_today_are_accepted)
{
    make_usual_tls("");
    static const struct client clients[] = {{.version = TLS1_3_VERSION},
        {.version = TLS1_2_VERSION},
        {.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384"}};
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        struct meeting meeting = meet(clients[i]);
        cr_expect(meeting.is_complete, "%zu: %s", i, meeting.reason);
        part(&meeting);
    }
}

Test(tls, older_versions_and_ciphers_are_refused_with_an_alert)
{
    make_usual_tls("");
    static const struct {
        struct client client;
        enum tls_failure failure;
        int alert;
    } cases[] = {
        {{.version = TLS1_1_VERSION}, TLS_VERSION, SSL_AD_PROTOCOL_VERSION},
        {{.version = TLS1_VERSION}, TLS_VERSION, SSL_AD_PROTOCOL_VERSION},
        {{.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA"}, TLS_CIPHER,
            SSL_AD_HANDSHAKE_FAILURE},
        {{.version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256"}, TLS_CIPHER,
            SSL_AD_HANDSHAKE_FAILURE},
        {{.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-CCM"}, TLS_CIPHER,
            SSL_AD_HANDSHAKE_FAILURE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct meeting meeting = meet(cases[i].client);
        cr_expect_not(meeting.is_complete, "%zu", i);
        cr_expect_eq(meeting.failure, cases[i].failure, "%zu: %s", i, meeting.reason);
        cr_expect_eq(meeting.client_alert, cases[i].alert, "%zu: %d", i, meeting.client_alert);
        struct slice alert = tls_handshake_farewell(&handshake, meeting.failure);
        cr_expect_eq(alert.len, 7, "%zu: the bytes of the alert are kept", i);
        part(&meeting);
    }
}

Test(tls, alpn_prefers_http_2_and_refuses_what_is_unknown)
{
    make_usual_tls("");
    struct meeting meeting = meet((struct client){.alpn = "\x08http/1.1\x02h2"});
    cr_expect(slice_equals_string(chosen_protocol(&meeting), "h2"));
    part(&meeting);
    meeting = meet((struct client){.alpn = "\x08http/1.1"});
    cr_expect(slice_equals_string(chosen_protocol(&meeting), "http/1.1"));
    part(&meeting);
    meeting = meet((struct client){.alpn = NULL});
    cr_expect(meeting.is_complete);
    cr_expect_eq(chosen_protocol(&meeting).len, 0);
    part(&meeting);
    meeting = meet((struct client){.alpn = "\x06spdy/1"});
    cr_expect_not(meeting.is_complete);
    cr_expect_eq(meeting.failure, TLS_ALPN, "%s", meeting.reason);
    cr_expect_eq(meeting.client_alert, SSL_AD_NO_APPLICATION_PROTOCOL);
    part(&meeting);
}

/* Server names. */

Test(tls, server_name_selects_the_certificate)
{
    char certificates[2 * CERTIFICATES_PATH_BYTES], keys[2 * CERTIFICATES_PATH_BYTES];
    snprintf(certificates, sizeof certificates, "%s, %s", certificates_path("a.pem"),
        certificates_path("b.pem"));
    snprintf(keys, sizeof keys, "%s,%s", certificates_path("a.key"), certificates_path("b.key"));
    cr_assert_eq(make_tls(certificates, keys, NULL), OK, "%s", report.complaints.data);
    static const struct {
        const char *name, *certificate;
    } cases[] = {{"a.example", "a"}, {"b.example", "b"}, {"B.Example", "b"},
        {"x.wild.example", "b"}, {"wild.example", "a"}, {"x.y.wild.example", "a"},
        {"unknown.example", "a"}, {NULL, "a"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct meeting meeting =
                meet((struct client){.name = cases[i].name, .version = version, .alpn = "\x02h2"});
            cr_expect(meeting.is_complete, "%s: %s", cases[i].name, meeting.reason);
            cr_expect(has_certificate(&meeting, cases[i].certificate), "%s", cases[i].name);
            cr_expect(slice_equals_string(chosen_protocol(&meeting), "h2"), "%s", cases[i].name);
            part(&meeting);
        }
    }
    cr_expect(http_tls_has_name(tls, SLICE_LITERAL("x.wild.example")));
    cr_expect_not(http_tls_has_name(tls, SLICE_LITERAL("unknown.example")));
    cr_expect_not(http_tls_has_name(tls, SLICE_LITERAL("")));
}

/* Files. */

Test(tls, wrong_files_are_named_with_a_remedy)
{
    certificates_write("empty", "");
    certificates_write("text", "no certificate");
    certificate_make(&ca, "readable", "DNS:r.example", -DAY_S, YEAR_S);
    static const struct {
        const char *certificate, *key, *ca, *option, *file, *why;
    } cases[] = {
        {"absent.pem", "a.key", NULL, "ingress.certificate_file: ", "absent.pem", "not exist"},
        {"empty", "a.key", NULL, "ingress.certificate_file: ", "empty", "is empty"},
        {"text", "a.key", NULL, "ingress.certificate_file: ", "text", "no certificate in PEM"},
        {"a.pem", "absent.key", NULL, "ingress.key_file: ", "absent.key", "not exist"},
        {"a.pem", "text", NULL, "ingress.key_file: ", "text", "no private key"},
        {"a.pem", "b.key", NULL, "ingress.key_file: ", "b.key", "is not the key of"},
        {"a.pem", "a.key", "text", "ingress.client_ca_file: ", "text", "CA certificates"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        buffer_clear(&report.complaints);
        cr_assert_eq(
            make_tls(certificates_path(cases[i].certificate), certificates_path(cases[i].key),
                cases[i].ca ? certificates_path(cases[i].ca) : NULL),
            ERR_CONFIG);
        const char *said = report.complaints.data;
        cr_expect(slice_starts_with(buffer_slice(&report.complaints), cases[i].option), "%s", said);
        cr_expect(strstr(said, cases[i].file), "%s", said);
        cr_expect(strstr(said, cases[i].why), "%s", said);
        cr_expect(strstr(said, ": choose") || strstr(said, "name "), "%s", said);
        cr_expect_null(tls);
    }
}

Test(tls, each_certificate_needs_its_key)
{
    char keys[2 * CERTIFICATES_PATH_BYTES];
    snprintf(keys, sizeof keys, "%s,%s", certificates_path("a.key"), certificates_path("b.key"));
    cr_assert_eq(make_tls(certificates_path("a.pem"), keys, ""), ERR_CONFIG);
    cr_expect(strstr(report.complaints.data, "2 files"), "%s", report.complaints.data);
    cr_assert_eq(make_tls("", "", ""), ERR_CONFIG);
    cr_expect(strstr(report.complaints.data, "ingress.certificate_file: is empty"), "%s",
        report.complaints.data);
}

Test(tls, reload_changes_new_connections_only)
{
    make_usual_tls("");
    struct meeting open = meet((struct client){.alpn = "\x02h2"});
    struct client later_client = {.alpn = "\x02h2"};
    struct meeting later = begin_meeting(&later_client);
    cr_assert_eq(reload("b.pem", "b.key", NULL), OK, "%s", report.complaints.data);
    finish_meeting(&later);
    cr_expect(has_certificate(&later, "a"), "it began before the reload");
    struct meeting fresh = meet((struct client){.alpn = "\x02h2"});
    cr_expect(has_certificate(&fresh, "b"));
    cr_expect_eq(SSL_write(open.server, "x", 1), 1);
    char byte;
    cr_expect_eq(SSL_read(open.client, &byte, 1), 1);
    part(&open);
    part(&later);
    part(&fresh);
}

Test(tls, broken_file_leaves_the_old_certificate)
{
    make_usual_tls("");
    cr_assert_eq(reload("b.pem", "a.key", NULL), ERR_CONFIG);
    cr_expect(
        strstr(report.complaints.data, "a.key is not the key of"), "%s", report.complaints.data);
    struct meeting meeting = meet((struct client){.version = 0});
    cr_expect(has_certificate(&meeting, "a"));
    part(&meeting);
}

Test(tls, changed_files_are_read_again)
{
    certificates_copy("a.pem", "live.pem");
    certificates_copy("a.key", "live.key");
    cr_assert_eq(make_tls(certificates_path("live.pem"), certificates_path("live.key"), NULL), OK);
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_SAME);
    certificates_copy("b.pem", "live.pem");
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_SAME, "the key may follow");
    cr_expect_eq(report.complaints.len, 0);
    certificates_copy("b.key", "live.key");
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_RELOADED);
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_SAME);
    struct meeting meeting = meet((struct client){.version = 0});
    cr_expect(has_certificate(&meeting, "b"));
    part(&meeting);
}

Test(tls, pair_that_does_not_fit_is_reported_once)
{
    certificates_copy("a.pem", "live.pem");
    certificates_copy("a.key", "live.key");
    cr_assert_eq(make_tls(certificates_path("live.pem"), certificates_path("live.key"), NULL), OK);
    certificates_copy("b.pem", "live.pem");
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_SAME);
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_REJECTED);
    cr_expect(
        strstr(report.complaints.data, "live.key is not the key of"), "%s", report.complaints.data);
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_SAME);
    certificates_copy("a.pem", "live.pem");
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_RELOADED);
}

Test(tls, dates_are_reported)
{
    certificate_make(&ca, "soon", "DNS:s.example", -DAY_S, 5 * DAY_S + 60);
    certificate_make(&ca, "expired", "DNS:e.example", -2 * DAY_S, -60);
    certificate_make(&ca, "future", "DNS:f.example", DAY_S, YEAR_S);
    make_usual_tls("");
    cr_expect_eq(report.warnings.len, 0, "%s", report.warnings.data);
    cr_assert_eq(reload("soon.pem", "soon.key", NULL), OK);
    cr_expect(strstr(report.warnings.data, "soon.pem expires at "), "%s", report.warnings.data);
    cr_expect(strstr(report.warnings.data, "in 5 days: replace"), "%s", report.warnings.data);
    cr_assert_eq(reload("future.pem", "future.key", NULL), OK);
    cr_expect(strstr(report.warnings.data, "in the future"), "%s", report.warnings.data);
    cr_assert_eq(reload("expired.pem", "expired.key", NULL), ERR_CONFIG);
    cr_expect(
        strstr(report.complaints.data, "expired.pem expired at "), "%s", report.complaints.data);
    cr_expect_not(http_tls_has_expired(tls));
}

Test(tls, start_does_not_depend_on_the_date)
{
    certificate_make(&ca, "expired", "DNS:e.example", -2 * DAY_S, -60);
    cr_assert_eq(
        make_tls(certificates_path("expired.pem"), certificates_path("expired.key"), ""), OK);
    cr_expect(strstr(report.warnings.data, "expired at "), "%s", report.warnings.data);
    cr_expect(http_tls_has_expired(tls));
    buffer_clear(&report.warnings);
    cr_expect_eq(http_tls_look(tls, &report), HTTP_TLS_SAME);
    cr_expect_eq(report.warnings.len, 0, "once a day");
}

Test(tls, careless_files_are_warnings)
{
    certificate_make(&ca, "nameless", NULL, -DAY_S, YEAR_S);
    cr_assert_eq(chmod(certificates_path("nameless.key"), 0644), 0);
    cr_assert_eq(
        make_tls(certificates_path("nameless.pem"), certificates_path("nameless.key"), ""), OK);
    cr_expect(strstr(report.warnings.data, "nameless.key can be read by every user"), "%s",
        report.warnings.data);
    cr_expect(
        strstr(report.warnings.data, "no subject alternative name"), "%s", report.warnings.data);
}

/* Tickets. */

/* OpenSSL's client uses a session of TLS 1.3 only once, so this frees it. */
static bool is_resumed(struct client client)
{
    struct meeting meeting = meet(client);
    cr_expect(meeting.is_complete, "%s", meeting.reason);
    bool resumed = SSL_session_reused(meeting.server);
    part(&meeting);
    SSL_SESSION_free(client.session);
    return resumed;
}

static SSL_SESSION *take_session(struct client client)
{
    struct meeting meeting = meet(client);
    cr_assert(meeting.is_complete, "%s", meeting.reason);
    part(&meeting);
    SSL_SESSION *session = last_session;
    cr_assert(session && SSL_SESSION_is_resumable(session));
    last_session = NULL;
    return session;
}

Test(tls, sessions_are_resumed_with_tickets_also_after_a_reload)
{
    make_usual_tls("");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct client client = {.version = version};
        client.session = take_session(client);
        cr_expect(is_resumed(client));
        client.session = NULL;
        client.session = take_session(client);
        cr_assert_eq(reload("b.pem", "b.key", NULL), OK);
        cr_expect(is_resumed(client));
    }
}

Test(tls, another_client_ca_resumes_no_session)
{
    make_usual_tls(certificates_path("ca.pem"));
    struct client client = {.version = TLS1_3_VERSION, .certificate = "client"};
    client.session = take_session(client);
    cr_expect(is_resumed(client));
    client.session = NULL;
    client.session = take_session(client);
    cr_assert_eq(reload("a.pem", "a.key", "other_ca.pem"), OK, "%s", report.complaints.data);
    struct meeting meeting = meet(client);
    cr_expect_eq(meeting.failure, TLS_CLIENT_CERTIFICATE, "%s", meeting.reason);
    part(&meeting);
    SSL_SESSION_free(client.session);
}

Test(tls, ticket_keys_rotate_and_two_older_ones_are_accepted)
{
    struct tls_tickets tickets;
    struct tls_ticket_key first, key;
    bool is_current;
    tls_tickets_init(&tickets);
    tls_tickets_current(&tickets, 1, &first);
    tls_tickets_current(&tickets, TLS_TICKET_PERIOD_US, &key);
    cr_expect_eq(memcmp(first.name, key.name, sizeof key.name), 0);
    for (int64_t turn = 1; turn < TLS_TICKET_KEYS; turn++) {
        tls_tickets_current(&tickets, turn * TLS_TICKET_PERIOD_US + 1, &key);
        cr_expect_neq(memcmp(first.name, key.name, sizeof key.name), 0);
        cr_assert(tls_tickets_find(
            &tickets, turn * TLS_TICKET_PERIOD_US + 1, first.name, &key, &is_current));
        cr_expect_not(is_current, "the client gets a new ticket");
        cr_expect_eq(memcmp(first.cipher, key.cipher, sizeof key.cipher), 0);
    }
    tls_tickets_current(&tickets, TLS_TICKET_KEYS * TLS_TICKET_PERIOD_US + 1, &key);
    cr_expect_not(tls_tickets_find(
        &tickets, TLS_TICKET_KEYS * TLS_TICKET_PERIOD_US + 1, first.name, &key, &is_current));
    tls_tickets_done(&tickets);
}

Test(tls, old_ticket_key_expires_without_new_ones)
{
    struct tls_tickets tickets;
    struct tls_ticket_key first, key;
    bool is_current;
    tls_tickets_init(&tickets);
    tls_tickets_current(&tickets, 0, &first);
    cr_expect(tls_tickets_find(&tickets, 1, first.name, &key, &is_current) && is_current);
    cr_expect_not(tls_tickets_find(
        &tickets, TLS_TICKET_KEYS * TLS_TICKET_PERIOD_US, first.name, &key, &is_current));
    tls_tickets_done(&tickets);
}

/* Clients with certificates. */

static bool has_name(const struct tls_identity *identity, const char *name)
{
    for (unsigned i = 0; i < identity->names_count; i++)
        if (strcmp(identity->names[i], name) == 0)
            return true;
    return false;
}

Test(tls, identity_has_the_fingerprint_and_the_names)
{
    make_usual_tls(certificates_path("ca.pem"));
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct client client = {.version = version, .certificate = "client"};
        struct meeting meeting = meet(client);
        cr_assert(meeting.is_complete, "%s", meeting.reason);
        bool expired = true;
        struct tls_identity *identity = tls_identity_new(meeting.server, &expired);
        cr_assert(identity);
        cr_expect_not(expired);
        cr_expect_eq(identity->names_count, 4);
        cr_expect(has_name(identity, "DNS:shop.example"));
        cr_expect(has_name(identity, "URI:spiffe://shop/gate"));
        cr_expect(has_name(identity, "email:gate@shop.example"));
        cr_expect(has_name(identity, "IP:192.0.2.1"));
        unsigned char digest[SHA256_BYTES];
        unsigned len = sizeof digest;
        X509_digest(SSL_get_certificate(meeting.client), EVP_sha256(), digest, &len);
        cr_expect_eq(memcmp(digest, identity->sha256, sizeof digest), 0);
        free(identity);
        part(&meeting);
    }
}

Test(tls, resumed_session_keeps_the_identity)
{
    make_usual_tls(certificates_path("ca.pem"));
    struct client client = {.version = TLS1_3_VERSION, .certificate = "client"};
    client.session = take_session(client);
    struct meeting meeting = meet(client);
    cr_assert(meeting.is_complete && SSL_session_reused(meeting.server));
    bool expired = true;
    struct tls_identity *identity = tls_identity_new(meeting.server, &expired);
    cr_expect(identity && has_name(identity, "DNS:shop.example"));
    cr_expect_not(expired);
    free(identity);
    part(&meeting);
    SSL_SESSION_free(client.session);
}

Test(tls, identity_is_none_without_a_certificate)
{
    make_usual_tls(certificates_path("ca.pem"));
    struct meeting meeting = meet((struct client){.version = TLS1_3_VERSION});
    cr_assert(meeting.is_complete, "%s", meeting.reason);
    bool expired = true;
    cr_expect_null(tls_identity_new(meeting.server, &expired));
    cr_expect_not(expired);
    part(&meeting);
}

Test(tls, client_certificates_that_are_not_valid_are_refused_with_their_reason)
{
    certificate_make(&ca, "old", "DNS:shop.example", -2 * DAY_S, -60);
    certificate_make(&other_ca, "foreign", "DNS:shop.example", -DAY_S, YEAR_S);
    make_usual_tls(certificates_path("ca.pem"));
    static const struct {
        const char *certificate, *why;
        int alert;
    } cases[] = {{"old", "expired", SSL_AD_CERTIFICATE_EXPIRED},
        {"foreign", "unable to get local issuer certificate", SSL_AD_UNKNOWN_CA}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct meeting meeting =
                meet((struct client){.version = version, .certificate = cases[i].certificate});
            cr_expect_not(meeting.is_complete && version == TLS1_2_VERSION);
            cr_expect_eq(meeting.failure, TLS_CLIENT_CERTIFICATE, "%s", meeting.reason);
            cr_expect(strstr(meeting.reason, cases[i].why), "%s", meeting.reason);
            cr_expect(strstr(meeting.reason, cases[i].certificate), "%s", meeting.reason);
            cr_expect_eq(meeting.client_alert, cases[i].alert, "%d", meeting.client_alert);
            cr_expect_gt(tls_handshake_farewell(&handshake, meeting.failure).len, 0);
            part(&meeting);
        }
    }
}

Test(tls, required_certificate_must_be_sent)
{
    struct http_tls_options strict = options;
    strict.certificate_required = true;
    struct http_tls_files files = {
        certificates_path("a.pem"), certificates_path("a.key"), certificates_path("ca.pem")};
    cr_assert_eq(http_tls_new(&strict, &files, &tls, &report), OK);
    tls->on_begin = on_begin;
    struct meeting meeting = meet((struct client){.version = TLS1_2_VERSION});
    cr_expect_eq(meeting.failure, TLS_CLIENT_CERTIFICATE, "%s", meeting.reason);
    part(&meeting);
    meeting = meet((struct client){.version = TLS1_2_VERSION, .certificate = "client"});
    cr_expect(meeting.is_complete, "%s", meeting.reason);
    part(&meeting);
}

/* What is no TLS. */

static enum tls_failure send_bytes(const char *bytes, char ret_reason[TLS_REASON_BYTES])
{
    struct client client = {.version = 0};
    struct meeting meeting = begin_meeting(&client);
    BIO_write(SSL_get_wbio(meeting.client), bytes, (int)strlen(bytes));
    ERR_clear_error();
    int result = SSL_do_handshake(meeting.server);
    cr_expect_eq(SSL_get_error(meeting.server, result), SSL_ERROR_SSL);
    enum tls_failure failure = tls_handshake_explain(&handshake, ret_reason);
    part(&meeting);
    return failure;
}

Test(tls, cleartext_requests_are_recognized_and_answered)
{
    make_usual_tls("");
    static const char *const requests[] = {"GET / HTTP/1.1\r\n\r\n",
        "POST /v1/events HTTP/1.1\r\n\r\n", "OPTIONS / HTTP/1.1\r\n\r\n",
        "CONNECT x:1 HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    char reason[TLS_REASON_BYTES];
    for (size_t i = 0; i < ARRAY_LENGTH(requests); i++) {
        enum tls_failure failure = send_bytes(requests[i], reason);
        cr_expect_eq(failure, TLS_CLEARTEXT, "%s: %s", requests[i], reason);
        struct slice farewell = tls_handshake_farewell(&handshake, failure);
        cr_expect(slice_starts_with(farewell, "HTTP/1.1 400 "));
        cr_expect(memmem(farewell.data, farewell.len, "https", 5));
    }
    cr_expect_eq(send_bytes("\x16\x03\x01\x7f\xff garbage garbage", reason), TLS_MALFORMED);
    cr_expect_eq(send_bytes("xxxxxxxxxxxxxxxxxxxxx", reason), TLS_MALFORMED);
}

Test(tls, client_that_does_not_trust_us_is_counted_as_such)
{
    make_usual_tls("");
    struct client client = {.version = TLS1_2_VERSION};
    struct meeting meeting = begin_meeting(&client);
    SSL_set_verify(meeting.client, SSL_VERIFY_PEER, NULL);
    finish_meeting(&meeting);
    cr_expect_eq(meeting.failure, TLS_REJECTED, "%s", meeting.reason);
    cr_expect(strstr(meeting.reason, "unknown ca"), "%s", meeting.reason);
    cr_expect_eq(tls_handshake_farewell(&handshake, meeting.failure).len, 0);
    part(&meeting);
}
