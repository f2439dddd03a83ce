/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 connections, on libnghttp2: it reads and writes frames, checks the protocol and the
 * grammar of heads, and counts flow control.
 *
 * Memory. A stream has a window of 64 KiB, as much as one event may have. A larger window is opened
 * for a request that was admitted to a route with larger bodies, and only for this stream. What has
 * arrived on a stream is never credited back, so a stream cannot send more than its window.
 *
 * Useless work. Each frame that does not bring a request forward is counted (patience.h). A
 * connection that exceeds its credit is cut at once, without an answer.
 *
 * Frames to send are collected and written once, at the end of the turn.
 */
#include "http/frame_walker.h"
#include "http/http_internal.h"
#include "http/patience.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <dlfcn.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#define STREAMS_MAX 100
#define STREAM_WINDOW_BYTES (64 * 1024 + 1) /* one more than an event, so that 413 is seen */
#define CONNECTION_WINDOW_BYTES (4 * 1024 * 1024)
#define HEAD_BLOCK_BYTES_MAX (32 * 1024) /* before decoding; cut beyond it */
#define HEAD_FIELDS_CUT 1024             /* after decoding; cut beyond it */
#define ACKS_WAITING_MAX 100
#define FRAME_HEAD_BYTES 9
#define LEAVE_US (2 * US_PER_SECOND)
#define CONTINUATIONS_MAX 64 /* counted with partial reads; HEAD_BLOCK_BYTES_MAX bounds them */
#define SET_HEADERS_MAX 4
#define PREFACE_BYTES 24
#define UNSEEN_BYTES 1024 /* each costs patience */
#define BODY_STEP_BYTES (64 * 1024)
#define LINGER_US US_PER_SECOND /* after an answer that was written before the end of the body */

struct http2 {
    struct http_connection *connection;
    nghttp2_session *session;
    struct patience patience;
    struct frame_walker walker;
    int64_t idle_since_us; /* with no request open */
    int64_t now_mono_us;   /* of the read that is being handled */
    const char *cut;       /* why the connection is to be cut; NULL: it is not */
    int32_t last_stream;   /* the highest that a head was for */
    int32_t block_stream;  /* whose head is being received; 0: none */
    size_t block_bytes;    /* of that head, before decoding */
    unsigned block_fields; /* the same, after decoding */
    /* Bytes received, less those of frames that on_begin_frame has seen. libnghttp2 ignores some
     * frames silently, such as DATA of closed streams. */
    int64_t unseen_bytes, unseen_paid;
    struct list exchanges; /* of struct http_exchange: one for each open stream */
    struct buffer out;     /* frames being written */
    bool is_writing;
    bool has_left; /* it was idle for too long, and has the final GOAWAY */
};

static nghttp2_session_callbacks *callbacks; /* both are shared and never change */
static nghttp2_option *session_options;

