/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From files to OpenSSL's contexts. Each certificate has a context of its own. The first one is the
 * default: every handshake begins with it. It owns the list of all of them, so the contexts live as
 * long as a connection uses the default one.
 *
 * OpenSSL takes a part of the settings from the context that the handshake began with, and another
 * part from the one that SNI has selected. So all contexts have the same settings.
 *
 * Against Mozilla's intermediate configuration (version 5.7) there is one difference: no DHE
 * ciphers. Every client of the last ten years has ECDHE, and DHE lets a client make the server
 * compute more than the client does.
 */
#include "http/tls_internal.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/pem.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CIPHERS_1_2                                              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"  \
    ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384" \
    ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CURVES "X25519:P-256:P-384"

#define SECURITY_LEVEL 2 /* RSA keys of at least 2048 bits, no SHA-1 in signatures */
#define SESSION_S (12 * 3600)
#define CLIENT_CHAIN_DEPTH_MAX 4

static const unsigned char protocols[] = "\x02h2\x08http/1.1"; /* in order of preference */

/* The contexts of a listener. */
struct context_set {
    unsigned count;
    SSL_CTX *contexts[TLS_CERTIFICATES_MAX]; /* [0] owns the set, and not itself */
};

static int set_place = -1; /* of the set in the default context */
static pthread_once_t set_place_once = PTHREAD_ONCE_INIT;

static void on_default_context_freed(
    void *parent, void *memory, CRYPTO_EX_DATA *data, int place, long number, void *more)
{
    struct context_set *set = memory;
    for (unsigned i = 1; set && i < set->count; i++)
        SSL_CTX_free(set->contexts[i]);
    free(set);
}

static void make_set_place(void)
{
    set_place = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_default_context_freed);
}

static const struct context_set *set_of(const SSL_CTX *context)
{
    return SSL_CTX_get_ex_data(context, set_place);
}

unsigned tls_context_count(const SSL_CTX *default_context)
{
    return set_of(default_context)->count;
}

X509 *tls_context_certificate(const SSL_CTX *default_context, unsigned n)
{
    return SSL_CTX_get0_certificate(set_of(default_context)->contexts[n]);
}

SSL_CTX *tls_context_find(SSL_CTX *default_context, const char *name, size_t len)
{
    const struct context_set *set = set_of(default_context);
    for (unsigned i = 0; set && i < set->count; i++)
        if (X509_check_host(SSL_CTX_get0_certificate(set->contexts[i]), name, len,
                X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                NULL) == 1)
            return set->contexts[i];
    return NULL;
}

/* Callbacks of OpenSSL. */

static struct http_tls *tls_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static void on_progress(const SSL *ssl, int where, int result)
{
    const struct http_tls *tls = tls_of(ssl);
    if ((where & SSL_CB_HANDSHAKE_START) && tls->on_begin)
        tls->on_begin((SSL *)ssl);
    if (where == SSL_CB_READ_ALERT && (result & 0xff) == SSL_AD_CLOSE_NOTIFY && tls->on_end)
        tls->on_end((SSL *)ssl);
}

/* Called for each message and each header of a record, in both directions. */
static void on_message(
    int is_written, int version, int type, const void *bytes, size_t len, SSL *ssl, void *context)
{
    const struct http_tls *tls = tls_of(ssl);
    if (!is_written && type == SSL3_RT_HANDSHAKE && len > 0 &&
        *(const unsigned char *)bytes == SSL3_MT_KEY_UPDATE && tls->on_key_update)
        tls->on_key_update(ssl);
}

static int on_server_name(SSL *ssl, int *alert, void *context)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *current = SSL_get_SSL_CTX(ssl);
    const struct context_set *set = set_of(current);
    if (!name || !set || set->count == 1)
        return SSL_TLSEXT_ERR_OK;
    SSL_CTX *found = tls_context_find(current, name, strlen(name));
    if (found && found != current)
        SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **ret_protocol, unsigned char *ret_len,
    const unsigned char *offered, unsigned offered_len, void *context)
{
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, ret_len, protocols, sizeof protocols - 1, offered,
            offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_protocol = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* 0: an unknown key, so the handshake is a full one. 1: fine. 2: fine, and a new ticket is due. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int is_new)
{
    struct tls_tickets *tickets = &tls_of(ssl)->tickets;
    struct tls_ticket_key key;
    bool is_current = true;
    if (is_new) {
        tls_tickets_current(tickets, clock_mono_us(), &key);
        memcpy(name, key.name, sizeof key.name);
        crypto_random(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
    } else if (!tls_tickets_find(tickets, clock_mono_us(), name, &key, &is_current)) {
        return 0;
    }
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof key.mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_end()};
    int is_ready = EVP_MAC_CTX_set_params(mac, parameters) == 1 &&
                   EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, is_new) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    return !is_ready ? -1 : is_current ? 1 : 2;
}

/* Messages. */

void tls_report_add(struct buffer *lines, const struct http_tls *tls, const char *option,
    const char *path, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_add_format(lines, "%s.%s: %.400s %s\n", tls->options.listener, option, path, text);
}

/* OpenSSL's own words for its last error. */
static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? reason : "it cannot be used";
}

/* A daemon has nobody to ask for a passphrase. */
static int no_passphrase(char *text, int size, int is_for_writing, void *context)
{
    return 0;
}

/* One context. */

