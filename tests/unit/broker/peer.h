/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that sends what the test says: the other end of a socket pair, and a host whose turns
 * the test runs. Nothing waits, and there are no other threads.
 */
#ifndef PENSTOCK_TESTS_UNIT_BROKER_PEER_H
#define PENSTOCK_TESTS_UNIT_BROKER_PEER_H

#include "broker/link.h"
#include "model/event.h"

#include <criterion/criterion.h>

/* The link's side: a host of one link. */
struct manual_host {
    struct broker_host host;
    struct broker_watch *watch;
    bool reading, writing;
    void (*on_turn_end)(void *context);
    void *context;
};

void manual_host_init(struct manual_host *host);
/* Runs one turn of a loop: ready sockets, then the end of the turn. */
void manual_host_turn(struct manual_host *host);

struct peer {
    amqp_connection_state_t connection;
    int fd;
};

/* A link as the connector returns it (frames of 4096 bytes, a heartbeat of 10 s), and its peer. */
struct broker_link *peer_begin(struct peer *peer);
void peer_end(struct peer *peer); /* closes its side; may be called twice */

void peer_say(struct peer *peer, amqp_channel_t channel, amqp_method_number_t id, void *decoded);
void peer_say_ack(struct peer *peer, uint64_t tag, bool multiple);
void peer_say_nack(struct peer *peer, uint64_t tag, bool multiple);
void peer_say_return(
    struct peer *peer, const amqp_basic_properties_t *properties, const char *body);
void peer_say_blocked(struct peer *peer, const char *reason);

/* Reads the next frame; false: none has arrived. Valid until the next call. */
bool peer_hear(struct peer *peer, amqp_frame_t *ret_frame);
/* Reads one message: the routing key, its properties and its body, which must fit. */
struct heard {
    char key[256], exchange[256];
    bool mandatory;
    amqp_channel_t channel;
    amqp_basic_properties_t properties;
    char body[300000];
    size_t body_len;
};
bool peer_hear_message(struct peer *peer, struct heard *ret_heard);

/* An event with all fields set. Its texts are static. */
struct event_parts some_event(unsigned number);

#endif