static int cut(struct http2 *http2, const char *why)
{
    http2->cut = why;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Spends patience. Returns what a callback returns. */
static int spend(struct http2 *http2, enum patience_kind kind)
{
    bool has_credit = patience_spend(&http2->patience, kind, http2->now_mono_us);
    return has_credit ? 0 : cut(http2, patience_kind_name(kind));
}

static struct http_exchange *exchange_of(struct http2 *http2, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(http2->session, stream);
}

/* A write at the end of the turn. */
static void want_flush(struct http_connection *connection)
{
    if (list_is_empty(&connection->in_unflushed))
        list_add_tail(&connection->server->unflushed, &connection->in_unflushed);
    http_server_want_flush(connection->server);
}

/* The deadline of the connection: for the head that is being received, for the rest of a frame, or
 * for being idle. Requests and answers have their own. */
static void set_connection_deadline(struct http2 *http2)
{
    const struct http_limits *limits = &http2->connection->server->options.limits;
    if (http2->block_stream || http2->has_left)
        return;
    int64_t idle_until_us = frame_walker_idle_until(&http2->walker, http2->idle_since_us,
        limits->idle_ms * US_PER_MS, limits->head_ms * US_PER_MS);
    http2->connection->deadline_mono_us =
        list_is_empty(&http2->exchanges) ? idle_until_us : HTTP_NEVER;
}

static void update_deadline(struct http2 *http2)
{
    http2->idle_since_us = http2->now_mono_us;
    set_connection_deadline(http2);
}

static void begin_block(struct http2 *http2, int32_t stream)
{
    const struct http_limits *limits = &http2->connection->server->options.limits;
    http2->block_stream = stream;
    http2->block_bytes = 0;
    http2->block_fields = 0;
    http2->connection->deadline_mono_us = http2->now_mono_us + limits->head_ms * US_PER_MS;
}

static void end_block(struct http2 *http2)
{
    http2->block_stream = 0;
    update_deadline(http2);
}

static void set_deadline(struct http_exchange *exchange, int64_t after_us)
{
    exchange->deadline_mono_us = clock_mono_us() + after_us;
    if (list_is_empty(&exchange->in_timed))
        list_add_tail(&exchange->server->timed, &exchange->in_timed);
}

static int count_block(struct http2 *http2, size_t bytes)
{
    http2->block_bytes += bytes;
    return http2->block_bytes <= HEAD_BLOCK_BYTES_MAX ? 0 : cut(http2, "large-heads");
}

static int count_continuation(struct http2 *http2, const nghttp2_frame_hd *frame)
{
    int failed = spend(http2, frame->length ? PATIENCE_CONTINUATION : PATIENCE_EMPTY);
    return failed ? failed : count_block(http2, frame->length);
}

static int count_data(struct http2 *http2, const nghttp2_frame_hd *frame)
{
    struct http_exchange *exchange = exchange_of(http2, frame->stream_id);
    bool is_end = frame->flags & NGHTTP2_FLAG_END_STREAM;
    if (!exchange || exchange->state != EXCHANGE_RECEIVING) {
        bool is_known = exchange && exchange->caller[0];
        return is_end ? 0 : spend(http2, is_known ? PATIENCE_SMALL_DATA : PATIENCE_LATE_DATA);
    }
    exchange->data_frames++;
    return !is_end && frame->length == 0 ? spend(http2, PATIENCE_EMPTY) : 0;
}

/* The padding is known when the frame is complete. */
static int count_content(struct http2 *http2, const nghttp2_frame *frame)
{
    size_t content = frame->hd.length - frame->data.padlen;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM || frame->hd.length == 0)
        return 0;
    if (content == 0)
        return spend(http2, PATIENCE_EMPTY);
    return content < PATIENCE_SMALL_DATA_BYTES ? spend(http2, PATIENCE_SMALL_DATA) : 0;
}

/* A head for a stream that is closed. libnghttp2 decodes and drops it without a call. */
static bool is_old(struct http2 *http2, int32_t stream)
{
    if (stream > http2->last_stream) {
        http2->last_stream = stream;
        return false;
    }
    return !nghttp2_session_find_stream(http2->session, stream);
}

static int count_old(struct http2 *http2, const nghttp2_frame_hd *frame)
{
    int failed = spend(http2, PATIENCE_RESET);
    for (size_t bytes = 0; !failed && bytes < frame->length; bytes += UNSEEN_BYTES)
        failed = spend(http2, PATIENCE_RESET);
    return failed;
}

static int count_reset(struct http2 *http2, int32_t stream)
{
    struct http_exchange *exchange = exchange_of(http2, stream);
    return spend(http2, exchange && exchange->caller[0] ? PATIENCE_CANCEL : PATIENCE_RESET);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *context)
{
    struct http2 *http2 = context;
    http2->unseen_bytes -= FRAME_HEAD_BYTES + (int64_t)frame->length;
    if (http2->block_stream && frame->type != NGHTTP2_CONTINUATION)
        end_block(http2); /* libnghttp2 has rejected the head without telling */
    switch (frame->type) {
    case NGHTTP2_DATA:
        return count_data(http2, frame);
    case NGHTTP2_HEADERS:
        if (is_old(http2, frame->stream_id))
            return count_old(http2, frame);
        begin_block(http2, frame->stream_id);
        if (exchange_of(http2, frame->stream_id) && spend(http2, PATIENCE_TRAILER))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        return count_block(http2, frame->length);
    case NGHTTP2_CONTINUATION:
        return count_continuation(http2, frame);
    case NGHTTP2_RST_STREAM:
        return count_reset(http2, frame->stream_id);
    case NGHTTP2_SETTINGS:
        return spend(http2, frame->flags & NGHTTP2_FLAG_ACK ? PATIENCE_CONTROL : PATIENCE_SETTINGS);
    case NGHTTP2_PING:
        return spend(http2, frame->flags & NGHTTP2_FLAG_ACK ? PATIENCE_CONTROL : PATIENCE_PING);
    case NGHTTP2_GOAWAY:
        return spend(http2, PATIENCE_GOAWAY);
    default: /* WINDOW_UPDATE, PRIORITY, and types that the protocol does not know */
        return spend(http2, PATIENCE_CONTROL);
    }
}

