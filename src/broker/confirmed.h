/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of what the broker has confirmed: the ids of the events that this publisher's partners
 * were answered 200 for. It goes to the stream penstock.confirmed about once a second, on a channel
 * of its own, and the delivering gateway holds it against what came (delivery/check.c). A stream,
 * since no policy for queues drops from it and nobody can purge it; and apart from the events,
 * since what makes them vanish must not take the list along.
 *
 * One message is in flight at a time; ids that it does not bring there go with a later one. They
 * may be there twice: that is no harm. What is not sent when the process is killed is not checked:
 * at most the last second.
 *
 * Limits: CONFIRMED_BYTES_MAX of ids that wait (a broker without its stream for minutes); beyond
 * that they are not checked, and counted. Owned by the publisher. Internal to broker/.
 */
#ifndef PENSTOCK_BROKER_CONFIRMED_H
#define PENSTOCK_BROKER_CONFIRMED_H

#include "broker/link.h"
#include "model/event_id.h"

#define CONFIRMED_CHANNEL 3
#define CONFIRMED_BYTES_MAX (4 * 1024 * 1024)

struct confirmed {
    struct buffer waiting, sent; /* ids; `sent` until the broker has confirmed them in turn */
    int64_t since_mono_us;       /* of the first that waits, or of `sent` */
    bool channel_is_open, returned;
    uint64_t tag; /* of the last message on this channel */
};

void confirmed_done(struct confirmed *confirmed);
void confirmed_add(struct confirmed *confirmed, const struct event_id *id, int64_t now_mono_us);
/* What is due, on a link that may publish. */
void confirmed_tick(struct confirmed *confirmed, struct broker_link *link, int64_t now_mono_us);
/* All of it, at the end. */
void confirmed_send_last(struct confirmed *confirmed, struct broker_link *link);
/* A frame of CONFIRMED_CHANNEL. False: the stream is missing. */
bool confirmed_take_frame(
    struct confirmed *confirmed, struct broker_link *link, const amqp_frame_t *frame);
/* The link is gone. */
void confirmed_lose_link(struct confirmed *confirmed);
/* Another publisher's, which is about to be freed. */
void confirmed_inherit(struct confirmed *confirmed, struct confirmed *other);

#endif
