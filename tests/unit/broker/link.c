/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/link.h"

#include "base/clock.h"
#include "unit/broker/peer.h"

#include <sys/socket.h>

static struct manual_host host;
static struct peer peer;
static struct broker_link *its_link;
static struct heard heard;
static unsigned frames, readings, deaths;
static char death[256];
static bool frees_in_frame, stops_in_frame, answers_in_frame;

static void on_frame(struct broker_link *link, const amqp_frame_t *frame)
{
    frames++;
    if (answers_in_frame)
        broker_link_put_method(
            link, 1, AMQP_BASIC_ACK_METHOD, &(amqp_basic_ack_t){.delivery_tag = frames});
    if (frees_in_frame)
        broker_link_free(TAKE(its_link));
    else if (stops_in_frame)
        broker_link_set_reading(link, false);
}

static void on_frames_done(struct broker_link *link)
{
    readings++;
}

static void on_dead(struct broker_link *link, const char *why)
{
    deaths++;
    snprintf(death, sizeof death, "%s", why);
}

static void begin(void)
{
    manual_host_init(&host);
    its_link = peer_begin(&peer);
    its_link->on_frame = on_frame;
    its_link->on_frames_done = on_frames_done;
    its_link->on_dead = on_dead;
    cr_assert_eq(broker_link_attach(its_link, &host.host), OK);
}

static void end(void)
{
    broker_link_free(its_link);
    peer_end(&peer);
}

TestSuite(link, .init = begin, .fini = end);

static const amqp_basic_publish_t publish = {.routing_key = {1, "q"}};
static const amqp_basic_properties_t properties = {0};

static void put(size_t body_bytes)
{
    static char body[sizeof heard.body];
    for (size_t i = 0; i < body_bytes; i++)
        body[i] = (char)(i * 31 % 251);
    broker_link_put_message(its_link, 1, &publish, &properties, slice_of(body, body_bytes));
}

static void expect_message(size_t body_bytes)
{
    cr_assert(peer_hear_message(&peer, &heard), "%zu bytes", body_bytes);
    cr_assert_str_eq(heard.key, "q");
    cr_assert_eq(heard.body_len, body_bytes);
    for (size_t i = 0; i < body_bytes; i++)
        cr_assert_eq(heard.body[i], (char)(i * 31 % 251));
}

Test(link, bodies_are_split_into_frames)
{
    static const size_t sizes[] = {0, 1, 4087, 4088, 4089, 8176, 8177, 20000};
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++)
        put(sizes[i]);
    manual_host_turn(&host);
    cr_assert_eq(broker_link_unsent(its_link), 0);
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++)
        expect_message(sizes[i]);
}

