/* SPDX-License-Identifier: Apache-2.0 */
#include "load/http1.h"

#include "base/clock.h"

#include <stdlib.h>
#include <strings.h>

#define HEADER_BYTES_MAX 2048 /* longer values are cut: neither an id nor a number */

static bool is_name(const struct buffer *name, const char *wanted)
{
    return name->len == strlen(wanted) && strncasecmp(name->data, wanted, name->len) == 0;
}

/* The value of a header is complete. */
static void end_header(struct http1 *http1)
{
    struct sending *sending = http1->sending;
    const struct selector *id = &http1->post->id;
    if (http1->value.len > 0 && is_name(&http1->name, "retry-after")) {
        buffer_add_char(&http1->value, '\0');
        sending->retry_after_us = atoi(http1->value.data) * US_PER_SECOND;
    } else if (http1->value.len > 0 && id->kind == SELECTOR_HEADER &&
               is_name(&http1->name, id->name)) {
        run_log_id(buffer_slice(&http1->value), sending->id);
    }
    buffer_clear(&http1->name);
    buffer_clear(&http1->value);
    http1->in_value = false;
}

static void add_some(struct buffer *buffer, const char *data, size_t len)
{
    if (buffer->len + len <= HEADER_BYTES_MAX)
        buffer_add(buffer, data, len);
}

static int on_field(http_parser *parser, const char *data, size_t len)
{
    struct http1 *http1 = parser->data;
    if (http1->in_value)
        end_header(http1);
    add_some(&http1->name, data, len);
    return 0;
}

static int on_value(http_parser *parser, const char *data, size_t len)
{
    struct http1 *http1 = parser->data;
    http1->in_value = true;
    add_some(&http1->value, data, len);
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct http1 *http1 = parser->data;
    end_header(http1);
    return 0;
}

static int on_body(http_parser *parser, const char *data, size_t len)
{
    struct http1 *http1 = parser->data;
    struct buffer *answer = &http1->sending->answer;
    if (answer->len + len <= HTTP1_ANSWER_BYTES_MAX)
        buffer_add(answer, data, len);
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct http1 *http1 = parser->data;
    if (parser->status_code / 100 == 1) /* 100 Continue, 103: the answer follows */
        return 0;
    http1->sending->status = (int)parser->status_code;
    http1->has_answer = true;
    http1->is_last = !http_should_keep_alive(parser);
    http_parser_pause(parser, 1);
    return 0;
}

static const struct http_parser_settings settings = {.on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_complete};

void http1_init(struct http1 *http1, const struct post *post)
{
    *http1 = (struct http1){.post = post};
}

void http1_done(struct http1 *http1)
{
    buffer_done(&http1->head);
    buffer_done(&http1->name);
    buffer_done(&http1->value);
}

void http1_reset(struct http1 *http1)
{
    http1->sending = NULL;
    http1->has_answer = http1->is_last = false;
    http1->head_at = 0;
    buffer_clear(&http1->head);
}

void http1_begin(struct http1 *http1, const char *authority, struct sending *sending)
{
    const struct post *post = http1->post;
    struct buffer *head = &http1->head;
    http1_reset(http1);
    buffer_clear(&http1->name);
    buffer_clear(&http1->value);
    http_parser_init(&http1->parser, HTTP_RESPONSE);
    http1->parser.data = http1;
    http1->sending = sending;
    buffer_add_string(head, post->method);
    buffer_add_char(head, ' ');
    buffer_add_slice(head, post_head_part(&sending->head, 0));
    buffer_add_string(head, " HTTP/1.1\r\nhost: ");
    buffer_add_string(head, authority);
    for (unsigned i = 0; i < post->headers_count; i++) {
        buffer_add_string(head, "\r\n");
        buffer_add_string(head, post->headers[i].name);
        buffer_add_string(head, ": ");
        buffer_add_slice(head, post_head_part(&sending->head, i + 1));
    }
    buffer_add_format(head, "\r\ncontent-length: %zu\r\n\r\n", sending->body.len);
}

static size_t give_of(struct slice text, size_t *at, uint8_t *buffer, size_t room)
{
    size_t left = text.len - *at, len = left < room ? left : room;
    if (len > 0)
        memcpy(buffer, text.data + *at, len);
    *at += len;
    return len;
}

size_t http1_give(struct http1 *http1, uint8_t *buffer, size_t room)
{
    struct sending *sending = http1->sending;
    if (!sending)
        return 0;
    if (http1->head_at == 0)
        sending->records[0].sent_us = run_log_now_us();
    size_t given = give_of(buffer_slice(&http1->head), &http1->head_at, buffer, room);
    return given +
           give_of(buffer_slice(&sending->body), &sending->body_at, buffer + given, room - given);
}

enum http1_result http1_take(struct http1 *http1, const uint8_t *data, size_t len)
{
    if (!http1->sending)
        return HTTP1_FAILED;
    size_t taken = http_parser_execute(&http1->parser, &settings, (const char *)data, len);
    if (http1->has_answer) {
        http1->is_last |= taken < len; /* bytes behind the answer that nobody asked for */
        return HTTP1_ANSWERED;
    }
    bool over = len == 0 || http1->parser.upgrade || HTTP_PARSER_ERRNO(&http1->parser) != HPE_OK;
    return over ? HTTP1_FAILED : HTTP1_GOING_ON;
}

struct sending *http1_finish(struct http1 *http1, bool *ret_keep)
{
    struct sending *sending = http1->sending;
    bool all_sent = http1->head_at == http1->head.len && sending->body_at == sending->body.len;
    *ret_keep = !http1->is_last && all_sent;
    http1_reset(http1);
    return sending;
}
