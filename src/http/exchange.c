/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange is one request and its answer. h2o owns the request and frees it when the client
 * resets the stream or leaves, whether or not it was answered; the exchange is ours and stays until
 * http_answer. A cell in the request's memory points back to the exchange: when h2o frees that
 * memory, the cell's dispose callback tells the exchange that its request is gone.
 *
 * HTTP/1 doesn't read while a request is being answered, so there a client's departure shows only
 * when the answer is written: such an answer counts as given.
 */
#include "http/http_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <stdlib.h>

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
        {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
        {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
        {413, "Content Too Large"}, {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
        {429, "Too Many Requests"}, {500, "Internal Server Error"}, {502, "Bad Gateway"},
        {503, "Service Unavailable"}, {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Other";
}

static void on_request_gone(void *memory)
{
    struct http_exchange **cell = memory;
    if (*cell) {
        (*cell)->req = NULL;
        (*cell)->cell = NULL;
    }
}

static struct http_exchange *exchange_new(struct http_server *server, h2o_req_t *req)
{
    struct http_exchange *exchange;
    MEMORY_NEW(exchange);
    exchange->server = server;
    exchange->req = req;
    exchange->received_mono_us = clock_mono_us();
    exchange->cell =
        h2o_mem_alloc_shared(&req->pool, sizeof(struct http_exchange *), on_request_gone);
    *exchange->cell = exchange;
    list_add_tail(&server->exchanges, &exchange->link);
    return exchange;
}

static void exchange_free(struct http_exchange *exchange)
{
    if (exchange->cell)
        *exchange->cell = NULL;
    list_remove(&exchange->link);
    free(exchange);
}

static struct slice slice_from_iovec(h2o_iovec_t iovec)
{
    return slice_of(iovec.base, iovec.len);
}

/* The name of a header that must be there once at most, and is there twice; NULL: none. */
static const char *repeated_header(const struct http_server *server, const h2o_req_t *req)
{
    const struct slice *single = server->options.single;
    unsigned seen = 0;
    for (size_t i = 0; single && i < req->headers.size; i++) {
        const h2o_iovec_t *name = req->headers.entries[i].name;
        for (unsigned n = 0; single[n].len > 0; n++) {
            if (name->len != single[n].len || memcmp(name->base, single[n].data, name->len) != 0)
                continue;
            if (seen & 1u << n)
                return single[n].data;
            seen |= 1u << n;
        }
    }
    return NULL;
}

static void answer_repeated(struct http_exchange *exchange, const char *name)
{
    char detail[96];
    snprintf(detail, sizeof detail, "The %s header is there more than once: send it once.", name);
    http_answer_problem(exchange, ERR_BAD_REQUEST, detail, NULL);
}

static void dispatch(struct http_server *server, struct http_exchange *exchange)
{
    const struct http_route *route;
    char methods[ROUTE_METHODS_BYTES];
    size_t body_bytes_max = server->options.body_bytes_max;
    switch (http_route_find(server->options.routes, http_method(exchange), http_path(exchange),
        &route, exchange->parts, methods)) {
    case ROUTE_NONE:
        http_answer_problem(
            exchange, ERR_NOT_FOUND, "No resource has this path: check the URL.", NULL);
        break;
    case ROUTE_OTHER_METHOD: {
        struct http_header_field allow = {"allow", methods};
        http_answer_problem_with(exchange, ERR_METHOD,
            "The resource does not support this method: the Allow header names those that it does.",
            NULL, &allow);
        break;
    }
    case ROUTE_FOUND:
        exchange->route = route;
        if (route->body_bytes_max)
            body_bytes_max = route->body_bytes_max;
        if (http_body(exchange).len > body_bytes_max)
            http_answer_problem(exchange, ERR_TOO_LARGE,
                "The body is too large for this resource: send less at once.", NULL);
        else
            route->handle(exchange, server->options.context);
    }
}

int http_exchange_on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct http_server *server = CONTAINER_OF(handler, struct http_request_handler, super)->server;
    http_connection_has_asked(req);
    struct http_exchange *exchange = exchange_new(server, req);
    if (server->closing) {
        http_answer_problem(exchange, ERR_SHUTTING_DOWN, NULL, NULL);
        return 0;
    }
    /* http1.c has looked at the framing of the others */
    const char *doubt = req->version >= 0x200 ? http2_framing_doubt(req) : NULL;
    const char *repeated = repeated_header(server, req);
    if (doubt) {
        http_answer_problem(exchange, ERR_BAD_REQUEST, doubt, NULL);
    } else if (repeated) {
        answer_repeated(exchange, repeated);
    } else {
        http_server_go_online(server);
        dispatch(server, exchange);
    }
    return 0;
}

struct slice http_method(const struct http_exchange *exchange)
{
    return exchange->req ? slice_from_iovec(exchange->req->method) : slice_of(NULL, 0);
}

struct slice http_path(const struct http_exchange *exchange)
{
    const h2o_req_t *req = exchange->req;
    if (!req)
        return slice_of(NULL, 0);
    return slice_of(req->path.base, req->query_at < req->path.len ? req->query_at : req->path.len);
}

struct slice http_query(const struct http_exchange *exchange)
{
    const h2o_req_t *req = exchange->req;
    if (!req || req->query_at >= req->path.len)
        return slice_of(NULL, 0);
    return slice_of(req->path.base + req->query_at + 1, req->path.len - req->query_at - 1);
}

struct slice http_path_part(const struct http_exchange *exchange, unsigned index)
{
    return exchange->req && index < HTTP_PATH_PARTS_MAX ? exchange->parts[index]
                                                        : slice_of(NULL, 0);
}

struct slice http_header(const struct http_exchange *exchange, const char *lower_case_name)
{
    const h2o_req_t *req = exchange->req;
    if (!req)
        return slice_of(NULL, 0);
    if (strcmp(lower_case_name, "host") == 0) /* h2o takes it out of the list */
        return slice_from_iovec(req->authority);
    ssize_t found =
        h2o_find_header_by_str(&req->headers, lower_case_name, strlen(lower_case_name), -1);
    if (found < 0)
        return slice_of(NULL, 0);
    const h2o_iovec_t *value = &req->headers.entries[found].value;
    return slice_of(value->base ? value->base : "", value->len);
}

struct slice http_body(const struct http_exchange *exchange)
{
    return exchange->req ? slice_from_iovec(exchange->req->entity) : slice_of(NULL, 0);
}

int64_t http_received_mono_us(const struct http_exchange *exchange)
{
    return exchange->received_mono_us;
}

static void add_header(h2o_req_t *req, const struct http_header_field *field)
{
    h2o_iovec_t name = h2o_strdup(&req->pool, field->name, SIZE_MAX);
    h2o_iovec_t value = h2o_strdup(&req->pool, field->value, SIZE_MAX);
    h2o_strtolower(name.base, name.len); /* HTTP/2 takes nothing else */
    h2o_add_header_by_str(
        &req->pool, &req->res.headers, name.base, name.len, 1, NULL, value.base, value.len);
}

static void send_reply(h2o_req_t *req, const struct http_reply *reply)
{
    static h2o_generator_t
        generator; /* everything is sent at once: there is nothing to proceed with or to stop */
    req->res.status = reply->status;
    req->res.reason = http_reason(reply->status);
    bool may_have_body = reply->status != 204 && reply->status != 304;
    if (may_have_body)
        req->res.content_length = reply->body.len;
    if (reply->content_type)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
            reply->content_type, strlen(reply->content_type));
    for (unsigned i = 0; i < reply->headers_count; i++)
        add_header(req, &reply->headers[i]);

    bool is_head = h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"));
    bool has_body = may_have_body && !is_head && reply->body.len > 0;
    h2o_iovec_t body = has_body ? h2o_strdup(&req->pool, reply->body.data, reply->body.len)
                                : h2o_iovec_init(NULL, 0);
    h2o_start_response(req, &generator);
    h2o_send(req, &body, has_body, H2O_SEND_STATE_FINAL);
}

bool http_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    h2o_req_t *req = exchange->req;
    if (req) {
        if (exchange->server->draining)
            req->http1_is_persistent = 0;
        send_reply(req, reply);
    } else {
        metrics_add(METRIC_ANSWERS_ORPHANED, 1);
    }
    exchange_free(exchange);
    return req != NULL;
}

void http_exchanges_abandon(struct http_server *server)
{
    list_for_each_safe (link, following, &server->exchanges) {
        struct http_exchange *exchange = CONTAINER_OF(link, struct http_exchange, link);
        if (exchange->req) {
            exchange->req->http1_is_persistent = 0;
            send_reply(exchange->req,
                &(struct http_reply){
                    .status = 503, .headers = {{"retry-after", "1"}}, .headers_count = 1});
            *exchange->cell = NULL;
        }
        exchange->req = NULL;
        exchange->cell = NULL;
        exchange->server = NULL;
        list_remove(&exchange->link);
    }
}
