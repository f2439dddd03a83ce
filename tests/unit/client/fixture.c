/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/client/fixture.h"

#include "base/clock.h"
#include "runtime/thread.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* *ret_port 0: any */
static int open_socket(int type, const char *ip, unsigned *ret_port)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*ret_port)};
    inet_pton(AF_INET, ip, &address.sin_addr);
    socklen_t len = sizeof address;
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* HTTP */

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = send(fd, data, len, MSG_NOSIGNAL);
        if (written <= 0)
            return false;
        data += written;
        len -= (size_t)written;
    }
    return true;
}

/* Returns the length of the request at the beginning of `data`, or 0 if it is not complete. */
static size_t request_length(const char *data)
{
    const char *end = strstr(data, "\r\n\r\n"), *length = strcasestr(data, "\r\ncontent-length:");
    if (!end)
        return 0;
    return (size_t)(end + 4 - data) + (length && length < end ? (size_t)atoi(length + 17) : 0);
}

/* Returns false at the end of the connection. */
static bool read_request(struct server *server, int fd)
{
    static _Thread_local char data[SERVER_REQUEST_BYTES_MAX];
    size_t len = 0;
    for (;;) {
        data[len] = '\0';
        size_t whole = request_length(data);
        if (whole > 0 && len >= whole)
            break;
        ssize_t got = recv(fd, data + len, sizeof data - 1 - len, 0);
        if (got <= 0)
            return false;
        len += (size_t)got;
    }
    pthread_mutex_lock(&server->lock);
    memcpy(server->last_request, data, len + 1);
    server->last_request_len = len;
    pthread_mutex_unlock(&server->lock);
    return true;
}

/* Returns false if the connection must be closed. */
static bool answer_request(const struct reply *reply, int fd)
{
    char rest[4096];
    memset(rest, 'x', sizeof rest);
    if (reply->text && !write_all(fd, reply->text, strlen(reply->text)))
        return false;
    if (reply->then == THEN_STALL)
        while (recv(fd, rest, sizeof rest, 0) > 0)
            continue;
    if (reply->then == THEN_ENDLESS)
        while (write_all(fd, rest, sizeof rest))
            continue;
    return reply->then == THEN_KEEP;
}

/* Closing a socket with unread data resets the connection. */
static void cut(struct connection *connection)
{
    struct server *server = connection->server;
    char data[64 * 1024];
    size_t left = server->cuts_after;
    ssize_t got = 1;
    while (left > 0 && got > 0) {
        got = recv(connection->fd, data, left < sizeof data ? left : sizeof data, 0);
        left -= got > 0 ? (size_t)got : 0;
    }
    if (got > 0 && recv(connection->fd, data, 1, MSG_PEEK) == 1)
        server->requests++;
    pthread_mutex_lock(&server->lock);
    close(connection->fd);
    connection->fd = -1;
    pthread_mutex_unlock(&server->lock);
}

static void *serve_connection(void *context)
{
    struct connection *connection = context;
    struct server *server = connection->server;
    if (server->cuts) {
        cut(connection);
        return NULL;
    }
    if (server->greets)
        write_all(connection->fd, server->replies[0].text, strlen(server->replies[0].text));
    while (read_request(server, connection->fd)) {
        unsigned number = atomic_fetch_add(&server->requests, 1);
        unsigned last = server->replies_count - 1;
        if (!answer_request(&server->replies[number < last ? number : last], connection->fd))
            break;
    }
    shutdown(connection->fd, SHUT_RDWR);
    server->closed++;
    return NULL;
}

static void *serve(void *context)
{
    struct server *server = context;
    for (;;) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        pthread_mutex_lock(&server->lock);
        if (server->stopping || server->connections == SERVER_CONNECTIONS_MAX) {
            close(fd);
        } else {
            struct connection *connection = &server->table[server->connections++];
            *connection = (struct connection){.server = server, .fd = fd};
            pthread_create(&connection->thread, NULL, serve_connection, connection);
        }
        pthread_mutex_unlock(&server->lock);
    }
}