Test(link, rest_is_sent_when_the_socket_is_writable_again)
{
    int bytes = 1;
    setsockopt(its_link->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    for (unsigned i = 0; i < 20; i++)
        put(10000 + i);
    manual_host_turn(&host);
    size_t unsent = broker_link_unsent(its_link);
    cr_assert_gt(unsent, 0);
    cr_assert(host.writing);
    put(10020);
    manual_host_turn(&host);
    cr_assert_gt(broker_link_unsent(its_link), unsent, "nobody reads: nothing more leaves");
    /* The peer's library does not wait within a message, so all of it must be there. So it is read
     * as raw bytes first. */
    static char raw[400000];
    size_t len = 0;
    bool put_between = false; /* when more than half is sent: the rest moves to the front */
    while (broker_link_unsent(its_link) > 0) {
        ssize_t got = recv(peer.fd, raw + len, sizeof raw - len, 0);
        cr_assert_gt(got, 0);
        len += (size_t)got;
        manual_host_turn(&host);
        if (!put_between && its_link->out_done > its_link->out.len / 2) {
            put(10021);
            cr_assert_lt(its_link->out_done, its_link->out.len / 2);
            put_between = true;
        }
    }
    cr_assert(put_between);
    for (ssize_t got; (got = recv(peer.fd, raw + len, sizeof raw - len, 0)) > 0;)
        len += (size_t)got;
    /* Sent through a pair with a large buffer, to be parsed. */
    bytes = (int)sizeof raw;
    setsockopt(its_link->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    for (size_t at = 0, message = 0; message < 22; message++) {
        size_t body = 10000 + message,
               frames_len = 8 + 4 + 2 + 1 + 2 + 1 + 8 + 12 + 2 + body + 3 * 8;
        cr_assert_leq(at + frames_len, len);
        cr_assert_eq(send(its_link->fd, raw + at, frames_len, 0), (ssize_t)frames_len);
        expect_message(body);
        at += frames_len;
    }
}

Test(link, several_frames_arrive_in_one_reading)
{
    peer_say_ack(&peer, 1, false);
    peer_say_ack(&peer, 2, false);
    manual_host_turn(&host);
    cr_assert_eq(frames, 2);
    cr_assert_eq(readings, 1);
}

Test(link, frames_read_before_the_attach_are_delivered)
{
    struct manual_host other_host;
    struct peer other_peer;
    struct broker_link *other = peer_begin(&other_peer);
    for (unsigned i = 0; i < 3; i++)
        peer_say_ack(&other_peer, i, false);
    amqp_frame_t frame;
    cr_assert_eq(amqp_simple_wait_frame(other->connection, &frame), AMQP_STATUS_OK);
    manual_host_init(&other_host);
    other->on_frame = on_frame;
    other->on_dead = on_dead;
    cr_assert_eq(broker_link_attach(other, &other_host.host), OK);
    manual_host_turn(&other_host);
    cr_assert_eq(frames, 2);
    broker_link_free(other);
    peer_end(&other_peer);
}

/* Sends many acks at once. */
static void say_many(unsigned count)
{
    static const char ack[21] = "\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0\xce";
    static char bytes[5000 * sizeof ack];
    for (unsigned i = 0; i < count; i++)
        memcpy(bytes + i * sizeof ack, ack, sizeof ack);
    cr_assert_eq(send(peer.fd, bytes, count * sizeof ack, 0), (ssize_t)(count * sizeof ack));
}

static size_t hear_bytes(void)
{
    static char raw[400000];
    ssize_t got = recv(peer.fd, raw, sizeof raw, MSG_DONTWAIT);
    return got > 0 ? (size_t)got : 0;
}

/* More frames at once than one reading takes, and an answer to each. The reading at the end of the
 * turn leaves frames as well. The link once stopped sending for good in this case. */
Test(link, frames_beyond_two_readings_are_answered_and_a_heartbeat_follows)
{
    enum { FRAMES = 5000 };
    answers_in_frame = true;
    say_many(FRAMES);
    size_t heard_bytes = 0;
    for (unsigned i = 0; i < 10; i++) {
        manual_host_turn(&host);
        heard_bytes += hear_bytes();
    }
    cr_assert_eq(frames, FRAMES);
    cr_assert_eq(broker_link_unsent(its_link), 0, "%zu bytes wait", broker_link_unsent(its_link));
    cr_assert_eq(heard_bytes, FRAMES * 21);
    broker_link_tick(its_link, its_link->sent_mono_us + 5 * US_PER_SECOND);
    manual_host_turn(&host);
    cr_assert_eq(hear_bytes(), 8, "the heartbeat");
    put(100);
    manual_host_turn(&host);
    cr_assert_gt(hear_bytes(), 100);
}

Test(link, put_while_frames_wait_is_sent_although_reading_is_stopped)
{
    stops_in_frame = answers_in_frame = true;
    say_many(3);
    manual_host_turn(&host);
    cr_assert_eq(frames, 1);
    cr_assert_eq(hear_bytes(), 21);
    put(100);
    manual_host_turn(&host);
    cr_assert_gt(hear_bytes(), 100);
}

Test(link, stopped_reading_delivers_no_frames)
{
    for (unsigned i = 0; i < 3; i++)
        peer_say_ack(&peer, i, false);
    stops_in_frame = true;
    for (unsigned i = 0; i < 3; i++)
        manual_host_turn(&host);
    cr_assert_eq(frames, 1);
    stops_in_frame = false;
    broker_link_set_reading(its_link, true);
    manual_host_turn(&host);
    cr_assert_eq(frames, 3);
}

Test(link, may_be_freed_in_its_own_callback)
{
    frees_in_frame = true;
    peer_say_ack(&peer, 1, false);
    peer_say_ack(&peer, 2, false);
    manual_host_turn(&host);
    cr_assert_eq(frames, 1);
    cr_assert_eq(deaths, 0);
    cr_assert_null(host.watch);
    cr_assert_null(host.on_turn_end);
    amqp_frame_t frame;
    cr_assert(peer_hear(&peer, &frame));
    cr_assert_eq(frame.payload.method.id, AMQP_CONNECTION_CLOSE_METHOD);
}

Test(link, broken_connection_is_reported_once)
{
    peer_say_ack(&peer, 1, false);
    peer_end(&peer);
    put(1000);
    for (unsigned i = 0; i < 3; i++)
        manual_host_turn(&host);
    cr_assert_eq(frames, 1, "what came before the end counts");
    cr_assert_eq(deaths, 1);
    cr_assert_null(host.watch);
    put(1000);
    broker_link_tick(its_link, clock_mono_us());
    broker_link_flush(its_link);
    cr_assert_eq(deaths, 1);
}

Test(link, message_that_can_not_be_encoded_ends_the_connection)
{
    static char key[300];
    amqp_basic_publish_t too_long = {.routing_key = {sizeof key, key}};
    broker_link_put_message(its_link, 1, &too_long, &properties, SLICE_LITERAL("x"));
    cr_assert_eq(deaths, 0);
    manual_host_turn(&host);
    cr_assert_eq(deaths, 1);
    cr_assert_not(peer_hear_message(&peer, &heard));
}

Test(link, idle_link_sends_heartbeats)
{
    broker_link_tick(its_link, its_link->sent_mono_us + 4900 * US_PER_MS);
    manual_host_turn(&host);
    char bytes[16];
    cr_assert_eq(recv(peer.fd, bytes, sizeof bytes, MSG_DONTWAIT), -1);
    broker_link_tick(its_link, its_link->sent_mono_us + 5 * US_PER_SECOND);
    manual_host_turn(&host);
    cr_assert_eq(recv(peer.fd, bytes, sizeof bytes, MSG_DONTWAIT), 8);
    cr_assert_eq(memcmp(bytes, "\x08\0\0\0\0\0\0\xce", 8), 0);
}

Test(link, silence_ends_the_connection)
{
    int64_t heard_us = its_link->heard_mono_us;
    broker_link_tick(its_link, heard_us + 20 * US_PER_SECOND);
    cr_assert_eq(deaths, 0);
    broker_link_tick(its_link, heard_us + 20 * US_PER_SECOND + 1);
    cr_assert_eq(deaths, 1);
    cr_assert_str_eq(death, "the broker sent nothing for 20000 ms");
}

Test(link, heartbeats_and_unread_bytes_count_as_received)
{
    its_link->heard_mono_us = 0;
    cr_assert_eq(send(peer.fd, "\x08\0\0\0\0\0\0\xce", 8, 0), 8);
    manual_host_turn(&host);
    cr_assert_gt(its_link->heard_mono_us, 0);
    cr_assert_eq(frames, 0);
    broker_link_set_reading(its_link, false);
    peer_say_ack(&peer, 1, false);
    broker_link_tick(its_link, its_link->heard_mono_us + 60 * US_PER_SECOND);
    cr_assert_eq(deaths, 0);
}

Test(link, writable_socket_does_not_count_as_received)
{
    int bytes = 1;
    setsockopt(its_link->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    put(200000);
    manual_host_turn(&host);
    cr_assert(host.writing);
    its_link->heard_mono_us = 1;
    static char raw[100000];
    cr_assert_gt(recv(peer.fd, raw, sizeof raw, 0), 0);
    manual_host_turn(&host);
    cr_assert_eq(its_link->heard_mono_us, 1);
}
