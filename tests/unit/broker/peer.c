/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/broker/peer.h"

#include <amqp_tcp_socket.h>
#include <poll.h>
#include <sys/socket.h>

#define FRAME_BYTES_MAX 4096

static struct manual_host *of(struct broker_host *host)
{
    return CONTAINER_OF(host, struct manual_host, host);
}

static enum err watch(struct broker_host *host, struct broker_watch *watch)
{
    cr_assert_null(of(host)->watch);
    of(host)->watch = watch;
    of(host)->reading = true;
    return OK;
}

static void want_write(struct broker_host *host)
{
    of(host)->writing = true;
}

static void set_reading(struct broker_host *host, bool reading)
{
    of(host)->reading = reading;
}

static void unwatch(struct broker_host *host)
{
    of(host)->watch = NULL;
}

static void at_turn_end(struct broker_host *host, void (*on_turn_end)(void *context), void *context)
{
    of(host)->on_turn_end = on_turn_end;
    of(host)->context = context;
}

void manual_host_init(struct manual_host *host)
{
    static const struct broker_host_ops ops = {
        watch, want_write, set_reading, unwatch, at_turn_end};
    *host = (struct manual_host){.host.ops = &ops};
}

void manual_host_turn(struct manual_host *host)
{
    struct pollfd pollfd = {.fd = host->watch ? host->watch->fd : -1,
        .events = (short)((host->reading ? POLLIN : 0) | (host->writing ? POLLOUT : 0))};
    if (poll(&pollfd, 1, 0) > 0) {
        if (pollfd.revents & POLLOUT)
            host->writing = false;
        host->watch->on_ready(host->watch);
    }
    void (*on_turn_end)(void *) = TAKE(host->on_turn_end);
    if (on_turn_end)
        on_turn_end(host->context);
}

/* A connection after its login: the library assumes that when it has read a protocol header. */
static amqp_connection_state_t connection_on(int fd, int other_fd)
{
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_tcp_socket_set_sockfd(amqp_tcp_socket_new(connection), fd);
    cr_assert_eq(write(other_fd, "AMQP\0\0\x09\x01", 8), 8);
    amqp_frame_t frame;
    cr_assert_eq(
        amqp_simple_wait_frame_noblock(connection, &frame, &(struct timeval){0}), AMQP_STATUS_OK);
    cr_assert_eq(amqp_tune_connection(connection, 0, FRAME_BYTES_MAX, 0), AMQP_STATUS_OK);
    return connection;
}

struct broker_link *peer_begin(struct peer *peer)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *peer = (struct peer){.fd = fds[1], .connection = connection_on(fds[1], fds[0])};
    struct broker_link *link = calloc(1, sizeof *link);
    *link = (struct broker_link){
        .connection = connection_on(fds[0], fds[1]),
        .fd = fds[0],
        .heartbeat_s = 10,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .peer = "peer:5672",
    };
    return link;
}

void peer_end(struct peer *peer)
{
    if (peer->connection)
        amqp_destroy_connection(peer->connection);
    peer->connection = NULL;
}

void peer_say(struct peer *peer, amqp_channel_t channel, amqp_method_number_t id, void *decoded)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD,
        .channel = channel,
        .payload.method = {.id = id, .decoded = decoded}};
    cr_assert_eq(amqp_send_frame(peer->connection, &frame), AMQP_STATUS_OK);
}

void peer_say_ack(struct peer *peer, uint64_t tag, bool multiple)
{
    peer_say(peer, 1, AMQP_BASIC_ACK_METHOD,
        &(amqp_basic_ack_t){.delivery_tag = tag, .multiple = multiple});
}

void peer_say_nack(struct peer *peer, uint64_t tag, bool multiple)
{
    peer_say(peer, 1, AMQP_BASIC_NACK_METHOD,
        &(amqp_basic_nack_t){.delivery_tag = tag, .multiple = multiple});
}

