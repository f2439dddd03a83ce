/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far an attempt got (struct attempt_reach), out of what libcurl 7.88 counts and tells anyway:
 * the evidence when its end is ambiguous.
 *
 * The request. libcurl counts what the first write took, headers and body together, and what was
 * taken of the body in all. request_complete goes by the body's count alone. request_bytes is exact
 * where the first write took everything, which is the rule; where the body went by itself (a long
 * one, or over HTTP/2) it is too low by libcurl's own headers, some 100 bytes. Over HTTP/2 both are
 * about what libcurl's framing took, in HTTP/1.1's words.
 *
 * The answer. libcurl tells whole header lines and the body. A line that broke off it keeps to
 * itself; if it is the first one, there would be nothing to tell half an answer from none. So for
 * guarded requests over plain HTTP the kernel is asked what it has before libcurl reads it; only
 * what is there before libcurl begins to wait is missed. Over TLS nobody can look ahead: libcurl's
 * BIO works only within libcurl.
 *
 * Part of a transfer, and as it owned by the client's thread.
 */
#ifndef PENSTOCK_CLIENT_REACH_H
#define PENSTOCK_CLIENT_REACH_H

#include "client/client.h"

#include <curl/curl.h>

struct reach {
    /* of the last send */
    bool socket_opened;         /* since the send before it, or since the beginning */
    bool warm;                  /* none was: the connection had been used before */
    long earlier_bytes;         /* of those that libcurl counts: what earlier sends took */
    curl_off_t body_bytes;      /* of the request's body, as far as noted */
    size_t request_lines_bytes; /* the header lines that libcurl was given */

    /* of the answer */
    size_t answer_head_bytes, answer_body_bytes; /* told by libcurl */
    size_t ahead_bytes; /* seen in the kernel when nothing had been told yet */
};

void reach_begin(struct reach *reach, const struct client_request *request);
void reach_note_send(struct reach *reach, CURL *easy);
/* A connection has gone, perhaps this one's: if libcurl sends again, it forgets what it has
 * counted. */
void reach_note_loss(struct reach *reach, CURL *easy);

/* Before libcurl reads the socket: what it won't tell goes into the excerpt. Only for plain HTTP.
 * */
void reach_look_ahead(struct reach *reach, struct client_request *request, int fd);
/* Adds bytes of the answer, as libcurl tells them, to the excerpt; the caller then counts them. */
void reach_show(const struct reach *reach, struct client_request *request, struct slice bytes);

/* Fills request->reach. */
void reach_report(const struct reach *reach, CURL *easy, struct client_request *request);

#endif
