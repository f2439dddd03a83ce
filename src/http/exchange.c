/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange is one request and its answer. h2o owns the request. It frees it when the client
 * resets the stream or disconnects, also before the answer. Penstock owns the exchange, which lives
 * until http_answer. A cell in the request's memory points to the exchange. When h2o frees that
 * memory, the cell's dispose callback tells the exchange that the request is gone.
 *
 * On HTTP/1, h2o does not read during a request. So a disconnect shows only when the answer is
 * written, and such an answer counts as sent.
 */
#include "http/http_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#include <stdlib.h>

static void on_request_gone(void *memory)
{
    struct http_exchange **cell = memory;
    if (*cell) {
        (*cell)->req = NULL;
        (*cell)->cell = NULL;
    }
}

struct http_exchange *http_exchange_new(struct http_server *server, h2o_req_t *req)
{
    struct http_exchange *exchange = memory_new(sizeof *exchange);
    exchange->server = server;
    exchange->req = req;
    exchange->received_mono_us = clock_mono_us();
    exchange->over_limit = REFUSAL_OTHER;
    exchange->peer = http_connection_of(req->conn->callbacks->get_socket(req->conn))->peer;
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
    http_set_headers_free(exchange);
    free(exchange);
}

static struct slice slice_from_iovec(h2o_iovec_t iovec)
{
    return slice_of(iovec.base, iovec.len);
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
    if (strcmp(lower_case_name, "host") == 0) /* h2o removes it from the list */
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
    h2o_strtolower(name.base, name.len); /* HTTP/2 requires lower case */
    h2o_add_header_by_str(
        &req->pool, &req->res.headers, name.base, name.len, 1, NULL, value.base, value.len);
}

static void send_reply(h2o_req_t *req, const struct http_reply *reply)
{
    /* Its callbacks are not needed: everything is sent at once. */
    static h2o_generator_t generator;
    req->res.status = reply->status;
    req->res.reason = http_status_text(reply->status);
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
        if (exchange->server->draining || exchange->is_last)
            req->http1_is_persistent = 0;
        for (const struct http_set_header *set = exchange->set_headers; set; set = set->next)
            add_header(req, &(struct http_header_field){set->name, set->value});
        bool ends_http2 = exchange->is_last && req->version >= 0x200;
        h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
        send_reply(req, reply);
        if (ends_http2)
            shutdown(h2o_socket_get_fd(socket), SHUT_RDWR);
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
