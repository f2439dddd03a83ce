/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on HTTP/2 streams, and the deadline of each request and answer. */
#include "http/http2_internal.h"

#include <stdio.h>

#define SET_HEADERS_MAX 4

static void set_deadline_at(struct http_exchange *exchange, int64_t mono_us)
{
    exchange->deadline_mono_us = mono_us;
    if (list_is_empty(&exchange->in_timed))
        list_add_tail(&exchange->server->timed, &exchange->in_timed);
}

void http2_set_exchange_deadline(struct http_exchange *exchange, int64_t after_us)
{
    set_deadline_at(exchange, clock_mono_us() + after_us);
}

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

void http2_set_body_deadline(struct http_exchange *exchange)
{
    set_deadline_at(exchange, http_exchange_body_deadline(exchange));
}

/* A value that each answer has anew: HPACK's table does not keep it. */
static nghttp2_nv unique_field(const char *name, struct slice value)
{
    nghttp2_nv field = field_of(name, value);
    field.flags = NGHTTP2_NV_FLAG_NO_INDEX;
    return field;
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
    fields[count++] = unique_field(HTTP_REQUEST_ID, slice_from_string(http_request_id(exchange)));
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
        fields[count++] = unique_field(set->name, slice_from_string(set->value));
    if (may_have_body && !exchange->is_head)
        buffer_add_slice(&exchange->reply, reply->body);
    nghttp2_data_provider provider = {.source.ptr = exchange, .read_callback = read_reply};
    bool has_body = exchange->reply.len > 0;
    if (buffer_status(&exchange->reply) || nghttp2_submit_response(http2->session, exchange->stream,
                                               fields, count, has_body ? &provider : NULL))
        nghttp2_submit_rst_stream(
            http2->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_INTERNAL_ERROR);
    http2_set_exchange_deadline(
        exchange, connection->server->options.limits.answer_ms * US_PER_MS +
                      (int64_t)(exchange->reply.len / HTTP_STEP_BYTES) * US_PER_SECOND);
    if (exchange->closes)
        http2_drain(connection, true);
    http2_want_flush(connection);
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
    http2_want_flush(connection);
}