static int refuse_stream(struct http2 *http2, int32_t stream)
{
    nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_REFUSED_STREAM);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* a trailer: its fields are dropped */
    int32_t stream = frame->hd.stream_id;
    struct http_exchange *exchange = http_exchange_new(http2->connection, stream);
    if (!exchange)
        return refuse_stream(http2, stream);
    list_add_tail(&http2->exchanges, &exchange->in_connection);
    nghttp2_session_set_stream_user_data(session, stream, exchange);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name_bytes, size_t name_len, const uint8_t *value_bytes, size_t value_len,
    uint8_t flags, void *context)
{
    struct http2 *http2 = context;
    if (++http2->block_fields > HEAD_FIELDS_CUT)
        return cut(http2, "large-heads");
    struct http_exchange *exchange = exchange_of(http2, frame->hd.stream_id);
    if (!exchange || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct head *head = exchange->head;
    struct slice name = slice_of((const char *)name_bytes, name_len);
    struct slice value = slice_of((const char *)value_bytes, value_len);
    if (name_len == 0 || name.data[0] != ':')
        head_add_field(head, name, value);
    else if (slice_equals_string(name, ":method"))
        head_set_method(head, value);
    else if (slice_equals_string(name, ":path"))
        head_set_target(head, value);
    else if (slice_equals_string(name, ":authority"))
        head_set_authority(head, value);
    if (http_exchange_head_has_room(exchange))
        return 0;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, NULL);
    http_exchange_drop(exchange);
    return refuse_stream(http2, frame->hd.stream_id);
}

/* Fields that libnghttp2 rejects end the stream: without this, they would only be left out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *context)
{
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* The request was admitted: opens the window for a large body, and takes time for it. */
static void expect_body(struct http2 *http2, struct http_exchange *exchange)
{
    const struct http_limits *limits = &exchange->server->options.limits;
    size_t bytes = exchange->body_bytes_max;
    if (exchange->body_told < bytes)
        bytes = (size_t)exchange->body_told;
    if (bytes >= STREAM_WINDOW_BYTES)
        nghttp2_session_set_local_window_size(
            http2->session, NGHTTP2_FLAG_NONE, exchange->stream, (int32_t)bytes + 1);
    set_deadline(
        exchange, limits->body_ms * US_PER_MS + (int64_t)(bytes / BODY_STEP_BYTES) * US_PER_SECOND);
}

