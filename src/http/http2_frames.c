/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the frames of an HTTP/2 client cost. Each frame that does not bring a request forward is
 * counted (patience.h), and so are the bytes and fields of a head before it is complete. A
 * connection that exceeds its credit is cut at once, without an answer.
 */
#include "http/http2_internal.h"

#define HEAD_BLOCK_BYTES_MAX (32 * 1024) /* before decoding; cut beyond it */
/* After decoding; cut beyond it. Between HEAD_BYTES_MAX and this, 431 is the answer. One byte can
 * be the index of a field of 4 KiB, so few bytes can cause much work. */
#define HEAD_DECODED_BYTES_MAX (64 * 1024)
#define HEAD_FIELDS_CUT 1024
#define FRAME_HEAD_BYTES 9
#define UNSEEN_BYTES 1024 /* each costs patience */

void http2_count_begin(struct http2 *http2)
{
    patience_init(&http2->patience, http2->now_mono_us);
    http2->unseen_bytes = -HTTP2_PREFACE_BYTES;
    http2->walker.left = HTTP2_PREFACE_BYTES;
}

int http2_spend(struct http2 *http2, enum patience_kind kind)
{
    if (patience_spend(&http2->patience, kind, http2->now_mono_us))
        return 0;
    http2->cut = patience_kind_name(kind);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int http2_cut(struct http2 *http2, const char *why)
{
    http2->cut = why;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

void http2_set_deadline(struct http2 *http2)
{
    const struct http_limits *limits = &http2->connection->server->options.limits;
    if (http2->block_stream || http2->has_left)
        return;
    int64_t idle_until_us = frame_walker_idle_until(&http2->walker, http2->idle_since_us,
        limits->idle_ms * US_PER_MS, limits->head_ms * US_PER_MS);
    http2->connection->deadline_mono_us =
        list_is_empty(&http2->exchanges) ? idle_until_us : HTTP_NEVER;
}

void http2_note_change(struct http2 *http2)
{
    http2->idle_since_us = http2->now_mono_us;
    http2_set_deadline(http2);
}

bool http2_is_receiving(const struct http2 *http2)
{
    return http2->block_stream || frame_walker_is_inside(&http2->walker);
}

static void begin_block(struct http2 *http2, int32_t stream)
{
    const struct http_limits *limits = &http2->connection->server->options.limits;
    http2->block_stream = stream;
    http2->block_bytes = 0;
    http2->block_decoded_bytes = 0;
    http2->block_fields = 0;
    http2->connection->deadline_mono_us = http2->now_mono_us + limits->head_ms * US_PER_MS;
}

void http2_end_head(struct http2 *http2)
{
    http2->block_stream = 0;
    http2_note_change(http2);
}

static int count_block(struct http2 *http2, size_t bytes)
{
    http2->block_bytes += bytes;
    return http2->block_bytes <= HEAD_BLOCK_BYTES_MAX ? 0 : http2_cut(http2, "large-heads");
}

static int count_continuation(struct http2 *http2, const nghttp2_frame_hd *frame)
{
    int failed = http2_spend(http2, frame->length ? PATIENCE_CONTINUATION : PATIENCE_EMPTY);
    return failed ? failed : count_block(http2, frame->length);
}

static int count_data(struct http2 *http2, const nghttp2_frame_hd *frame)
{
    struct http_exchange *exchange = http2_exchange_of(http2, frame->stream_id);
    bool is_end = frame->flags & NGHTTP2_FLAG_END_STREAM;
    if (!exchange || exchange->state != EXCHANGE_RECEIVING) {
        bool is_known = exchange && exchange->caller[0];
        return is_end ? 0 : http2_spend(http2, is_known ? PATIENCE_SMALL_DATA : PATIENCE_LATE_DATA);
    }
    exchange->data_frames++;
    return !is_end && frame->length == 0 ? http2_spend(http2, PATIENCE_EMPTY) : 0;
}

int http2_count_content(struct http2 *http2, const nghttp2_frame *frame)
{
    size_t content = frame->hd.length - frame->data.padlen;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM || frame->hd.length == 0)
        return 0;
    if (content == 0)
        return http2_spend(http2, PATIENCE_EMPTY);
    return content < PATIENCE_SMALL_DATA_BYTES ? http2_spend(http2, PATIENCE_SMALL_DATA) : 0;
}

int http2_count_field(struct http2 *http2, size_t bytes)
{
    http2->block_decoded_bytes += bytes;
    bool is_bounded = ++http2->block_fields <= HEAD_FIELDS_CUT &&
                      http2->block_decoded_bytes <= HEAD_DECODED_BYTES_MAX;
    return is_bounded ? 0 : http2_cut(http2, "large-heads");
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
    int failed = http2_spend(http2, PATIENCE_RESET);
    for (size_t bytes = 0; !failed && bytes < frame->length; bytes += UNSEEN_BYTES)
        failed = http2_spend(http2, PATIENCE_RESET);
    return failed;
}

static int count_reset(struct http2 *http2, int32_t stream)
{
    struct http_exchange *exchange = http2_exchange_of(http2, stream);
    return http2_spend(http2, exchange && exchange->caller[0] ? PATIENCE_CANCEL : PATIENCE_RESET);
}

int http2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *context)
{
    struct http2 *http2 = context;
    http2->unseen_bytes -= FRAME_HEAD_BYTES + (int64_t)frame->length;
    if (http2->block_stream && frame->type != NGHTTP2_CONTINUATION)
        http2_end_head(http2); /* libnghttp2 has rejected the head without telling */
    http2->block_is_complete = frame->flags & NGHTTP2_FLAG_END_HEADERS;
    switch (frame->type) {
    case NGHTTP2_DATA:
        return count_data(http2, frame);
    case NGHTTP2_HEADERS:
        if (is_old(http2, frame->stream_id))
            return count_old(http2, frame);
        begin_block(http2, frame->stream_id);
        if (http2->goes_away && http2_spend(http2, PATIENCE_REFUSED))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        if (http2_exchange_of(http2, frame->stream_id) && http2_spend(http2, PATIENCE_TRAILER))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        return count_block(http2, frame->length);
    case NGHTTP2_CONTINUATION:
        return count_continuation(http2, frame);
    case NGHTTP2_RST_STREAM:
        return count_reset(http2, frame->stream_id);
    case NGHTTP2_SETTINGS:
        return http2_spend(
            http2, frame->flags & NGHTTP2_FLAG_ACK ? PATIENCE_CONTROL : PATIENCE_SETTINGS);
    case NGHTTP2_PING:
        return http2_spend(
            http2, frame->flags & NGHTTP2_FLAG_ACK ? PATIENCE_CONTROL : PATIENCE_PING);
    case NGHTTP2_GOAWAY:
        return http2_spend(http2, PATIENCE_GOAWAY);
    default: /* WINDOW_UPDATE, PRIORITY, and types that the protocol does not know */
        return http2_spend(http2, PATIENCE_CONTROL);
    }
}

void http2_count_bytes(struct http2 *http2, const uint8_t *bytes, size_t len)
{
    http2->unseen_bytes += (int64_t)len;
    frame_walker_take(&http2->walker, bytes, len, http2->now_mono_us);
}

bool http2_pay_for_unseen(struct http2 *http2)
{
    while (http2->unseen_bytes - http2->unseen_paid >= UNSEEN_BYTES) {
        http2->unseen_paid += UNSEEN_BYTES;
        if (http2_spend(http2, PATIENCE_UNSEEN))
            return false;
    }
    return true;
}
