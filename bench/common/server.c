/* SPDX-License-Identifier: Apache-2.0 */
#include "common/server.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOPBACK "127.0.0.1"
#define BACKLOG 1024
#define ACCEPTS_PER_TURN 16
#define RECEIVE_BUFFER_BYTES 65536 /* like Penstock's listeners */

struct server {
    struct server_options options;
    unsigned port;
    SSL_CTX *tls;
    unsigned running;
    _Atomic bool stopping;
    struct server_loop loops[SERVER_THREADS_MAX];
    int wake_fds[SERVER_THREADS_MAX];
    h2o_socket_t
        *wakes[SERVER_THREADS_MAX]; /* only for LeakSanitizer, which cannot see epoll's pointers */
};

struct request_handler {
    h2o_handler_t super;
    struct server_loop *loop;
};

static void on_ready(h2o_socket_t *listener, const char *error)
{
    struct server_loop *loop = listener->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (!socket)
            return;
        if (loop->server->options.on_connection)
            loop->server->options.on_connection(loop, socket);
        else
            h2o_accept(&loop->accept, socket);
    }
}

static void on_wake(h2o_socket_t *socket, const char *error)
{
    h2o_socket_read_stop(socket); /* the loop checks `stopping` after this turn */
}

static void *run(void *argument)
{
    struct server_loop *loop = argument;
    struct server *server = loop->server;
    while (!atomic_load(&server->stopping)) {
        h2o_evloop_run(loop->loop, INT32_MAX);
        if (server->options.on_turn)
            server->options.on_turn(loop);
    }
    return NULL;
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Returns its length; 0: it is no IP address. */
static socklen_t make_address(const char *text, unsigned port, union any_address *ret_address)
{
    *ret_address = (union any_address){0};
    if (inet_pton(AF_INET, text, &ret_address->v4.sin_addr) == 1) {
        ret_address->v4.sin_family = AF_INET;
        ret_address->v4.sin_port = htons((uint16_t)port);
        return sizeof ret_address->v4;
    }
    *ret_address = (union any_address){0};
    if (inet_pton(AF_INET6, text, &ret_address->v6.sin6_addr) != 1)
        return 0;
    ret_address->v6.sin6_family = AF_INET6;
    ret_address->v6.sin6_port = htons((uint16_t)port);
    return sizeof ret_address->v6;
}

static enum err listen_on(const char *where, unsigned port, int *ret_fd, unsigned *ret_port)
{
    union any_address address;
    socklen_t len = make_address(where ? where : LOOPBACK, port, &address);
    int fd = len == 0
                 ? -1
                 : socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
        on = 1, bytes = RECEIVE_BUFFER_BYTES;
    if (fd < 0)
        return ERR_SYSTEM;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(fd, &address.any, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &address.any, &len) != 0) {
        enum err result = errno == EADDRINUSE ? ERR_ADDRESS_IN_USE : ERR_SYSTEM;
        close(fd);
        return result;
    }
    *ret_fd = fd;
    *ret_port =
        ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return OK;
}

