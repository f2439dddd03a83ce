/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators have switched off (model/switch.h), as the queues of a shard obey it.
 *
 * The directory has the switches. Each queue has a copy of what concerns it, and the shard compares
 * one number of the directory before it hands a request to the client (client/client.h). What the
 * client has by then is in flight: it ends and is recorded. So after the operator has the answer a
 * request may still reach the endpoint if it
 *
 *   - waits for its name, its connection, or a free stream of an HTTP/2 connection: it begins
 *     within connect_timeout, or fails
 *   - was refused unprocessed by the peer (HTTP/2), and is sent again: the same bound
 *   - was being signed while the switch changed: one request of the shard, within its turn
 *
 *   off   what is held leaves memory, unless only the broker has it: that is adopted by the
 *         journal within seconds (queue/unacked.c), and leaves memory then. Nothing that is held
 *         is loaded, or taken into memory when it is accepted
 *   on    the cursors of the queue start again, so that all of it is found; due times stay. The
 *         concurrency of the endpoint begins at one
 *
 * The journal passes over held optional events without reading them (journal_load.without).
 */
#ifndef PENSTOCK_DELIVERY_SWITCHES_H
#define PENSTOCK_DELIVERY_SWITCHES_H

#include "journal/journal.h"
#include "model/class.h"
#include "runtime/timer.h"

struct delivery_shard;
struct endpoint_queue;

/* Of one queue: what is off. */
struct queue_switches {
    bool is_of_endpoint; /* the endpoint existed: the switches of its account are known */
    bool deliveries, retries, optional;
    struct timer timer; /* armed: looks again for what can leave memory */
};

void switches_init_queue(struct endpoint_queue *queue);
void switches_done_queue(struct endpoint_queue *queue);
/* Obeys the changes since the last call. Frees jobs that are queued: the caller holds none. Call it
 * before anything is sent. */
void switches_look(struct delivery_shard *shard);
/* The endpoint has changed: it may have got another account, or gone with its switches. */
void switches_look_at_queue(struct endpoint_queue *queue);
/* Whether such a delivery must not be sent now. */
bool switches_hold(const struct endpoint_queue *queue, const struct delivery *delivery);
/* The classes of which nothing must be sent now: bits, 1 << enum event_class. */
unsigned switches_hold_classes(const struct endpoint_queue *queue);

#endif
