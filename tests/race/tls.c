/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes on several threads, with resumed sessions, while the files of the listener are read
 * again and again. Run it in the tsan preset. */
#include "http/tls_internal.h"

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 3
#define HANDSHAKES 60
#define RELOADS 40

static struct http_tls *tls;
static _Atomic unsigned resumed;
static char directory[] = "/tmp/penstock-race-tls-XXXXXX", certificate_path[64], key_path[64];

static void make_files(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * 365);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
        (const unsigned char *)"race", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:race.example");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate, key, EVP_sha256());

    assert(mkdtemp(directory));
    snprintf(certificate_path, sizeof certificate_path, "%s/c.pem", directory);
    snprintf(key_path, sizeof key_path, "%s/k.pem", directory);
    FILE *out = fopen(certificate_path, "w");
    assert(out && PEM_write_X509(out, certificate) == 1);
    fclose(out);
    out = fopen(key_path, "w");
    assert(out && PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Returns the session for the next handshake. */
static SSL_SESSION *shake_hands(SSL_CTX *client_context, SSL_SESSION *session)
{
    BIO *near, *far;
    assert(BIO_new_bio_pair(&near, 65536, &far, 65536) == 1);
    SSL_CTX *server_context = http_tls_take_context(tls);
    SSL *client = SSL_new(client_context), *server = SSL_new(server_context);
    SSL_CTX_free(server_context);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_set_tlsext_host_name(client, "race.example");
    if (session)
        SSL_set_session(client, session);
    int near_done = -1, far_done = -1;
    for (int i = 0; i < 20 && (near_done != 1 || far_done != 1); i++) {
        near_done = SSL_do_handshake(client);
        far_done = SSL_do_handshake(server);
    }
    assert(near_done == 1 && far_done == 1);
    atomic_fetch_add(&resumed, (unsigned)SSL_session_reused(server));
    assert(http_tls_has_name(tls, SLICE_LITERAL("race.example")));
    SSL_SESSION_free(session);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    session = SSL_get1_session(client);
    SSL_free(client);
    SSL_free(server);
    return session;
}

static void *run(void *context)
{
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(client_context, TLS1_2_VERSION); /* its tickets come at once */
    SSL_SESSION *session = NULL;
    for (int i = 0; i < HANDSHAKES; i++)
        session = shake_hands(client_context, session);
    SSL_SESSION_free(session);
    SSL_CTX_free(client_context);
    return context;
}

int main(void)
{
    static const struct http_tls_options options = {
        .listener = "ingress", .expires = METRIC_TLS_EXPIRES_INGRESS};
    struct http_tls_report report = {.complaints = BUFFER_EMPTY, .warnings = BUFFER_EMPTY};
    pthread_t threads[THREADS];
    make_files();
    struct http_tls_files files = {certificate_path, key_path, ""};
    enum err err = http_tls_new(&options, &files, &tls, &report);
    assert(err == OK);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, NULL);
    for (int i = 0; i < RELOADS; i++) {
        err = http_tls_reload(tls, &files, &report);
        assert(err == OK);
        (void)http_tls_look(tls, &report);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert(resumed > 0);
    printf(
        "%u handshakes, %u of them resumed, %d reloads\n", THREADS * HANDSHAKES, resumed, RELOADS);
    http_tls_free(tls);
    http_tls_report_done(&report);
    unlink(certificate_path);
    unlink(key_path);
    rmdir(directory);
    return 0;
}
