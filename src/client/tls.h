/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS of a transfer: the CA and the client's certificate, and what is wrong when it fails.
 *
 * libcurl reports a code and a sentence, but not the certificate. So a callback of OpenSSL notes
 * the certificate that is verified (its name and dates) while a connection is being made. When the
 * connection is made, the callback forgets the transfer, because the connection may outlive it. No
 * other handshake follows: renegotiation is off.
 *
 * With TLS 1.3 a request is sent before the peer has seen our certificate. If the peer rejects it,
 * its alert is the answer, and the request was not processed: the handshake was never complete.
 *
 * Part of a transfer, owned by the client's thread.
 */
#ifndef PENSTOCK_CLIENT_TLS_H
#define PENSTOCK_CLIENT_TLS_H

#include "client/client.h"

#include <curl/curl.h>

#define TLS_SUBJECT_BYTES 48

struct tls_notes {
    int verify_error; /* X509_V_ERR_...; 0: none */
    /* Of the certificate with the error, or else of the peer's own; "": none was received. */
    char subject[TLS_SUBJECT_BYTES];
    char date[sizeof "2026-11-03"]; /* when it expired or begins, if that is the error; or "" */
    char said[CURL_ERROR_SIZE];     /* libcurl's sentence */
    int64_t begun_mono_us;          /* the handshake, after TCP was connected; 0: not begun */
    bool own_settings;              /* the handle has the settings of an endpoint */
};

/* Once per handle, which keeps pointers to the options and the notes. */
bool tls_prepare(CURL *easy, struct tls_notes *notes, const struct client_options *options);
/* Before each request; `tls` may be NULL. It must be valid until the request ends. Returns false
 * without memory. */
bool tls_load(CURL *easy, struct tls_notes *notes, const struct client_options *options,
    const struct client_tls *tls);

/* Call it when the request is about to be sent. Fills *ret_version ("" without TLS). Returns
 * whether HTTP/2 was negotiated. `made`: by this transfer. */
bool tls_note_connected(CURL *easy, bool made, char ret_version[EVIDENCE_TLS_BYTES]);

/* Returns whether the peer rejected our certificate, or asks for one. */
bool tls_was_rejected(const struct tls_notes *notes);
/* Says what is wrong, and returns the cause. `code` is libcurl's result. */
enum attempt_cause tls_explain(
    const struct tls_notes *notes, CURLcode code, char ret_problem[EVIDENCE_TLS_PROBLEM_BYTES]);

#endif
