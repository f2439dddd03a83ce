/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a request ended: from libcurl's result, the system's error and the notes of the transfer to
 * enum err, and to the missing resource if this machine is the cause (ERR_SHORTAGE).
 *
 * What counts first is whether the request was sent. If it was not, the result is the step that
 * failed: the name, TCP, TLS. If it was, the answer is late, lost or malformed, unless the peer
 * provably did not read the request (tls.h, refusal.h).
 */
#ifndef PENSTOCK_CLIENT_EXPLAIN_H
#define PENSTOCK_CLIENT_EXPLAIN_H

#include "base/err.h"

#include <curl/curl.h>

struct client_transfer;

/* Converts libcurl's result. ERR_SHORTAGE sets transfer->shortage. Has no effect if the transfer is
 * answered. */
enum err explain_result(struct client_transfer *transfer, CURLcode code);
/* Returns the error for a deadline that has passed, by the step that it was for. */
enum err explain_deadline(const struct client_transfer *transfer);

/* Returns the resource that an errno is about. NULL: the error says something about the peer, or is
 * unknown. */
const char *explain_shortage(int error);

#endif
