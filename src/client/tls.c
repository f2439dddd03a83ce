/* SPDX-License-Identifier: Apache-2.0 */
#include "client/tls.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <ctype.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* libcurl reads the CA file once per multi handle and then keeps it for so long. Reading the
 * system's costs more than the rest of a handshake. */
#define CA_CACHE_S 300L

/* How we report a certificate without a name that counts. OpenSSL leaves this number to
 * applications. */
#define NO_NAME X509_V_ERR_APPLICATION_VERIFICATION

/* Our place in the SSL_CTX of a connection that is being made, for its transfer's notes. */
static int notes_place = -1;
static pthread_once_t notes_place_once = PTHREAD_ONCE_INIT;

static void make_notes_place(void)
{
    notes_place = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* The certificate */

/* Cut, and without bytes that a log or a console could misread. */
static void copy_printable(char *ret_text, size_t room, const char *text, size_t len)
{
    size_t kept = len < room - 1 ? len : room - 1;
    for (size_t i = 0; i < kept; i++)
        ret_text[i] = (char)(isprint((unsigned char)text[i]) ? text[i] : '?');
    ret_text[kept] = '\0';
}

static bool copy_common_name(const X509 *certificate, char ret_name[TLS_SUBJECT_BYTES])
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, -1);
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(subject, at) : NULL;
    const ASN1_STRING *value = entry ? X509_NAME_ENTRY_get_data(entry) : NULL;
    if (!value || ASN1_STRING_length(value) == 0)
        return false;
    int begin = snprintf(ret_name, TLS_SUBJECT_BYTES, "CN=");
    copy_printable(ret_name + begin, (size_t)(TLS_SUBJECT_BYTES - begin),
        (const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    return true;
}

/* Certificates of today often have no common name. */
static void copy_first_dns_name(const X509 *certificate, char ret_name[TLS_SUBJECT_BYTES])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    snprintf(ret_name, TLS_SUBJECT_BYTES, "without a name");
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        int begin = snprintf(ret_name, TLS_SUBJECT_BYTES, "DNS:");
        copy_printable(ret_name + begin, (size_t)(TLS_SUBJECT_BYTES - begin),
            (const char *)ASN1_STRING_get0_data(name->d.dNSName),
            (size_t)ASN1_STRING_length(name->d.dNSName));
        break;
    }
    GENERAL_NAMES_free(names);
}

static void copy_date(const ASN1_TIME *time, char ret_date[sizeof "2026-11-03"])
{
    struct tm day;
    if (!time || ASN1_TIME_to_tm(time, &day) != 1 ||
        strftime(ret_date, sizeof "2026-11-03", "%Y-%m-%d", &day) == 0)
        ret_date[0] = '\0';
}

static void note_certificate(struct tls_notes *notes, const X509 *certificate, int error)
{
    notes->verify_error = error;
    notes->date[0] = '\0';
    if (!copy_common_name(certificate, notes->subject))
        copy_first_dns_name(certificate, notes->subject);
    if (error == X509_V_ERR_CERT_HAS_EXPIRED)
        copy_date(X509_get0_notAfter(certificate), notes->date);
    else if (error == X509_V_ERR_CERT_NOT_YET_VALID)
        copy_date(X509_get0_notBefore(certificate), notes->date);
}

/* Returns whether the subject's alternative names have a DNS name or an IP address. */
static bool has_alternative_name(const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool has = false;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        int type = sk_GENERAL_NAME_value(names, i)->type;
        has |= type == GEN_DNS || type == GEN_IPADD;
    }
    GENERAL_NAMES_free(names);
    return has;
}

/*
 * OpenSSL calls it for each certificate of the chain, the peer's own last, and for each error.
 *
 * A certificate without an alternative name is refused here. RFC 9525 does not use the common name,
 * but libcurl does, in a check of its own: it does not use OpenSSL's, so that its flag
 * X509_CHECK_FLAG_NEVER_CHECK_SUBJECT changes nothing.
 */