static int on_head(struct http2 *http2, struct http_exchange *exchange, bool is_end)
{
    bool is_large = exchange->head->is_too_large;
    exchange->is_complete = is_end;
    http_exchange_admit(exchange);
    if (is_large)
        return spend(http2, PATIENCE_LARGE_HEAD);
    if (exchange->state != EXCHANGE_RECEIVING)
        return 0;
    if (is_end)
        http_exchange_handle(exchange);
    else
        expect_body(http2, exchange);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct http_exchange *exchange = exchange_of(http2, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        end_block(http2);
        if (exchange && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            return on_head(http2, exchange, is_end);
    } else if (count_content(http2, frame)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (exchange && is_end)
        http_exchange_handle(exchange);
    return 0;
}

/* The window of the connection is credited at once: memory is bounded by the windows of the
 * streams and by the room. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
    size_t len, void *context)
{
    struct http2 *http2 = context;
    struct http_exchange *exchange = exchange_of(http2, stream);
    if (exchange)
        http_exchange_receive(exchange, data, len);
    return nghttp2_session_consume_connection(session, len) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    /* A stream above the limit: the client may not have seen the limit yet. */
    return spend(
        context, error == NGHTTP2_ERR_REFUSED_STREAM ? PATIENCE_REFUSED : PATIENCE_INVALID);
}

/* Frames of types that RFC 9113 does not have must be ignored. libnghttp2 would do so silently. It
 * gives them to the callbacks instead, so that on_begin_frame counts them. */
static int on_unknown_bytes(nghttp2_session *session, const nghttp2_frame_hd *frame,
    const uint8_t *data, size_t len, void *context)
{
    return 0;
}

static int on_unknown_frame(
    nghttp2_session *session, void **payload, const nghttp2_frame_hd *frame, void *context)
{
    return NGHTTP2_ERR_CANCEL;
}

/* Counts the resets that libnghttp2 sends because of the client's frames.
 *
 * An answer that was written before the end of the body ends the stream with a reset without an
 * error (RFC 9113 section 8.1), so that the client stops to send. With a body that fits into the
 * window the client has a second before that: the body ends by then, and no reset is needed.
 * libcurl 7.88 loses an answer that is reset while it sends (8 of 100 with a wrong key). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    bool is_answer = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (is_answer && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        struct http_exchange *exchange = exchange_of(http2, frame->hd.stream_id);
        if (!exchange || exchange->is_complete)
            return 0;
        if (exchange->body_told < STREAM_WINDOW_BYTES)
            set_deadline(exchange, LINGER_US);
        else
            nghttp2_submit_rst_stream(
                session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM)
        return spend(http2, PATIENCE_RESET);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    struct http2 *http2 = context;
    struct http_exchange *exchange = exchange_of(http2, stream);
    if (stream == http2->block_stream)
        http2->block_stream = 0;
    if (!exchange)
        return 0;
    if (exchange->caller[0] && error == NGHTTP2_NO_ERROR)
        patience_give(
            &http2->patience, PATIENCE_PER_ANSWER + (exchange->data_frames < PATIENCE_FRAMES_MAX
                                                            ? exchange->data_frames
                                                            : PATIENCE_FRAMES_MAX));
    http_exchange_drop(exchange);
    update_deadline(http2);
    return 0;
}

/* Answering. */

static ssize_t read_reply(nghttp2_session *session, int32_t stream, uint8_t *bytes, size_t len,
    uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct http_exchange *exchange = source->ptr;
    size_t left = exchange->reply.len - exchange->reply_sent;
    if (len > left)
        len = left;
    memcpy(bytes, exchange->reply.data + exchange->reply_sent, len);
    exchange->reply_sent += len;
    if (exchange->reply_sent == exchange->reply.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static nghttp2_nv field_of(const char *name, struct slice value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
        .namelen = strlen(name),
        .value = (uint8_t *)value.data,
        .valuelen = value.len};
}

void http2_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    struct http_connection *connection = exchange->connection;
    struct http2 *http2 = connection->http2;
    char status[8], length[24];
    nghttp2_nv fields[6 + ARRAY_LENGTH(reply->headers) + SET_HEADERS_MAX];
    size_t count = 0;
    snprintf(status, sizeof status, "%d", reply->status);
    fields[count++] = field_of(":status", slice_from_string(status));
    fields[count++] = field_of("server", SLICE_LITERAL("Penstock"));
    fields[count++] = field_of("date", http_date(connection->server));
    fields[count++] = field_of(HTTP_REQUEST_ID, slice_from_string(http_request_id(exchange)));
    bool may_have_body = reply->status != 204 && reply->status != 304;
    if (may_have_body) {
        snprintf(length, sizeof length, "%zu", reply->body.len);
        fields[count++] = field_of("content-length", slice_from_string(length));
    }
    if (reply->content_type)
        fields[count++] = field_of("content-type", slice_from_string(reply->content_type));
    for (unsigned i = 0; i < reply->headers_count; i++)
        fields[count++] =
            field_of(reply->headers[i].name, slice_from_string(reply->headers[i].value));
    for (const struct http_set_header *set = exchange->set_headers;
         set && count < ARRAY_LENGTH(fields); set = set->next)
        fields[count++] = field_of(set->name, slice_from_string(set->value));
    if (may_have_body && !exchange->is_head)
        buffer_add_slice(&exchange->reply, reply->body);
    nghttp2_data_provider provider = {.source.ptr = exchange, .read_callback = read_reply};
    bool has_body = exchange->reply.len > 0;
    if (buffer_status(&exchange->reply) || nghttp2_submit_response(http2->session, exchange->stream,
                                               fields, count, has_body ? &provider : NULL))
        nghttp2_submit_rst_stream(
            http2->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_INTERNAL_ERROR);
    set_deadline(exchange, connection->server->options.limits.answer_ms * US_PER_MS +
                               (int64_t)(exchange->reply.len / BODY_STEP_BYTES) * US_PER_SECOND);
    if (exchange->closes)
        http2_drain(connection, true);
    want_flush(connection);
}

void http2_set_exchange(struct http_exchange *exchange)
{
    struct http2 *http2 = exchange->connection->http2;
    list_add_tail(&http2->exchanges, &exchange->in_connection);
    nghttp2_session_set_stream_user_data(http2->session, exchange->stream, exchange);
}

void http2_exchange_late(struct http_exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    nghttp2_session *session = connection->http2->session;
    bool is_slow = exchange->state == EXCHANGE_RECEIVING;
    bool is_answered = nghttp2_session_get_stream_local_close(session, exchange->stream) == 1;
    if (!is_answered)
        http_note_cut(connection, is_slow ? REFUSAL_DEADLINE : REFUSAL_UNREAD, 0);
    list_remove(&exchange->in_timed);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, exchange->stream,
        is_answered ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    want_flush(connection);
}

static void on_written(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    struct http2 *http2 = connection->http2;
    http2->is_writing = false;
    buffer_clear(&http2->out);
    if (http2->out.capacity > HTTP_WRITE_BYTES)
        buffer_done(&http2->out);
    if (error)
        http_connection_close(connection, true);
    else
        http2_flush(connection);
}

/* Returns false on an error of the session. */
static bool collect(struct http2 *http2)
{
    while (http2->out.len < HTTP_WRITE_BYTES) {
        const uint8_t *bytes;
        ssize_t len = nghttp2_session_mem_send(http2->session, &bytes);
        if (len < 0)
            return false;
        if (len == 0)
            break;
        buffer_add(&http2->out, bytes, (size_t)len);
    }
    return buffer_status(&http2->out) == OK;
}

void http2_flush(struct http_connection *connection)
{
    struct http2 *http2 = connection->http2;
    list_remove(&connection->in_unflushed);
    if (http2->is_writing)
        return;
    http2->now_mono_us = clock_mono_us();
    if (!collect(http2)) {
        if (http2->cut)
            http_note_cut(connection, REFUSAL_FLOOD, 0);
        http_connection_close(connection, true);
        return;
    }
    if (http2->out.len > 0) {
        http2->is_writing = true;
        connection->write_since_mono_us = http2->now_mono_us;
        h2o_iovec_t out = {.base = http2->out.data, .len = http2->out.len};
        h2o_socket_write(connection->socket, &out, 1, on_written);
        return;
    }
    connection->write_since_mono_us = HTTP_NEVER;
    if (!nghttp2_session_want_read(http2->session) && !nghttp2_session_want_write(http2->session))
        http_connection_close(connection, false);
}

/* Reading. */

/* Returns false if the connection is to be cut. */
static bool pay_for_unseen(struct http2 *http2)
{
    while (http2->unseen_bytes - http2->unseen_paid >= UNSEEN_BYTES) {
        http2->unseen_paid += UNSEEN_BYTES;
        if (spend(http2, PATIENCE_UNSEEN))
            return false;
    }
    return true;
}

static void on_bytes(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    struct http2 *http2 = connection->http2;
    const uint8_t *bytes = (const uint8_t *)socket->input->bytes;
    if (error) {
        http_connection_close(connection, true);
        return;
    }
    http2->now_mono_us = clock_mono_us();
    http2->unseen_bytes += (int64_t)socket->input->size;
    frame_walker_take(&http2->walker, bytes, socket->input->size, http2->now_mono_us);
    ssize_t used = nghttp2_session_mem_recv(http2->session, bytes, socket->input->size);
    set_connection_deadline(http2);
    h2o_buffer_consume(&socket->input, socket->input->size);
    bool is_paid = pay_for_unseen(http2);
    if (http2->cut)
        http_note_cut(connection, REFUSAL_FLOOD, 0);
    if (used < 0 || !is_paid)
        http_connection_close(connection, true);
    else
        want_flush(connection);
}

/* client/unprocessed.c replaces this function of libnghttp2, for libcurl. This calls the one that
 * was replaced. */
static void set_on_stream_close(void)
{
    typedef void set_fn(nghttp2_session_callbacks *, nghttp2_on_stream_close_callback);
    set_fn *set =
        (set_fn *)dlsym(RTLD_NEXT, "nghttp2_session_callbacks_set_on_stream_close_callback");
    set(callbacks, on_stream_close);
}

static void make_callbacks(void)
{
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, on_unknown_bytes);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
    set_on_stream_close();
}

