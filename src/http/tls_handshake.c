/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explains handshakes that fail: for the log, for the metrics, and for the client.
 *
 * h2o 2.2.5 does not send the alert of a failed handshake, so clients would only see the connection
 * end. A callback on the connection's BIO keeps the last small record, which is the alert then.
 * The same callback keeps the first bytes of the client, since OpenSSL does not recognize every
 * cleartext request.
 *
 * It also bounds the client's messages. OpenSSL takes 128 KiB for a ClientHello as soon as its
 * header says so, and a few bytes from each of many connections would use up the memory.
 */
#include "http/tls_internal.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum metric metric;
} failures[TLS_FAILURES] = {
    [TLS_TIMED_OUT] = {"timeout", METRIC_TLS_FAILED_TIMEOUT},
    [TLS_CLOSED] = {"closed", METRIC_TLS_FAILED_CLOSED},
    [TLS_CLEARTEXT] = {"cleartext", METRIC_TLS_FAILED_CLEARTEXT},
    [TLS_VERSION] = {"version", METRIC_TLS_FAILED_VERSION},
    [TLS_CIPHER] = {"cipher", METRIC_TLS_FAILED_CIPHER},
    [TLS_ALPN] = {"alpn", METRIC_TLS_FAILED_ALPN},
    [TLS_CLIENT_CERTIFICATE] = {"client_certificate", METRIC_TLS_FAILED_CLIENT_CERTIFICATE},
    [TLS_REJECTED] = {"rejected", METRIC_TLS_FAILED_REJECTED},
    [TLS_MALFORMED] = {"malformed", METRIC_TLS_FAILED_MALFORMED},
};

const char *tls_failure_name(enum tls_failure failure)
{
    return failures[failure].name;
}

enum metric tls_failure_metric(enum tls_failure failure)
{
    return failures[failure].metric;
}

/* The walker. */

#define RECORD_CHANGE_CIPHER_SPEC 20
#define RECORD_HANDSHAKE 22

/* Moves up to `*len` bytes into a header. Returns whether it is complete. */
static bool fill(
    unsigned char *header, unsigned size, unsigned *have, const unsigned char **bytes, size_t *len)
{
    while (*have<size && * len> 0) {
        header[(*have)++] = *(*bytes)++;
        (*len)--;
    }
    if (*have < size)
        return false;
    *have = 0;
    return true;
}

static bool walk_messages(struct tls_walker *walker, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        size_t skipped = len < walker->message_left ? len : walker->message_left;
        bytes += skipped;
        len -= skipped;
        walker->message_left -= (unsigned)skipped;
        const unsigned char *header = walker->message;
        if (walker->message_left > 0 ||
            !fill(walker->message, sizeof walker->message, &walker->message_have, &bytes, &len))
            continue;
        walker->message_left = (unsigned)(header[1] << 16 | header[2] << 8 | header[3]);
        if (walker->message_left > TLS_MESSAGE_BYTES_MAX)
            return false;
    }
    return true;
}

bool tls_walker_take(
    struct tls_walker *walker, bool is_tls_1_3, const unsigned char *bytes, size_t len)
{
    const unsigned char *header = walker->record;
    while (len > 0 && !walker->is_done) {
        size_t part = len < walker->record_left ? len : walker->record_left;
        if (part > 0 && header[0] == RECORD_HANDSHAKE && !walk_messages(walker, bytes, part))
            return false;
        bytes += part;
        len -= part;
        walker->record_left -= (unsigned)part;
        if (walker->record_left > 0 ||
            !fill(walker->record, sizeof walker->record, &walker->record_have, &bytes, &len))
            continue;
        walker->record_left = (unsigned)(header[3] << 8 | header[4]);
        /* In TLS 1.3 it means nothing, and encrypted records have a type of their own. */
        walker->is_done = header[0] == RECORD_CHANGE_CIPHER_SPEC && !is_tls_1_3;
    }
    return true;
}

/* Callbacks of OpenSSL. */

static void keep_first(struct tls_handshake *handshake, const char *bytes, size_t len)
{
    size_t room = sizeof handshake->first - handshake->first_len;
    size_t kept = len < room ? len : room;
    memcpy(handshake->first + handshake->first_len, bytes, kept);
    handshake->first_len += (unsigned)kept;
}

static long on_bio(BIO *bio, int operation, const char *bytes, size_t len, int number, long more,
    int result, size_t *processed)
{
    struct tls_handshake *handshake = (void *)BIO_get_callback_arg(bio);
    if (operation == BIO_CB_WRITE) {
        handshake->last_len = len <= sizeof handshake->last ? (unsigned)len : 0;
        memcpy(handshake->last, bytes, handshake->last_len);
    } else if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0) {
        keep_first(handshake, bytes, *processed);
        bool is_tls_1_3 = SSL_version(handshake->ssl) == TLS1_3_VERSION;
        if (!tls_walker_take(
                &handshake->walker, is_tls_1_3, (const unsigned char *)bytes, *processed)) {
            handshake->is_too_long = true;
            BIO_clear_retry_flags(bio); /* otherwise OpenSSL would read again */
            return -1;
        }
    }
    return result;
}

