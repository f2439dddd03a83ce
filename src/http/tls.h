/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of a listener. All threads of the listener share one object.
 *
 *   certificates   one or several. The name that the client asks for (SNI) selects the first one
 *                  that has it among its subject alternative names, and otherwise the first of all.
 *                  A wildcard covers one label
 *   protocols      TLS 1.2 and 1.3, with the ciphers and curves of Mozilla's intermediate
 *                  configuration. No renegotiation, no compression, no early data (it could be
 *                  replayed)
 *   ALPN           h2, then http/1.1. A client that offers neither gets the alert
 *                  no_application_protocol. A client without ALPN is served as on a listener
 *                  without TLS
 *   tickets        sessions are resumed with tickets only: tls_tickets.h
 *   clients        with a client CA, a client may send a certificate. It must be valid then. The
 *                  caller decides who needs one (struct tls_identity)
 *
 * Files are read by http_tls_new and http_tls_reload, and by http_tls_look when one of them has
 * changed (device, inode, size or time). New connections get what was read last. Open connections
 * keep what they have. When a file is wrong, everything stays as it was.
 *
 * Limits: no revocation lists and no OCSP (a client's certificate is revoked by removing it from
 * the partner). A change of the client CA also ends the resumption of older sessions.
 */
#ifndef PENSTOCK_HTTP_TLS_H
#define PENSTOCK_HTTP_TLS_H

#include "base/buffer.h"
#include "model/tls_identity.h"
#include "runtime/metrics.h"

#define TLS_CERTIFICATES_MAX 16

struct http_tls;

struct http_tls_options {
    /* The section of the options that messages name: "ingress". A literal. */
    const char *listener;
    bool certificate_required; /* with a client CA: refuses clients without a certificate */
    enum metric expires;       /* when the first certificate expires, in seconds since 1970 */
};

/* Each text is one path, or several with commas between them: the n-th key belongs to the n-th
 * certificate. They are copied. */
struct http_tls_files {
    const char *certificates; /* each file in PEM form, with its chain */
    const char *keys;
    const char *client_ca; /* one file; empty: clients are not asked for a certificate */
};

/*
 * A line each, which ends with a newline and names the option, the file and the remedy.
 * `complaints` has what makes a call fail. `warnings` has what an operator should change soon; a
 * call may succeed with some.
 */
struct http_tls_report {
    struct buffer complaints, warnings;
};
void http_tls_report_done(struct http_tls_report *report);

/* ERR_CONFIG. A certificate that has expired is a warning, since a start must not depend on it. */
enum err http_tls_new(const struct http_tls_options *options, const struct http_tls_files *files,
    struct http_tls **ret_tls, struct http_tls_report *report) MUST_CHECK;
/* Call it when no server uses it any more. Takes NULL. */
void http_tls_free(struct http_tls *tls);

/* The next two are for one thread, which may block. */

/* Reads the files again, which may be others. ERR_CONFIG: nothing has changed. */
enum err http_tls_reload(struct http_tls *tls, const struct http_tls_files *files,
    struct http_tls_report *report) MUST_CHECK;

enum http_tls_news {
    HTTP_TLS_SAME,
    HTTP_TLS_RELOADED,
    HTTP_TLS_REJECTED /* `complaints` says why; once for each change of a file */
};
/*
 * Reads the files again if one of them has changed. Call it every few seconds. A certificate and
 * its key are two files, so a pair that does not fit is read once more before it is reported. Adds
 * a warning once a day while a certificate expires soon or has expired.
 */
enum http_tls_news http_tls_look(struct http_tls *tls, struct http_tls_report *report);

bool http_tls_has_expired(struct http_tls *tls); /* one of the certificates. Any thread */

/* Returns whether a certificate has this name. Any thread. */
bool http_tls_has_name(struct http_tls *tls, struct slice host);

#endif
