/* SPDX-License-Identifier: Apache-2.0 */
#include "http/problem.h"

#include "base/cleanup.h"
#include "http/http_internal.h"

#include <stdio.h>

static void add_member(struct buffer *body, const char *name, const char *value)
{
    buffer_add_format(body, "\"%s\":", name);
    buffer_add_json_string(body, slice_from_string(value));
}

static void print_problem(
    struct buffer *body, enum err error, const char *detail, const struct field_problems *problems)
{
    buffer_add_format(body, "{\"type\":\"urn:penstock:problem:%s\",", err_name(error));
    add_member(body, "title", http_status_text(err_http_status(error)));
    buffer_add_format(body, ",\"status\":%d,", err_http_status(error));
    add_member(body, "detail", detail ? detail : err_title(error));
    if (problems && problems->count > 0) {
        buffer_add_string(body, ",\"errors\":[");
        for (unsigned i = 0; i < problems->count; i++) {
            buffer_add_string(body, i ? ",{" : "{");
            add_member(body, "pointer", problems->list[i].pointer);
            buffer_add_char(body, ',');
            add_member(body, "detail", problems->list[i].detail);
            buffer_add_char(body, '}');
        }
        buffer_add_char(body, ']');
    }
    buffer_add_char(body, '}');
}

static void answer(struct http_exchange *exchange, const struct http_refused *refused,
    const struct http_header_field *extra)
{
    enum err error = refused->error;
    if (http_admission_takes(exchange, error, refused->detail))
        return;
    struct buffer body = BUFFER_EMPTY;
    print_problem(&body, error, refused->detail, refused->problems);
    struct http_reply reply = {.status = err_http_status(error)};
    if (buffer_status(&body) == OK) {
        reply.content_type = "application/problem+json";
        reply.body = buffer_slice(&body);
    }

    char retry_after[4];
    if ((reply.status == 503 || reply.status == 429) &&
        !http_has_set_header(exchange, "retry-after")) {
        /* Spread over 1 to 5 s, so that clients that were rejected together do not retry
         * together. What an operator has switched off stays off for longer. */
        unsigned least_s = error == ERR_SWITCHED_OFF ? 30 : 1;
        unsigned spread_s = error == ERR_SWITCHED_OFF ? 30 : 5;
        snprintf(retry_after, sizeof retry_after, "%u",
            least_s + (unsigned)(http_received_mono_us(exchange) % spread_s));
        reply.headers[reply.headers_count++] =
            (struct http_header_field){"retry-after", retry_after};
    }
    if (reply.status == 401) {
        const char *challenge =
            exchange->route && exchange->route->challenge ? exchange->route->challenge : "Bearer";
        reply.headers[reply.headers_count++] =
            (struct http_header_field){"www-authenticate", challenge};
    }
    if (extra)
        reply.headers[reply.headers_count++] = *extra;
    http_note_refusal(exchange, refused);
    if (err_http_status(error) < 500) /* otherwise it is not the client's fault */
        http_connection_note_refused(exchange->connection);

    http_answer(exchange, &reply);
    buffer_done(&body);
}

void http_answer_problem_with(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems, const struct http_header_field *extra)
{
    answer(exchange, &(struct http_refused){.error = error, .detail = detail, .problems = problems},
        extra);
}

void http_answer_problem(struct http_exchange *exchange, enum err error, const char *detail,
    const struct field_problems *problems)
{
    http_answer_problem_with(exchange, error, detail, problems, NULL);
}

void http_answer_refusal(struct http_exchange *exchange, const struct refusal *refusal)
{
    http_answer_problem(exchange, refusal->error, refusal->detail, &refusal->problems);
}

void http_answer_refusal_of(
    struct http_exchange *exchange, const struct refusal *refusal, struct slice body)
{
    answer(exchange,
        &(struct http_refused){.error = refusal->error,
            .detail = refusal->detail,
            .problems = &refusal->problems,
            .body = body},
        NULL);
}

void http_print_refusal(struct buffer *json, const struct refusal *refusal)
{
    print_problem(json, refusal->error, refusal->detail, &refusal->problems);
}