static int on_verify(int is_good, X509_STORE_CTX *verification)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_notes *notes = ssl ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), notes_place) : NULL;
    const X509 *certificate = X509_STORE_CTX_get_current_cert(verification);
    bool is_own = X509_STORE_CTX_get_error_depth(verification) == 0;
    if (is_good && is_own && !(certificate && has_alternative_name(certificate))) {
        X509_STORE_CTX_set_error(verification, NO_NAME);
        is_good = 0;
    }
    if (notes && certificate && notes->verify_error == 0 && (!is_good || is_own))
        note_certificate(notes, certificate, is_good ? 0 : X509_STORE_CTX_get_error(verification));
    return is_good;
}

/* libcurl has set up the SSL_CTX of a new connection, right after TCP was connected. */
static CURLcode on_new_context(CURL *easy, void *ssl_ctx, void *context)
{
    SSL_CTX *ctx = ssl_ctx;
    struct tls_notes *notes = context;
    notes->begun_mono_us = clock_mono_us();
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_ex_data(ctx, notes_place, notes);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    return CURLE_OK;
}

/* Settings */

/* Returns the directory of CAs to read beside the file; NULL: none. libcurl keeps what it has read
 * only if there is no directory, and Debian's holds the same certificates as the file. */
static const char *ca_directory(const struct client_options *options)
{
    if (options->ca_file && *options->ca_file)
        return NULL;
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    return built->cainfo && access(built->cainfo, R_OK) == 0 ? NULL : built->capath;
}

bool tls_prepare(CURL *easy, struct tls_notes *notes, const struct client_options *options)
{
    pthread_once(&notes_place_once, make_notes_place);
    bool own_file = options->ca_file && *options->ca_file;
    return notes_place >= 0 &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, notes->said) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_new_context) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, notes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S) == CURLE_OK &&
           (!own_file || curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file) == CURLE_OK) &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, ca_directory(options)) == CURLE_OK;
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = {.data = (void *)pem, .flags = CURL_BLOB_NOCOPY};
    if (pem)
        blob.len = strlen(pem);
    return curl_easy_setopt(easy, option, pem ? &blob : NULL) == CURLE_OK;
}

bool tls_load(CURL *easy, struct tls_notes *notes, const struct client_options *options,
    const struct client_tls *tls)
{
    static const struct client_tls none = {NULL, NULL, NULL, 0};
    notes->verify_error = 0;
    notes->begun_mono_us = 0;
    notes->subject[0] = notes->date[0] = notes->said[0] = '\0';
    if (!tls && !notes->own_settings)
        return true;
    notes->own_settings = tls != NULL;
    if (!tls)
        tls = &none;
    /* Otherwise the directory's CAs would be trusted as well. */
    const char *directory = tls->ca_pem ? NULL : ca_directory(options);
    return set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca_pem) &&
           set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->certificate_pem) &&
           set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key_pem) &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, directory) == CURLE_OK;
}

bool tls_note_connected(CURL *easy, bool made, char ret_version[EVIDENCE_TLS_BYTES])
{
    struct curl_tlssessioninfo *session = NULL;
    curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session);
    SSL *ssl = session ? session->internals : NULL;
    ret_version[0] = '\0';
    if (!ssl)
        return false;
    if (made)
        SSL_CTX_set_ex_data(SSL_get_SSL_CTX(ssl), notes_place, NULL);
    snprintf(ret_version, EVIDENCE_TLS_BYTES, "%s", SSL_get_version(ssl));
    const unsigned char *protocol = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    return len == 2 && memcmp(protocol, "h2", 2) == 0;
}

/* What went wrong */

/* Finds OpenSSL's own words in libcurl's sentence: "... error:0A00010B:SSL routines::wrong version
 * number", with more behind a comma. */
static struct slice essence_of(const char *said)
{
    const char *last = said, *next;
    while ((next = strstr(last, "::")))
        last = next + 2;
    if (last == said && (next = strstr(said, "SSL_connect: ")))
        last = next + strlen("SSL_connect: ");
    const char *end = last + strlen(last);
    if ((next = strstr(last, " in connection to ")))
        end = next;
    if (last != said && (next = strchr(last, ',')) && next < end)
        end = next;
    return slice_of(last, (size_t)(end - last));
}

