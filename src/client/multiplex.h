/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which HTTP/2 connection a request uses: few connections for each origin, and many requests on
 * each. An origin is a peer with one set of TLS settings and one route (address_set.h).
 *
 *   enter --> OPEN    there is no connection with room: this request makes one
 *         --> JOIN    there is one: the request is sent on it
 *         --> WAIT    one is being made, or all are full: multiplex_next returns the request later
 *         --> HTTP_1  the peer does not support HTTP/2: the request does not use this table
 *
 *   a connection:
 *     being made -- made ----> open -- lost, or silent --> closed -- last stream ends --> freed
 *       |   |------ HTTP/1.1 --> freed; the origin uses HTTP/1.1 for MULTIPLEX_HTTP_1_US
 *       '---------- failed ----> freed; the next waiting request makes one
 *
 * libcurl 7.88 can share connections by itself, but it opens one for each request that finds no
 * room at once: with a limit of 5 streams, 60 requests opened 55. While a connection is being made,
 * and after GOAWAY, all further requests open their own. Its limit of connections per host would
 * also apply to HTTP/1.1. So each connection has a number that is part of the name that libcurl
 * connects to (route.h), libcurl sees one connection per name, and this table decides.
 *
 * The table does not see what a connection is allowed: the peer's limit of streams, and GOAWAY. It
 * learns them when libcurl opens a socket for a request that was to join: that is refused, and the
 * request enters again. Then the connection has no room until another stream ends. It also learns
 * them when the peer refuses a request that was sent. libcurl does not use that connection again,
 * so the table closes it, and the request enters again.
 *
 * libcurl knows the limit only after the peer's SETTINGS. Many peers close a connection with more
 * streams, or refuse them. So a new connection gets as many as the last one could have, until
 * something is answered on it. GOAWAY looks like a limit and may leave one that is too low. It
 * rises with the streams that a connection has.
 *
 * A connection that lost a request is closed: it gets no new streams, and the others end. The same
 * holds if a request timed out and nothing was answered on the connection since it was sent: the
 * path may be dead, and TCP does not say so for minutes.
 *
 * No I/O. Owned by the client's thread. Limits: MULTIPLEX_ORIGINS_MAX origins, further ones use
 * HTTP/1.1; MULTIPLEX_CONNECTIONS_MAX open connections for each; MULTIPLEX_STREAMS_MAX requests on
 * each.
 */
#ifndef PENSTOCK_CLIENT_MULTIPLEX_H
#define PENSTOCK_CLIENT_MULTIPLEX_H

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define MULTIPLEX_ORIGINS_MAX 1024
#define MULTIPLEX_CONNECTIONS_MAX 4
/* What servers should allow (RFC 9113, 6.5.2), and what libcurl assumes before it has the peer's
 * SETTINGS. */
#define MULTIPLEX_STREAMS_MAX 100
/* How long a peer without HTTP/2 is not asked again. */
#define MULTIPLEX_HTTP_1_US (600 * US_PER_SECOND)

#define MULTIPLEX_BUCKETS 256 /* a power of two */

enum multiplex_way { MULTIPLEX_WAIT, MULTIPLEX_OPEN, MULTIPLEX_JOIN, MULTIPLEX_HTTP_1 };

enum multiplex_end {
    MULTIPLEX_ENDED,      /* with an answer, or given up by us */
    MULTIPLEX_LOST,       /* the connection or the stream failed */
    MULTIPLEX_SILENT,     /* timed out */
    MULTIPLEX_REFUSED,    /* libcurl did not let it join */
    MULTIPLEX_UNPROCESSED /* it was sent, and the peer refused it (unprocessed.h) */
};

struct multiplex {
    struct hash_seed seed;
    struct list ready;  /* origins that may have room for a waiting request */
    struct list places; /* of origins, the least recently used first */
    unsigned origins_count;
    uint64_t numbers; /* of connections, used so far */
    struct list buckets[MULTIPLEX_BUCKETS];
};

/* One request's part of the table. Zeroed, it is in no table. */
struct multiplex_stream {
    struct list link;                        /* while it waits */
    struct multiplex_origin *origin;         /* while it waits */
    struct multiplex_connection *connection; /* after OPEN or JOIN */
    enum multiplex_way way;
    bool sent;
    int64_t sent_mono_us;
};

/* Returns whether the origin that the request waits for has a connection: then all of its streams
 * are in use. */
bool multiplex_is_full(const struct multiplex_stream *stream);

void multiplex_init(struct multiplex *multiplex);
/* All streams have left. */
void multiplex_done(struct multiplex *multiplex);

/* A number for a connection that is not in the table: a guarded request has its own. */
uint64_t multiplex_take_number(struct multiplex *multiplex);

/* Returns the stream's way. `origin` names the origin. */
enum multiplex_way multiplex_enter(struct multiplex *multiplex, const char *origin,
    struct multiplex_stream *stream, int64_t now_mono_us);
/* Returns a stream that has waited, with its way (not WAIT), or NULL. */
struct multiplex_stream *multiplex_next(struct multiplex *multiplex, int64_t now_mono_us);
/* Returns whether multiplex_next may return a stream. */
bool multiplex_is_ready(const struct multiplex *multiplex);

/* The number of the stream's connection; 0: it has none. */
uint64_t multiplex_number(const struct multiplex_stream *stream);

/* The connection that the stream opened is made. If not `http_2`, the stream has left. */
void multiplex_note_made(
    struct multiplex *multiplex, struct multiplex_stream *stream, bool http_2, int64_t now_mono_us);
/* Returns whether something was answered on the connection before. */
bool multiplex_note_sent(struct multiplex_stream *stream, int64_t now_mono_us);
void multiplex_note_answer(
    struct multiplex *multiplex, struct multiplex_stream *stream, int64_t now_mono_us);

/* Harmless if the stream is not in the table. Returns whether the connection can be closed: it gets
 * no new streams, and this was the last one. */
bool multiplex_leave(
    struct multiplex *multiplex, struct multiplex_stream *stream, enum multiplex_end end);

#endif
