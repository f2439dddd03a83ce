/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/2 connection of a partner: libnghttp2 over a non-blocking socket, in cleartext by prior
 * knowledge or over TLS. It belongs to its sender's thread. When it ends, whatever was in flight on
 * it ends as broken, and the sender opens it again.
 *
 *   CLOSED --open--> CONNECTING --> (HANDSHAKING -->) OPEN --error, end, GOAWAY and empty--> CLOSED
 */
#ifndef PENSTOCK_BENCH_LOAD_CONNECTION_H
#define PENSTOCK_BENCH_LOAD_CONNECTION_H

#include "load/options.h"
#include "load/sending.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

/* What is handed to the kernel at once: many requests, or it would be a call for each frame. */
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
        void *context); /* it is off the connection by then */
    void *context;

    enum connection_stage stage;
    int fd;
    SSL *ssl;
    nghttp2_session *session;
    uint32_t watched; /* epoll events */
    bool leaving;     /* the server said GOAWAY: nothing new */
    bool failed;      /* to be closed by connection_work_done */
    unsigned streams; /* nghttp2's, also those that were given up but are not closed yet */
    struct list sendings;
    struct list in_dirty; /* the sender's: something was submitted */
    uint8_t *
        /* CONNECTION_OUT_BYTES: frames that the socket has not taken yet, from out_at to out_len */
        out;
    size_t out_at, out_len;
    int64_t reopen_at_us;
};

void connection_init(
    struct connection *connection, const struct load_options *options, int epoll_fd, SSL_CTX *tls);
void connection_done(struct connection *connection); /* what is in flight ends as unfinished */

/* Begins to connect; a failure shows as CLOSED again. */
void connection_open(struct connection *connection);
bool connection_has_room(const struct connection *connection);

/* Submits a request whose body is made; `path` and the credentials come from the options. The
 * records' sent_us is set when its first frame is made. / */
void connection_send(struct connection *connection, struct sending *sending);
void connection_give_up(struct sending *sending); /* RST_STREAM; no on_end */

void connection_on_ready(struct connection *connection, uint32_t events);
void connection_flush(struct connection *connection);

#endif
