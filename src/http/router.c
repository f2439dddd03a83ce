/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: from the head of a request to its handler. Rejects what no handler should see: a head
 * that is too large, and repeated headers. The table has a few dozen routes, so a linear search is
 * fast enough.
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
static const char *repeated_header(const struct http_server *server, const struct head *head)
{
    const struct slice *single = server->options.single;
    unsigned seen = 0;
    for (unsigned i = 0; single && i < head->fields_count; i++) {
        struct slice name = head_slice(head, head->fields[i].name);
        for (unsigned n = 0; single[n].len > 0; n++) {
            if (!slice_equal(name, single[n]))
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

static void answer_large_head(struct http_exchange *exchange)
{
    char detail[128];
    snprintf(detail, sizeof detail,
        "The head of the request is too large. At most %d fields and %d bytes are allowed.",
        HEAD_FIELDS_MAX, HEAD_BYTES_MAX);
    http_answer_problem(exchange, ERR_HEAD_TOO_LARGE, detail, NULL);
}

bool http_route_find(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (exchange->head->is_too_large) {
        answer_large_head(exchange);
        return false;
    }
    const char *repeated = repeated_header(server, exchange->head);
    if (repeated) {
        answer_repeated(exchange, repeated);
        return false;
    }
    char methods[ROUTE_METHODS_BYTES];
    switch (find_route(server->options.routes, http_method(exchange), http_path(exchange),
        &exchange->route, exchange->parts, methods)) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_OTHER_METHOD: {
        struct http_header_field allow = {"allow", methods};
        http_answer_problem_with(exchange, ERR_METHOD,
            "This path does not support the method. See the Allow header.", NULL, &allow);
        return false;
    }
    default:
        http_answer_problem(
            exchange, ERR_NOT_FOUND, "Nothing is at this path. Check the URL.", NULL);
        return false;
    }
}
