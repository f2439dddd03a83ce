/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over the bytes of an HTTP/1 connection: where a head ends, which bytes are the body, where
 * the request ends. It accepts only the grammar of RFC 9112: CR LF ends a line, a length has only
 * digits, exactly one header says where the body ends, an HTTP/1.1 request has one Host. A proxy in
 * front of Penstock may read a request in another way than Penstock does. Then the rest of one
 * client's body would be read as the next request of another client (request smuggling). So
 * everything that two readers could understand differently is rejected.
 *
 * The walker stores no bytes and takes them in pieces of any size.
 */
#ifndef PENSTOCK_HTTP_FRAMING_H
#define PENSTOCK_HTTP_FRAMING_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum framing_phase {
    FRAMING_IDLE, /* between two requests */
    FRAMING_IN_HEAD,
    FRAMING_IN_BODY, /* with its trailers */
};

struct framing {
    int state;                    /* 0: before the first byte of a request; else of framing.c */
    uint8_t header, headers_seen; /* the current field, if it affects framing; those seen */
    bool is_http_1_0, has_digits, is_blank; /* is_blank: after the last visible byte of the value */
    uint8_t matched;                        /* bytes matched of a fixed text */
    uint8_t name_len;
    char name[20];            /* in lower case, cut to this size */
    unsigned line_bytes;      /* of a chunk's size and extension, or of a trailer */
    unsigned extension_bytes; /* of all chunks so far */
    unsigned small_chunks;    /* so far */
    uint64_t left;            /* bytes left of the body or chunk */
    const char *fault;        /* after FRAMING_FAULT: a sentence that says what is wrong */
};

/* A zeroed struct is before the first request. */

enum framing_event {
    FRAMING_MORE, /* all bytes are used */
    FRAMING_HEAD, /* the last byte used is the last one of a head */
    FRAMING_DATA, /* *ret_data has bytes of the body */
    FRAMING_END,  /* the request is complete */
    FRAMING_FAULT /* see `fault`. The walker must not be used any more */
};

/* Walks to the next event. Call it again with the bytes after *ret_used, until FRAMING_MORE. */
enum framing_event framing_next(
    struct framing *framing, struct slice bytes, size_t *ret_used, struct slice *ret_data);

/* After FRAMING_HEAD: the length of the body, or FRAMING_CHUNKED. */
#define FRAMING_CHUNKED UINT64_MAX
uint64_t framing_body_length(const struct framing *framing);

enum framing_phase framing_phase(const struct framing *framing);

#endif
