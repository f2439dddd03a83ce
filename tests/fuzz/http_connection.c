/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole HTTP server, on a thread of its own, reads the input from a connection: HTTP/1, or HTTP/2
 * with its preface. The first byte chooses the protocol and into how many pieces the rest is cut.
 * The connection then ends, whatever the bytes are, and the next one is served.
 */
#include "base/clock.h"
#include "http/problem.h"
#include "http/server.h"
#include "runtime/thread.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVED_EVERY 64 /* inputs: then a request is checked */
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len;
static struct http_server *server;
static struct thread thread;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void handle_echo(struct http_exchange *exchange, void *context)
{
    struct http_reply reply = {
        .status = 200, .content_type = "text/plain", .body = http_body(exchange)};
    http_answer(exchange, &reply);
}

static const struct http_route routes[] = {
    {"POST", "/", handle_echo}, {"GET", "/{name}", handle_echo}, {0}};

static void run_server(void *context)
{
    http_server_run(server);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct http_options options = {
        .routes = routes, .body_bytes_max = 4096, .connections_max = 100, .tls_listen_fd = -1};
    signal(SIGPIPE, SIG_IGN);
    /* An abstract name: no port, and no file. */
    int len = snprintf(
        address.sun_path + 1, sizeof address.sun_path - 1, "penstock-fuzz-%d", (int)getpid());
    address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    options.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(bind(options.listen_fd, (struct sockaddr *)&address, address_len) == 0 &&
                listen(options.listen_fd, 64) == 0,
        "cannot listen");
    require(http_server_new(&options, &server) == OK, "the server does not start");
    require(thread_start(&thread, "server", run_server, NULL) == OK, "no thread");
    return 0;
}

static int open_connection(void)
{
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (struct sockaddr *)&address, address_len) == 0, "no connection");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

/* Returns false if the server has closed the connection. */
static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) /* libFuzzer has a timer */
            continue;
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Ends our side, and reads until the server has ended its own. Returns the first bytes. */
static size_t end_connection(int fd, char *ret_begin, size_t room)
{
    char rest[16384];
    size_t begin = 0;
    ssize_t got;
    shutdown(fd, SHUT_WR);
    while ((got = recv(fd, rest, sizeof rest, 0)) > 0 || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        size_t kept = (size_t)got < room - begin ? (size_t)got : room - begin;
        memcpy(ret_begin + begin, rest, kept);
        begin += kept;
    }
    require(got == 0 || errno == ECONNRESET, "the connection stays open");
    close(fd);
    return begin;
}

static void check_server(void)
{
    static const char request[] =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    static const char status[] = "HTTP/1.1 200 ";
    char answer[sizeof status];
    int fd = open_connection();
    require(send_all(fd, request, sizeof request - 1), "a good request cannot be sent");
    size_t len = end_connection(fd, answer, sizeof answer);
    require(len >= sizeof status - 1 && memcmp(answer, status, sizeof status - 1) == 0,
        "a good request is not answered");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned inputs;
    char begin[16];
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, piece = len / (1 + data[0] / 2 % 4) + 1;
    int fd = open_connection();
    bool is_open = data[0] % 2 == 0 || send_all(fd, PREFACE, sizeof PREFACE - 1);
    for (size_t at = 0; at < len && is_open; at += piece)
        is_open = send_all(fd, bytes + at, len - at < piece ? len - at : piece);
    end_connection(fd, begin, sizeof begin);
    if (++inputs % SERVED_EVERY == 0)
        check_server();
    return 0;
}