bool tls_was_rejected(const struct tls_notes *notes)
{
    struct slice essence = essence_of(notes->said);
    const char *alert = memmem(essence.data, essence.len, "alert ", strlen("alert "));
    if (!alert)
        return false;
    struct slice rest = slice_of(alert, (size_t)(essence.data + essence.len - alert));
    return memmem(rest.data, rest.len, "certificate", strlen("certificate")) ||
           memmem(rest.data, rest.len, "unknown ca", strlen("unknown ca"));
}

static enum attempt_cause cause_of_certificate(int verify_error)
{
    switch (verify_error) {
    case NO_NAME:
        return CAUSE_TLS_NO_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return CAUSE_TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return CAUSE_TLS_NOT_YET_VALID;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return CAUSE_TLS_SELF_SIGNED;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return CAUSE_TLS_UNKNOWN_CA;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return CAUSE_TLS_WRONG_NAME;
    default:
        return CAUSE_TLS_CERTIFICATE;
    }
}

/* By OpenSSL's words, since libcurl does not pass its number on. */
static enum attempt_cause cause_of_words(struct slice words)
{
    static const struct {
        const char *part;
        enum attempt_cause cause;
    } known[] = {
        {"wrong version number", CAUSE_TLS_NOT_TLS},
        {"http request", CAUSE_TLS_NOT_TLS},
        {"packet length too long", CAUSE_TLS_NOT_TLS},
        {"protocol version", CAUSE_TLS_VERSION},
        {"unsupported protocol", CAUSE_TLS_VERSION},
        {"version too low", CAUSE_TLS_VERSION},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
        if (memmem(words.data, words.len, known[i].part, strlen(known[i].part)))
            return known[i].cause;
    return CAUSE_TLS_FAILED;
}

static enum attempt_cause cause_of(const struct tls_notes *notes, CURLcode code)
{
    if (notes->verify_error != 0)
        return cause_of_certificate(notes->verify_error);
    if (code == CURLE_PEER_FAILED_VERIFICATION && *notes->subject)
        return CAUSE_TLS_WRONG_NAME;
    if (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE)
        return CAUSE_TLS_OUR_SETTINGS;
    return tls_was_rejected(notes) ? CAUSE_TLS_OUR_CERTIFICATE
                                   : cause_of_words(essence_of(notes->said));
}

enum attempt_cause tls_explain(
    const struct tls_notes *notes, CURLcode code, char ret_problem[EVIDENCE_TLS_PROBLEM_BYTES])
{
    struct slice essence = essence_of(notes->said);
    if (notes->verify_error == NO_NAME)
        snprintf(ret_problem, EVIDENCE_TLS_PROBLEM_BYTES,
            "certificate has no alternative name (SAN) (%s)", notes->subject);
    else if (notes->verify_error != 0)
        snprintf(ret_problem, EVIDENCE_TLS_PROBLEM_BYTES, "%s (%s%s%s)",
            X509_verify_cert_error_string(notes->verify_error), notes->subject,
            *notes->date ? ", " : "", notes->date);
    else if (code == CURLE_PEER_FAILED_VERIFICATION && *notes->subject)
        snprintf(ret_problem, EVIDENCE_TLS_PROBLEM_BYTES, "certificate is for another name (%s)",
            notes->subject);
    else if (code == CURLE_SSL_CERTPROBLEM)
        snprintf(ret_problem, EVIDENCE_TLS_PROBLEM_BYTES, "our certificate cannot be used: %.*s",
            SLICE_ARGS(essence));
    else if (code == CURLE_SSL_CACERT_BADFILE)
        snprintf(ret_problem, EVIDENCE_TLS_PROBLEM_BYTES, "CA certificates cannot be read");
    else
        copy_printable(ret_problem, EVIDENCE_TLS_PROBLEM_BYTES, essence.data, essence.len);
    return cause_of(notes, code);
}
