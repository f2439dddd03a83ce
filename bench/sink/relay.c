/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow reading. h2o always reads a request as fast as it can. So slow reading belongs to a
 * connection: its first bytes are peeked, and if their path reads slowly, h2o gets one end of a
 * socket pair. A relay then carries bytes from the client to h2o at the given rate. Answers are
 * carried back at once.
 *
 *            in: `rate` bytes a second, in ticks of 20 ms
 *   client ---------------------------------------------> pair ===== h2o
 *          <---------------------------------------------
 *            out: at once; it waits for a client that does not read
 *
 * The relay ends when both directions have ended or one has failed. The end of one direction is
 * passed on as a half close, so that each side sees that the other one has closed.
 *
 * The path is read from an HTTP/1 request line. HTTP/2 and TLS connections count as path "/". A
 * connection keeps the rate that it began with.
 */
#include "base/clock.h"
#include "sink/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_US (20 * US_PER_MS)
#define PEEK_BYTES 1024
#define RELAY_BYTES 16384
#define RECEIVE_BUFFER_BYTES \
    4096 /* small, so that the kernel does not take a whole body from the gateway at once */

struct stream {
    char bytes[RELAY_BYTES];
    size_t begin, end;     /* bytes that are not passed on yet */
    bool is_read, is_done; /* the end was read; the end was passed on */
};

struct relay {
    struct sink_loop *loop;
    struct timer tick;
    h2o_socket_t *client, *pair; /* h2o reads neither; it watches only `pair` */
    struct stream in, out;
    int64_t rate_bytes;  /* per second */
    int64_t refilled_us; /* when `allowance` was last increased */
    double allowance;    /* bytes that may be read now */
};

