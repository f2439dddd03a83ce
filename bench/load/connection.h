/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a partner, over a non-blocking socket, in cleartext or over TLS: HTTP/2 by
 * libnghttp2 (in cleartext by prior knowledge), or HTTP/1.1 to a target that needs it (http1.h).
 * It belongs to its sender's thread. When it ends, its requests in flight end as broken, and the
 * sender opens it again.
 *
 *   CLOSED --open--> CONNECTING --> (HANDSHAKING -->) OPEN
 *   any state --error, end, or GOAWAY and no streams--> CLOSED
 */
#ifndef PENSTOCK_BENCH_LOAD_CONNECTION_H
#define PENSTOCK_BENCH_LOAD_CONNECTION_H

#include "load/http1.h"
#include "load/options.h"
#include "load/sending.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

/* Bytes that are handed to the kernel at once. Many requests share a call; a call for each frame
 * would be too slow. */
#define CONNECTION_OUT_BYTES (128 * 1024)

enum connection_stage {
    CONNECTION_CLOSED,
    CONNECTION_CONNECTING,
    CONNECTION_HANDSHAKING,
    CONNECTION_OPEN
};

struct connection {
    const struct load_options *options;
    int epoll_fd;
    SSL_CTX *tls; /* NULL: cleartext */
    void (*on_end)(struct sending *sending, enum load_end end,
        void *context); /* called when it is no longer on the connection */
    void *context;

    enum connection_stage stage;
    int fd;
    SSL *ssl;
    nghttp2_session *session; /* of HTTP/2 */
    struct http1 http1;
    uint32_t watched; /* epoll events */
    bool leaving;     /* the server sent GOAWAY: no new requests */
    bool failed;      /* connection_flush closes it */
    bool closes;      /* it ends as the server said it would: open another one at once */
    unsigned streams; /* of nghttp2; also those that were given up but are not closed yet */
    struct list sendings;
    struct list in_dirty; /* in the sender's list: a request was submitted */
    /* CONNECTION_OUT_BYTES; the socket has not taken the bytes from out_at to out_len yet */
    uint8_t *out;
    size_t out_at, out_len;
    int64_t reopen_at_us;
};

void connection_init(
    struct connection *connection, const struct load_options *options, int epoll_fd, SSL_CTX *tls);
void connection_done(struct connection *connection); /* requests in flight end as unfinished */

/* Begins to connect. When it fails, the state is CLOSED again. */
void connection_open(struct connection *connection);
bool connection_has_room(const struct connection *connection);

/* Submits a request with its finished body. The options have the path and the credentials, or the
 * post whose head is in the sending. Sets the records' sent_us when its first frame is made. */
void connection_send(struct connection *connection, struct sending *sending);
/* RST_STREAM; with HTTP/1.1 the next flush closes the connection. No on_end. */
void connection_give_up(struct sending *sending);

void connection_on_ready(struct connection *connection, uint32_t events);
void connection_flush(struct connection *connection);

#endif
