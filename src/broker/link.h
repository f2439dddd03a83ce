/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One AMQP connection. The connector opens it, and then it lives on its owner's loop.
 *
 * librabbitmq reads, with a timeout of zero. It does not write: its publish makes three system
 * calls and can wait forever if the broker does not read (0.11, third_party/README.md). So frames
 * are encoded into the link's own buffer, with librabbitmq's encoders, and sent with one send or
 * SSL_write per turn. Bytes that the socket does not take stay in the buffer until it is writable.
 * The users of the link bound the buffer: by a publisher's window, a subscriber's prefetch.
 * librabbitmq's heartbeats are switched off after the login, because they would be written between
 * the link's frames. The link sends its own, and notes when it last received something.
 *
 * After an error the link is dead: on_dead runs once, later calls have no effect, and the owner
 * frees it.
 *
 * Owned by the thread of its host. Internal to broker/. Other folders see publishers, subscribers
 * and taps, and pass a link from the connector to one of them.
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
    SSL *ssl; /* NULL: plain TCP. Owned by the connection */
    unsigned heartbeat_s;
    uint32_t frame_bytes_max;
    char peer[280]; /* host:port, for logs and status */

    /* used after broker_link_attach */
    struct broker_host *host;
    struct broker_watch watch;
    void *owner; /* for the callbacks */
    /* The frame is valid during the call. */
    void (*on_frame)(struct broker_link *link, const amqp_frame_t *frame);
    /* Called after the frames of one reading. May be NULL. */
    void (*on_frames_done)(struct broker_link *link);
    void (*on_dead)(struct broker_link *link, const char *why);
    struct buffer out;      /* encoded frames that the socket has not taken yet */
    size_t out_done;        /* bytes of it that are already sent */
    bool flush_is_due;      /* frames were put in this turn */
    bool read_is_due;       /* frames are in the library, and no event will report them */
    bool turn_end_is_asked; /* the host will call on_turn_end, for one of the two */
    bool write_is_wanted, reading, dead;
    bool blocked;                        /* connection.blocked: the broker reads no publishes */
    int64_t heard_mono_us, sent_mono_us; /* last receive and send; in on_frame heard is now */
    int64_t silence_us_max;              /* longer silence kills the link; 0: two heartbeats */
    unsigned calls;                      /* calls of this link that are running */
    bool free_is_due;                    /* frees the link when they have returned */
};

/* Puts a link from the connector on the loop. Set on_frame, on_frames_done and on_dead before. On
 * failure (ERR_SYSTEM) the caller still owns it. */
enum err broker_link_attach(struct broker_link *link, struct broker_host *host) MUST_CHECK;
/* Closes the connection without waiting, and frees the struct. Takes NULL. The link may be attached
 * or not. Its callbacks may call this. */
void broker_link_free(struct broker_link *link);

/* Puts a method into the buffer, which is sent at the end of the turn. No effect on a dead link. */
void broker_link_put_method(struct broker_link *link, amqp_channel_t channel,
    amqp_method_number_t id, void *decoded_method);
/* Puts a whole message: basic.publish, its header, and its body in frames. */
void broker_link_put_message(struct broker_link *link, amqp_channel_t channel,
    const amqp_basic_publish_t *publish, const amqp_basic_properties_t *properties,
    struct slice body);
size_t broker_link_unsent(const struct broker_link *link);
void broker_link_flush(struct broker_link *link); /* sends now what the socket takes */

void broker_link_tick(struct broker_link *link, int64_t now_mono_us);
void broker_link_set_reading(struct broker_link *link, bool reading);

#endif