static bool load_certificate(SSL_CTX *context, const struct http_tls *tls, const char *certificate,
    const char *key, struct http_tls_report *report)
{
    char problem[PEM_PROBLEM_BYTES];
    struct buffer *complaints = &report->complaints;
    struct stat status;
    if (!pem_holds_certificates(certificate, problem)) {
        tls_report_add(complaints, tls, "certificate_file", certificate,
            "%s: choose a file with the certificate and its chain in PEM form", problem);
        return false;
    }
    if (!pem_holds_key(key, problem)) {
        tls_report_add(complaints, tls, "key_file", key,
            "%s: choose the file with the key of %s, and let the user of the gateway read it",
            problem, certificate);
        return false;
    }
    if (stat(key, &status) == 0 && (status.st_mode & S_IROTH))
        tls_report_add(&report->warnings, tls, "key_file", key,
            "can be read by every user of this machine: change its mode to 0640 or 0600");
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        tls_report_add(complaints, tls, "certificate_file", certificate,
            "cannot be used (%s): issue a certificate with a stronger key or signature",
            last_reason());
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        ERR_clear_error();
        tls_report_add(complaints, tls, "key_file", key,
            "is not the key of the certificate in %s: choose the key of that certificate",
            certificate);
        return false;
    }
    return true;
}

static bool has_dns_name(X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        found |= sk_GENERAL_NAME_value(names, i)->type == GEN_DNS ||
                 sk_GENERAL_NAME_value(names, i)->type == GEN_IPADD;
    GENERAL_NAMES_free(names);
    return found;
}

static bool ask_for_certificates(SSL_CTX *context, const struct http_tls *tls,
    const struct tls_files *files, struct http_tls_report *report)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    char problem[PEM_PROBLEM_BYTES];
    if (!pem_holds_certificates(files->client_ca, problem)) {
        tls_report_add(&report->complaints, tls, "client_ca_file", files->client_ca,
            "%s: choose a file with CA certificates in PEM form", problem);
        return false;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(files->client_ca);
    if (!names || X509_STORE_load_file(store, files->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        tls_report_add(&report->complaints, tls, "client_ca_file", files->client_ca,
            "cannot be used (%s): choose a file with CA certificates in PEM form", last_reason());
        return false;
    }
    SSL_CTX_set_client_CA_list(context, names);
    int required = tls->options.certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | required, tls_handshake_on_verify);
    SSL_CTX_set_verify_depth(context, CLIENT_CHAIN_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(context, TLS_MESSAGE_BYTES_MAX);
    return true;
}

/* A session is resumed only where it began: at a listener of the same name and client CA. */
static bool name_sessions(SSL_CTX *context, const struct http_tls *tls, const char *client_ca)
{
    struct buffer text = BUFFER_EMPTY;
    unsigned char digest[SHA256_BYTES];
    buffer_add_format(&text, "%s %d ", tls->options.listener, tls->options.certificate_required);
    BIO *file = client_ca ? BIO_new_file(client_ca, "r") : NULL;
    char piece[4096];
    for (int len; file && (len = BIO_read(file, piece, sizeof piece)) > 0;)
        buffer_add(&text, piece, (size_t)len);
    BIO_free(file);
    bool is_whole = buffer_status(&text) == OK;
    crypto_sha256(buffer_slice(&text), digest);
    buffer_done(&text);
    return is_whole && SSL_CTX_set_session_id_context(context, digest, SSL_MAX_SID_CTX_LENGTH) == 1;
}

static bool set_rules(SSL_CTX *context)
{
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_clear_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* 34 KiB less for an idle connection */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, SESSION_S);
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_info_callback(context, on_progress);
    SSL_CTX_set_msg_callback(context, on_message);
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1 &&
           SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(context, CIPHERS_1_3) == 1 &&
           SSL_CTX_set1_groups_list(context, CURVES) == 1;
}

static SSL_CTX *make_context(
    struct http_tls *tls, const struct tls_files *files, unsigned n, struct http_tls_report *report)
{
    const char *certificate = files->certificates[n];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || !set_rules(context) || !name_sessions(context, tls, files->client_ca)) {
        tls_report_add(&report->complaints, tls, "certificate_file", certificate,
            "cannot be used, since OpenSSL refuses our settings (%s): check OpenSSL's own "
            "configuration",
            last_reason());
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_app_data(context, tls);
    if (!load_certificate(context, tls, certificate, files->keys[n], report) ||
        (files->client_ca && !ask_for_certificates(context, tls, files, report))) {
        SSL_CTX_free(context);
        return NULL;
    }
    if (!has_dns_name(SSL_CTX_get0_certificate(context)))
        tls_report_add(&report->warnings, tls, "certificate_file", certificate,
            "has no subject alternative name, so clients reject it: issue a certificate with one");
    return context;
}

SSL_CTX *tls_context_new(
    struct http_tls *tls, const struct tls_files *files, struct http_tls_report *report)
{
    pthread_once(&set_place_once, make_set_place);
    struct context_set *set;
    MEMORY_NEW(set);
    bool good = set_place >= 0;
    for (unsigned i = 0; good && i < files->certificates_count; i++) {
        set->contexts[i] = make_context(tls, files, i, report);
        good = set->contexts[i] != NULL;
        set->count += good;
    }
    SSL_CTX *first = set->contexts[0];
    if (good && SSL_CTX_set_ex_data(first, set_place, set) == 1)
        return first;
    for (unsigned i = 0; i < set->count; i++)
        SSL_CTX_free(set->contexts[i]);
    free(set);
    return NULL;
}
