/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One AMQP connection that was opened by the connector and now lives on its owner's loop.
 *
 * Reading is librabbitmq's, with a timeout of zero. Writing is not: its publish makes three system
 * calls and can wait for ever for a broker that doesn't read (0.11, third_party/README.md). So
 * frames are encoded into a buffer of our own (with librabbitmq's encoders) and leave in one send
 * or SSL_write per turn; what the socket doesn't take stays in the buffer until it is writable
 * again. The buffer is bounded by its users: a publisher's window, a subscriber's prefetch.
 * librabbitmq's heartbeats are switched off behind the login (they would be written between our
 * frames): the link sends its own, and knows when it has last heard something.
 *
 * After an error the link is dead: on_dead runs once, later calls do nothing, and its owner frees
 * it.
 *
 * Owned by the thread of its host. Internal to broker/: the others see publishers, consumers and
 * taps, and carry a link from the connector to one of them.
 */
#ifndef PENSTOCK_BROKER_LINK_H
#define PENSTOCK_BROKER_LINK_H

#include "base/buffer.h"
#include "broker/broker.h"
#include "broker/host.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <openssl/ssl.h>

struct broker_link {
    amqp_connection_state_t connection;
    int fd;
    SSL *ssl; /* NULL: plain TCP. Belongs to the connection */
    unsigned heartbeat_s;
    uint32_t frame_bytes_max;
    char peer[280]; /* host:port, for logs and status */

    /* from broker_link_attach on */
    struct broker_host *host;
    struct broker_watch watch;
    void *owner; /* whoever attached it: for the callbacks */
    void (*on_frame)(struct broker_link *link,
        const amqp_frame_t *frame); /* what it points to is valid in the call */
    void (*on_frames_done)(
        struct broker_link *link); /* behind the frames of one reading; may be NULL */
    void (*on_dead)(struct broker_link *link, const char *why);
    struct buffer out;      /* encoded, not taken by the socket yet */
    size_t out_done;        /* of it */
    bool flush_is_due;      /* something was put in this turn */
    bool read_is_due;       /* frames are in the library, and nothing will say so */
    bool turn_end_is_asked; /* the host will call at the end of the turn, for either */
    bool write_is_wanted, reading, dead;
    bool blocked;                        /* connection.blocked: the broker reads no publishes */
    int64_t heard_mono_us, sent_mono_us; /* in on_frame, heard_mono_us is now */
    int64_t silence_us_max;              /* after that much silence it is dead; 0: two heartbeats */
    unsigned calls;                      /* of this link's that are in flight */
    bool free_is_due;                    /* when they have returned */
};

/* Takes a link from the connector onto the loop; on_frame, on_frames_done and on_dead are set
 * already. On failure (ERR_SYSTEM) it stays the caller's. */
enum err broker_link_attach(struct broker_link *link, struct broker_host *host) MUST_CHECK;
/* Closes the connection without a farewell that could wait, and frees the struct (malloc's). Takes
 * NULL, attached or not; its callbacks may call it. */
void broker_link_free(struct broker_link *link);

/* Into the buffer; it leaves at the end of the turn. Nothing when the link is dead. */
void broker_link_put_method(struct broker_link *link, amqp_channel_t channel,
    amqp_method_number_t id, void *decoded_method);
/* A whole message: basic.publish, its header and its body in frames. */
void broker_link_put_message(struct broker_link *link, amqp_channel_t channel,
    const amqp_basic_publish_t *publish, const amqp_basic_properties_t *properties,
    struct slice body);
size_t broker_link_unsent(const struct broker_link *link);
void broker_link_flush(struct broker_link *link); /* now, as far as the socket takes it */

void broker_link_tick(struct broker_link *link, int64_t now_mono_us);
void broker_link_set_reading(struct broker_link *link, bool reading);

#endif