static void configure(struct server_loop *loop)
{
    const struct server_options *options = &loop->server->options;
    h2o_config_init(&loop->config);
    loop->config.max_request_entity_size = options->body_bytes_max;
    h2o_hostconf_t *host =
        h2o_config_register_host(&loop->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    struct request_handler *handler =
        (void *)h2o_create_handler(&host->fallback_path, sizeof *handler);
    handler->super.on_req = options->on_request;
    handler->loop = loop;
}

static enum err make_loop(struct server *server, unsigned number)
{
    struct server_loop *loop = &server->loops[number];
    int fd;
    enum err result = listen_on(server->options.address,
        server->port ? server->port : server->options.port, &fd, &server->port);
    if (result)
        return result;
    loop->server = server;
    loop->number = number;
    configure(loop);
    loop->loop = h2o_evloop_create();
    h2o_context_init(&loop->context, loop->loop, &loop->config);
    loop->accept = (h2o_accept_ctx_t){
        .ctx = &loop->context, .hosts = loop->config.hosts, .ssl_ctx = server->tls};
    loop->listener = h2o_evloop_socket_create(loop->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->listener->data = loop;
    server->wake_fds[number] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fds[number] < 0)
        return ERR_SYSTEM;
    server->wakes[number] = h2o_evloop_socket_create(
        loop->loop, dup(server->wake_fds[number]), H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(server->wakes[number], on_wake);
    return server->options.on_start ? server->options.on_start(loop, server->options.context) : OK;
}

static enum err make_tls(struct server *server)
{
    const struct server_options *options = &server->options;
    if (!options->certificate_file)
        return OK;
    server->tls = SSL_CTX_new(TLS_server_method());
    if (!server->tls ||
        SSL_CTX_use_certificate_chain_file(server->tls, options->certificate_file) != 1 ||
        SSL_CTX_use_PrivateKey_file(server->tls, options->key_file, SSL_FILETYPE_PEM) != 1)
        return ERR_TLS;
    SSL_CTX_set_min_proto_version(server->tls, TLS1_2_VERSION);
    h2o_ssl_register_alpn_protocols(server->tls, h2o_http2_alpn_protocols);
    return OK;
}

enum err server_start(const struct server_options *options, struct server **ret_server)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return ERR_NO_MEMORY;
    signal(SIGPIPE, SIG_IGN);
    server->options = *options;
    enum err result = make_tls(server);
    for (unsigned i = 0; i < options->threads && !result; i++)
        result = make_loop(server, i);
    /* All threads bind before the first one accepts: no client reaches a listener whose thread does
     * not start. */
    for (unsigned i = 0; i < options->threads && !result; i++) {
        struct server_loop *loop = &server->loops[i];
        h2o_socket_read_start(loop->listener, on_ready);
        if (pthread_create(&loop->thread, NULL, run, loop) != 0)
            result = ERR_SYSTEM;
        else
            server->running++;
    }
    if (result) {
        server_stop(server);
        return result;
    }
    *ret_server = server;
    return OK;
}

struct server_loop *server_loop_of(h2o_req_t *req)
{
    return ((struct request_handler *)req->pathconf->handlers.entries[0])->loop;
}

struct server_loop *server_loop_at(struct server *server, unsigned number)
{
    return &server->loops[number];
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    atomic_store(&server->stopping, true);
    for (unsigned i = 0; i < server->running; i++) {
        uint64_t one = 1;
        if (write(server->wake_fds[i], &one, sizeof one) < 0)
            abort();
    }
    for (unsigned i = 0; i < server->running; i++)
        pthread_join(server->loops[i].thread, NULL);
    server->running = 0;
}

enum err server_write_ready_file(const struct server *server, const char *path)
{
    AUTO_FREE char *draft = NULL;
    if (asprintf(&draft, "%s.%d", path, (int)getpid()) < 0) {
        draft = NULL;
        return ERR_NO_MEMORY;
    }
    const char *address = server->options.address ? server->options.address : LOOPBACK;
    const char *brackets = strchr(address, ':') ? "[]" : "";
    if (strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0) {
        address = LOOPBACK;
        brackets = "";
    }
    FILE *file = fopen(draft, "w");
    if (!file)
        return ERR_DISK;
    bool written = fprintf(file, "{\"port\": %u, \"url\": \"%s://%.1s%s%.1s:%u\", \"pid\": %d}\n",
                       server->port, server->tls ? "https" : "http", brackets, address,
                       *brackets ? brackets + 1 : "", server->port, (int)getpid()) > 0;
    written = fclose(file) == 0 && written;
    if (written && rename(draft, path) == 0)
        return OK;
    unlink(draft);
    return ERR_DISK;
}

static sigset_t ending_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

void server_block_signals(void)
{
    sigset_t signals = ending_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

void server_wait_for_signal(void)
{
    sigset_t signals = ending_signals();
    int caught;
    sigwait(&signals, &caught);
}

void server_answer(
    h2o_req_t *req, int status, const char *content_type, const char *body, size_t body_len)
{
    static h2o_generator_t generator; /* stateless: the whole answer is sent at once */
    req->res.status = status;
    req->res.reason = "Status"; /* h2load counts an answer without a reason phrase as failed */
    req->res.content_length = body_len;
    if (content_type)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
            strlen(content_type));
    h2o_iovec_t part = h2o_strdup(&req->pool, body, body_len);
    h2o_start_response(req, &generator);
    h2o_send(req, &part, body_len > 0, H2O_SEND_STATE_FINAL);
}
