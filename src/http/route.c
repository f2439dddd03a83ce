/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the handler of a request in the table of routes: few dozens at most, so that reading them
 * all is as quick as anything. */
#include "http/http_internal.h"

#include <stdio.h>

/* The bytes up to the next slash, which is left in `path`. */
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

enum route_result http_route_find(const struct http_route *routes, struct slice method,
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
