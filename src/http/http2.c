/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 connections, on libnghttp2: it reads and writes frames, checks the protocol and the
 * grammar of heads, and counts flow control.
 *
 * Memory. A stream has a window of 64 KiB, as much as one event may have. A larger window is opened
 * for a request that was admitted to a route with larger bodies, and only for this stream. What has
 * arrived on a stream is never credited back, so a stream cannot send more than its window.
 *
 * http2_frames.c counts what frames cost. A connection that costs too much is cut at once, without
 * an answer.
 *
 * Frames to send are collected and written once, at the end of the turn.
 */
#include "http/http2_internal.h"

#include "base/memory.h"
#include "runtime/metrics.h"

#include <dlfcn.h>
#include <stdlib.h>

#define STREAMS_MAX 100
#define CONNECTION_WINDOW_BYTES (4 * 1024 * 1024)
#define ANSWER_TABLE_BYTES 512 /* of HPACK: what all answers have in common takes 300 */
#define ACKS_WAITING_MAX 100
#define LEAVE_US (2 * US_PER_SECOND)
#define CONTINUATIONS_MAX 64    /* counted with partial reads; the bytes of a head bound them */
#define LINGER_US US_PER_SECOND /* after an answer that was written before the end of the body */

static nghttp2_session_callbacks *callbacks; /* both are shared and never change */
static nghttp2_option *session_options;

void http2_want_flush(struct http_connection *connection)
{
    if (list_is_empty(&connection->in_unflushed))
        list_add_tail(&connection->server->unflushed, &connection->in_unflushed);
    http_server_want_flush(connection->server);
}

static int refuse_stream(struct http2 *http2, int32_t stream)
{
    nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_REFUSED_STREAM);
    http2->has_refused = true;
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
    int failed = http2_count_field(http2, name_len + value_len);
    if (failed)
        return failed;
    struct http_exchange *exchange = http2_exchange_of(http2, frame->hd.stream_id);
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
    size_t bytes = exchange->body_bytes_max;
    if (exchange->body_told < bytes)
        bytes = (size_t)exchange->body_told;
    if (bytes >= HTTP2_WINDOW_BYTES)
        nghttp2_session_set_local_window_size(
            http2->session, NGHTTP2_FLAG_NONE, exchange->stream, (int32_t)bytes + 1);
    http2_set_body_deadline(exchange);
    http2->awaits_body = true;
}

static int on_head(struct http2 *http2, struct http_exchange *exchange, bool is_end)
{
    bool is_large = exchange->head->is_too_large;
    exchange->is_complete = is_end;
    http_exchange_admit(exchange);
    if (is_large)
        return http2_spend(http2, PATIENCE_LARGE_HEAD);
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
    struct http_exchange *exchange = http2_exchange_of(http2, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        http2_end_head(http2);
        if (exchange && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            return on_head(http2, exchange, is_end);
    } else {
        int failed = http2_count_content(http2, frame);
        if (failed)
            return failed;
    }
    http2->awaits_body &= !is_end;
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
    struct http_exchange *exchange = http2_exchange_of(http2, stream);
    if (exchange && exchange->state == EXCHANGE_RECEIVING) {
        http_exchange_receive(exchange, data, len);
        if (exchange->state == EXCHANGE_RECEIVING)
            http2_set_body_deadline(exchange);
    }
    return nghttp2_session_consume_connection(session, len) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    /* A stream above the limit: the client may not have seen the limit yet. */
    return http2_spend(
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
        struct http_exchange *exchange = http2_exchange_of(http2, frame->hd.stream_id);
        if (!exchange || exchange->is_complete)
            return 0;
        if (exchange->body_told < HTTP2_WINDOW_BYTES) {
            exchange->lingers = true;
            http2_set_exchange_deadline(exchange, LINGER_US);
        } else
            nghttp2_submit_rst_stream(
                session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM)
        return http2_spend(http2, PATIENCE_RESET);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    struct http2 *http2 = context;
    struct http_exchange *exchange = http2_exchange_of(http2, stream);
    if (stream == http2->block_stream && http2->block_is_complete) /* it was refused */
        http2_end_head(http2);
    if (!exchange)
        return 0;
    if (exchange->caller[0] && error == NGHTTP2_NO_ERROR)
        patience_give(
            &http2->patience, PATIENCE_PER_ANSWER + (exchange->data_frames < PATIENCE_FRAMES_MAX
                                                            ? exchange->data_frames
                                                            : PATIENCE_FRAMES_MAX));
    http_exchange_drop(exchange);
    http2_note_change(http2);
    return 0;
}

static void set_exchange(struct http_exchange *exchange)
{
    struct http2 *http2 = exchange->connection->http2;
    list_add_tail(&http2->exchanges, &exchange->in_connection);
    nghttp2_session_set_stream_user_data(http2->session, exchange->stream, exchange);
}

static void on_written(h2o_socket_t *socket, const char *error)
{
    struct http_connection *connection = socket->data;
    struct http2 *http2 = connection->http2;
    http2->is_writing = false;
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
    http2->has_refused = false;
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
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, http2_on_begin_frame);
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
    nghttp2_option_set_max_deflate_dynamic_table_size(session_options, ANSWER_TABLE_BYTES);
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
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LENGTH(settings));
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES);
}

static void end(struct http_connection *connection)
{
    struct http2 *http2 = TAKE(connection->http2);
    list_for_each_safe (link, following, &http2->exchanges)
        http_exchange_drop(CONTAINER_OF(link, struct http_exchange, in_connection));
    nghttp2_session_del(http2->session);
    buffer_done(&http2->out);
    free(http2);
}

static bool is_idle(const struct http_connection *connection)
{
    const struct http2 *http2 = connection->http2;
    return list_is_empty(&http2->exchanges) && !http2->is_writing &&
           !http_connection_waits(connection);
}

void http2_drain(struct http_connection *connection, bool is_final)
{
    nghttp2_session *session = connection->http2->session;
    connection->http2->goes_away |= is_final;
    if (is_final)
        nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
            nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, NULL, 0);
    else
        nghttp2_submit_shutdown_notice(session);
    http2_want_flush(connection);
}

static void late(struct http_connection *connection)
{
    struct http2 *http2 = connection->http2;
    bool is_ignored = http2->block_stream && http2->block_is_complete &&
                      !http2_exchange_of(http2, http2->block_stream);
    if (is_ignored && !list_is_empty(&http2->exchanges)) {
        http2_end_head(http2); /* after GOAWAY, a head ends without a call */
    } else if (http2_is_receiving(http2)) {
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

static const struct http_protocol protocol = {.end = end,
    .is_idle = is_idle,
    .answer = http2_answer,
    .set_exchange = set_exchange,
    .late = late,
    .exchange_late = http2_exchange_late,
    .drain = http2_drain,
    .flush = http2_flush};

void http2_begin(struct http_connection *connection)
{
    struct http2 *http2 = connection->http2 = memory_new(sizeof *http2);
    connection->stage = CONNECTION_HTTP2;
    connection->protocol = &protocol;
    http2->connection = connection;
    list_init(&http2->exchanges);
    http2->now_mono_us = clock_mono_us();
    http2_count_begin(http2);
    if (nghttp2_session_server_new2(&http2->session, callbacks, http2, session_options)) {
        http_connection_close(connection, true);
        return;
    }
    submit_settings(http2->session);
    http2_note_change(http2);
    http2_read_begin(connection);
}
