/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use the admin listener: the Host header, the Origin header and the token.
 *
 * A web page can make the browser of an operator send requests to a listener on loopback. With DNS
 * rebinding it can also read the answers: the page's own host name gets the address of the
 * listener. Then the Host header has that name. So only names that are ours are accepted. An IP
 * address needs no list, since nobody can rebind it. The Origin header names the page, and it must
 * be one of this listener.
 *
 * /livez and /readyz are not checked: health checks use many names, and these answers tell nothing.
 */
#include "admin/admin_internal.h"

#include "http/tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#define HOST_BYTES_MAX 255
#define OPERATOR "operator"

/* Returns the host without its port. */
static struct slice without_port(struct slice host)
{
    const char *end = host.len ? memrchr(host.data, host.data[0] == '[' ? ']' : ':', host.len) : 0;
    if (!end)
        return host;
    return slice_of(host.data, (size_t)(end - host.data) + (*end == ']'));
}

static bool is_ip_address(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    bool bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (bracketed)
        host = slice_of(host.data + 1, host.len - 2);
    if (host.len >= sizeof text || (host.len && memchr(host.data, '\0', host.len)))
        return false;
    snprintf(text, sizeof text, "%.*s", SLICE_ARGS(host));
    return inet_pton(bracketed ? AF_INET6 : AF_INET, text, &address) == 1;
}

static bool is_same_name(struct slice host, struct slice name)
{
    return host.len == name.len && strncasecmp(host.data, name.data, host.len) == 0;
}

static bool is_our_name(const struct admin *admin, struct slice host)
{
    if (host.len == 0 || host.len > HOST_BYTES_MAX)
        return false;
    if (is_ip_address(host) || is_same_name(host, SLICE_LITERAL("localhost")))
        return true;
    for (unsigned i = 0; i < admin->options.hosts_count; i++)
        if (is_same_name(host, without_port(slice_from_string(admin->hosts[i]))))
            return true;
    return admin->options.tls && http_tls_has_name(admin->options.tls, host);
}

/* An origin is SCHEME://HOST[:PORT], or null for a page without one. */
static bool is_our_origin(struct slice origin, struct slice host)
{
    const char *separator = memmem(origin.data, origin.len, "://", 3);
    if (!separator)
        return false;
    size_t begin = (size_t)(separator - origin.data) + 3;
    return is_same_name(host, slice_of(origin.data + begin, origin.len - begin));
}

bool admin_check_host(const struct admin *admin, struct http_exchange *exchange)
{
    struct slice host = http_header(exchange, "host"), origin = http_header(exchange, "origin");
    const char *problem = NULL;
    if (!is_our_name(admin, without_port(host)))
        problem = "The Host header is not a name of this listener: use its IP address, or add the "
                  "name to admin.hosts.";
    else if (origin.data && !is_our_origin(origin, host))
        problem = "The Origin header is of another site: requests of its pages are rejected.";
    if (problem)
        http_answer_problem(exchange, ERR_FORBIDDEN, problem, NULL);
    return !problem;
}

static bool has_token(struct slice header, const char *token)
{
    static const char scheme[] = "Bearer ";
    size_t prefix = sizeof scheme - 1, len = strlen(token);
    return len > 0 && header.len == prefix + len && strncasecmp(header.data, scheme, prefix) == 0 &&
           crypto_equal(header.data + prefix, token, len);
}

bool admin_authenticate(const struct admin *admin, struct http_exchange *exchange)
{
    if (!admin_check_host(admin, exchange))
        return false;
    struct slice header = http_header(exchange, "authorization");
    bool may_change = has_token(header, admin->token);
    bool may_read = may_change || has_token(header, admin->readonly_token);
    if (may_read)
        http_set_caller(exchange, may_change ? OPERATOR : "reader");
    if (may_change || (may_read && slice_equals_string(http_method(exchange), "GET")))
        return true;
    if (may_read)
        http_answer_problem(exchange, ERR_FORBIDDEN,
            "This token may only read (GET): send the one in keys/admin.token of the data "
            "directory.",
            NULL);
    else
        http_answer_problem(exchange, ERR_UNAUTHENTICATED,
            "The token is missing or wrong: send the one in keys/admin.token of the data directory "
            "as \"Authorization: Bearer ...\".",
            NULL);
    return false;
}

bool admin_may_change(const struct http_exchange *exchange)
{
    return strcmp(http_caller(exchange), OPERATOR) == 0;
}

void admin_admit(struct http_exchange *exchange, void *context)
{
    (void)admin_authenticate(context, exchange);
}
