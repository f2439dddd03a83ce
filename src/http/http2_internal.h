/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of HTTP/2: http2.c, http2_read.c, http2_frames.c, http2_answer.c. */
#ifndef PENSTOCK_HTTP_HTTP2_INTERNAL_H
#define PENSTOCK_HTTP_HTTP2_INTERNAL_H

#include "http/frame_walker.h"
#include "http/http_internal.h"
#include "http/patience.h"

#include <nghttp2/nghttp2.h>

/* The window of a stream: one more than an event may have, so that 413 is seen. */
#define HTTP2_WINDOW_BYTES (64 * 1024 + 1)
#define HTTP2_PREFACE_BYTES 24

struct http2 {
    struct http_connection *connection;
    nghttp2_session *session;
    struct patience patience;
    struct frame_walker walker;
    int64_t idle_since_us;      /* with no request open */
    int64_t now_mono_us;        /* of the read that is being handled */
    const char *cut;            /* why the connection is to be cut; NULL: it is not */
    int32_t last_stream;        /* the highest that a head was for */
    int32_t block_stream;       /* whose head is being received; 0: none */
    bool block_is_complete;     /* with the frame that is being received */
    size_t block_bytes;         /* of that head, before decoding */
    size_t block_decoded_bytes; /* the same, after decoding */
    unsigned block_fields;
    /* Bytes received, less those of frames that on_begin_frame has seen. libnghttp2 ignores some
     * frames silently, such as DATA of closed streams. */
    int64_t unseen_bytes, unseen_paid;
    struct list exchanges; /* of struct http_exchange: one for each open stream */
    struct buffer out;     /* frames being written */
    bool is_writing;
    bool awaits_body; /* of the last request, in this read */
    bool has_refused; /* streams, since the last flush */
    bool goes_away;   /* it has the final GOAWAY: libnghttp2 decodes new heads, and drops them */
    bool has_left;    /* it was idle for too long, and has the final GOAWAY */
};

static inline struct http_exchange *http2_exchange_of(struct http2 *http2, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(http2->session, stream);
}

/* http2_frames.c */
/* Begins to count what the connection receives. Call it before the first bytes. */
void http2_count_begin(struct http2 *http2);
/* libnghttp2 calls it for the head of each frame. */
int http2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *context);
/* The functions below return what a callback returns: not 0 if the connection is to be cut. */
/* Spends patience. */
int http2_spend(struct http2 *http2, enum patience_kind kind);
int http2_cut(struct http2 *http2, const char *why);
/* A DATA frame is complete: its padding is known. */
int http2_count_content(struct http2 *http2, const nghttp2_frame *frame);
/* A field of the head that is being received: name and value have so many bytes. */
int http2_count_field(struct http2 *http2, size_t bytes);
/* Bytes are read. http2_pay_for_unseen comes after libnghttp2 has had them: it returns false if the
 * connection is to be cut. */
void http2_count_bytes(struct http2 *http2, const uint8_t *bytes, size_t len);
bool http2_pay_for_unseen(struct http2 *http2);
/* The head that is being received is complete, or was rejected. */
void http2_end_head(struct http2 *http2);
/* A head or a part of a frame has arrived, and its rest has not. */
bool http2_is_receiving(const struct http2 *http2);
/* Sets the deadline of the connection: for the head that is being received, for the rest of a
 * frame, or for being idle. Requests and answers have their own. */
void http2_set_deadline(struct http2 *http2);
/* The same, when a request has begun or ended: the time of being idle begins. */
void http2_note_change(struct http2 *http2);

/* http2_read.c */
/* Reads what the client has sent, now and later. May free the connection. */
void http2_read_begin(struct http_connection *connection);

/* http2_answer.c */
void http2_set_exchange_deadline(struct http_exchange *exchange, int64_t after_us);
void http2_set_body_deadline(struct http_exchange *exchange);
/* Of struct http_protocol. */
void http2_answer(struct http_exchange *exchange, const struct http_reply *reply);
void http2_exchange_late(struct http_exchange *exchange);

/* http2.c */
/* A write at the end of the turn. */
void http2_want_flush(struct http_connection *connection);
/* Of struct http_protocol. */
void http2_drain(struct http_connection *connection, bool is_final);
void http2_flush(struct http_connection *connection);

#endif