__attribute__((constructor)) static void make_shared(void)
{
    make_callbacks();
    nghttp2_option_new(&session_options);
    nghttp2_option_set_no_auto_window_update(session_options, 1);
    nghttp2_option_set_max_outbound_ack(session_options, ACKS_WAITING_MAX);
    nghttp2_option_set_no_closed_streams(session_options, 1);
    nghttp2_option_set_max_continuations(session_options, CONTINUATIONS_MAX);
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(session_options, (uint8_t)type);
}

__attribute__((destructor)) static void free_shared(void)
{
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(session_options);
}

static void submit_settings(nghttp2_session *session)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LENGTH(settings));
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES);
}

void http2_begin(struct http_connection *connection)
{
    struct http2 *http2 = connection->http2 = memory_new(sizeof *http2);
    connection->stage = CONNECTION_HTTP2;
    http2->connection = connection;
    http2->unseen_bytes = -PREFACE_BYTES;
    http2->walker.left = PREFACE_BYTES;
    list_init(&http2->exchanges);
    http2->now_mono_us = clock_mono_us();
    patience_init(&http2->patience, http2->now_mono_us);
    if (nghttp2_session_server_new2(&http2->session, callbacks, http2, session_options)) {
        http_connection_close(connection, true);
        return;
    }
    submit_settings(http2->session);
    update_deadline(http2);
    h2o_socket_read_start(connection->socket, on_bytes);
    on_bytes(connection->socket, NULL);
}

