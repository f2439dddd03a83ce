/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where does an HTTP/1 request end? A proxy in front of us may have read it otherwise than h2o, and
 * then the rest of one client's body would be taken as the next request of another (request
 * smuggling). So the bytes of a connection are walked over before h2o sees them, by the grammar of
 * RFC 9112 and nothing beyond it: CR LF ends a line, a length has digits only, one header says
 * where the body ends, an HTTP/1.1 request has one Host. What is refused here h2o never sees; what
 * is taken here h2o divides at the same places.
 *
 * The walker holds no bytes, and takes them in any pieces. Bodies are skipped.
 */
#ifndef PENSTOCK_HTTP_FRAMING_H
#define PENSTOCK_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing_phase {
    FRAMING_IDLE, /* between two requests */
    FRAMING_HEAD,
    FRAMING_BODY, /* with its trailer */
};

struct framing {
    int state;                    /* 0: before a request's first byte; the others are framing.c's */
    uint8_t header, headers_seen; /* the field in flight that counts here; those that came */
    bool is_http_1_0, has_digits, is_blank; /* is_blank: behind the value's last visible byte */
    uint8_t matched;                        /* bytes of what must stand here */
    uint8_t name_len;
    char name[20];       /* in lower case, as far as it fits */
    unsigned line_bytes; /* of a chunk's size and extension, or of a trailer */
    unsigned requests;   /* begun; may wrap */
    uint64_t left;       /* of the body, or of the chunk */
};

/* A struct that is zero stands before the first request. */

/*
 * Walks over the next bytes. NULL, or what can't be taken, in a sentence; then *ret_start is where
 * the request that is refused begins in `bytes` (0 as well when it began before), and the walker
 * must not be used any more.
 */
const char *framing_walk(struct framing *framing, const char *bytes, size_t len, size_t *ret_start);

enum framing_phase framing_phase(const struct framing *framing);

#endif
