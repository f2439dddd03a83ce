/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: from h2o's request to the handler. Checks what no handler should see (a body that does
 * not match its header list, repeated headers, a body that is too large), finds the route, and
 * calls its handler. The table has a few dozen routes, so a linear search is fast enough.
 */
#include "http/http_internal.h"

#include <stdio.h>

#define ROUTE_METHODS_BYTES 64

enum route_result { ROUTE_FOUND, ROUTE_OTHER_METHOD, ROUTE_NONE };

/* Removes the bytes up to the next slash from `path` and returns them. */
static struct slice take_segment(struct slice *path)
{
    const char *slash = path->len ? memchr(path->data, '/', path->len) : NULL;
    struct slice segment = slice_of(path->data, slash ? (size_t)(slash - path->data) : path->len);
    *path = slice_of(path->data + segment.len, path->len - segment.len);
    return segment;
}

static bool matches(
    struct slice pattern, struct slice path, struct slice ret_parts[HTTP_PATH_PARTS_MAX])
{
    unsigned parts = 0;
    for (;;) {
        if (pattern.len == 0 || path.len == 0)
            return pattern.len == path.len;
        if (pattern.data[0] != '/' || path.data[0] != '/')
            return false;
        pattern = slice_of(pattern.data + 1, pattern.len - 1);
        path = slice_of(path.data + 1, path.len - 1);
        struct slice wanted = take_segment(&pattern), given = take_segment(&path);
        if (slice_starts_with(wanted, "{")) {
            if (given.len == 0 || parts == HTTP_PATH_PARTS_MAX)
                return false;
            ret_parts[parts++] = given;
        } else if (!slice_equal(wanted, given)) {
            return false;
        }
    }
}

static void add_method(char methods[ROUTE_METHODS_BYTES], const char *method)
{
    size_t len = strlen(methods);
    snprintf(methods + len, ROUTE_METHODS_BYTES - len, "%s%s", len ? ", " : "", method);
}

/* Returns the route and the parts of the path, or, with ROUTE_OTHER_METHOD, the value of Allow. */
static enum route_result find_route(const struct http_route *routes, struct slice method,
    struct slice path, const struct http_route **ret_route,
    struct slice ret_parts[HTTP_PATH_PARTS_MAX], char ret_methods[ROUTE_METHODS_BYTES])
{
    ret_methods[0] = '\0';
    for (const struct http_route *route = routes; route->method; route++) {
        struct slice parts[HTTP_PATH_PARTS_MAX] = {0};
        if (!matches(slice_from_string(route->path), path, parts))
            continue;
        if (slice_equals_string(method, route->method)) {
            *ret_route = route;
            memcpy(ret_parts, parts, sizeof parts);
            return ROUTE_FOUND;
        }
        add_method(ret_methods, route->method);
    }
    return ret_methods[0] ? ROUTE_OTHER_METHOD : ROUTE_NONE;
}

/* Returns the name of a header that is allowed once and occurs twice, or NULL. */
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
    snprintf(detail, sizeof detail, "The %s header must be sent only once.", name);
    http_answer_problem(exchange, ERR_BAD_REQUEST, detail, NULL);
}

static void answer_too_large(struct http_exchange *exchange, size_t body_bytes_max)
{
    char detail[96];
    snprintf(detail, sizeof detail, "The body is too large. At most %zu bytes are allowed here.",
        body_bytes_max);
    http_answer_problem(exchange, ERR_TOO_LARGE, detail, NULL);
}

static void dispatch(struct http_server *server, struct http_exchange *exchange)
{
    const struct http_route *route;
    char methods[ROUTE_METHODS_BYTES];
    size_t body_bytes_max = server->options.body_bytes_max;
    switch (find_route(server->options.routes, http_method(exchange), http_path(exchange), &route,
        exchange->parts, methods)) {
    case ROUTE_NONE:
        http_answer_problem(
            exchange, ERR_NOT_FOUND, "Nothing is at this path. Check the URL.", NULL);
        break;
    case ROUTE_OTHER_METHOD: {
        struct http_header_field allow = {"allow", methods};
        http_answer_problem_with(exchange, ERR_METHOD,
            "This path does not support the method. See the Allow header.", NULL, &allow);
        break;
    }
    case ROUTE_FOUND:
        exchange->route = route;
        if (route->body_bytes_max)
            body_bytes_max = route->body_bytes_max;
        if (http_body(exchange).len > body_bytes_max)
            answer_too_large(exchange, body_bytes_max);
        else
            route->handle(exchange, server->options.context);
    }
}

int http_route_on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct http_server *server = CONTAINER_OF(handler, struct http_request_handler, super)->server;
    http_connection_has_asked(req);
    struct http_exchange *exchange = http_exchange_new(server, req);
    if (server->closing) {
        http_answer_problem(exchange, ERR_SHUTTING_DOWN, NULL, NULL);
        return 0;
    }
    /* http1.c has checked the framing of HTTP/1. */
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
