/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds where an HTTP/1 request ends, as protection from request smuggling. A proxy in front of
 * Penstock may have read a request differently than h2o reads it. Then the rest of one client's
 * body would be read as the next request of another client. So this code walks over the bytes of a
 * connection before h2o sees them. It accepts only the grammar of RFC 9112: CR LF ends a line, a
 * length has only digits, exactly one header says where the body ends, an HTTP/1.1 request has one
 * Host. h2o never sees what is rejected here, and splits what is accepted here at the same places.
 *
 * The walker stores no bytes and takes them in pieces of any size. Bodies are skipped.
 */
#ifndef PENSTOCK_HTTP_FRAMING_H
#define PENSTOCK_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing_phase {
    FRAMING_IDLE, /* between two requests */
    FRAMING_HEAD,
    FRAMING_BODY, /* with its trailers */
};

struct framing {
    int state;                    /* 0: before the first byte of a request; else of framing.c */
    uint8_t header, headers_seen; /* the current field, if it affects framing; those seen */
    bool is_http_1_0, has_digits, is_blank; /* is_blank: after the last visible byte of the value */
    uint8_t matched;                        /* bytes matched of a fixed text */
    uint8_t name_len;
    char name[20];           /* in lower case, cut to this size */
    unsigned line_bytes;     /* of a chunk's size and extension, or of a trailer */
    unsigned requests;       /* begun so far; may wrap */
    uint64_t left;           /* bytes left of the body or chunk */
    uint64_t body_bytes_max; /* 0: no limit. Set by the caller; kept from request to request */
};

/* A zeroed struct is before the first request. */

/* The fault of a request whose Content-Length is above body_bytes_max. */
extern const char framing_too_large[];

/*
 * Walks over the next bytes. Returns NULL, or a sentence that says what is wrong. Then *ret_start
 * is where the rejected request begins in `bytes` (0 also if it began earlier), and the walker must
 * not be used any more.
 */
const char *framing_walk(struct framing *framing, const char *bytes, size_t len, size_t *ret_start);

enum framing_phase framing_phase(const struct framing *framing);

#endif