static bool must_wait(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Reads at most `max` bytes into an empty buffer and passes on as many as possible. Returns false
 * when the connection has failed. */
static bool carry(struct stream *stream, int from, int to, size_t max, size_t *ret_read)
{
    *ret_read = 0;
    if (stream->begin == stream->end && !stream->is_read && max > 0) {
        ssize_t got =
            recv(from, stream->bytes, max < RELAY_BYTES ? max : RELAY_BYTES, MSG_DONTWAIT);
        if (got < 0 && !must_wait())
            return false;
        stream->is_read = got == 0;
        stream->begin = 0;
        stream->end = *ret_read = got > 0 ? (size_t)got : 0;
    }
    while (stream->begin < stream->end) {
        ssize_t put = send(to, stream->bytes + stream->begin, stream->end - stream->begin,
            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0)
            return must_wait();
        stream->begin += (size_t)put;
    }
    if (stream->is_read && !stream->is_done) {
        stream->is_done = true;
        shutdown(to, SHUT_WR);
    }
    return true;
}

static void relay_end(struct relay *relay)
{
    timers_unset(&relay->loop->timers, &relay->tick);
    h2o_socket_close(relay->client);
    h2o_socket_close(relay->pair);
    free(relay);
}

static void carry_in(struct relay *relay, bool *ret_alive)
{
    int64_t now_us = clock_mono_us();
    double most = (double)relay->rate_bytes * (double)(2 * TICK_US) / US_PER_SECOND + 1;
    relay->allowance +=
        (double)relay->rate_bytes * (double)(now_us - relay->refilled_us) / US_PER_SECOND;
    relay->refilled_us = now_us;
    if (relay->allowance > most)
        relay->allowance = most;
    size_t got;
    *ret_alive = carry(&relay->in, h2o_socket_get_fd(relay->client), h2o_socket_get_fd(relay->pair),
        (size_t)relay->allowance, &got);
    relay->allowance -= (double)got;
}

/* Returns true when there is nothing to read now: at the end, or when the client is not reading. */
static bool carry_out(struct relay *relay, bool *ret_alive)
{
    size_t got;
    *ret_alive = carry(&relay->out, h2o_socket_get_fd(relay->pair),
        h2o_socket_get_fd(relay->client), RELAY_BYTES, &got);
    return relay->out.is_read || relay->out.begin < relay->out.end;
}

static void on_pair_readable(h2o_socket_t *socket, const char *error)
{
    struct relay *relay = socket->data;
    bool alive;
    bool rests = carry_out(relay, &alive);
    if (!alive || relay->out.is_done)
        relay_end(relay); /* h2o has ended the connection: the client's other bytes are dropped */
    else if (rests)
        h2o_socket_read_stop(socket); /* until a tick has passed the bytes on */
}

static void on_tick(struct timer *timer)
{
    struct relay *relay = CONTAINER_OF(timer, struct relay, tick);
    bool in_alive, out_alive;
    carry_in(relay, &in_alive);
    bool rests = carry_out(relay, &out_alive);
    if (!in_alive || !out_alive || relay->out.is_done) {
        relay_end(relay);
        return;
    }
    if (!rests && !h2o_socket_is_reading(relay->pair))
        h2o_socket_read_start(relay->pair, on_pair_readable);
    timers_set(&relay->loop->timers, &relay->tick, clock_mono_us() + TICK_US);
}

static void relay_begin(struct sink_loop *loop, h2o_socket_t *client, int64_t rate_bytes)
{
    int ends[2], bytes = RECEIVE_BUFFER_BYTES;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        h2o_socket_close(client);
        return;
    }
    setsockopt(h2o_socket_get_fd(client), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    struct relay *relay = h2o_mem_alloc(sizeof *relay);
    *relay = (struct relay){.loop = loop,
        .tick = {.on_due = on_tick},
        .client = client,
        .rate_bytes = rate_bytes,
        .refilled_us = clock_mono_us()};
    relay->pair = h2o_evloop_socket_create(loop->server->loop, ends[0], H2O_SOCKET_FLAG_DONT_READ);
    relay->pair->data = relay;
    h2o_socket_read_start(relay->pair, on_pair_readable);
    h2o_accept(&loop->server->accept, h2o_evloop_socket_create(loop->server->loop, ends[1],
                                          H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION));
    timers_set(&loop->timers, &relay->tick, relay->refilled_us + TICK_US);
}

/* Returns the path of an HTTP/1 request line, "/" for anything else. */
static struct slice path_in(const char *bytes, size_t len)
{
    const char *space = memchr(bytes, ' ', len), *end = bytes + len;
    if (!space || space + 1 == end || space[1] != '/')
        return SLICE_LITERAL("/");
    const char *path = space + 1, *stop = path;
    while (stop < end && *stop != ' ' && *stop != '?' && *stop != '\r')
        stop++;
    return slice_of(path, (size_t)(stop - path));
}

static void on_first_bytes(h2o_socket_t *socket, const char *error)
{
    struct sink_loop *loop = socket->data;
    char bytes[PEEK_BYTES];
    ssize_t len = recv(h2o_socket_get_fd(socket), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (len < 0 && must_wait())
        return;
    if (len <= 0) {
        h2o_socket_close(socket);
        return;
    }
    h2o_socket_read_stop(socket);
    int64_t rate_bytes =
        paths_find(loop->sink->paths, path_in(bytes, (size_t)len))->slow_read_bytes;
    if (rate_bytes > 0) {
        relay_begin(loop, socket, rate_bytes);
    } else {
        h2o_socket_dont_read(socket, 0);
        h2o_accept(&loop->server->accept, socket);
    }
}

void relay_on_connection(struct server_loop *server, h2o_socket_t *socket)
{
    struct sink_loop *loop = server->data;
    if (!paths_read_slowly(loop->sink->paths)) {
        h2o_accept(&server->accept, socket);
        return;
    }
    socket->data = loop;
    h2o_socket_dont_read(socket, 1);
    h2o_socket_read_start(socket, on_first_bytes);
}