void http2_free(struct http2 *http2)
{
    if (!http2)
        return;
    list_for_each_safe (link, following, &http2->exchanges)
        http_exchange_drop(CONTAINER_OF(link, struct http_exchange, in_connection));
    nghttp2_session_del(http2->session);
    buffer_done(&http2->out);
    free(http2);
}

bool http2_is_idle(const struct http_connection *connection)
{
    const struct http2 *http2 = connection->http2;
    return list_is_empty(&http2->exchanges) && !http2->is_writing;
}

void http2_drain(struct http_connection *connection, bool is_final)
{
    nghttp2_session *session = connection->http2->session;
    if (is_final)
        nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
            nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, NULL, 0);
    else
        nghttp2_submit_shutdown_notice(session);
    want_flush(connection);
}

void http2_late(struct http_connection *connection)
{
    struct http2 *http2 = connection->http2;
    if (http2->block_stream || frame_walker_is_inside(&http2->walker)) {
        http_note_cut(connection, REFUSAL_DEADLINE, 0);
        http_connection_close(connection, true);
    } else if (http2->has_left) {
        http_connection_close(connection, true);
    } else { /* GOAWAY: the client knows that a request on its way was not taken */
        http2->has_left = true;
        connection->deadline_mono_us = clock_mono_us() + LEAVE_US;
        http2_drain(connection, true);
    }
}
