/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the TLS files of this folder. They use OpenSSL and not h2o. */
#ifndef PENSTOCK_HTTP_TLS_INTERNAL_H
#define PENSTOCK_HTTP_TLS_INTERNAL_H

#include "base/clock.h"
#include "base/slice.h"
#include "http/tls.h"
#include "http/tls_tickets.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/stat.h>

#define TLS_FILES_MAX (2 * TLS_CERTIFICATES_MAX + 1)

/* The files of a listener, and what they were when they were read. */
struct tls_files {
    unsigned certificates_count;
    char *certificates[TLS_CERTIFICATES_MAX], *keys[TLS_CERTIFICATES_MAX];
    char *client_ca; /* NULL: none */
    struct stat stamps[TLS_FILES_MAX];
};

struct http_tls {
    /* immutable after init */
    struct http_tls_options options;
    int64_t expires_metric_s; /* owned by the thread that reloads: the metric's value */

    struct tls_tickets tickets; /* shared: has a lock */
    /* Called at the begin of each handshake, when the client says that it sends no more
     * (close_notify), and when it changes its keys (KeyUpdate); NULL: not. Set before the first
     * connection. */
    void (*on_begin)(SSL *ssl);
    void (*on_end)(SSL *ssl);
    void (*on_key_update)(SSL *ssl);

    pthread_mutex_t mutex;
    SSL_CTX *context; /* shared: under the mutex. The default one, which owns the others */

    /* owned by the thread that reloads */
    struct tls_files files;
    struct stat rejected[TLS_FILES_MAX]; /* of the last files that were rejected */
    unsigned rejections;                 /* of these; 0: none */
    int64_t warned_mono_us;              /* of the last warning about dates; 0: none */
};

/* tls.c */

/* The context for a new connection. The caller owns the reference (SSL_CTX_free). Any thread. */
SSL_CTX *http_tls_take_context(struct http_tls *tls);

/* tls_context.c */

/* Reads the files and makes the contexts. Returns the default one, or NULL after a complaint. */
SSL_CTX *tls_context_new(
    struct http_tls *tls, const struct tls_files *files, struct http_tls_report *report);
/* Returns the context whose certificate has this name, or NULL. */
SSL_CTX *tls_context_find(SSL_CTX *default_context, const char *name, size_t len);
unsigned tls_context_count(const SSL_CTX *default_context);
X509 *tls_context_certificate(const SSL_CTX *default_context, unsigned n);

/* Adds a line about a file: `ingress.key_file: PATH is ...: remedy`. `option` is the part after the
 * dot. */
void tls_report_add(struct buffer *lines, const struct http_tls *tls, const char *option,
    const char *path, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* tls_identity.c */

/* Returns the identity of the client of a completed handshake, which the caller frees. NULL: it has
 * sent no certificate. *ret_expired: the certificate has expired since the session began, which
 * only a resumed session can have. */
struct tls_identity *tls_identity_new(const SSL *ssl, bool *ret_expired);

/* tls_handshake.c */

/* Why a handshake failed. Each has a metric. */
enum tls_failure {
    TLS_TIMED_OUT,
    TLS_CLOSED,
    TLS_CLEARTEXT,
    TLS_VERSION,
    TLS_CIPHER,
    TLS_ALPN,
    TLS_CLIENT_CERTIFICATE,
    TLS_REJECTED,
    TLS_MALFORMED,
    TLS_FAILURES
};

/* Of a client that is not known yet. A ClientHello with post-quantum keys has 3 KiB. */
#define TLS_MESSAGE_BYTES_MAX (16 * 1024)
#define TLS_ALERT_BYTES 128
#define TLS_REASON_BYTES 256
#define TLS_SUBJECT_BYTES 96

/* Follows the records of a client, and the messages in those that are not encrypted. */
struct tls_walker {
    unsigned char record[5], message[4]; /* headers */
    unsigned record_have, message_have;  /* bytes of them */
    unsigned record_left, message_left;  /* bytes of the content */
    bool is_done;                        /* TLS 1.2: what follows is encrypted */
};

/* Takes the next bytes. Returns false if a message is longer than TLS_MESSAGE_BYTES_MAX. */
bool tls_walker_take(
    struct tls_walker *walker, bool is_tls_1_3, const unsigned char *bytes, size_t len);

/* What is noted during a handshake, to explain it if it fails. */
struct tls_handshake {
    SSL *ssl; /* NULL: nothing was received yet */
    struct tls_walker walker;
    bool is_too_long; /* a message of the client */
    unsigned char first[4];
    unsigned first_len;
    unsigned char last[TLS_ALERT_BYTES]; /* the last record that was written, if it is small */
    unsigned last_len;
    int verify_error;                /* X509_V_ERR_...; 0: none */
    char subject[TLS_SUBJECT_BYTES]; /* of the certificate with that error */
};

/* Attaches it to a handshake that begins, and detaches it from one that has succeeded. A failed one
 * needs no end, but its SSL must be freed before the struct. */
void tls_handshake_begin(struct tls_handshake *handshake, SSL *ssl);
void tls_handshake_end(struct tls_handshake *handshake);
/* Explains a handshake that OpenSSL has ended; uses up the thread's queue of errors. */
enum tls_failure tls_handshake_explain(
    const struct tls_handshake *handshake, char ret_reason[TLS_REASON_BYTES]);
/* Returns the bytes that tell the client, which may be none. */
struct slice tls_handshake_farewell(
    const struct tls_handshake *handshake, enum tls_failure failure);
const char *tls_failure_name(enum tls_failure failure);
enum metric tls_failure_metric(enum tls_failure failure);

/* For SSL_CTX_set_verify. */
int tls_handshake_on_verify(int is_good, X509_STORE_CTX *verification);

#endif
