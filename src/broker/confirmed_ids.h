/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of confirmed events: the ids of events that the broker has confirmed and that were
 * answered with 200. It is published to the stream penstock.confirmed about once a second, on its
 * own channel. The delivering gateway compares it with the events it has received
 * (queue/losses.c). It is a stream, because no policy for queues drops from a stream, and a
 * stream cannot be purged. It is separate from the events, so that a loss of events does not lose
 * the list.
 *
 * One message is in flight at a time. Ids of a message that fails are sent again with a later one,
 * so an id may be in the stream twice, which is harmless. Ids that are not sent when the process is
 * killed are not checked: at most those of the last second.
 *
 * Limits: at most CONFIRMED_BYTES_MAX of ids wait (minutes without the stream). Further ids are not
 * checked, and are counted. Owned by the publisher. Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_CONFIRMED_IDS_H
#define PENSTOCK_BROKER_CONFIRMED_IDS_H

#include "broker/link.h"
#include "model/event_id.h"

#define CONFIRMED_CHANNEL 3
#define CONFIRMED_BYTES_MAX (4 * 1024 * 1024)

struct confirmed {
    struct buffer waiting, sent; /* ids; `sent` until the broker has confirmed them */
    int64_t since_mono_us;       /* time of the first waiting id, or of `sent` */
    bool channel_is_open, returned;
    uint64_t tag; /* of the last message on this channel */
};

void confirmed_done(struct confirmed *confirmed);
void confirmed_add(struct confirmed *confirmed, const struct event_id *id, int64_t now_mono_us);
/* Sends waiting ids if they are due. The link must be able to publish. */
void confirmed_tick(struct confirmed *confirmed, struct broker_link *link, int64_t now_mono_us);
/* Sends all waiting ids, before the publisher is closed. */
void confirmed_send_last(struct confirmed *confirmed, struct broker_link *link);
/* Handles a frame of CONFIRMED_CHANNEL. Returns false if the stream is missing. */
bool confirmed_take_frame(
    struct confirmed *confirmed, struct broker_link *link, const amqp_frame_t *frame);
/* The link is lost. Ids that were sent wait again. */
void confirmed_lose_link(struct confirmed *confirmed);
/* Takes the ids of another publisher, which is about to be freed. */
void confirmed_inherit(struct confirmed *confirmed, struct confirmed *other);

#endif
