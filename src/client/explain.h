/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a request ended: from libcurl's result, the system's error and the notes of the transfer to
 * enum err, and to the missing resource if this machine is the cause (ERR_SHORTAGE).
 *
 * What counts first is whether the request was sent. If it was not, the result names the step that
 * failed: the name, TCP, TLS. If it was, the answer is late, lost or malformed. The exception is a
 * TLS handshake that the peer rejected: it cannot have read the request (tls.h).
 */
#ifndef PENSTOCK_CLIENT_EXPLAIN_H
#define PENSTOCK_CLIENT_EXPLAIN_H

#include "base/err.h"

#include <curl/curl.h>

struct client_transfer;

/* Converts libcurl's result. Sets transfer->stream_failed; with ERR_SHORTAGE transfer->shortage;
 * with ERR_TLS the evidence of the handshake. OK: the answer is complete, or is longer than the
 * request has room for. */
enum err explain_result(struct client_transfer *transfer, CURLcode code);
/* Returns the error for a deadline that has passed: it depends on the step of the transfer. */
enum err explain_deadline(const struct client_transfer *transfer);

/* Returns the resource that is missing on this machine according to an errno. NULL: the error is
 * about the peer, or is unknown. */
const char *explain_shortage(int error);

#endif
