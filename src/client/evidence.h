/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an attempt was made and how far it got (struct attempt_evidence). It uses only what libcurl
 * 7.88 counts and reports, and our own clock.
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
 * An answer that is too large is counted as it was received, with what libcurl does not report
 * (inflow.h). Over HTTP/2 that includes what arrived for other requests of the connection.
 *
 * Part of a transfer, owned by the client's thread.
 */
#ifndef PENSTOCK_CLIENT_EVIDENCE_H
#define PENSTOCK_CLIENT_EVIDENCE_H

#include "client/client.h"

#include <curl/curl.h>

struct evidence {
    /* the steps; times are 0 for what did not happen */
    int64_t dns_us;
    int64_t begun_mono_us;      /* the addresses are known: libcurl begins to connect */
    int64_t loaded_mono_us;     /* the same, of libcurl's last begin: its clock */
    int64_t sent_mono_us;       /* the request is about to be sent */
    int64_t first_byte_mono_us; /* of the answer */
    int64_t connect_us, tls_us;

    /* of the last send */
    bool socket_opened;         /* since the previous send, or since the begin */
    bool warm;                  /* the connection had been used before */
    long earlier_bytes;         /* of libcurl's count: bytes of earlier sends */
    curl_off_t body_bytes;      /* of the request's body, as far as noted */
    size_t request_lines_bytes; /* the header lines that libcurl was given */

    /* of the answer */
    size_t answer_head_bytes, answer_body_bytes; /* reported by libcurl */
    size_t ahead_bytes;        /* seen in the socket before libcurl reported anything */
    uint64_t answer_raw_bytes; /* of the connection, if they are too many; or 0 */
};

void evidence_begin(struct evidence *evidence, const struct client_request *request);
/* The request is sent again. Removes what was noted about the last one, except the look-up. */
void evidence_begin_again(struct evidence *evidence, struct client_request *request);
/* libcurl gets the request, again if it was taken back. */
void evidence_note_load(struct evidence *evidence);
/* TCP was connected at this time. Needed for a handshake that fails: libcurl 7.88 reports the time
 * only when the handshake is complete. */
void evidence_note_tcp(struct evidence *evidence, int64_t mono_us);
/* `warm`: something was answered on the connection before. */
void evidence_note_send(struct evidence *evidence, CURL *easy, bool warm);
void evidence_note_answer(struct evidence *evidence); /* bytes of it */
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

/* Writes "192.0.2.7:443" or "[2001:db8::1]:443". */
void evidence_print_peer(
    const char *ip, unsigned port, bool is_ipv6, char ret_peer[EVIDENCE_PEER_BYTES]);

/* Fills request->evidence, except its texts. */
void evidence_report(struct evidence *evidence, CURL *easy, struct client_request *request);

#endif