void server_start(struct server *server, const struct reply *replies, unsigned count)
{
    server_start_at(server, "127.0.0.1", 0, replies, count);
}

void server_start_at(struct server *server, const char *ip, unsigned port,
    const struct reply *replies, unsigned count)
{
    memset(server, 0, sizeof *server);
    server->port = port;
    server->replies = replies;
    server->replies_count = count;
    pthread_mutex_init(&server->lock, NULL);
    server->listen_fd = open_socket(SOCK_STREAM, ip, &server->port);
    cr_assert(listen(server->listen_fd, 64) == 0);
    cr_assert(pthread_create(&server->thread, NULL, serve, server) == 0);
}

void server_refuse(struct server *server)
{
    shutdown(server->listen_fd, SHUT_RDWR);
}

void server_stop(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    for (unsigned i = 0; i < server->connections; i++)
        shutdown(server->table[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    shutdown(server->listen_fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    for (unsigned i = 0; i < server->connections; i++) {
        pthread_join(server->table[i].thread, NULL);
        if (server->table[i].fd >= 0)
            close(server->table[i].fd);
    }
    close(server->listen_fd);
}

/* DNS */

#define DNS_HEADER_BYTES 12
#define DNS_TYPE_A 1

/* Writes the answer into the query's buffer. Returns its length. */
static size_t answer_query(const struct dns_server *dns, unsigned char *packet, size_t len)
{
    size_t end = DNS_HEADER_BYTES;
    while (end < len && packet[end] != 0)
        end += packet[end] + 1u;
    unsigned type = packet[end + 1] << 8 | packet[end + 2];
    end += 5;
    unsigned count = type == DNS_TYPE_A ? dns->addresses_count : 0;
    packet[2] = 0x81;
    packet[3] = (unsigned char)(0x80 | (dns->addresses_count == 0 ? 3 : 0)); /* 3: no such name */
    packet[6] = 0;
    packet[7] = (unsigned char)count;
    memset(packet + 8, 0, 4);
    for (unsigned i = 0; i < count; i++) {
        const unsigned char record[] = {
            0xc0, DNS_HEADER_BYTES, 0, DNS_TYPE_A, 0, 1, 0, 0, 0, (unsigned char)dns->ttl_s, 0, 4};
        memcpy(packet + end, record, sizeof record);
        end += sizeof record;
        inet_pton(AF_INET, dns->addresses[i], packet + end);
        end += 4;
    }
    return end;
}

/* Whether the first label of the queried name is the silent one. */
static bool is_silent(const struct dns_server *dns, const unsigned char *packet)
{
    const char *name = dns->silent_name;
    return name && packet[DNS_HEADER_BYTES] == strlen(name) &&
           memcmp(packet + DNS_HEADER_BYTES + 1, name, strlen(name)) == 0;
}

static void *serve_dns(void *context)
{
    struct dns_server *dns = context;
    for (;;) {
        unsigned char packet[1024];
        struct sockaddr_in peer;
        socklen_t peer_len = sizeof peer;
        ssize_t len = recvfrom(dns->fd, packet, 512, 0, (struct sockaddr *)&peer, &peer_len);
        if (dns->stopping || len < 0)
            return NULL;
        dns->queries++;
        if (len <= DNS_HEADER_BYTES || is_silent(dns, packet) ||
            (!dns->addresses && !(dns->knows_root && packet[DNS_HEADER_BYTES] == 0)))
            continue;
        size_t answer_len = answer_query(dns, packet, (size_t)len);
        sendto(dns->fd, packet, answer_len, 0, (struct sockaddr *)&peer, peer_len);
    }
}

void dns_server_start(struct dns_server *dns, const char *const *addresses, unsigned count)
{
    memset(dns, 0, sizeof *dns);
    dns->addresses = addresses;
    dns->addresses_count = count;
    dns->ttl_s = 60;
    unsigned port = 0;
    dns->fd = open_socket(SOCK_DGRAM, "127.0.0.1", &port);
    snprintf(dns->address, sizeof dns->address, "127.0.0.1:%u", port);
    cr_assert(pthread_create(&dns->thread, NULL, serve_dns, dns) == 0);
}

void dns_server_stop(struct dns_server *dns)
{
    struct sockaddr_in self;
    socklen_t len = sizeof self;
    dns->stopping = true;
    getsockname(dns->fd, (struct sockaddr *)&self, &len);
    sendto(dns->fd, "", 0, 0, (struct sockaddr *)&self, len);
    pthread_join(dns->thread, NULL);
    close(dns->fd);
}

/* An address that does not answer */

void dead_end_open(const char *ip, unsigned port, int ret_fds[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ip, &address.sin_addr);
    for (int i = 0; i < 4; i++) {
        ret_fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (i ? SOCK_NONBLOCK : 0), 0);
        setsockopt(ret_fds[i], SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (i == 0)
            cr_assert(bind(ret_fds[i], (struct sockaddr *)&address, sizeof address) == 0 &&
                      listen(ret_fds[i], 0) == 0);
        else
            cr_assert(connect(ret_fds[i], (struct sockaddr *)&address, sizeof address) != 0 &&
                      errno == EINPROGRESS);
    }
}

void dead_end_close(const int fds[4])
{
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

/* TLS */

static pid_t run(const char *const *arguments, int in_fd, int out_fd)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid > 0)
        return pid;
    dup2(in_fd, 0);
    dup2(out_fd, 1);
    dup2(out_fd, 2);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
}

/* Reads what s_server prints, until its process ends. */
static void *serve_tls(void *context)
{
    struct tls_server *server = context;
    char text[32768];
    size_t len = 0;
    ssize_t got;
    while ((got = read(server->from_fd, text + len, sizeof text - len)) > 0) {
        len += (size_t)got;
        const char *found;
        while ((found = memmem(text, len, server->marker, strlen(server->marker)))) {
            server->bodies++;
            ssize_t written = write(server->to_fd, server->answer.data, server->answer.len);
            (void)written;
            len -= (size_t)(found - text) + strlen(server->marker);
            memmove(text, found + strlen(server->marker), len);
        }
        if (len == sizeof text)
            len = 0;
    }
    return NULL;
}

static unsigned read_port(int fd)
{
    char text[1024] = "";
    size_t len = 0;
    const char *accept = NULL;
    while (!accept || !strchr(accept, '\n')) {
        ssize_t got = read(fd, text + len, sizeof text - 1 - len);
        cr_assert(got > 0, "openssl s_server did not start: %s", text);
        len += (size_t)got;
        text[len] = '\0';
        accept = strstr(text, "ACCEPT");
    }
    return (unsigned)atoi(strrchr(accept, ':') + 1);
}

void tls_server_start_as(struct tls_server *server, const struct identity *identity,
    const char *const *more_arguments, const char *marker, struct slice answer)
{
    char key[96];
    *server = (struct tls_server){
        .directory = "/tmp/penstock-unit-XXXXXX", .marker = marker, .answer = answer};
    cr_assert(mkdtemp(server->directory) != NULL);
    snprintf(key, sizeof key, "%s/key.pem", server->directory);
    snprintf(server->certificate, sizeof server->certificate, "%s/cert.pem", server->directory);
    identity_write(identity->certificate_pem, server->certificate);
    identity_write(identity->key_pem, key);
    const char *arguments[24] = {
        "openssl", "s_server", "-accept", "127.0.0.1:0", "-key", key, "-cert", server->certificate};
    for (int i = 8; more_arguments && *more_arguments; i++)
        arguments[i] = *more_arguments++;
    int to[2], from[2];
    cr_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    server->pid = run(arguments, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    server->to_fd = to[1];
    server->from_fd = from[0];
    server->port = read_port(server->from_fd);
    unlink(key);
    signal(SIGPIPE, SIG_IGN);
    cr_assert(pthread_create(&server->thread, NULL, serve_tls, server) == 0);
}

void tls_server_start(struct tls_server *server, const char *const *more_arguments,
    const char *marker, struct slice answer)
{
    struct identity identity;
    identity_make(
        &identity, &(struct identity_options){.common_name = "sink.test", .dns_name = "sink.test"});
    tls_server_start_as(server, &identity, more_arguments, marker, answer);
}

void tls_server_stop(struct tls_server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    pthread_join(server->thread, NULL);
    close(server->to_fd);
    close(server->from_fd);
    unlink(server->certificate);
    rmdir(server->directory);
}

/* The loop and the client */

static void on_limit(struct timer *timer)
{
    struct bench *bench = CONTAINER_OF(timer, struct bench, limit);
    bench->too_late = true;
    loop_stop(&bench->loop);
}

void bench_start(struct bench *bench, const char *allowed, const struct dns_server *dns)
{
    thread_adopt_main();
    memset(bench, 0, sizeof *bench);
    bench->options = (struct client_options){.allow_http = true, .connections_max = 16};
    bench->options.dns_servers = dns ? dns->address : NULL;
    while (*allowed) {
        size_t len = strcspn(allowed, ",");
        struct address_guard *guard = &bench->options.guard;
        cr_assert(network_parse(slice_of(allowed, len), &guard->allowed[guard->allowed_count++]));
        allowed += len + (allowed[len] == ',');
    }
    cr_assert(loop_init(&bench->loop) == OK);
    cr_assert(client_new(&bench->loop, &bench->options, &bench->client) == OK);
    timer_init(&bench->limit, on_limit);
}

void bench_stop(struct bench *bench)
{
    client_free(bench->client);
    loop_done(&bench->loop);
    thread_leave_main();
}

static void on_done(struct client_request *request)
{
    struct exchange *exchange = CONTAINER_OF(request, struct exchange, request);
    static unsigned order;
    exchange->done++;
    exchange->order = ++order;
    struct bench *bench = exchange->bench;
    bench->waits_for--;
    if (exchange->then)
        exchange->then(exchange);
    if (bench->waits_for == 0)
        loop_stop(&bench->loop);
}

void exchange_init(struct exchange *exchange)
{
    memset(exchange, 0, sizeof *exchange);
    exchange->request = (struct client_request){
        .body = SLICE_LITERAL("{\"a\":1}"),
        .headers = {"content-type: application/json", "webhook-id: evt_1"},
        .headers_count = 2,
        .connect_timeout_us = BENCH_SECONDS_MAX * US_PER_SECOND,
        .answer_timeout_us = BENCH_SECONDS_MAX * US_PER_SECOND,
        .on_done = on_done,
    };
}

void bench_send(struct bench *bench, struct exchange *exchange, const char *host, unsigned port)
{
    exchange->bench = bench;
    bench->waits_for++;
    snprintf(exchange->url, sizeof exchange->url, "%s:%u/hook?a=b", host, port);
    exchange->request.url = exchange->url;
    unsigned done = exchange->done;
    client_send(bench->client, &exchange->request);
    cr_assert_eq(exchange->done, done, "on_done was called from within client_send");
}

void bench_run(struct bench *bench)
{
    timer_arm(&bench->loop, &bench->limit, BENCH_SECONDS_MAX * US_PER_SECOND * 3 / 2);
    loop_run(&bench->loop);
    timer_disarm(&bench->loop, &bench->limit);
    cr_assert(!bench->too_late, "an answer never came");
}

static void on_poll(struct timer *timer)
{
    struct bench *bench = CONTAINER_OF(timer, struct bench, poll);
    if (*bench->counter >= bench->value)
        loop_stop(&bench->loop);
    else
        timer_arm(&bench->loop, timer, US_PER_MS);
}

void bench_run_until(struct bench *bench, const _Atomic unsigned *counter, unsigned value)
{
    bench->counter = counter;
    bench->value = value;
    timer_init(&bench->poll, on_poll);
    timer_arm(&bench->loop, &bench->poll, US_PER_MS);
    bench_run(bench);
}

void bench_exchange(struct bench *bench, struct exchange *exchange, const char *host, unsigned port)
{
    bench_send(bench, exchange, host, port);
    bench_run(bench);
}
