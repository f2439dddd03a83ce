/* SPDX-License-Identifier: Apache-2.0 */
/* Parses addresses that operators write, and makes the listening sockets. */
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

/* h2o reads a socket until it is empty, so this limits the bytes that one connection brings per
 * turn. Connections inherit it. It is set before listen(), so that the TCP window respects it. */
#define RECEIVE_BUFFER_BYTES (32 * 1024)

/* The kernel's memory for answers that a client does not read. By itself it grows to megabytes, and
 * would hide such a client until then. */
#define SEND_BUFFER_BYTES (64 * 1024)

static bool parse_port(const char *text, in_port_t *ret_port)
{
    size_t len = strlen(text);
    if (len < 1 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    unsigned value = 0;
    for (; *text; text++)
        value = value * 10 + (unsigned)(*text - '0');
    if (value > UINT16_MAX)
        return false;
    *ret_port = htons((uint16_t)value);
    return true;
}

bool http_parse_address(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
    const char **ret_problem)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2];
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    if (host_len == 0 || host_len >= sizeof host) {
        *ret_problem = "must be ADDRESS:PORT, as in 127.0.0.1:8080, [::1]:8080 or *:8080";
        return false;
    }
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    in_port_t port;
    if (!parse_port(colon + 1, &port)) {
        *ret_problem = "the port must be a number from 0 to 65535";
        return false;
    }

    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    bool bracketed = host[0] == '[' && host[host_len - 1] == ']';
    if (bracketed)
        host[host_len - 1] = '\0';
    if (strcmp(host, "*") == 0 || (!bracketed && inet_pton(AF_INET, host, &v4.sin_addr) == 1)) {
        memset(ret_address, 0, sizeof *ret_address);
        memcpy(ret_address, &v4, sizeof v4);
        *ret_len = sizeof v4;
        return true;
    }
    if (bracketed && inet_pton(AF_INET6, host + 1, &v6.sin6_addr) == 1) {
        memset(ret_address, 0, sizeof *ret_address);
        memcpy(ret_address, &v6, sizeof v6);
        *ret_len = sizeof v6;
        return true;
    }
    *ret_problem = "the address must be an IPv4 address, an IPv6 address in brackets, or * for "
                   "every IPv4 address";
    return false;
}

static enum err error_of_errno(void)
{
    switch (errno) {
    case EADDRINUSE:
        return ERR_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
        return ERR_ADDRESS_FOREIGN;
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    default:
        return ERR_SYSTEM;
    }
}

enum err http_reserve(const struct sockaddr_storage *address, socklen_t len)
{
    AUTO_CLOSE int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (const struct sockaddr *)address, len))
        return error_of_errno();
    return OK;
}

enum err http_listen(struct sockaddr_storage *address, socklen_t len, int *ret_fd)
{
    AUTO_CLOSE int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_of_errno();
    const int on = 1, receive_buffer = RECEIVE_BUFFER_BYTES, send_buffer = SEND_BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer))
        return error_of_errno();
    socklen_t bound_len = sizeof *address;
    if (bind(fd, (const struct sockaddr *)address, len) || listen(fd, SOMAXCONN) ||
        getsockname(fd, (struct sockaddr *)address, &bound_len))
        return error_of_errno();
    *ret_fd = TAKE_FD(fd);
    return OK;
}

void http_base_url(const struct sockaddr_storage *address, bool is_tls, char *ret_text)
{
    char host[INET6_ADDRSTRLEN];
    const char *scheme = is_tls ? "https" : "http";
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
            v6.sin6_addr = in6addr_loopback;
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(ret_text, 64, "%s://[%s]:%u", scheme, host, ntohs(v6.sin6_port));
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        if (v4.sin_addr.s_addr == htonl(INADDR_ANY))
            v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(ret_text, 64, "%s://%s:%u", scheme, host, ntohs(v4.sin_port));
    }
}

bool http_is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
    }
    struct sockaddr_in v4;
    memcpy(&v4, address, sizeof v4);
    return ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}