void peer_say_return(struct peer *peer, const amqp_basic_properties_t *properties, const char *body)
{
    peer_say(peer, 1, AMQP_BASIC_RETURN_METHOD,
        &(amqp_basic_return_t){
            .reply_code = AMQP_NO_ROUTE, .reply_text = amqp_cstring_bytes("NO_ROUTE")});
    amqp_frame_t header = {.frame_type = AMQP_FRAME_HEADER,
        .channel = 1,
        .payload.properties = {.class_id = AMQP_BASIC_CLASS,
            .body_size = strlen(body),
            .decoded = (void *)(uintptr_t)properties}};
    cr_assert_eq(amqp_send_frame(peer->connection, &header), AMQP_STATUS_OK);
    amqp_frame_t part = {.frame_type = AMQP_FRAME_BODY,
        .channel = 1,
        .payload.body_fragment = amqp_cstring_bytes(body)};
    cr_assert_eq(amqp_send_frame(peer->connection, &part), AMQP_STATUS_OK);
}

void peer_say_blocked(struct peer *peer, const char *reason)
{
    if (reason)
        peer_say(peer, 0, AMQP_CONNECTION_BLOCKED_METHOD,
            &(amqp_connection_blocked_t){.reason = amqp_cstring_bytes(reason)});
    else
        peer_say(peer, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &(amqp_connection_unblocked_t){0});
}

bool peer_hear(struct peer *peer, amqp_frame_t *ret_frame)
{
    return amqp_simple_wait_frame_noblock(peer->connection, ret_frame, &(struct timeval){0}) ==
           AMQP_STATUS_OK;
}

static void copy_text(char target[256], amqp_bytes_t bytes)
{
    memcpy(target, bytes.bytes, bytes.len);
    target[bytes.len] = '\0';
}

bool peer_hear_message(struct peer *peer, struct heard *ret_heard)
{
    amqp_frame_t frame;
    if (!peer_hear(peer, &frame))
        return false;
    cr_assert_eq(frame.frame_type, AMQP_FRAME_METHOD);
    cr_assert_eq(frame.payload.method.id, AMQP_BASIC_PUBLISH_METHOD);
    ret_heard->channel = frame.channel;
    const amqp_basic_publish_t *publish = frame.payload.method.decoded;
    copy_text(ret_heard->key, publish->routing_key);
    copy_text(ret_heard->exchange, publish->exchange);
    ret_heard->mandatory = publish->mandatory;
    cr_assert(peer_hear(peer, &frame));
    cr_assert_eq(frame.frame_type, AMQP_FRAME_HEADER);
    ret_heard->properties = *(amqp_basic_properties_t *)frame.payload.properties.decoded;
    uint64_t body_size = frame.payload.properties.body_size;
    for (ret_heard->body_len = 0; ret_heard->body_len < body_size;) {
        cr_assert(peer_hear(peer, &frame));
        cr_assert_eq(frame.frame_type, AMQP_FRAME_BODY);
        amqp_bytes_t part = frame.payload.body_fragment;
        cr_assert_leq(ret_heard->body_len + part.len, sizeof ret_heard->body);
        memcpy(ret_heard->body + ret_heard->body_len, part.bytes, part.len);
        ret_heard->body_len += part.len;
    }
    return true;
}

struct event_parts some_event(unsigned number)
{
    struct event_parts parts = {
        .accepted_us = 1764000000123456,
        .class = CLASS_CRITICAL,
        .guarded = true,
        .partner = SLICE_LITERAL("shop"),
        .account = SLICE_LITERAL("acc_42"),
        .type = SLICE_LITERAL("payout"),
        .key = SLICE_LITERAL("order 4711"),
        .traceparent = SLICE_LITERAL("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        .body = SLICE_LITERAL("{\"type\":\"payout\"}"),
    };
    struct event_id_generator generator = {0};
    unsigned char random[8] = {(unsigned char)number, (unsigned char)(number >> 8)};
    event_id_make(&generator, parts.accepted_us, 3, random, &parts.id);
    return parts;
}