void tls_handshake_begin(struct tls_handshake *handshake, SSL *ssl)
{
    if (handshake->ssl)
        return;
    handshake->ssl = ssl;
    SSL_set_app_data(ssl, handshake);
    BIO *bio = SSL_get_rbio(ssl); /* it is the one for writing as well */
    BIO_set_callback_arg(bio, (char *)handshake);
    BIO_set_callback_ex(bio, on_bio);
}

void tls_handshake_end(struct tls_handshake *handshake)
{
    SSL_set_app_data(handshake->ssl, NULL);
    BIO_set_callback_ex(SSL_get_rbio(handshake->ssl), NULL);
}

/* A stranger chooses this text: printable bytes only, and cut. */
static void copy_subject(const X509 *certificate, char ret_subject[TLS_SUBJECT_BYTES])
{
    char *text = X509_NAME_oneline(X509_get_subject_name(certificate), NULL, 0);
    snprintf(ret_subject, TLS_SUBJECT_BYTES, "%s", text ? text : "");
    OPENSSL_free(text);
    for (char *at = ret_subject; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '?';
}

int tls_handshake_on_verify(int is_good, X509_STORE_CTX *verification)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_handshake *handshake = ssl ? SSL_get_app_data(ssl) : NULL;
    const X509 *certificate = X509_STORE_CTX_get_current_cert(verification);
    if (!is_good && handshake && !handshake->verify_error) {
        handshake->verify_error = X509_STORE_CTX_get_error(verification);
        if (certificate)
            copy_subject(certificate, handshake->subject);
    }
    return is_good;
}

/* What has happened. */

/* A request line begins with an upper-case method. A TLS record begins with its type, 20 to 24. */
static bool is_cleartext(const struct tls_handshake *handshake)
{
    for (unsigned i = 0; i < 3; i++)
        if (i >= handshake->first_len || !isupper(handshake->first[i]))
            return false;
    return true;
}

static enum tls_failure failure_of_reason(const struct tls_handshake *handshake, int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return TLS_CLEARTEXT;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return TLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_SPECIFIED:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return TLS_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_ALPN;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_NO_CERTIFICATE_ASSIGNED:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return TLS_CLIENT_CERTIFICATE;
    default:
        return is_cleartext(handshake)          ? TLS_CLEARTEXT
               : reason >= SSL_AD_REASON_OFFSET ? TLS_REJECTED
                                                : TLS_MALFORMED;
    }
}

enum tls_failure tls_handshake_explain(
    const struct tls_handshake *handshake, char ret_reason[TLS_REASON_BYTES])
{
    unsigned long error = ERR_peek_error(); /* the first one: later ones are its consequences */
    const char *reason = ERR_reason_error_string(error);
    enum tls_failure failure = TLS_MALFORMED;
    if (handshake->verify_error)
        failure = TLS_CLIENT_CERTIFICATE;
    else if (!handshake->is_too_long && ERR_GET_LIB(error) == ERR_LIB_SSL)
        failure = failure_of_reason(handshake, ERR_GET_REASON(error));
    if (handshake->verify_error)
        snprintf(ret_reason, TLS_REASON_BYTES, "the client's certificate is not valid: %s (%s)",
            X509_verify_cert_error_string(handshake->verify_error), handshake->subject);
    else if (handshake->is_too_long)
        snprintf(ret_reason, TLS_REASON_BYTES, "a message of the client is longer than %d bytes",
            TLS_MESSAGE_BYTES_MAX);
    else if (failure == TLS_CLEARTEXT)
        snprintf(ret_reason, TLS_REASON_BYTES, "the client sent HTTP without TLS");
    else if (failure == TLS_REJECTED)
        snprintf(ret_reason, TLS_REASON_BYTES, "the client ended it: %s", reason ? reason : "?");
    else
        snprintf(ret_reason, TLS_REASON_BYTES, "%s", reason ? reason : "the records are not TLS");
    ERR_clear_error();
    return failure;
}

struct slice tls_handshake_farewell(const struct tls_handshake *handshake, enum tls_failure failure)
{
    static const struct slice use_https =
        SLICE_LITERAL("HTTP/1.1 400 Bad Request\r\n"
                      "Connection: close\r\n"
                      "Content-Type: text/plain\r\n"
                      "Content-Length: 58\r\n"
                      "\r\n"
                      "This port speaks TLS only: the URL must begin with https.\n");
    if (failure == TLS_CLEARTEXT)
        return use_https;
    return failure == TLS_CLOSED || failure == TLS_TIMED_OUT || failure == TLS_REJECTED
               ? slice_of(NULL, 0)
               : slice_of(handshake->last, handshake->last_len);
}
