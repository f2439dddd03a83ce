/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far an attempt got (struct attempt_evidence): the evidence when its end is ambiguous. It uses
 * only what libcurl 7.88 counts and reports.
 *
 * The request. libcurl counts the bytes of the first write (headers and body) and the bytes of the
 * body in total. request_complete uses the body's count only. request_bytes is exact if the first
 * write took everything, which is usual. If the body was sent separately (a long body, or HTTP/2),
 * it is too low by libcurl's own headers, about 100 bytes. Over HTTP/2 both count what libcurl's
 * framing took, expressed as HTTP/1.1.
 *
 * The answer. libcurl reports whole header lines and the body. It does not report a part of a line.
 * If that is the first line, half an answer would look like none. So for guarded requests over
 * plain HTTP, the client peeks at the socket before libcurl reads it. Only bytes that are there
 * before libcurl begins to wait are missed. Over TLS this is not possible: libcurl's BIO works only
 * within libcurl.
 *
 * Part of a transfer, owned by the client's thread.
 */
#ifndef PENSTOCK_CLIENT_EVIDENCE_H
#define PENSTOCK_CLIENT_EVIDENCE_H

#include "client/client.h"

#include <curl/curl.h>

struct evidence {
    /* of the last send */
    bool socket_opened;         /* since the previous send, or since the begin */
    bool warm;                  /* no socket was opened: the connection had been used before */
    long earlier_bytes;         /* of libcurl's count: bytes of earlier sends */
    curl_off_t body_bytes;      /* of the request's body, as far as noted */
    size_t request_lines_bytes; /* the header lines that libcurl was given */

    /* of the answer */
    size_t answer_head_bytes, answer_body_bytes; /* reported by libcurl */
    size_t ahead_bytes; /* seen in the socket before libcurl reported anything */
};

void evidence_begin(struct evidence *evidence, const struct client_request *request);
void evidence_note_send(struct evidence *evidence, CURL *easy);
/* A connection was closed, perhaps this one. Saves libcurl's counts, which it clears if it sends
 * again. */
void evidence_note_loss(struct evidence *evidence, CURL *easy);

/* Call it before libcurl reads the socket. Copies bytes that libcurl may not report to the excerpt.
 * Only for plain HTTP. */
void evidence_look_ahead(struct evidence *evidence, struct client_request *request, int fd);
/* Adds bytes of the answer, as libcurl reports them, to the excerpt. The caller then counts
 * them. */
void evidence_show(
    const struct evidence *evidence, struct client_request *request, struct slice bytes);

/* Fills request->evidence. */
void evidence_report(const struct evidence *evidence, CURL *easy, struct client_request *request);

#endif
